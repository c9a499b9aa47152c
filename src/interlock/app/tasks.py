"""What people do with task graphs, over one open store: load, list, show, explain, retry, cancel, reprioritise, wait."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec

from interlock import errors
from interlock.app.declared import DeclaredOfPool
from interlock.app.declarers import live_nodes, standing
from interlock.app.ordering import Ordering
from interlock.app.roles import DISPATCHER
from interlock.app.stranded import servers
from interlock.decisions import obstacles
from interlock.decisions import pools as choosing
from interlock.decisions.pools import Asked, PoolDecision, PoolView
from interlock.dispatch import machines, policies
from interlock.dispatch.lanes import lane
from interlock.dispatch.outlook import view
from interlock.dispatch.policies import Arriving, Stamp
from interlock.flow.taskgraph import order
from interlock.model.states import TaskState
from interlock.model.task_graph import RetryTerms
from interlock.service import Clock
from interlock.store.ports import (
    ALL,
    GraphRow,
    GraphTask,
    GraphTaskRow,
    LoadedGraph,
    NewGraph,
    NewTask,
    PoolRow,
    Store,
    TryRow,
)

if TYPE_CHECKING:
    from interlock.flow.taskgraph.document import GraphDocument, TaskDefinition

NAMESPACE: Final = "default"
_LOOK_SECONDS: Final = 0.5  # between looks at a graph that is waited for; the bell may be lost
_PAGE: Final = 500
_PLACEMENT: Final = "placement"
OVER: Final = frozenset({TaskState.DONE, TaskState.FAILED, TaskState.CANCELLED, TaskState.SKIPPED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Why a task is where it is. `policy`: which orders the tasks that wait; `asked`: what it may have; `now`: why each of
    these pools could not have it at present (None: it could); `waits_for`: other tasks; `placements`: why its attempts were
    where they were, the latest first."""

    task: GraphTaskRow
    policy: str
    asked: Asked
    now: Mapping[str, str | None]
    waits_for: Mapping[str, bool]
    placements: Sequence[PoolDecision]
    tries: Sequence[TryRow]


class TaskGraphs:
    """The task graphs of one store."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._ordering = Ordering(store, clock)

    # -- loading -------------------------------------------------------------------------------------------------

    async def load(self, document: GraphDocument, folder: str) -> LoadedGraph:
        """Store a graph, or what has changed of it, to start in `folder`. Raises Conflict while another process loads it."""
        in_force = await self._ordering.in_force()
        graph = f"{document.namespace}/{document.name}"
        now = self._clock.now()
        remembered = await self._store.tasks.durations(graph)
        after = {each.spec.id: tuple(each.spec.dependencies) for each in document.tasks}
        expected = {each.spec.id: each.spec.expected_seconds for each in document.tasks}
        ids = order.by_critical_path(after, expected, remembered)
        by_id = {each.spec.id: each for each in document.tasks}
        stamps = await self._ordering.stamps(in_force, [by_id[id] for id in ids], now, remembered)
        rows = [self._row(graph, by_id[id], number, stamps[id], folder) for number, id in enumerate(ids, 1)]
        await self._set_limits(document)
        loaded = await self._store.tasks.load(
            NewGraph(
                graph=graph,
                namespace=document.namespace,
                name=document.name,
                digest=document.digest,
                document=msgspec.json.encode(document.value),
                folder=folder,
            ),
            rows,
            self._clock.stamp(),
        )
        await self._ordering.renew_since(in_force, graph)
        return loaded

    async def retry_terms(self) -> RetryTerms:
        """Give the terms for tasks that say nothing of retries, as the dispatcher's configuration has them."""
        return (await self._ordering.in_force()).declared.retry

    def _row(self, graph: str, each: TaskDefinition, number: int, stamp: Stamp, folder: str) -> GraphTask:
        spec = each.spec
        if each.deadline_seconds is not None:
            spec = msgspec.structs.replace(spec, deadline=self._clock.now() + each.deadline_seconds)
        name = f"{graph}/{spec.id}"
        return GraphTask(
            task=NewTask(
                task=name,
                run=graph,
                effect=number,
                path=spec.id,
                pool=lane(spec),
                priority=stamp.priority,
                target=each.target,
                folder=folder,
                idempotency_key=name,
                attempt=1,
                any_exit_code=False,
            ),
            after={f"{graph}/{id}": blocking for id, blocking in spec.dependencies.items()},
            limits=tuple(limit.name for limit in each.limits),
            spec=spec,
            rank=stamp.rank,
        )

    async def _set_limits(self, document: GraphDocument) -> None:
        limits = {limit.name: limit for each in document.tasks for limit in each.limits}
        for limit in limits.values():
            await self._store.graphs.limit(
                limit.name, limit.capacity, interval_seconds=limit.interval_seconds, burst=limit.burst
            )

    # -- looking -------------------------------------------------------------------------------------------------

    async def graph(self, name: str, namespace: str | None = None) -> GraphRow:
        """Give a graph by its name. Raises NotFound."""
        row = await self._store.tasks.graph(namespace or NAMESPACE, name)
        if row is None:
            raise errors.NotFound(f"there is no task graph {name!r}; `interlock tasks list` shows those there are")
        return row

    async def document(self, name: str, namespace: str | None = None) -> tuple[GraphRow, str, bytes]:
        """Give a graph, with the digest and the text, JSON, of what its author wrote. Raises NotFound."""
        row = await self.graph(name, namespace)
        found = await self._store.tasks.document(row.namespace, row.name)
        return (row, *(found or (row.digest, b"")))

    async def graphs(
        self, namespace: str | None = None, after: tuple[str, str] = ("", ""), limit: int = _PAGE
    ) -> list[GraphRow]:
        """Give graphs by namespace and name."""
        return await self._store.tasks.graphs(namespace, after, limit)

    async def counts(self, row: GraphRow) -> Mapping[TaskState, int]:
        """Give how many tasks of a graph are in each state."""
        return await self._store.tasks.counts(row.graph, row.tasks)

    async def tasks(
        self, row: GraphRow, state: TaskState | None = None, after: int = 0, limit: int = _PAGE
    ) -> list[GraphTaskRow]:
        """Give tasks of a graph in its order, after the number of one."""
        return await self._store.tasks.page(row.graph, state, after, limit)

    async def find(self, name: str, namespace: str | None = None) -> GraphTaskRow:
        """Give a task by GRAPH/ID, or by its id while only one graph has it. Raises NotFound, Conflict."""
        namespace = namespace or NAMESPACE
        if "/" in name:
            row = await self._store.tasks.get(f"{namespace}/{name}")
            if row is None:
                raise errors.NotFound(f"there is no task {name!r}; `interlock tasks list GRAPH` shows those there are")
            return row
        found = []
        after = ("", "")
        while page := await self._store.tasks.graphs(namespace, after, _PAGE):
            for graph in page:
                if (row := await self._store.tasks.get(f"{graph.graph}/{name}")) is not None:
                    found.append(row)
            after = (page[-1].namespace, page[-1].name)
        if not found:
            raise errors.NotFound(f"there is no task {name!r}; name it GRAPH/ID, as `interlock tasks list GRAPH` does")
        if len(found) > 1:
            names = ", ".join(short(row.task) for row in found[:5])
            raise errors.Conflict(f"{len(found)} graphs have a task {name!r}; name one of {names}")
        return found[0]

    async def tries(self, task: str, limit: int = 20) -> list[TryRow]:
        """Give the last attempts of a task, the latest first."""
        return await self._store.tasks.tries(task, limit)

    async def explain(self, task: GraphTaskRow) -> Explanation:
        """Say why a task is where it is, and what it waits for."""
        in_force = await self._ordering.in_force()
        declared = in_force.declared
        asked = choosing.preferred(choosing.asked(task.spec, declared.mapping), failover=declared.failover)
        rows = [row for row in await self._store.pools.all() if row.pool != ALL]
        live = await live_nodes(self._store, self._clock)
        pools = {row.pool: pool_view(row, self._clock.now(), live) for row in standing(rows, live)}
        now = {name: _reason(task, pools.get(name)) for name in asked.pools}
        # Before a node has declared its pools nobody knows what there will be; and who has a place needs none.
        if pools and task.state not in OVER | {TaskState.RUNNING}:
            warning = obstacles.standing(task.spec, asked, pools, ills=True)
            if warning is None and not await servers(self._store, self._clock, DISPATCHER):
                warning = "no node places tasks now: `interlock node` does, beside the store"
            asked = dataclasses.replace(asked, warning=warning)
        recorded = await self._store.workers.choices(_PLACEMENT, task.task, 20)
        waits = await self._store.tasks.waits_for(task.task)
        return Explanation(
            task=task,
            policy=in_force.name,
            asked=asked,
            now=now,
            waits_for={name.rpartition("/")[2]: blocking for name, blocking in waits.items() if not name.endswith("/")},
            placements=[choosing.decode(each.body) for each in recorded],
            tries=await self.tries(task.task),
        )

    async def wait(self, row: GraphRow) -> Mapping[TaskState, int]:
        """Wait until every task of a graph is over, or in quarantine; gives how many are in each state."""
        woken = asyncio.Event()
        unlisten = self._store.bell.listen(woken.set)
        try:
            while True:
                woken.clear()
                counts = await self.counts(row)
                if not any(count for state, count in counts.items() if state not in OVER | {TaskState.QUARANTINED}):
                    return counts
                try:
                    async with asyncio.timeout(_LOOK_SECONDS):
                        await woken.wait()
                except TimeoutError:
                    continue
        finally:
            unlisten()

    # -- changing ------------------------------------------------------------------------------------------------

    async def retry(self, task: GraphTaskRow) -> bool:
        """Try a task again that is over without success, waits for its retry, or is in quarantine. False: it is neither."""
        return await self._store.tasks.reopen(task.task, self._clock.stamp())

    async def cancel(self, task: GraphTaskRow) -> bool:
        """Cancel a task. False: it is over already."""
        return await self._store.tasks.stop(task.task, self._clock.stamp())

    async def cancel_all(self, row: GraphRow) -> int:
        """Cancel every task of a graph that is not over; gives how many."""
        cancelled, after = 0, 0
        while page := await self.tasks(row, after=after):
            after = page[-1].number
            if waiting := [task.task for task in page if task.state not in OVER]:
                cancelled += await self._store.tasks.stop_all(waiting, self._clock.stamp())
        return cancelled

    async def reprioritise(self, task: GraphTaskRow, priority: int) -> bool:
        """Give a task another priority. False: it is over."""
        in_force = await self._ordering.in_force()
        spec = msgspec.structs.replace(task.spec, priority=priority)
        arriving = Arriving(spec, task.created_at, task.number - 1, task.rank)
        stamp = policies.stamped(in_force.policy(), in_force.name, arriving)
        done = await self._store.tasks.rank(task.task, stamp.priority, stamp.rank, spec)
        await self._ordering.renew_since(in_force, task.graph)
        return done


def short(task: str) -> str:
    """Give the name of a task without its namespace: GRAPH/ID."""
    return task.partition("/")[2]


def _reason(task: GraphTaskRow, pool: PoolView | None) -> str | None:
    """Say why a pool could not have a task now."""
    return "is not configured by any node" if pool is None else choosing.refusal(task.spec, pool)


def pool_view(row: PoolRow, now: float, live: Collection[str]) -> PoolView:
    """Give a pool as it looks from outside of its nodes: ill when all of those that have it and are `live` found it so, and
    with the largest of their machines."""
    kept = msgspec.json.decode(row.settings, type=DeclaredOfPool)
    found_ill = [ill.node for ill in row.ills if ill.again_at > now]
    trying = set(kept.nodes) & set(live) or set(found_ill)
    node = next((node for node in found_ill if node in trying), "") if trying <= set(found_ill) else ""
    return machines.bounded(view(row, kept, node, now), kept.largest(live))
