"""What stands between a node of the kit and its store, its pools and its functions: it counts, and it breaks.

    open --the planned point is reached--> frozen --the node is taken away--> gone

An open gate lets everything through. Behind a frozen one nothing moves any more: what is asked of the store is neither done
nor answered, as if the process had died at that very moment. When its node is torn down the gate is gone, and refuses.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar, cast

from interlock import errors
from interlock.store.ports import (
    TRANSACTION_SECONDS,
    Artifacts,
    Bell,
    Cells,
    Deliveries,
    InboxRow,
    Joined,
    Journal,
    Keys,
    Locks,
    Nodes,
    Pools,
    Pulse,
    Queue,
    Renewals,
    Store,
    TaskGraphs,
    Tasks,
    Tokens,
    Upkeep,
    Views,
    Waits,
    Workers,
)
from interlock.store.ports.news import ANYTHING

T = TypeVar("T")

COMMIT: Final = "commit"
STEP: Final = "step"
_COMMITS: Final = frozenset({"journal.commit", "queue.claim", "queue.settle", "pools.place"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Crash:
    """Where a node is to die: at the `number`-th commit, or attempt of a step, of a run's first node; from 1.

    A commit: before or after it is durable. A step: before its effect begins, or after it happened and before its outcome is
    recorded.
    """

    kind: str
    number: int
    after: bool

    def __str__(self) -> str:
        return f"a crash {'after' if self.after else 'before'} {self.kind} {self.number}"


@dataclass(slots=True, eq=False)
class Gate:
    """Of one node. `crash` None: it stays open."""

    crash: Crash | None = None
    counts: dict[str, int] = field(default_factory=dict)
    """How many commits and attempts passed."""
    is_last: bool = False
    """It freezes as soon as what is under way is durable: of that the node learns nothing."""
    what: str = ""
    """What was at the point where it froze: the name of a step, or of a call of the store."""
    frozen: asyncio.Event = field(default_factory=asyncio.Event)
    gone: asyncio.Event = field(default_factory=asyncio.Event)

    async def passed(self, kind: str, what: str, act: Callable[[], Awaitable[T]]) -> T:
        """Do something that is counted, and die before or after it, if that is the plan."""
        number = self.counts[kind] = self.counts.get(kind, 0) + 1
        await self._die_at(Crash(kind=kind, number=number, after=False), what)
        self.is_last = Crash(kind=kind, number=number, after=True) == self.crash
        given = await act()
        await self._die_at(Crash(kind=kind, number=number, after=True), what)
        return given

    async def through(self, act: Callable[[], Awaitable[T]]) -> T:
        """Do something, and answer only if the node is still alive then."""
        await self.stop()
        given = await act()
        await self.stop()
        return given

    def freeze(self, what: str) -> None:
        self.what = self.what or what
        self.frozen.set()

    async def stop(self) -> None:
        """Go no further when the node is dead. Raises LeaseLost once it is taken away."""
        if self.frozen.is_set():
            await self.gone.wait()
            raise errors.LeaseLost("this node is dead: the test took it away")

    async def _die_at(self, point: Crash, what: str) -> None:
        if point == self.crash and not self.frozen.is_set():
            self.freeze(what)
        await self.stop()


class _GatedBell:
    """A bell as one node hears it: a dead one is handed nothing, which is another's by then."""

    def __init__(self, bell: Bell, gate: Gate) -> None:
        self._bell = bell
        self._gate = gate

    def listen(self, wake: Callable[[], None], news: int = ANYTHING) -> Callable[[], None]:
        return self._bell.listen(wake, news)

    def receive(self, take: Callable[[InboxRow], bool]) -> Callable[[], None]:
        return self._bell.receive(lambda row: not (self._gate.is_last or self._gate.frozen.is_set()) and take(row))


class GatedStore:
    """A store as one node has it."""

    def __init__(self, store: Store, gate: Gate) -> None:
        self._store = store
        self._gate = gate
        self.journal: Final = cast("Journal", _Port("journal", store.journal, gate))
        self.queue: Final = cast("Queue", _Port("queue", store.queue, gate))
        self.graphs: Final = cast("TaskGraphs", _Port("graphs", store.graphs, gate))
        self.tasks: Final = cast("Tasks", _Port("tasks", store.tasks, gate))
        self.pools: Final = cast("Pools", _Port("pools", store.pools, gate))
        self.cells: Final = cast("Cells", _Port("cells", store.cells, gate))
        self.keys: Final = cast("Keys", _Port("keys", store.keys, gate))
        self.artifacts: Final = cast("Artifacts", _Port("artifacts", store.artifacts, gate))
        self.locks: Final = cast("Locks", _Port("locks", store.locks, gate))
        self.nodes: Final = cast("Nodes", _Port("nodes", store.nodes, gate))
        self.tokens: Final = cast("Tokens", _Port("tokens", store.tokens, gate))
        self.deliveries: Final = cast("Deliveries", _Port("deliveries", store.deliveries, gate))
        self.upkeep: Final = cast("Upkeep", _Port("upkeep", store.upkeep, gate))
        self.sealed: Final = store.sealed
        self.views: Final = cast("Views", _Port("views", store.views, gate))
        self.waits: Final = cast("Waits", _Port("waits", store.waits, gate))
        self.workers: Final = cast("Workers", _Port("workers", store.workers, gate))

    @property
    def url(self) -> str:
        return self._store.url

    @property
    def bell(self) -> Bell:
        return _GatedBell(self._store.bell, self._gate)

    @asynccontextmanager
    async def transaction(self, timeout_seconds: float = TRANSACTION_SECONDS) -> AsyncIterator[Joined]:
        await self._gate.stop()
        async with self._store.transaction(timeout_seconds) as joined:
            yield joined

    async def close(self) -> None:
        """The store outlives its nodes."""

    async def prepare(self, now: float) -> None:
        await self._gate.through(lambda: self._store.prepare(now))

    def pulse(self, node: str) -> Pulse | None:
        return self._store.pulse(node)

    def renewals(self) -> Renewals | None:
        return self._store.renewals()

    async def figures(self) -> dict[str, Any]:
        return await self._gate.through(self._store.figures)


class _Port:
    """A port of the store behind a gate."""

    def __init__(self, name: str, port: object, gate: Gate) -> None:
        self._name = name
        self._port = port
        self._gate = gate

    def __getattr__(self, method: str) -> Any:
        call = getattr(self._port, method)
        if not inspect.iscoroutinefunction(call):
            return call
        name, gate = f"{self._name}.{method}", self._gate

        async def gated(*args: Any, **kwargs: Any) -> Any:
            if name in _COMMITS:
                return await gate.passed(COMMIT, name, lambda: call(*args, **kwargs))
            return await gate.through(lambda: call(*args, **kwargs))

        setattr(self, method, gated)
        return gated
