"""A claim: an flock on a file, held by one process and inherited by nobody, with a record in the file."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final, Literal

import msgspec

from interlock import errors

_LOOK_SECONDS: Final = (0.002, 0.1)  # between looks at a lock that somebody holds, the first and the longest
_held: Final[set[int]] = set()


class Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is known of a worktree. `state` is what its last holder wrote: who was killed left "leased" behind.

    `admin`: the name under which the repository has it registered. `is_kept`: its files were left to be looked at.
    `dead_since`, `changed_at`: UTC seconds since 1970; the first is None while no one has found the holder dead.
    """

    state: Literal["free", "leased", "cleaning", "error"] = "free"
    attempt: str = ""
    branch: str | None = None
    base_commit: str = ""
    admin: str = ""
    pid: int = 0
    is_kept: bool = False
    dead_since: float | None = None
    changed_at: float = 0.0


class Claim:
    """A lock that this process holds until `let_go`, or until it dies."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        _held.add(descriptor)

    @classmethod
    def take(cls, path: Path) -> Claim | None:
        """Take the lock of a file, which is made if need be; None when somebody has it."""
        # never removed: a lock on a file without a name would keep nobody out
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        except BaseException:
            os.close(descriptor)
            raise
        return cls(descriptor)

    @classmethod
    @contextlib.asynccontextmanager
    async def waited_for(cls, path: Path, seconds: float) -> AsyncIterator[None]:
        """Hold the lock of a file for the length of a block. Raises Environment when it is not to be had in time."""
        pause, longest = _LOOK_SECONDS
        deadline = time.monotonic() + seconds
        while (claim := cls.take(path)) is None:
            if time.monotonic() > deadline:
                raise errors.Environment(f"the lock {path} was not to be had within {seconds:g} s; see who holds it")
            await asyncio.sleep(pause)
            pause = min(pause * 2, longest)
        try:
            yield
        finally:
            claim.let_go()

    def write(self, record: Record) -> None:
        """Replace the record of the file. One that is cut short by a kill reads as that of a dead holder."""
        written = msgspec.json.encode(msgspec.structs.replace(record, changed_at=time.time()))
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, written, 0)

    def let_go(self) -> None:
        """Give the lock up. Safe to call twice."""
        if self._descriptor >= 0:
            _held.discard(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1


def read(path: Path) -> Record:
    """Give the record of a file; that of a dead holder when it is not whole."""
    try:
        text = path.read_bytes()
        return msgspec.json.decode(text, type=Record) if text else Record()
    except FileNotFoundError:
        return Record()
    except (OSError, msgspec.MsgspecError):
        return Record(state="leased")


def _let_go_of_all() -> None:
    """In a forked child: it would hold the locks of its parent for as long as it lives."""
    for descriptor in _held:
        with contextlib.suppress(OSError):
            os.close(descriptor)
    _held.clear()


os.register_at_fork(after_in_child=_let_go_of_all)
