"""Task graphs as people know them: loaded, read, changed by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from interlock.model.states import TaskState
from interlock.model.task_graph import TaskSpec
from interlock.store.ports.graphs import GraphTask
from interlock.store.ports.row import Row


class NewGraph(Row, frozen=True, kw_only=True):
    """A graph to load: its tasks with `graph` as their run. `document`: what its author wrote, JSON; `folder`: where from."""

    graph: str
    namespace: str
    name: str
    digest: str
    document: bytes
    folder: str


class LoadedGraph(Row, frozen=True, kw_only=True):
    """What a load did, by the ids of tasks. `corrected`: changed too, and over without success, so that it counts when they
    are tried again; `kept`: they run or are done, so that a changed definition of theirs is not taken;
    `absent`: in the store, and not in the document any more: they stay."""

    added: Sequence[str]
    changed: Sequence[str]
    same: int
    kept: Sequence[str]
    absent: Sequence[str]
    corrected: Sequence[str] = []


class GraphRow(Row, frozen=True, kw_only=True):
    """A graph. `tasks`: how many it has; `loads`: how often it was loaded, 0 while its first load is under way. `run_id`: of
    the run that loaded it, "" for none, or one that is gone."""

    graph: str
    namespace: str
    name: str
    digest: str
    tasks: int
    loads: int
    loaded_at: float | None
    folder: str = ""
    run_id: str = ""


class GraphTaskRow(Row, frozen=True, kw_only=True):
    """A task of a graph. `number`: its place in the graph, and the cursor. `pool`: where it runs or ran; a lane before that.

    `used`: its retries by failure class. `held_by`: the limit that is full. `holder`: the node that has its lease.
    """

    task: str
    graph: str
    number: int
    id: str
    pool: str
    state: TaskState
    fence: int
    attempt: int
    priority: int
    rank: float
    created_at: float
    ready_at: float | None
    ended_at: float | None
    held_by: str | None
    cancel: bool
    used: Mapping[str, int]
    spec: TaskSpec
    holder: str | None


class TryRow(Row, frozen=True, kw_only=True):
    """One attempt of a task of a graph. `outcome` None: it is not over. `detail`: the result or the fault, JSON.

    `placed_at`: when it was given its place in a pool; `started_at`: when the pool had begun it, None: it has not yet, or it
    never did, or whoever began it died before it told.
    """

    task: str
    fence: int
    attempt: int
    pool: str
    holder: str
    placed_at: float
    started_at: float | None
    ended_at: float | None
    outcome: str | None
    failure: str | None
    detail: bytes | None


class StampedTask(Row, frozen=True, kw_only=True):
    """A task of a graph with its place in the order of all."""

    task: str
    number: int
    priority: int
    rank: float
    created_at: float
    spec: TaskSpec


class NewStamp(Row, frozen=True, kw_only=True):
    """Another place for a task, which has the place `before` now: priority and rank."""

    task: str
    before: tuple[int, float]
    after: tuple[int, float]


class PlaceWait(Row, frozen=True, kw_only=True):
    """A task that is held by a limit without a free place. `holders`: the tasks that have its places. `awaited_by`: the tasks
    whose runs wait for the end of this one's graph, the nearest first."""

    task: str
    graph: str
    limit: str
    holders: Sequence[str]
    awaited_by: Sequence[str]


class WaitRow(Row, frozen=True, kw_only=True):
    """A task that waits for another one. `is_there`: whether that one exists; a load under way stands for one that does
    not."""

    task: str
    other: str
    is_there: bool


class Tasks(Protocol):
    async def load(self, graph: NewGraph, tasks: Sequence[GraphTask], now: float | None) -> LoadedGraph:
        """Store a graph, or what has changed of it. None of its tasks can begin before all are stored.

        Tasks that have not begun are changed; the others stay as they are. Many tasks take several transactions, so that
        others do not wait; a load that was broken off is made good by the next one. Raises Conflict while another process
        loads the same graph.
        """
        ...

    async def conclude_loads(self, now: float | None) -> int:
        """Let the tasks of graphs begin that are stored whole, and whose loader died before it let them; gives how many."""
        ...

    async def graph(self, namespace: str, name: str) -> GraphRow | None: ...

    async def document(self, namespace: str, name: str) -> tuple[str, bytes] | None:
        """Give the digest of a graph and what its author wrote, JSON, as it was loaded last."""
        ...

    async def graphs(self, namespace: str | None, after: tuple[str, str], limit: int) -> list[GraphRow]:
        """Give graphs by namespace and name, after one of them; `namespace` None: of all."""
        ...

    async def counts(self, graph: str, total: int) -> Mapping[TaskState, int]:
        """Give how many tasks of a graph are in each state, of `total`; those that are done are not looked at."""
        ...

    async def page(self, graph: str, state: TaskState | None, after: int, limit: int) -> list[GraphTaskRow]:
        """Give tasks of a graph in its order, after the number of one."""
        ...

    async def get(self, task: str) -> GraphTaskRow | None: ...

    async def tries(self, task: str, limit: int) -> list[TryRow]:
        """Give the last attempts of a task, the latest first."""
        ...

    async def waits_for(self, task: str) -> Mapping[str, bool]:
        """Give what a task still waits for; True: it is skipped should that one not succeed."""
        ...

    async def open_after(self, graph: str) -> str | None:
        """Give the first graph, by its key and after one, that has tasks which are not over; None: there is none."""
        ...

    async def place_waits(self) -> list[PlaceWait]:
        """Give who is held for want of a place of a key, in graphs that runs wait for: one task of each graph and key."""
        ...

    async def waits(self, graph: str) -> list[WaitRow]:
        """Give who waits for whom among the tasks of a graph."""
        ...

    async def durations(self, graph: str) -> Mapping[str, float]:
        """Give how many seconds the tasks of a graph took on the average, by id; of those that succeeded before."""
        ...

    async def reopen(self, task: str, now: float | None) -> bool:
        """Try a task again that is over and was no success, or that waits for its retry. What was skipped because of it waits
        for it again. False: it is in no such state."""
        ...

    async def stop(self, task: str, now: float | None) -> bool:
        """Cancel a task: one that runs is ended by who runs it, one that waits is over. False: it is over already."""
        ...

    async def stop_all(self, tasks: Sequence[str], now: float | None) -> int:
        """Cancel tasks in one transaction, which others wait for; gives how many were not over already."""
        ...

    async def stamped(self, graph: str) -> list[StampedTask]:
        """Give the tasks of a graph that are not done, each with its place in the order of all, by their numbers."""
        ...

    async def stamp(self, stamps: Sequence[NewStamp]) -> None:
        """Give tasks another place in the order. One that was given another meanwhile is left there.

        Many take several transactions, so that others do not wait.
        """
        ...

    async def rank(self, task: str, priority: int, rank: float, spec: TaskSpec) -> bool:
        """Give a task another place in the order. False: it is over."""
        ...
