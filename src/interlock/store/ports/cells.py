"""Shared memory: cells with compare-and-set, and the changes of them in an order that loses nothing.

A cell is read by (namespace, space, key). Its `version` is another one after every write; a deleted or expired cell has a
version too, and None for its value. Stamps are microseconds since 1970, by which the last writer wins, then the larger writer.
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
    """A change. `value`: None deletes. `base`: the version that must be present (0: none was ever written), None for any.
    `stamp`: the writer's own, None for the store's. `ttl_seconds`: how long the value lasts, None for ever."""

    space: str
    key: str
    value: bytes | None
    writer: str
    base: int | None = None
    stamp: int | None = None
    ttl_seconds: float | None = None


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
    """What became of a write, and the cell as it is after it; None when there is none."""

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
    """Changes in their order, the cursor after them, and whether changes after the given cursor were removed meanwhile."""

    changes: Sequence[CellChange]
    cursor: str
    is_cut: bool = False


class Cells(Protocol):
    async def read(self, namespace: str, space: str, key: str, now: float | None) -> CellRow | None:
        """Give a cell, also a deleted one; None: it was never written, or is forgotten."""
        ...

    async def write(self, namespace: str, writes: Sequence[CellWrite], now: float | None) -> list[Written]:
        """Apply changes in their order, each if it may be, in one transaction."""
        ...

    async def list(
        self, namespace: str, space: str, *, prefix: str, after: str, limit: int, now: float | None
    ) -> list[CellRow]:
        """Give cells that have a value, by their keys, from `after` on."""
        ...

    async def changes(self, namespace: str, space: str | None, after: str | None, limit: int) -> Changes:
        """Give changes after a cursor; None: where the changes end now. Every change is given once to who goes on from the
        cursor that it was given, in whichever process; changes of one cell come in the order of their versions."""
        ...

    async def sweep(self, now: float, kept_seconds: float) -> int:
        """Delete cells whose time is over, and forget deleted ones and changes that are older than `kept_seconds`."""
        ...
