"""Gives the store that a URL names, opened."""

from __future__ import annotations

import os
from typing import Final

from interlock import config, errors
from interlock.store.address import masked
from interlock.store.ports import Store
from interlock.store.sql.sealing import Keys
from interlock.store.sql.store import SqliteStore

_POSTGRESQL: Final = ("postgresql", "postgres")


def is_there(url: str) -> bool:
    """Say whether a store exists at a URL, without making one; True for every URL that only opening can tell about."""
    scheme, _, path = url.partition("://")
    return scheme != "sqlite" or path == "/:memory:" or os.path.exists(path[1:])


def file_of(url: str) -> str | None:
    """Give the path of the file that a URL names; None for a store that is none of this machine's files."""
    scheme, _, path = url.partition("://")
    return None if scheme != "sqlite" or path == "/:memory:" else path[1:]


async def open_store(
    url: str,
    *,
    connections: int = 8,
    listen_url: str | None = None,
    secrets: config.Secrets | None = None,
    key_url: str | None = None,
) -> Store:
    """Open a store: `sqlite:///relative/path.db`, `sqlite:////absolute/path.db`, `sqlite:///:memory:` or
    `postgresql://user@host/database`.

    `connections`: how many a PostgreSQL store may open for statements; `listen_url`: where it hears of changes by others when
    `url` names a pooler. `secrets`: where the store key is, and whether payloads are to be encrypted from now on; `key_url`:
    the store whose key it is, where this one is a copy. Raises Invalid for a URL that names no store that this version has,
    StoreUnavailable, StoreCorrupt, StoreFull, Environment without the key of a store that is encrypted.
    """
    keys = Keys(key_url or url, secrets)
    scheme, separator, path = url.partition("://")
    if scheme in _POSTGRESQL and separator:
        from interlock.store.sql.postgresql import store as postgresql  # noqa: PLC0415 (asyncpg: start-up of the others)

        return await postgresql.open_store(url, connections=connections, listen_url=listen_url, keys=keys)
    if scheme != "sqlite" or not separator:
        raise errors.Invalid(
            f"the store URL {masked(url)!r} is not supported; write sqlite:///path/to/file.db or postgresql://user@host/database"
        )
    if not path.startswith("/") or path == "/":
        raise errors.Invalid(
            f"the store URL {masked(url)!r} has no path; write sqlite:///relative.db or sqlite:////absolute.db"
        )
    store = SqliteStore(path[1:])
    await store.open(keys)
    return store
