"""What shared memory gives: cells, changes of them, what became of a write."""

from __future__ import annotations

from dataclasses import dataclass

from interlock import errors
from interlock.model import json
from interlock.model.json import Json
from interlock.store.ports import CellChange, CellRow, WriteResult


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """A value and what there is to know of it. `stamp`: microseconds since 1970. `is_deleted`: there is no value, but one
    was; `version` can be the base of a write nevertheless. Times are UTC seconds."""

    space: str
    key: str
    value: Json
    version: int
    stamp: int
    writer: str
    expires_at: float | None
    changed_at: float
    is_deleted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A change of a cell. `is_deleted`: it was deleted, or its time was over. `cursor`: where watching goes on after it."""

    space: str
    key: str
    value: Json
    version: int
    stamp: int
    writer: str
    at: float
    is_deleted: bool
    cursor: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a write. `cell`: as it is after it; None when there is none, or when nobody waited for the write
    (`wait=False`), which then will be applied."""

    result: WriteResult
    cell: Cell | None

    @property
    def is_applied(self) -> bool:
        return self.result is WriteResult.APPLIED


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryMetrics:
    """What one process did with shared memory since it opened it. `conflicts`: writes that met what others had written.
    `syncs`: looks at the changes for the cache. `pending`: writes that are still to be flushed."""

    reads: int
    writes: int
    conflicts: int
    cache_hits: int
    cache_misses: int
    syncs: int
    flushes: int
    pending: int


def cell_of(row: CellRow) -> Cell:
    return Cell(
        space=row.space,
        key=row.key,
        value=None if row.value is None else json.decode(row.value),
        version=row.version,
        stamp=row.stamp,
        writer=row.writer,
        expires_at=row.expires_at,
        changed_at=row.changed_at,
        is_deleted=row.value is None,
    )


def change_of(row: CellChange) -> Change:
    return Change(
        space=row.space,
        key=row.key,
        value=None if row.value is None else json.decode(row.value),
        version=row.version,
        stamp=row.stamp,
        writer=row.writer,
        at=row.at,
        is_deleted=row.value is None,
        cursor=row.cursor,
    )


def not_set(key: str, space: str, present: Cell | None, base: int | None) -> errors.Conflict:
    """Give the answer to a write that expected another version; `present`: what is there."""
    why = "there is no value" if present is None or present.is_deleted else f"{present.writer} has set it meanwhile"
    version = 0 if present is None else present.version
    return errors.Conflict(
        f"{key!r} in the space {space} has the version {version}, not {base}: {why}. Read it and decide anew, or "
        "name a --resolver"
    )


def not_deleted(key: str, space: str, present: Cell, base: int | None) -> errors.Conflict:
    """Give the answer to a deletion that expected another version."""
    return errors.Conflict(
        f"{key!r} in the space {space} has the version {present.version}, not {base}; nothing was deleted"
    )
