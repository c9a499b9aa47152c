"""Rotation: everything stored is sealed under the newest key, page by page, beside those who go on writing.

A page is read, sealed anew outside of any transaction, and each row is written in a short one if it still is what was read:
whoever wrote meanwhile wins, and its row is looked at again in the next round. So it may be ended at any time, and begun
again: what is done already is only read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from interlock.secrets import payloads
from interlock.secrets.callback import SEALED
from interlock.secrets.key import KeyRing
from interlock.store.ports import Resealed
from interlock.store.sql.sealing import Sealing, made_proof
from interlock.store.sql.transaction import Database, Row, Transaction

CALLBACKS: Final = "callbacks"
"""Where callers are told, which is sealed in every store: as `KeyRing.seal` does it, bound to the run."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table with payloads. `first`: a key that is before every one that a row has."""

    first: Mapping[str, object]
    columns: Mapping[str, str]
    rows: int = 100
    """In one transaction: what one of them holds is small, except for large values."""


def _table(name: str, first: Mapping[str, object], *columns: str, rows: int = 100) -> Table:
    return Table(first, {column: f"{name}.{column}" for column in columns}, rows)


TABLES: Final[Mapping[str, Table]] = {
    "runs": _table("runs", {"run": ""}, "input", "head", "output", "fault", "shown", rows=25),
    "scopes": _table("scopes", {"run": "", "scope": ""}, "body"),
    "history": _table("history", {"run": "", "seq": -1}, "events"),
    "large_values": _table("large_values", {"run": "", "digest": "", "part": -1}, "body", rows=2),
    "memos": _table("memos", {"run": "", "number": -1}, "body"),
    "inbox": _table("inbox", {"number": -1}, "cause"),
    "tasks": _table("tasks", {"task": ""}, "target", "spec"),
    "attempts": _table("attempts", {"task": "", "fence": -1}, "detail"),
    "graphs": _table("graphs", {"graph": ""}, "document"),
    "pools": _table("pools", {"pool": ""}, "settings"),
    "leases": _table("leases", {"kind": "", "name": ""}, "detail"),
    "logs": _table("logs", {"run": "", "number": -1}, "text"),
    "events": _table("events", {"number": -1}, "body"),
    "tokens": _table("tokens", {"token": ""}, "outcome", "terms", "detail", "progress", "reason", rows=25),
    "cached": _table("cached", {"namespace": "", "name": "", "key": ""}, "body"),
    "cells": _table("cells", {"namespace": "", "space": "", "key": ""}, "value"),
    "cell_changes": Table({"number": -1}, {"value": "cells.value"}),
    "workers": _table("workers", {"worker": ""}, "metadata"),
    "worker_events": _table("worker_events", {"number": -1}, "detail"),
    "decisions": _table("decisions", {"number": -1}, "body"),
    "deliveries": _table("deliveries", {"delivery": ""}, "problem"),
    "delivery_attempts": _table("delivery_attempts", {"delivery": "", "number": -1}, "detail"),
}


class SqlSealed:
    """See ports.Sealed."""

    tables: Final = (*TABLES, CALLBACKS)

    def __init__(self, database: Database) -> None:
        self._database = database

    @property
    def is_on(self) -> bool:
        return self._database.sealing is not None

    async def reseal(self, table: str, after: tuple[object, ...] | None, ring: KeyRing) -> Resealed:
        reseal = _callbacks(self._database, after, ring) if table == CALLBACKS else _page(self._database, table, after)
        return await reseal

    async def finish(self) -> None:
        async def work(transaction: Transaction) -> None:
            if transaction.sealing is not None:
                await transaction.run("sealing_put", {"proof": made_proof(transaction.sealing)})

        await self._database.write(work, counted=False, tells=0)

    async def scrub(self, *, alone: bool) -> bool:
        """The server keeps rows of before until it has vacuumed them, and its log for as long as it is told to."""
        return False


async def _page(database: Database, table: str, after: Sequence[object] | None) -> Resealed:
    found = TABLES[table]
    names = tuple(found.first)

    async def read(transaction: Transaction) -> tuple[list[Row], Sealing | None]:
        return await transaction.rows(f"reseal_{table}_page", _after(found, after)), transaction.sealing

    rows, sealing = await database.read(read, once=True)
    if sealing is None:
        return Resealed(after=None)
    changes = [change for row in rows if (change := _change(sealing, names, found.columns, row)) is not None]
    written = await _write(database, f"reseal_{table}", changes)
    return Resealed(
        after=tuple(rows[-1][: len(names)]) if len(rows) == found.rows else None,
        seen=len(rows),
        sealed=written,
        missed=len(changes) - written,
    )


def _after(table: Table, after: Sequence[object] | None) -> dict[str, object]:
    key = dict(table.first) if after is None else dict(zip(table.first, after, strict=True))
    return {**key, "limit": table.rows}


def _change(sealing: Sealing, names: Sequence[str], columns: Mapping[str, str], row: Row) -> dict[str, object] | None:
    """Give the parameters that write a row anew, None for one that needs none."""
    key, values = row[: len(names)], row[len(names) :]
    change: dict[str, object] = dict(zip(names, key, strict=True))
    is_stale = False
    for (name, label), value in zip(columns.items(), values, strict=True):
        change[f"was_{name}"] = change[name] = value
        if not _is_current(sealing, value):
            change[name] = sealing.sealed(sealing.opened(value, label), label)
            is_stale = True
    return change if is_stale else None


def _is_current(sealing: Sealing, value: object) -> bool:
    """Say whether a value is sealed under the newest key, or holds nothing."""
    if not value:
        return True
    assert isinstance(value, (bytes, str))
    as_bytes = value.encode() if isinstance(value, str) else value
    return payloads.is_sealed(as_bytes) and payloads.key_of(as_bytes) == sealing.keys.key


async def _write(database: Database, statement: str, changes: Sequence[Mapping[str, object]]) -> int:
    """Write rows that are still what was read; gives how many."""
    if not changes:
        return 0

    async def work(transaction: Transaction) -> int:
        await transaction.rows("overwrite_deleted", {})
        return sum([await transaction.run(statement, change) for change in changes])

    return await database.write(work, counted=False, tells=0)


async def _callbacks(database: Database, after: Sequence[object] | None, ring: KeyRing) -> Resealed:
    wanted = {"delivery": "" if after is None else after[0], "limit": 100}

    async def read(transaction: Transaction) -> list[Row]:
        return await transaction.rows("reseal_callbacks_page", wanted)

    rows = await database.read(read, once=True)
    changes = [
        {
            "delivery": delivery,
            "was_sealed": sealed,
            "sealed": ring.seal(ring.unseal(sealed, SEALED, namespace, run), SEALED, namespace, run),
        }
        for delivery, namespace, run, sealed in rows
        if not sealed.startswith(ring.current.encode() + b".")
    ]
    written = await _write(database, "reseal_callbacks", changes)
    last = (rows[-1][0],) if len(rows) == wanted["limit"] else None
    return Resealed(after=last, seen=len(rows), sealed=written, missed=len(changes) - written)
