"""Shared memory: cells with compare-and-set, and the changes of them in an order that loses nothing.

    absent --set--> present --set--> present --delete, or its time is over--> deleted --set--> present
                                                                              deleted --a day later--> absent

A cell is read by (namespace, space, key). Its `version` is a larger one after every write, and never one that the key had
before; a deleted or expired cell has a version too, and None for its value. The end of a value's time is a change like
a deletion, from that moment on, though it is told of only when the cell is swept or written.

Stamps are microseconds since 1970, by which the last writer wins, then the larger writer. Times are UTC seconds; `now` None
is the store's own clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Protocol

from interlock.store.ports.row import Row


class CellRow(Row, frozen=True, kw_only=True):
    """A cell. `value`: JSON, None where it is deleted or expired."""

    space: str
    key: str
    value: bytes | None
    version: int
    stamp: int
    writer: str
    expires_at: float | None
    changed_at: float


class CellWrite(Row, frozen=True, kw_only=True):
    """A change. `value`: None deletes. `base`: the version that must be present (0: no value is), None for any.
    `stamp`: the writer's own, None for the store's, which is later than the one before. `ttl_seconds`: how long the value
    lasts, None for ever. `nonce`: of this write. `again`: it was sent before and the answer was lost; if it was applied then
    it is not again."""

    space: str
    key: str
    value: bytes | None
    writer: str
    base: int | None = None
    stamp: int | None = None
    ttl_seconds: float | None = None
    nonce: str = ""
    again: bool = False


class WriteResult(StrEnum):
    APPLIED = "applied"
    DIFFERS = "differs"
    """The version present is not `base`."""
    OLDER = "older"
    """The stamp present is later, or as late and of a larger writer."""
    AHEAD = "ahead"
    """The stamp lies too far in the store's future."""
    ABSENT = "absent"
    """There is nothing to delete."""


class Written(Row, frozen=True, kw_only=True):
    """What became of a write, and the cell as it is after it; None when there is none. A write that was sent again and had
    been applied gives the cell as it was after that."""

    result: WriteResult
    cell: CellRow | None


class CellChange(Row, frozen=True, kw_only=True):
    """A change as it was applied. `cursor`: reading goes on after it."""

    cursor: str
    space: str
    key: str
    value: bytes | None
    version: int
    stamp: int
    writer: str
    at: float


class Changes(Row, frozen=True, kw_only=True):
    """Changes in their order, and the cursor after them.

    `is_cut`: changes after the given cursor may have been removed meanwhile. `is_held`: there are changes that come only when
    transactions that began before them have ended, which nobody tells: look again soon.
    """

    changes: Sequence[CellChange]
    cursor: str
    is_cut: bool = False
    is_held: bool = False


class Cells(Protocol):
    async def read(self, namespace: str, space: str, key: str, now: float | None) -> CellRow | None:
        """Give a cell, also a deleted one; None: it was never written, or is forgotten."""
        ...

    async def write(
        self,
        namespace: str,
        writes: Sequence[CellWrite],
        now: float | None,
        *,
        under: tuple[str, int] | None = None,
    ) -> list[Written]:
        """Apply changes in their order, each if it may be, in one transaction.

        `under`: the name and the fence of a lock. Raises LockError, and applies nothing, when that grant is not in force.
        """
        ...

    async def list(
        self, namespace: str, space: str, *, prefix: str, after: str, limit: int, now: float | None
    ) -> list[CellRow]:
        """Give cells that have a value, by their keys, from `after` on."""
        ...

    async def changes(self, namespace: str, space: str | None, after: str | None, limit: int) -> Changes:
        """Give changes after a cursor; None: where the changes end now. Every change is given once to who goes on from the
        cursor that it was given, in whichever process; changes of one cell come in the order of their versions.

        Raises Invalid for what is no cursor."""
        ...

    async def expire(self, now: float | None) -> int:
        """Delete the cells whose time is over, so that watchers learn of it; gives how many."""
        ...

    async def sweep(self, now: float | None, kept_seconds: float) -> int:
        """Delete cells whose time is over, and forget deleted ones and changes that are older than `kept_seconds`."""
        ...
