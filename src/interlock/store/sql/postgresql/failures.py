"""PostgreSQL's errors in our words: what may be tried again, what needs a person, and what is a defect."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Final

import asyncpg

from interlock import errors

_AWAY_CLASSES: Final = ("08", "57P", "53")
"""Connection failures, shutdown and start-up, resources such as connections: the server will be back."""

_AWAY_CODES: Final = {
    "25006",  # read only: a standby that was promoted elsewhere, or one that is not promoted yet
    "55P03",  # a lock that was not free in time
    "57014",  # a statement that took too long
    "40P01",  # a deadlock, again and again
    "40001",
}
_REPEATED: Final = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError)
_DISK_FULL: Final = "53100"
_OUT_OF_MEMORY: Final = "53200"
_TOO_MANY_CONNECTIONS: Final = "53300"
_DAMAGED: Final = ("XX001", "XX002")
_OWN: Final = {
    errors.DESCRIPTORS: "raise `ulimit -n`",
    errors.MEMORY: "raise its limit of memory",
    errors.DISK: "free some space",
}
_REFUSED_CLASSES: Final = ("28", "3D", "42501")
"""Wrong user or password, no such database, no right: the settings or the server must change."""


FAILURES: Final = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, MemoryError)
"""What using a connection may raise. InternalClientError: a pooler gave an error and ended without its last word, after which
asyncpg believes that the query before is still under way."""


def is_passing(error: BaseException) -> bool:
    """Say whether the transaction lost against another one and should be repeated at once."""
    return isinstance(error, _REPEATED)


def is_lost(error: BaseException) -> bool:
    """Say whether the connection is gone, and others that are open to the same server perhaps too."""
    if isinstance(error, asyncpg.PostgresError):
        return (error.sqlstate or "").startswith(("08", "57P"))
    kinds = OSError | asyncpg.InterfaceError | asyncpg.InternalClientError | MemoryError
    return isinstance(error, kinds) and not isinstance(error, asyncpg.DataError)


@contextlib.contextmanager
def translated(place: str) -> Iterator[None]:
    """Turn the errors of asyncpg and of the network into ours. `place`: the server, without a password."""
    try:
        yield
    except FAILURES as error:
        raise translation(place, error) from error


@contextlib.contextmanager
def understood(place: str) -> Iterator[None]:
    """Say of a URL that asyncpg does not understand what a right one is; its own words may hold the password."""
    try:
        yield
    except asyncpg.ClientConfigurationError as error:
        raise errors.Invalid(f"the store URL of {place} cannot be used: {error}; check store.url") from error
    except ValueError:
        raise errors.Invalid(
            f"the store URL of {place} cannot be read; write postgresql://user:password@host:5432/database, and other "
            "signs than letters, digits, - . _ ~ in the user and the password as %XX"
        ) from None


def translation(place: str, error: Exception) -> Exception:
    """Give our error for one of asyncpg's; one that is a defect of ours or of the data stays what it is."""
    code = getattr(error, "sqlstate", None) or ""
    text = str(error) or type(error).__name__
    if isinstance(error, asyncpg.DataError):
        return error
    if code == _DISK_FULL:
        text = f"no space for the store at {place} ({text}); free some space on the server"
        return errors.StoreFull(text, short_of=errors.DISK)
    if code in _DAMAGED:
        return errors.StoreCorrupt(f"the store at {place} is damaged ({text}); restore a backup")
    if code.startswith(_REFUSED_CLASSES):
        return errors.StoreUnavailable(f"the server at {place} refuses: {text}; check store.url")
    if code == _TOO_MANY_CONNECTIONS:
        text = f"the server at {place} takes no more connections ({text}); raise max_connections, or use a pooler"
        return errors.StoreUnavailable(text, short_of=errors.CONNECTIONS)
    if code == _OUT_OF_MEMORY:
        text = f"the server at {place} has no memory left ({text}); give it more, or fewer connections"
        return errors.StoreUnavailable(text, short_of=errors.MEMORY)
    if own := errors.short_of(error):
        text = f"this process is short of {own} to use the store at {place} ({text}); {_OWN[own]}"
        return errors.StoreUnavailable(text, short_of=own)
    if not code or code in _AWAY_CODES or code.startswith(_AWAY_CLASSES):
        return errors.StoreUnavailable(f"the store at {place} is away ({text})")
    return error
