"""Shared memory on SQL: one row per key, and one row per change, which the tables' triggers write beside it.

A write is one statement, which says itself whether it may be; why it was refused is looked up only then.

    cell_put: no base, or nothing may be there -> set
    cell_swap: the base must be there, or something is to be deleted -> changed
    cells_put: many at once, whatever was there -> set

A change can be read when no transaction is at work that began before it: numbers, and on PostgreSQL transactions, become
visible out of order, and a reader that went on behind one of them would never see it. So a place among the changes is
(transaction, number), and a cell's changes carry the latest transaction that ever changed it (see the schema).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import msgspec

from interlock import errors
from interlock.store.ports import (
    CellChange,
    CellRow,
    CellWrite,
    Changes,
    WriteResult,
    Written,
    news,
)
from interlock.store.sql import locks
from interlock.store.sql.transaction import Database, Row, Transaction, present

AHEAD_SECONDS: Final = 5.0
"""How far in the store's future a writer's own stamp may lie."""

_LOOKS: Final = 4  # at a cell that comes and goes while it is looked at; nobody meets that twice
_SWEPT_AT_ONCE: Final = 1_000
_LAST: Final = "\U0010ffff"  # after every key that has a prefix
_CURSOR: Final = re.compile(r"(\d{1,18})\.(\d{1,18})")

_encode = msgspec.json.Encoder().encode


class SqlCells:
    def __init__(self, database: Database) -> None:
        self._database = database

    # -- writing -------------------------------------------------------------------------------------------------

    async def write(
        self,
        namespace: str,
        writes: Sequence[CellWrite],
        now: float | None,
        *,
        under: tuple[str, int] | None = None,
    ) -> list[Written]:
        if not writes:
            return []
        is_plain = len(writes) == 1 and under is None and not writes[0].again
        if is_plain and (cell := await self._write_one(namespace, writes[0], now)):
            return [Written(result=WriteResult.APPLIED, cell=cell)]

        async def work(transaction: Transaction) -> list[Written]:
            if under is not None:
                await _check(transaction, namespace, under, now)
            return await apply(transaction, namespace, writes, now)

        return await self._database.write(work, counted=False, tells=news.CELLS)

    async def _write_one(self, namespace: str, write: CellWrite, now: float | None) -> CellRow | None:
        async def work(transaction: Transaction) -> CellRow | None:
            return await _try(transaction, namespace, write, now)

        return await self._database.write(work, counted=False, tells=news.CELLS, once=True)

    async def expire(self, now: float | None) -> int:
        async def look(transaction: Transaction) -> bool:
            return bool(await transaction.rows("cells_expiring", {"now": now}))

        if not await self._database.read(look, once=True):
            return 0
        return await self._sweep("cells_expire", {"now": now, "limit": _SWEPT_AT_ONCE}, news.CELLS)

    async def sweep(self, now: float | None, kept_seconds: float) -> int:
        moment = await self._database.read(lambda transaction: present(transaction, now), once=True)
        before: dict[str, object] = {"before": moment - kept_seconds, "limit": _SWEPT_AT_ONCE}
        ended = await self.expire(moment)
        forgotten = await self._sweep("cells_forget", before)

        async def raise_floor(transaction: Transaction) -> None:
            await transaction.run("cell_changes_floor", before)

        await self._database.write(raise_floor, counted=False, tells=0, once=True)
        return ended + forgotten + await self._sweep("cell_changes_sweep", before)

    async def _sweep(self, statement: str, given: dict[str, object], tells: int = 0) -> int:
        """Run a statement that does a part until nothing is left, each time in a transaction of its own."""

        async def work(transaction: Transaction) -> int:
            return await transaction.run(statement, given)

        swept = 0
        while True:
            done = await self._database.write(work, counted=False, tells=tells, once=True)
            swept += done
            if done < _SWEPT_AT_ONCE:
                return swept

    # -- reading -------------------------------------------------------------------------------------------------

    async def read(self, namespace: str, space: str, key: str, now: float | None) -> CellRow | None:
        async def work(transaction: Transaction) -> CellRow | None:
            return (await _read(transaction, namespace, space, key, now))[0]

        return await self._database.read(work, once=True)

    async def list(
        self, namespace: str, space: str, *, prefix: str, after: str, limit: int, now: float | None
    ) -> list[CellRow]:
        wanted = {
            "namespace": namespace, "space": space, "low": prefix, "high": prefix + _LAST, "after": after, "limit": limit,
            "now": now,
        }  # fmt: skip

        async def work(transaction: Transaction) -> list[CellRow]:
            return [_cell(space, row[0], row[1:]) for row in await transaction.rows("cells_page", wanted)]

        return await self._database.read(work, once=True)

    async def changes(self, namespace: str, space: str | None, after: str | None, limit: int) -> Changes:
        place = None if after is None else _place(after)
        writing, number = place or (0, 0)
        wanted = {
            "namespace": namespace, "space": space, "writing": str(writing), "number": number,
            "limit": 0 if place is None else limit,
        }  # fmt: skip

        async def work(transaction: Transaction) -> Changes:
            return _changes(await transaction.rows("cell_changes_page", wanted), place, limit)

        return await self._database.read(work, once=True)


# -- for others, in their transactions ---------------------------------------------------------------------------


async def apply(
    transaction: Transaction, namespace: str, writes: Sequence[CellWrite], now: float | None
) -> list[Written]:
    """Apply changes in their order, each if it may be."""
    if len(writes) > 1:
        keys = _encode([(write.space, write.key) for write in writes]).decode()
        await transaction.rows("cells_lock", {"namespace": namespace, "keys": keys})
    written: list[Written] = []
    for part in _parts(writes):
        if len(part) > 1:
            written += await _put(transaction, namespace, part, now)
        else:
            written.append(await _apply(transaction, namespace, part[0], now))
    return written


async def _put(
    transaction: Transaction, namespace: str, writes: Sequence[CellWrite], now: float | None
) -> list[Written]:
    """Set different cells whatever is there, in one statement."""
    listed = _encode(
        [
            (write.space, write.key, (write.value or b"").decode(), write.writer, write.nonce, write.ttl_seconds)
            for write in writes
        ]
    ).decode()
    rows = await transaction.rows("cells_put", {"namespace": namespace, "writes": listed, "now": now})
    cells = {(space, key): _cell(space, key, row) for space, key, *row in rows}
    return [Written(result=WriteResult.APPLIED, cell=cells[write.space, write.key]) for write in writes]


def _parts(writes: Sequence[CellWrite]) -> list[list[CellWrite]]:
    """Give writes in their order, together those that one statement may do: different cells, set whatever is there."""
    parts: list[list[CellWrite]] = [[]]
    seen: set[tuple[str, str]] = set()
    for write in writes:
        is_plain = write.value is not None and write.base is None and write.stamp is None and not write.again
        if parts[-1] and (not is_plain or not seen or (write.space, write.key) in seen):
            parts.append([])
            seen.clear()
        parts[-1].append(write)
        if is_plain:
            seen.add((write.space, write.key))
    return parts


async def _apply(transaction: Transaction, namespace: str, write: CellWrite, now: float | None) -> Written:
    if write.again and (sent := await _sent(transaction, namespace, write)):
        return Written(result=WriteResult.APPLIED, cell=sent)
    for _ in range(_LOOKS):
        if cell := await _try(transaction, namespace, write, now):
            return Written(result=WriteResult.APPLIED, cell=cell)
        present, seen_at = await _read(transaction, namespace, write.space, write.key, now)
        if refused := _refusal(write, present, seen_at):
            return Written(result=refused, cell=present)
    raise errors.StoreUnavailable(f"the cell {write.key!r} of {write.space!r} changed all the time; try again")


async def _try(transaction: Transaction, namespace: str, write: CellWrite, now: float | None) -> CellRow | None:
    """Write if it may be; None: it may not."""
    given = _key(namespace, write.space, write.key, now) | {
        "value": write.value, "writer": write.writer, "base": write.base, "stamp": write.stamp, "ttl": write.ttl_seconds,
        "nonce": write.nonce, "ahead": AHEAD_SECONDS,
    }  # fmt: skip
    swaps = write.value is None or bool(write.base)
    rows = await transaction.rows("cell_swap" if swaps else "cell_put", given)
    return _cell(write.space, write.key, rows[0]) if rows else None


async def _sent(transaction: Transaction, namespace: str, write: CellWrite) -> CellRow | None:
    given = _key(namespace, write.space, write.key, None) | {"nonce": write.nonce}
    rows = await transaction.rows("cell_sent", given)
    return _cell(write.space, write.key, rows[0]) if rows else None


async def _read(
    transaction: Transaction, namespace: str, space: str, key: str, now: float | None
) -> tuple[CellRow | None, float]:
    """Give a cell, None where there is none, and the time."""
    [row] = await transaction.rows("cell_read", _key(namespace, space, key, now))
    return None if row[1] is None else _cell(space, key, row), row[-1]


async def _check(transaction: Transaction, namespace: str, under: tuple[str, int], now: float | None) -> None:
    name, fence = under
    if not await locks.hold(transaction, namespace, name, fence, now):
        raise errors.LockError(
            f"the grant {fence} of the lock {name!r} is over, or another one came after it: nothing was written. Stop what "
            "was done under it, and take the lock again",
            "lock-expired",
        )


# -- deciding ----------------------------------------------------------------------------------------------------


def _refusal(write: CellWrite, present: CellRow | None, now: float) -> WriteResult | None:
    """Give why a write may not be, in the words of `cell_put` and `cell_swap`; None: it may."""
    if write.stamp is not None and write.stamp > (now + AHEAD_SECONDS) * 1e6:
        return WriteResult.AHEAD
    has_value = present is not None and present.value is not None
    if write.base is not None:
        version = present.version if present is not None and (has_value or write.base) else 0
        if version != write.base:
            return WriteResult.DIFFERS
    if write.value is None and not has_value:
        return WriteResult.ABSENT
    if (
        write.stamp is not None
        and present is not None
        and (present.stamp, present.writer) > (write.stamp, write.writer)
    ):
        return WriteResult.OLDER
    return None


# -- rows --------------------------------------------------------------------------------------------------------


def _key(namespace: str, space: str, key: str, now: float | None) -> dict[str, object]:
    return {"namespace": namespace, "space": space, "key": key, "now": now}


def _cell(space: str, key: str, row: Row) -> CellRow:
    """Give a cell as it is at a time: the end of a value's time is one version more, also while nobody has swept it."""
    value, version, stamp, writer, expires_at, changed_at, now = row
    is_over = expires_at is not None and expires_at <= now
    return CellRow(
        space=space,
        key=key,
        value=None if is_over else value,
        version=version + is_over,
        stamp=stamp,
        writer=writer,
        expires_at=None if is_over else expires_at,
        changed_at=expires_at if is_over else changed_at,
    )


def _place(cursor: str) -> tuple[int, int]:
    if (match := _CURSOR.fullmatch(cursor)) is None:
        raise errors.Invalid(f"{cursor!r} is no cursor of changes; give one that came with a change")
    return int(match[1]), int(match[2])


def _changes(rows: Sequence[Row], after: tuple[int, int] | None, limit: int) -> Changes:
    end = (int(rows[0][0]), int(rows[0][1]))
    _, _, floor, is_held = rows[0][:4]
    found = [_change(row[4:]) for row in rows if row[5] is not None]
    is_cut = after is not None and (after > end or (floor is not None and after < _place(floor)))
    cursor = found[-1].cursor if len(found) == limit else f"{end[0]}.{end[1]}"
    return Changes(changes=found, cursor=cursor, is_cut=is_cut, is_held=bool(is_held))


def _change(row: Row) -> CellChange:
    writing, number, space, key, value, version, stamp, writer, at = row
    return CellChange(
        cursor=f"{int(writing)}.{number}",
        space=space,
        key=key,
        value=value,
        version=version,
        stamp=stamp,
        writer=writer,
        at=at,
    )


__all__ = ["AHEAD_SECONDS", "SqlCells", "apply"]
