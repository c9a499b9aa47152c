"""The store as one process of the simulated world has it: calls take time, fail, are done without an answer; bells are lost.

All processes share one SQLite database in memory. A call is done at one moment, in a turn of its process, and answered in a
later one; in between others go on. A caller that is cancelled changes nothing about that, as with the real writer's thread.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import random
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Final, cast

from interlock import errors
from interlock.store.ports import (
    TRANSACTION_SECONDS,
    Cells,
    Deliveries,
    InboxRow,
    Joined,
    Journal,
    Keys,
    Locks,
    Nodes,
    Pools,
    Queue,
    Renewals,
    TaskGraphs,
    Tasks,
    Tokens,
    Upkeep,
    Views,
    Waits,
    Workers,
)
from interlock.store.ports.news import ANYTHING
from interlock.store.sql import nodes as sql_nodes
from interlock.store.sql.bell import LocalBell
from interlock.store.sql.sqlite_file import drive
from interlock.store.sql.store import SqliteStore
from interlock.store.sql.transaction import Transaction
from simulation.faults import Fault, Kind
from simulation.loop import ACTOR, Actor, SimulatedLoop
from simulation.trace import Trace

_CALL_SECONDS: Final = 0.002  # at most, before a call is done, and again before it is answered
_BELL_SECONDS: Final = 0.003
_ECHO_SECONDS: Final = 1.0


class Line:
    """What is between one node, through all of its lives, and the store: counts calls, and knows what is to go wrong.

    `crash` is called with a fault that ends the present process.
    """

    def __init__(
        self, loop: SimulatedLoop, trace: Trace, seed: str, faults: list[Fault], crash: Callable[[Fault], None]
    ) -> None:
        self.loop = loop
        self.trace = trace
        self.crash = crash
        self.chance = random.Random(seed)
        self.stall: Callable[[Fault], None] = lambda fault: None
        self._counts: dict[str, int] = {}
        self._at_calls: dict[tuple[str, int], list[Fault]] = {}
        for fault in faults:
            if fault.call:
                self._at_calls.setdefault((fault.method, fault.call), []).append(fault)
        self.away_until = 0.0
        self.deaf_until = 0.0
        self.echo_until = 0.0
        self.struck: list[Fault] = []
        self.watch: Callable[[str, tuple[Any, ...], object], None] = lambda name, args, given: None
        """Called with each call that is done, its arguments and what it gave."""

    def count(self, name: str) -> list[Fault]:
        """Count a call; give what is planned for it."""
        planned: list[Fault] = []
        for method in ("", name):
            number = self._counts[method] = self._counts.get(method, 0) + 1
            planned += self._at_calls.pop((method, number), [])
        self.struck += planned
        return planned

    def heal(self) -> None:
        """Nothing goes wrong any more."""
        self._at_calls.clear()
        self.away_until = self.deaf_until = self.echo_until = 0.0

    def check_away(self) -> None:
        """Raise StoreUnavailable while the store cannot be reached."""
        if self.loop.time() < self.away_until:
            raise errors.StoreUnavailable("the simulated store is away")


class Call:
    """One call of the store, under way."""

    def __init__(
        self, line: Line, name: str, act: Callable[..., Coroutine[Any, Any, Any]], *args: Any, **kwargs: Any
    ) -> None:
        self._line = line
        self._name = name
        self._args = args
        self._act = lambda: act(*args, **kwargs)
        self._actor = ACTOR.get()
        self._faults = line.count(name)
        self._is_stalled = False
        self.answer: asyncio.Future[Any] = line.loop.create_future()
        line.loop.call_later(line.chance.random() * _CALL_SECONDS + self._slow(after=False), self._do)

    def _slow(self, *, after: bool) -> float:
        if not self._faults:
            return 0.0
        return sum(fault.seconds for fault in self._faults if fault.kind is Kind.SLOW and fault.after is after)

    def _has(self, kind: Kind, *, after: bool | None = None) -> Fault | None:
        if not self._faults:
            return None
        found = (each for each in self._faults if each.kind is kind and (after is None or each.after is after))
        return next(found, None)

    def _do(self) -> None:
        """Do it now, unless the process is stopped right here: then when it goes on."""
        if (fault := self._has(Kind.STALL, after=False)) and not self._is_stalled:
            self._is_stalled = True
            self._tell("stalls before it")
            self._line.stall(fault)
            self._line.loop.call_soon(self._do)
            return
        self._act_now()
        if fault := self._has(Kind.STALL, after=True):
            self._tell("stalls after it")
            self._line.stall(fault)

    def _act_now(self) -> None:
        if fault := self._has(Kind.CRASH, after=False):
            self._tell("crashes before it")
            self._line.crash(fault)
            return
        given: Any = None
        failed: BaseException | None = None
        try:
            self._line.check_away()
            if self._has(Kind.REFUSED):
                raise errors.StoreUnavailable("the simulated store refused this call")
            given = drive(self._act())
            self._line.watch(self._name, self._args, given)
        except Exception as error:  # noqa: BLE001 (it is the caller's)
            failed = error
        if fault := self._has(Kind.CRASH, after=True):
            self._tell("crashes after it")
            self._line.crash(fault)
            return
        if failed is None and self._has(Kind.LOST_REPLY):
            failed = errors.StoreUnavailable("the simulated connection broke before the reply")
            self._tell("done, and the reply is lost")
        else:
            self._tell("done" if failed is None else type(failed).__name__)
        self._line.loop.call_later(
            self._line.chance.random() * _CALL_SECONDS + self._slow(after=True), self._answer, given, failed
        )

    def _answer(self, given: Any, failed: BaseException | None) -> None:
        if self.answer.done():
            return
        if failed is not None:
            self.answer.set_exception(failed)
            self.answer.exception()  # its caller may be gone
        else:
            self.answer.set_result(given)

    def _tell(self, what: str) -> None:
        self._line.trace.tell(self._actor, f"{self._name}: {what}")


class _Port:
    """A port of the store at the other end of a line."""

    def __init__(self, name: str, port: object, line: Line) -> None:
        self._name = name
        self._port = port
        self._line = line

    def __getattr__(self, method: str) -> Any:
        call = getattr(self._port, method)
        if not inspect.iscoroutinefunction(call):
            return call
        name, line = f"{self._name}.{method}", self._line

        async def called(*args: Any, **kwargs: Any) -> Any:
            return await asyncio.shield(Call(line, name, call, *args, **kwargs).answer)

        setattr(self, method, called)
        return called


class SimulatedStore:
    """A store as one process has it."""

    def __init__(self, store: SqliteStore, line: Line, actor: Actor) -> None:
        self._store = store
        self._line = line
        self.bell: Final = SimulatedBell(line, actor)
        self.journal: Final = cast("Journal", _Port("journal", store.journal, line))
        self.queue: Final = cast("Queue", _Port("queue", store.queue, line))
        self.graphs: Final = cast("TaskGraphs", _Port("graphs", store.graphs, line))
        self.tasks: Final = cast("Tasks", _Port("tasks", store.tasks, line))
        self.pools: Final = cast("Pools", _Port("pools", store.pools, line))
        self.cells: Final = cast("Cells", _Port("cells", store.cells, line))
        self.keys: Final = cast("Keys", _Port("keys", store.keys, line))
        self.locks: Final = cast("Locks", _Port("locks", store.locks, line))
        self.nodes: Final = cast("Nodes", _Port("nodes", store.nodes, line))
        self.deliveries: Final = cast("Deliveries", _Port("deliveries", store.deliveries, line))
        self.tokens: Final = cast("Tokens", _Port("tokens", store.tokens, line))
        self.upkeep: Final = cast("Upkeep", _Port("upkeep", store.upkeep, line))
        self.sealed: Final = store.sealed
        self.views: Final = cast("Views", _Port("views", store.views, line))
        self.waits: Final = cast("Waits", _Port("waits", store.waits, line))
        self.workers: Final = cast("Workers", _Port("workers", store.workers, line))

    @property
    def url(self) -> str:
        return self._store.url

    @asynccontextmanager
    async def transaction(self, timeout_seconds: float = TRANSACTION_SECONDS) -> AsyncIterator[Joined]:
        async with self._store.transaction(timeout_seconds) as joined:
            yield joined

    async def close(self) -> None:
        """The store outlives its processes."""

    async def prepare(self, now: float) -> None:
        await self._store.prepare(now)

    def pulse(self, node: str) -> SimulatedPulse:
        return SimulatedPulse(self._store, node, self._line)

    def renewals(self) -> Renewals | None:
        return self._store.renewals()

    async def figures(self) -> dict[str, Any]:
        return await self._store.figures()


class SimulatedBell:
    """Wakes the listeners of one process, a moment after the store was changed, if at all."""

    def __init__(self, line: Line, actor: Actor) -> None:
        self._line = line
        self._actor = actor
        self._listeners: list[tuple[Callable[[], None], int]] = []
        self._takers: list[Callable[[InboxRow], bool]] = []
        self._due = 0
        """What the next wake-up is to tell of."""

    def listen(self, wake: Callable[[], None], news: int = ANYTHING) -> Callable[[], None]:
        listener = (wake, news)
        self._listeners.append(listener)

        def end() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)

        return end

    def receive(self, take: Callable[[InboxRow], bool]) -> Callable[[], None]:
        self._takers.append(take)
        return lambda: self._takers.remove(take) if take in self._takers else None

    def heard_from(self, bell: LocalBell) -> Callable[[], None]:
        """Ring when another bell rings, and hand over what this process tells runs; gives what ends that."""
        ends = [bell.listen(functools.partial(self._ring, 1 << bit), 1 << bit) for bit in range(ANYTHING.bit_length())]
        ends.append(bell.receive(self._post))
        return lambda: [end() for end in ends].clear()

    def _post(self, row: InboxRow) -> bool:
        """Somebody told a run something: if it was this process, it knows at once."""
        if ACTOR.get() is not self._actor or self._actor.is_dead:
            return False
        return any(take(row) for take in self._takers)

    def _ring(self, news: int) -> None:
        """Somebody changed the store."""
        line, now = self._line, self._line.loop.time()
        if self._due or self._actor.is_dead or now < line.deaf_until:
            self._due |= news if self._due else 0
            return
        self._due = news
        late = line.chance.uniform(0.0, _BELL_SECONDS)
        if now < line.echo_until:
            late += line.chance.uniform(0.0, _ECHO_SECONDS)
            again = late + line.chance.uniform(0.0, _ECHO_SECONDS)
            line.loop.call_later(again, self._wake, ANYTHING, context=self._actor.context.copy())
        line.loop.call_later(late, self._wake, 0, context=self._actor.context.copy())

    def _wake(self, more: int) -> None:
        news, self._due = self._due | more, 0
        for wake, wanted in tuple(self._listeners):
            if news & wanted:
                wake()


class SimulatedPulse:
    """Renews the leases of one node; see interlock.store.ports.Pulse."""

    def __init__(self, store: SqliteStore, node: str, line: Line) -> None:
        self._store = store
        self._node = node
        self._line = line

    def beat(self, node_ttl_seconds: float, attempt_ttl_seconds: float, now: float | None) -> bool:
        self._line.check_away()

        async def work(transaction: Transaction) -> bool:
            return await sql_nodes.renew(transaction, self._node, node_ttl_seconds, attempt_ttl_seconds, now)

        alive = drive(self._store.database.write(work, counted=False))
        self._line.trace.tell(ACTOR.get(), "beat" if alive else "beat refused")
        return alive

    def close(self) -> None:
        """It has no connection of its own."""


__all__ = ["Line", "SimulatedStore"]
