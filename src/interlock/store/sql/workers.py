"""Workers on SQL. A worker's life is its lease, which a heartbeat prolongs: one statement, conditional on the session.

    register -> (heartbeats) -> leave
                            `-> stale -> recover: offline, its locks and its tasks are free

Whoever ends a life locks its lease first and looks again then, so a heartbeat that came in between is seen, and of several
who would end it one does. Locks are taken in one order: the guard (register, forget), the life, the row of the worker, its
locks, its attempts. The lease of a worker that is gone stays, held by nobody, until the worker is forgotten: its fence goes
on there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

from interlock.model.json import Json
from interlock.model.worker import WorkerState
from interlock.store.ports import Heard, NewWorker, Recovered, Registered, WorkerEvent, WorkerRow, news
from interlock.store.sql import ends, locks, queue, slots
from interlock.store.sql.choices import SqlChoices
from interlock.store.sql.slots import SqlSlots
from interlock.store.sql.transaction import Database, Row, Transaction

_PRESENT: Final = (WorkerState.REGISTERED, WorkerState.DRAINING)
_FREED: Final = news.WORKERS | news.LOCKS | news.TASKS | news.INBOX  # attempts that are lost are told to their runs

_encode = msgspec.json.Encoder().encode


class _Life(NamedTuple):
    """The lease of a worker, which is locked. `holder`: the session, "" when it was given up."""

    holder: str
    expires_at: float
    now: float

    @property
    def is_stale(self) -> bool:
        return not self.holder or self.expires_at < self.now


class SqlWorkers(SqlSlots, SqlChoices):
    def __init__(self, database: Database) -> None:
        self._database = database

    # -- coming and going ----------------------------------------------------------------------------------------

    async def register(self, new: NewWorker, most: int, now: float | None) -> Registered:
        row = msgspec.structs.asdict(new) | {"now": now}

        async def work(transaction: Transaction) -> Registered:
            await transaction.rows("workers_guard", {})
            life = await _life(transaction, new.worker, now)
            if life is not None and not life.is_stale:
                return Registered.REGISTERED if life.holder == new.session else Registered.TAKEN
            if (await transaction.rows("workers_live", {"worker": new.worker, "now": now}))[0][0] >= most:
                return Registered.FULL
            await _give_up(transaction, new.worker, None, now)
            await transaction.run("worker_put", row)
            await transaction.run("worker_begin", row)
            await _tell(transaction, new.worker, [("registered", {"session": new.session, "host": new.host})], now)
            return Registered.REGISTERED

        return await self._database.write(work, counted=False, tells=_FREED)

    async def beat(self, worker: str, session: str, metrics: bytes, now: float | None) -> Heard:
        row = {"worker": worker, "session": session, "metrics": metrics, "now": now}

        async def work(transaction: Transaction) -> Heard:
            rows = await transaction.rows("worker_beat", row)
            return Heard(alive=True, stale=rows[0][0]) if rows else Heard(alive=False)

        return await self._database.write(work, counted=False, tells=0, once=True)

    async def change(
        self,
        worker: str,
        session: str,
        *,
        state: WorkerState | None = None,
        capacity: int | None = None,
        now: float | None = None,
    ) -> bool:
        if state is not None and state not in _PRESENT:
            return False  # a worker ends by `leave` and `recover`, which free what it holds
        changed = {"worker": worker, "session": session, "state": state, "capacity": capacity}

        async def work(transaction: Transaction) -> bool:
            row = await slots.lock(transaction, worker)
            if not await transaction.run("worker_change", changed):
                return False
            if row is not None and state is not None and state != row.state:
                await _tell(transaction, worker, [(state, {"session": session})], now)
            return True

        return await self._database.write(work, counted=False, tells=news.WORKERS)

    async def leave(self, worker: str, session: str, now: float | None) -> bool:
        async def work(transaction: Transaction) -> bool:
            await _life(transaction, worker, now)
            ended = {"worker": worker, "session": session, "state": WorkerState.REMOVED, "now": now}
            if not await transaction.run("worker_retire", ended):
                return False
            freed = await _free(transaction, worker, session, now)
            told = [_released(freed), *_requeued(freed), ("removed", {"session": session})]
            await _tell(transaction, worker, told, now)
            return True

        return await self._database.write(work, counted=False, tells=_FREED)

    async def recover(self, worker: str, session: str, now: float | None) -> Recovered | None:
        async def work(transaction: Transaction) -> Recovered | None:
            return await _give_up(transaction, worker, session, now)

        return await self._database.write(work, counted=False, tells=_FREED)

    async def forget(self, before: float) -> int:
        async def work(transaction: Transaction) -> int:
            await transaction.rows("workers_guard", {})
            gone = sorted(row[0] for row in await transaction.rows("workers_forgotten", {"before": before}))
            for worker in gone:
                await transaction.run("worker_forget_floor", {"worker": worker})
                await transaction.run("lease_end", {"kind": "worker", "name": worker})
                await transaction.run("worker_forget", {"worker": worker})
            await transaction.run("worker_events_sweep", {"before": before})
            await transaction.run("decisions_sweep", {"before": before})
            return len(gone)

        return await self._database.write(work, counted=False, tells=0)

    # -- reading -------------------------------------------------------------------------------------------------

    async def get(self, worker: str, now: float | None) -> WorkerRow | None:
        async def work(transaction: Transaction) -> WorkerRow | None:
            rows = await transaction.rows("worker_get", {"worker": worker, "now": now})
            return _worker(rows[0]) if rows else None

        return await self._database.read(work, once=True)

    async def events(self, after: int, limit: int) -> list[WorkerEvent]:
        async def work(transaction: Transaction) -> list[WorkerEvent]:
            rows = await transaction.rows("worker_events_page", {"after": after, "limit": limit})
            return [
                WorkerEvent(number=number, at=at, worker=worker, kind=kind, detail=detail)
                for number, at, worker, kind, detail in rows
            ]

        return await self._database.read(work, once=True)

    async def list(self, states: Sequence[WorkerState], now: float | None) -> list[WorkerRow]:
        asked = {"states": _encode(states).decode(), "now": now}

        async def work(transaction: Transaction) -> list[WorkerRow]:
            return [_worker(row) for row in await transaction.rows("workers_list", asked)]

        return await self._database.read(work, once=True)


# -- giving a worker up ----------------------------------------------------------------------------------------------


async def _give_up(transaction: Transaction, worker: str, session: str | None, now: float | None) -> Recovered | None:
    """Free what a stale worker holds, and note it, in the order of HB-05. `session` None: whichever it is.

    None: it is not stale, or another one has done it.
    """
    life = await _life(transaction, worker, now)
    row = await slots.lock(transaction, worker)
    if row is None or row.state not in _PRESENT or (session is not None and row.session != session):
        return None
    if life is not None and not life.is_stale:
        return None
    silent = None if life is None or not life.holder else row.silent_seconds + (life.now - life.expires_at)
    ended = {"worker": worker, "session": row.session, "state": WorkerState.OFFLINE, "now": now}
    await transaction.run("worker_retire", ended)
    freed = await _free(transaction, worker, row.session, now)
    about = {"session": row.session, "silent_seconds": silent}
    told: list[tuple[str, dict[str, Json]]] = [("stale", about), ("offline", {}), _released(freed), ("alert", about)]
    told += [*_requeued(freed), ("recovered", {"locks": freed.locks, "tasks": len(freed.tasks)})]
    await _tell(transaction, worker, told, now)
    return freed


async def _free(transaction: Transaction, worker: str, session: str, now: float | None) -> Recovered:
    """End a worker's life, its locks, its slots and its attempts."""
    await transaction.run("worker_end", {"worker": worker, "session": session})
    released = await locks.release_all(transaction, None, worker, now=now)
    of_holder = {"holder": session, "place": None}
    ended = await transaction.rows("leases_end_of_holder", of_holder | {"kind": slots.SLOT})
    lost = await transaction.rows("leases_end_of_holder", of_holder | {"kind": queue.ATTEMPT})
    await ends.lost(transaction, lost, now)
    return Recovered(
        worker=worker, session=session, locks=released, tasks=sorted({lease[0] for lease in [*ended, *lost]})
    )


def _released(freed: Recovered) -> tuple[str, dict[str, Json]]:
    return "locks-released", {"locks": freed.locks}


def _requeued(freed: Recovered) -> list[tuple[str, dict[str, Json]]]:
    return [("requeued", {"task": task}) for task in freed.tasks]


async def _tell(
    transaction: Transaction, worker: str, told: Sequence[tuple[str, dict[str, Json]]], now: float | None
) -> None:
    rows = [{"worker": worker, "kind": kind, "detail": _encode(detail), "now": now} for kind, detail in told]
    await transaction.many("worker_event_add", rows)


async def _life(transaction: Transaction, worker: str, now: float | None) -> _Life | None:
    """Lock the life of a worker until the end of the transaction; None: there is none, as after a restore."""
    rows = await transaction.rows("worker_hold", {"worker": worker, "now": now})
    return _Life(*rows[0]) if rows else None


def _worker(row: Row) -> WorkerRow:
    worker, session, state, host, pid, capacity, active, capabilities, metadata, registered_at, ended_at, *rest = row
    assigned, assigned_at, succeeded, failed, busy_seconds, failed_at, may_be_silent, *life = rest
    holder, fence, metrics, expires_at, now = life
    is_held = bool(holder) and holder == session
    return WorkerRow(
        worker=worker,
        session=session,
        state=WorkerState(state),
        host=host,
        pid=pid,
        capacity=capacity,
        active=active,
        capabilities=capabilities,
        metadata=metadata,
        metrics=metrics if is_held else b"{}",
        fence=fence or 0,
        registered_at=registered_at,
        ended_at=ended_at,
        heard_at=expires_at - may_be_silent if is_held else None,
        # In this order, so that what is silent for as long as it may be, to the bit, is not stale.
        silent_seconds=may_be_silent + (now - expires_at) if is_held else None,
        may_be_silent_seconds=may_be_silent,
        assigned=assigned,
        assigned_at=assigned_at,
        succeeded=succeeded,
        failed=failed,
        busy_seconds=busy_seconds,
        failed_at=failed_at,
    )
