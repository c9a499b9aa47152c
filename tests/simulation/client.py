"""Whoever starts runs and acts on them: a process without a node. Nothing happens to it, so what it was told stays told."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

from interlock import errors
from interlock.app import events
from interlock.app.session import Session
from interlock.app.tasks import TaskGraphs
from interlock.app.tokens import Tokens
from interlock.model.states import RunStatus
from simulation import documents, graphs, placed, programs
from simulation.clock import SimulatedClock
from simulation.graphs import TaskGraph
from simulation.loop import Actor
from simulation.placed import PlacedGraph
from simulation.plan import Act, Deed, Work
from simulation.store import Line, SimulatedStore
from simulation.tree import Expected, expected
from simulation.world import World

T = TypeVar("T")

_AGAIN_SECONDS: Final = 0.2
_PATIENCE_SECONDS: Final = 10.0  # with a node that was asked to start something
_LOOK_SECONDS: Final = 0.3


class Client:
    """`expected`: what must come of each piece of work, by its id. `acknowledged`: the runs whose start was answered."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.actor: Final = Actor("client")
        world.loop.add(self.actor)
        clock = SimulatedClock(world.loop, f"clock {world.plan.seed} client")
        line = Line(world.loop, world.trace, f"line {world.plan.seed} client", [], lambda fault: None)
        store = SimulatedStore(world.store, line, self.actor)
        store.bell.heard_from(world.store.bell)
        self._session = Session(world.settings, store, clock)
        self.expected: dict[str, Expected] = {work.id: expected(work.tree, work.input) for work in world.plan.work}
        self.acknowledged: dict[str, str] = {}

    async def run(self) -> None:
        """Start all that is planned, act on it, report what is waited for, until everything has ended."""
        await self._session.publish_program(programs.program)
        async with asyncio.TaskGroup() as group:
            reporting = group.create_task(self._report())
            working = [group.create_task(self._attend(work)) for work in self._world.plan.work]
            loading = [group.create_task(self._load(graph)) for graph in self._world.plan.graphs]
            placing = [group.create_task(self._place(graph)) for graph in self._world.plan.placed]
            await asyncio.gather(*working, *loading, *placing)
            while self._world.open():
                await asyncio.sleep(_LOOK_SECONDS)
            reporting.cancel()

    async def _load(self, graph: TaskGraph) -> None:
        """Load a task graph, twice: that changes nothing."""
        await asyncio.sleep(graph.at)
        store, now = self._session.store, self._session.clock.now()
        await self._again(lambda: store.graphs.limit(graphs.LIMIT, graphs.CAPACITY))
        for _ in range(2):
            await self._again(lambda: store.graphs.load(graph.rows(now), now))

    async def _place(self, graph: PlacedGraph) -> None:
        """Load a graph that dispatchers place, twice, and cancel of it what somebody wants cancelled."""
        await asyncio.sleep(graph.at)
        tasks = TaskGraphs(self._session.store, self._session.clock)
        await self._again(lambda: self._session.publish(placed.WORKFLOW, None))
        for _ in range(2):
            await self._again(lambda: tasks.load(graph.document(), "/"))
        before = 0.0
        for number, at in graph.cancels:
            await asyncio.sleep(at - before)
            before = at
            await self._again(lambda number=number: placed.cancel(tasks, graph, number))  # type: ignore[misc]  # bound now

    async def _attend(self, work: Work) -> None:
        await asyncio.sleep(work.at)
        if work.language == "yaml":
            for text in documents.children(work):
                await self._session.publish(text, None)
        started = None if work.detached else await self._started_in_node(work)
        if started is None:
            started = await self._again(lambda: self._started(self._session, work))
        self.acknowledged[work.id] = started
        self._world.trace.tell(self.actor, f"{work.id} is acknowledged")
        before = 0.0
        for deed in work.deeds:
            await asyncio.sleep(deed.at - before)
            before = deed.at
            await self._again(lambda deed=deed: self._act(work, deed))  # type: ignore[misc]  # bound now
        if work.retries:
            await self._see_to_end(work)

    async def _see_to_end(self, work: Work) -> None:
        """Retry a run whenever it has failed, as a person would."""
        status = RunStatus.PENDING
        while status not in (RunStatus.COMPLETED, RunStatus.CANCELLED):
            await asyncio.sleep(_LOOK_SECONDS)
            row = await self._again(lambda: self._session.find("default", work.id))
            status = row.status
            if status is RunStatus.FAULTED:
                self._world.trace.tell(self.actor, f"{work.id} is retried")
                now = self._session.clock.now()
                await self._again(lambda: self._session.store.journal.reopen(row.run, None, "client", now))  # noqa: B023 (awaited at once)

    async def _started_in_node(self, work: Work) -> str | None:
        """Start a run by the program of a node; None: that gave no answer."""
        slot = self._world.slots[work.node]
        if slot.actor is None or slot.process is None or slot.process.is_closed:
            return None
        starting = slot.actor.context.copy().run(
            self._world.loop.create_task, self._started(slot.process.session, work)
        )
        await asyncio.wait([starting], timeout=_PATIENCE_SECONDS)
        if not starting.done() or starting.exception() is not None:
            return None
        return starting.result()

    async def _started(self, session: Session, work: Work) -> str:
        detach = session is self._session
        if work.language == "yaml":
            given = await session.start(
                documents.document(work), input={"n": work.input, "round": ""}, id=work.id, detach=detach
            )
        else:
            arguments = {"tree": work.tree, "n": work.input, "round": 0}
            given = await session.start_program(programs.program, arguments, id=work.id, detach=detach)
        return given.run

    async def _act(self, work: Work, deed: Deed) -> None:
        row = await self._session.find("default", work.id)
        self._world.trace.tell(self.actor, f"{work.id}: {deed.act}")
        match deed.act:
            case Act.CANCEL:
                await self._session.cancel(row, None)
            case Act.ROLLBACK:
                await self._session.cancel(row, None, rollback=True)
            case Act.SUSPEND:
                await self._session.suspend(row)
            case Act.RESUME:
                await self._session.resume(row)

    async def _report(self) -> None:
        """Complete the tokens that were handed out, each twice, and send the events that somebody listens for."""
        reports = {_place(label): k for each in self.expected.values() for label, k in each.reports.items()}
        tokens, told = Tokens(self._session, "default"), dict[str, int]()
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            for label, text in list(self._world.ledger.tokens.items()):
                if told.get(label, 0) < 2:
                    told[label] = told.get(label, 0) + 1
                    await self._again(lambda: _reported(tokens, text, reports[_place(label)]))  # noqa: B023 (awaited at once)
            for (kind,) in self._world.rows(
                "SELECT DISTINCT type FROM subscriptions WHERE type LIKE 'simulated.%' ORDER BY type"
            ):
                event = {"type": kind, "data": {"k": reports[_place(kind.partition(".")[2])]}}
                await self._again(lambda: events.send(self._session, "default", event))  # noqa: B023 (as above)

    async def _again(self, call: Callable[[], Awaitable[T]]) -> T:
        """Call until there is an answer."""
        while True:
            try:
                return await call()
            except errors.StoreUnavailable:
                await asyncio.sleep(_AGAIN_SECONDS)


def _place(label: str) -> str:
    """Give where a label stands in the tree, without the rounds of the loops around it."""
    return label.partition("/")[0]


async def _reported(tokens: Tokens, text: str, value: Any) -> None:
    try:
        await tokens.complete(text, value)
    except (errors.Conflict, errors.NotFound):  # its run was cancelled; or the token is not issued yet
        return


__all__ = ["Client"]
