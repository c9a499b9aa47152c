"""Slots on SQL: the tasks that workers were given. A slot is a lease, and how many a worker has is their count.

Whatever changes what a worker holds locks the worker's row first and counts in a further statement: two that give it its last
slot at once meet there. A slot is named by its task, the session of its worker and the number of the assignment, so nobody
whose task was moved away can start or finish it.

    worker_lock -> worker_room -> slot_add -> worker_assigned
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

from interlock.store.ports import Lesson, SlotRow, Tally, WorkerState, news
from interlock.store.sql.transaction import Database, Row, Transaction

SLOT: Final = "slot"
CHOICE: Final = "worker"
_STARTED: Final = "started"
_OUTCOMES: Final[dict[bool | None, int]] = {True: 1, False: 0, None: -1}


class _Worker(NamedTuple):
    """What the row of a worker says, which is locked."""

    session: str
    state: str
    capacity: int
    assigned: int
    silent_seconds: float
    ended_at: float | None


class SqlSlots:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def reserve(
        self,
        worker: str,
        session: str,
        task: str,
        now: float | None,
        *,
        detail: bytes = b"{}",
        assigned: int | None = None,
        choice: bytes | None = None,
        again: bool = False,
    ) -> SlotRow | None:
        async def work(transaction: Transaction) -> SlotRow | None:
            row = await lock(transaction, worker)
            if again and (had := await _had(transaction, worker, task, detail)):
                return had
            if row is None or (assigned is not None and row.assigned != assigned):
                return None
            if not await _has_room(transaction, worker, session, row, now):
                return None
            fence = row.assigned + 1
            slot = {"worker": worker, "session": session, "task": task, "fence": fence, "detail": detail, "now": now}
            added = await transaction.rows("slot_add", slot)
            if not added:
                return None
            await transaction.run("worker_assigned", {"worker": worker, "now": now})
            if choice is not None:
                why = {"subject": task, "chosen": worker, "body": choice}
                await transaction.insert("decisions_add", {"kind": CHOICE, "now": now}, [why])
            return _reserved(task, worker, session, fence, added[0][0], detail)

        return await self._database.write(work, counted=False, tells=news.WORKERS)

    async def started(self, slot: SlotRow) -> bool:
        async def work(transaction: Transaction) -> bool:
            return bool(await transaction.run("slot_start", _named(slot)))

        return await self._database.write(work, counted=False, tells=0, once=True)

    async def finish(
        self,
        slot: SlotRow,
        *,
        succeeded: bool | None,
        seconds: float,
        lessons: Sequence[Lesson] = (),
        now: float | None,
    ) -> bool:
        counted = {"worker": slot.worker, "outcome": _OUTCOMES[succeeded], "seconds": seconds, "now": now}
        learned = [msgspec.structs.asdict(each) for each in sorted(lessons, key=lambda each: each.strategy)]

        async def work(transaction: Transaction) -> bool:
            await lock(transaction, slot.worker)
            if not await transaction.run("slot_end", _named(slot)):
                return False
            await transaction.run("worker_counted", counted)
            await transaction.many("weight_learn", learned)
            return True

        return await self._database.write(work, counted=False, tells=news.WORKERS)

    async def tally(self, worker: str, session: str, tally: Tally, now: float | None) -> bool:
        counted = msgspec.structs.asdict(tally) | {"worker": worker, "session": session, "now": now}
        del counted["lessons"]
        learned = [msgspec.structs.asdict(each) for each in sorted(tally.lessons, key=lambda each: each.strategy)]

        async def work(transaction: Transaction) -> bool:
            if not await transaction.run("worker_tally", counted):
                return False
            await transaction.many("weight_learn", learned)
            return True

        return await self._database.write(work, counted=False, tells=0)

    async def move(self, slot: SlotRow, to: str, session: str, now: float | None) -> SlotRow | None:
        async def work(transaction: Transaction) -> SlotRow | None:
            rows = {name: await lock(transaction, name) for name in sorted({slot.worker, to})}
            row = rows[to]
            if to == slot.worker or row is None or not await _has_room(transaction, to, session, row, now):
                return None
            fence = row.assigned + 1
            target = _named(slot) | {"worker": to, "to_session": session, "to_fence": fence, "now": now}
            moved = await transaction.rows("slot_move", target)
            if not moved:
                return None
            await transaction.run("worker_assigned", {"worker": to, "now": now})
            return _reserved(slot.task, to, session, fence, moved[0][0], slot.detail)

        return await self._database.write(work, counted=False, tells=news.WORKERS)

    async def slots(self, worker: str | None) -> list[SlotRow]:
        async def work(transaction: Transaction) -> list[SlotRow]:
            if worker is None:
                return [_slot(row) for row in await transaction.rows("slots_all", {})]
            return [_slot(row) for row in await transaction.rows("slots_of_worker", {"worker": worker})]

        return await self._database.read(work, once=True)


async def lock(transaction: Transaction, worker: str) -> _Worker | None:
    """Lock the row of a worker until the end of the transaction; None: there is none."""
    rows = await transaction.rows("worker_lock", {"worker": worker})
    return _Worker(*rows[0]) if rows else None


async def _had(transaction: Transaction, worker: str, task: str, detail: bytes) -> SlotRow | None:
    """Give the slot that this very request was given before, if the answer was lost."""
    slots = [_slot(row) for row in await transaction.rows("slots_of_worker", {"worker": worker})]
    return next((slot for slot in slots if (slot.task, slot.detail) == (task, detail)), None)


async def _has_room(transaction: Transaction, worker: str, session: str, row: _Worker, now: float | None) -> bool:
    """Say whether a worker takes tasks, is heard of and has a free slot. Its row is locked."""
    if row.session != session or row.state != WorkerState.REGISTERED:
        return False
    active, heard = (await transaction.rows("worker_room", {"worker": worker, "session": session, "now": now}))[0]
    return bool(heard) and active < row.capacity


def _named(slot: SlotRow) -> dict[str, object]:
    return {"task": slot.task, "session": slot.session, "fence": slot.fence}


def _reserved(task: str, worker: str, session: str, fence: int, reserved_at: float, detail: bytes) -> SlotRow:
    return SlotRow(
        task=task, worker=worker, session=session, fence=fence, started=False, reserved_at=reserved_at, detail=detail
    )


def _slot(row: Row) -> SlotRow:
    task, worker, session, fence, place, reserved_at, detail = row
    return SlotRow(
        task=task,
        worker=worker,
        session=session,
        fence=fence,
        started=place == _STARTED,
        reserved_at=reserved_at,
        detail=detail,
    )
