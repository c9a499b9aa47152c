"""The product, broken on purpose: each context manager lets one rule fail that the simulation is to find broken."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any, Final
from unittest import mock

import msgspec

from interlock.app import joining
from interlock.engine.advance import Engine
from interlock.engine.parking import Parking
from interlock.engine.performing import Performing
from interlock.engine.recollection import Recollection
from interlock.model.memo import Memo
from interlock.model.task import Outcome
from interlock.store.ports import Claimed
from interlock.store.sql import ends, limits, statements
from interlock.store.sql import queue as sql_queue
from interlock.store.sql.inbox import Told
from interlock.store.sql.queue import SqlQueue
from interlock.store.sql.transaction import Transaction
from simulation import store

_STALE: Final[ContextVar[dict[str, int] | None]] = ContextVar("STALE", default=None)


@contextlib.contextmanager
def _statement(name: str, sql: str) -> Iterator[None]:
    with mock.patch.dict(statements.load("sqlite"), {name: sql}):
        yield


@contextlib.contextmanager
def fence_not_checked() -> Iterator[None]:
    """Any node may commit for any run, as long as it knows the number of the next commit."""
    sql = statements.load("sqlite")["run_advance"]
    with _statement("run_advance", sql.replace("epoch = :epoch", ":epoch").replace("owner IS NOT NULL", "1")):
        yield


@contextlib.contextmanager
def inbox_row_dropped() -> Iterator[None]:
    """A commit deletes all that is in the inbox of its run, also what it has not seen."""
    with _statement("inbox_consume", "DELETE FROM inbox WHERE run = :run AND number >= :number"):
        yield


@contextlib.contextmanager
def settle_not_idempotent() -> Iterator[None]:
    """An attempt ends as often as somebody says so, whether it still had a lease or not."""
    sql = statements.load("sqlite")["task_end"]

    async def settle(
        queue: SqlQueue,
        task: str,
        fence: int,
        outcome: Outcome,
        now: float | None,
        *,
        holder: str | None = None,
        ran: float | None = None,
    ) -> bool:
        async def work(transaction: Transaction) -> bool:
            lease = {"kind": sql_queue.ATTEMPT, "name": task, "fence": fence, "holder": holder}
            await transaction.run("lease_end_fenced", lease)
            return await ends.end(transaction, task, fence, ends.state_of(outcome), outcome, now, Told())

        return await queue._database.write(work)

    with (
        _statement("task_end", sql.replace("AND state = 'running'", "")),
        mock.patch.object(SqlQueue, "settle", settle),
    ):
        yield


@contextlib.contextmanager
def effect_before_its_commit() -> Iterator[None]:
    """What a decision asks for begins at once, and is made durable then."""
    commit = Engine._commit

    async def early(engine: Engine, live: Any, work: Any, consumed: list[int]) -> None:
        for request in work.requests:
            if not request.queued and request.effect not in work.interrupts and live.place is not None:
                live.effects[request.effect] = asyncio.create_task(engine._performing._perform(live, request))
        await commit(engine, live, work, consumed)

    follow = Performing.follow

    def followed(performing: Performing, live: Any, work: Any) -> None:
        begun = [request for request in work.requests if request.queued or live.place is None]
        follow(performing, live, _with_requests(work, begun))

    with mock.patch.object(Engine, "_commit", early), mock.patch.object(Performing, "follow", followed):
        yield


def _with_requests(work: Any, requests: list[Any]) -> Any:
    import dataclasses

    if dataclasses.is_dataclass(work):
        return dataclasses.replace(work, requests=requests)  # type: ignore[type-var]
    return msgspec.structs.replace(work, requests=requests)


@contextlib.contextmanager
def timer_lost_at_takeover() -> Iterator[None]:
    """The moment that a run waits for is forgotten when another node takes it over."""
    adopt, rest = Engine.adopt, Parking.rest
    taken: set[str] = set()

    async def adopted(engine: Engine, claimed: Claimed) -> None:
        if claimed.was_live:
            taken.add(claimed.run)
        await adopt(engine, claimed)

    def rested(parking: Parking, live: Any) -> None:
        rest(parking, live)
        if live.run in taken:
            parking._timers.forget(live.run)

    with mock.patch.object(Engine, "adopt", adopted), mock.patch.object(Parking, "rest", rested):
        yield


@contextlib.contextmanager
def compensation_out_of_order() -> Iterator[None]:
    """Of each two steps the first one is undone first."""
    undos = Recollection.undos

    async def swapped(recollection: Recollection, run: str, before: int | None) -> list[Memo]:
        found = await undos(recollection, run, before)
        for one, two in zip(range(0, len(found), 2), range(1, len(found), 2), strict=False):
            first, second = found[one], found[two]
            found[one] = msgspec.structs.replace(second, number=first.number)
            found[two] = msgspec.structs.replace(first, number=second.number)
        return found

    with mock.patch.object(Recollection, "undos", swapped):
        yield


@contextlib.contextmanager
def limit_without_its_lock() -> Iterator[None]:
    """A claim counts in one transaction and leases in the next, as READ COMMITTED lets two of them do at once without a lock.

    SQLite has one writer, so the moment between the two is made by two calls of the store.
    """
    hold = limits._hold

    async def held(transaction: Any, name: str, now: float | None) -> Any:
        found, stale = await hold(transaction, name, now), _STALE.get()
        if found is not None and found.room is not None and stale is not None:
            rows = await transaction.rows("limit_lock", {"name": name, "now": now})
            found.room = rows[0][0] - stale.get(name, 0)
        return found

    class Port(store._Port):
        def __getattr__(self, method: str) -> Any:
            called = super().__getattr__(method)
            if (self._name, method) != ("queue", "claim"):
                return called
            port: Any = self._port

            async def count() -> dict[str, int]:
                async def work(transaction: Any) -> dict[str, int]:
                    rows = transaction._connection.execute("SELECT name, count(*) FROM lease_limits GROUP BY name")
                    return dict(rows.fetchall())

                return await port._database.read(work)

            async def claimed(*args: Any, **kwargs: Any) -> Any:
                stale = await asyncio.shield(store.Call(self._line, "queue.count", count).answer)
                _STALE.set(stale)
                return await asyncio.shield(store.Call(self._line, "queue.claim", port.claim, *args, **kwargs).answer)

            self.claim = claimed
            return claimed

    with mock.patch.object(limits, "_hold", held), mock.patch.object(store, "_Port", Port):
        yield


@contextlib.contextmanager
def placed_whatever_its_state() -> Iterator[None]:
    """A placement made from an old look at the queue takes what another one has placed, or what has ended."""
    sql = statements.load("sqlite")["tasks_place"]
    with _statement("tasks_place", sql.replace(" AND tasks.state = 'ready'", "")):
        yield


@contextlib.contextmanager
def run_for_each_watcher() -> Iterator[None]:
    """Whoever watches a task that is a workflow after another one begins a run of its own."""
    keys = joining.keys
    with mock.patch.object(joining, "keys", lambda tries, fence: keys(tries, fence)[-1:]):
        yield


@contextlib.contextmanager
def graph_taken_for_loaded() -> Iterator[None]:
    """A run waits for the end of a graph from before its tasks are there."""
    sql = statements.load("sqlite")["wait_add"]
    with _statement("wait_add", sql.replace(":run, 0)", ":run, 1)")):
        yield


ALL: Final[tuple[Callable[[], contextlib.AbstractContextManager[None]], ...]] = (
    fence_not_checked,
    inbox_row_dropped,
    settle_not_idempotent,
    effect_before_its_commit,
    timer_lost_at_takeover,
    compensation_out_of_order,
    limit_without_its_lock,
    placed_whatever_its_state,
    run_for_each_watcher,
    graph_taken_for_loaded,
)
