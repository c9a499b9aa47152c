"""The product, broken on purpose: each context manager lets one rule fail that the simulation is to find broken."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any, Final
from unittest import mock

import msgspec

from interlock.engine.advance import Engine
from interlock.store.ports import Claimed
from interlock.store.sql import limits, statements
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
def fence_of_an_attempt_not_checked() -> Iterator[None]:
    """A settle is accepted from whoever once had the attempt."""
    texts = statements.load("sqlite")
    end = texts["task_end"].replace("fence = :fence", ":fence >= 0").replace("state = 'running'", "1")
    lease = "UPDATE leases SET expires_at = expires_at WHERE :kind >= '' AND :name >= '' AND :fence >= 0 AND (:holder IS NULL OR 1)"
    with _statement("task_end", end), _statement("lease_end_fenced", f"{lease} OR 1"):
        yield


@contextlib.contextmanager
def inbox_row_dropped() -> Iterator[None]:
    """A commit deletes all that is in the inbox of its run, also what it has not seen."""
    with _statement("inbox_consume", "DELETE FROM inbox WHERE run = :run AND number >= :number"):
        yield


@contextlib.contextmanager
def settle_not_idempotent() -> Iterator[None]:
    """An attempt ends as often as somebody says so."""
    texts = statements.load("sqlite")
    lease = texts["lease_end_fenced"].replace("DELETE FROM leases", "UPDATE leases SET expires_at = expires_at")
    with _statement("task_end", texts["task_end"].replace("AND state = 'running'", "")), _statement("lease_end_fenced", lease):
        yield


@contextlib.contextmanager
def effect_before_its_commit() -> Iterator[None]:
    """What a decision asks for begins at once, and is made durable then."""
    commit = Engine._commit

    async def early(engine: Engine, live: Any, work: Any, consumed: list[int]) -> None:
        for request in work.requests:
            if not request.queued and request.effect not in work.interrupts and live.place is not None:
                live.effects[request.effect] = asyncio.create_task(engine._perform(live, request))
        await commit(engine, live, work, consumed)

    act = Engine._act

    def acted(engine: Engine, live: Any, work: Any) -> None:
        begun = [request for request in work.requests if request.queued or live.place is None]
        act(engine, live, _with_requests(work, begun))

    with mock.patch.object(Engine, "_commit", early), mock.patch.object(Engine, "_act", acted):
        yield


def _with_requests(work: Any, requests: list[Any]) -> Any:
    import dataclasses

    if dataclasses.is_dataclass(work):
        return dataclasses.replace(work, requests=requests)  # type: ignore[type-var]
    return msgspec.structs.replace(work, requests=requests)


@contextlib.contextmanager
def timer_lost_at_takeover() -> Iterator[None]:
    """The moment that a run waits for is forgotten when another node takes it over."""
    adopt, rest = Engine.adopt, Engine._rest
    taken: set[str] = set()

    async def adopted(engine: Engine, claimed: Claimed) -> None:
        if claimed.was_live:
            taken.add(claimed.run)
        await adopt(engine, claimed)

    def rested(engine: Engine, live: Any) -> None:
        rest(engine, live)
        if live.run in taken:
            engine._timers.forget(live.run)

    with mock.patch.object(Engine, "adopt", adopted), mock.patch.object(Engine, "_rest", rested):
        yield


@contextlib.contextmanager
def compensation_out_of_order() -> Iterator[None]:
    """Steps are undone the first one first."""
    sql = statements.load("sqlite")["undos_page"]
    with _statement("undos_page", sql.replace("ORDER BY number DESC", "ORDER BY number ASC")):
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

            return claimed

    with mock.patch.object(limits, "_hold", held), mock.patch.object(store, "_Port", Port):
        yield


ALL: Final[tuple[Callable[[], contextlib.AbstractContextManager[None]], ...]] = (
    fence_not_checked,
    fence_of_an_attempt_not_checked,
    inbox_row_dropped,
    settle_not_idempotent,
    effect_before_its_commit,
    timer_lost_at_takeover,
    compensation_out_of_order,
    limit_without_its_lock,
)
