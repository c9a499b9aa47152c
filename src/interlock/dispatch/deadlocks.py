"""Finds those who wait for each other for ever, and does what the configuration says about it (checklist DL-01, DL-02).

    tasks   blocked ones of one graph whose edges form a circle, and those that wait for a task which does not exist
    locks   sessions whose waits form a circle
    places  those that wait for a place of a key (`concurrency`), all of which are taken by tasks that wait for them: one that
            is a workflow keeps its places until its run has ended, and that may wait for a graph that it loaded

A load refuses both of the first, so only rows that were changed behind its back can have them; a lock refuses the wait that
would close a circle, so only two that began in one moment can. Each look reads how things are, not what happened: nothing has
to be remembered, and any number of dispatchers may look. Only members are told, never those that wait for one.

Places of pools are not looked for: whoever has one, or a workspace, waits for no other task. A task that is a workflow has
none: its pool only bounds how many runs are watched.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from interlock import telemetry
from interlock.dispatch.configuration.scheduling import DeadlockAction, DeadlockSettings
from interlock.flow.taskgraph.cycles import cycles
from interlock.service import Clock, Loop
from interlock.store.ports import GraphTaskRow, PlaceWait, Store, Wait, WaitRow

_NAMESPACE: Final = "default"
_PAGE: Final = 500


class Kind(StrEnum):
    CIRCLE = "circle"
    MISSING = "missing"
    """One task waits for another one that does not exist: `members` are the two."""
    LOCKS = "locks"
    PLACES = "places"
    """`members`: the task that waits for a place of a key, then those that have all of its places, by their whole names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadlock:
    """`where`: a graph, or the namespace of locks. `members`: the way round, each once; tasks by their ids in the graph."""

    kind: Kind
    where: str
    members: tuple[str, ...]
    key: str = ""
    """Of places: `concurrency/<namespace>/<key>`."""

    def __str__(self) -> str:
        if self.kind is Kind.PLACES:
            task, *holders = self.members
            return (
                f"the task {task} of {self.where} waits for a place of {self.key}, all of which are taken by"
                f" {', '.join(holders)}, whose runs wait for its end; raise the limit, or name another key"
            )
        if self.kind is Kind.MISSING:
            return f"the task {self.members[0]} of {self.where} waits for {self.members[1]}, which does not exist"
        if len(self.members) == 1:
            return f"{self.members[0]} of {self.where} waits for itself"
        what = "locks" if self.kind is Kind.LOCKS else "tasks"
        return f"{what} of {self.where} wait for each other: {' -> '.join([*self.members, self.members[0]])}"


async def find(store: Store, now: float | None) -> list[Deadlock]:
    """Give every deadlock there is now, those of tasks first. `now`: None for the clock of the store."""
    found: list[Deadlock] = []
    namespaces = {_NAMESPACE}
    graph = await store.tasks.open_after("")
    while graph is not None:
        namespaces.add(graph.partition("/")[0])
        found += among_tasks(graph, await store.tasks.waits(graph))
        graph = await store.tasks.open_after(graph)
    found += among_places(await store.tasks.place_waits())
    for namespace in sorted(namespaces):
        found += among_locks(namespace, await store.locks.waits(namespace, now))
    return found


def among_tasks(graph: str, waits: Sequence[WaitRow]) -> list[Deadlock]:
    """Give the deadlocks of one graph: each circle once, and each task that waits for one that is not there."""
    after: dict[str, list[str]] = {}
    missing: list[Deadlock] = []
    is_loading = any(wait.other == f"{graph}/" for wait in waits)  # then what is missing may still come
    for wait in waits:
        if wait.is_there:
            after.setdefault(wait.task, []).append(wait.other)
        elif not is_loading:
            members = (_id(graph, wait.task), _id(graph, wait.other))
            missing.append(Deadlock(kind=Kind.MISSING, where=graph, members=members))
    circles = [
        Deadlock(kind=Kind.CIRCLE, where=graph, members=tuple(_id(graph, task) for task in way))
        for way in cycles(after)
    ]
    return circles + missing


def among_locks(namespace: str, waits: Sequence[Wait]) -> list[Deadlock]:
    """Give the circles of sessions that wait for each other's locks."""
    after: dict[str, list[str]] = {}
    for wait in waits:
        after.setdefault(wait.session, []).append(wait.other)
    return [Deadlock(kind=Kind.LOCKS, where=namespace, members=tuple(way)) for way in cycles(after)]


def among_places(waits: Sequence[PlaceWait]) -> list[Deadlock]:
    """Give the tasks that wait for places which nobody can give back before they have ended.

    All wait for ever but those of which one holder does not wait for another such task; then all but those that this frees.
    """
    stuck = list(waits)
    while True:
        waiting = {task for wait in stuck for task in wait.awaited_by}
        rest = [wait for wait in stuck if waiting.issuperset(wait.holders)]
        if len(rest) == len(stuck):
            break
        stuck = rest
    return [
        Deadlock(
            kind=Kind.PLACES, where=wait.graph, members=(_id(wait.graph, wait.task), *wait.holders), key=wait.limit
        )
        for wait in stuck
    ]


class Deadlocks(Loop):
    """Looks every so often, tells of each deadlock once for as long as it stands, and of its end.

    `warn` tells a warning, `error` an error, `resolve` a warning and what it did: it cancels the least important of the tasks
    that wait for each other; of all that wait for places one, and looks again. That is done at every look, so that what
    failed once is tried again. Locks are only told of: who waits for one is another process, which waits at most as long as
    it said.
    """

    def __init__(self, store: Store, clock: Clock, settings: DeadlockSettings) -> None:
        super().__init__("deadlocks", settings.interval_seconds)
        self._store = store
        self._clock = clock
        self._settings = settings
        self._standing: set[Deadlock] = set()

    async def round(self) -> bool:
        found = await find(self._store, self._clock.stamp())
        for deadlock in found:
            if deadlock not in self._standing:
                self._tell(deadlock)
        for deadlock in self._standing.difference(found):
            telemetry.emit("task.deadlock_over", kind=deadlock.kind, where=deadlock.where, members=deadlock.members)
        self._standing = set(found)
        return self._settings.action is DeadlockAction.RESOLVE and await self._resolve(found)

    def _tell(self, deadlock: Deadlock) -> None:
        about = {"kind": deadlock.kind, "where": deadlock.where}
        if self._settings.action is DeadlockAction.ERROR:
            telemetry.emit("task.deadlock_error", **about, error=str(deadlock))
        else:
            telemetry.emit("task.deadlock", **about, warning=str(deadlock))

    async def _resolve(self, found: Sequence[Deadlock]) -> bool:
        """Cancel who is to go; those that cannot go on without it are skipped in the same transaction.

        Of all that wait for places one goes: others may go on then. True: somebody has to look at once whether they do.
        """
        waiting: list[tuple[GraphTaskRow, Deadlock]] = []
        for deadlock in found:
            if deadlock.kind is Kind.PLACES:
                waiting += [(row, deadlock) for row in await self._rows(deadlock, deadlock.members[:1])]
            elif deadlock.kind is not Kind.LOCKS:
                members = deadlock.members[:1] if deadlock.kind is Kind.MISSING else deadlock.members
                if rows := await self._rows(deadlock, members):
                    await self._cancel(min(rows, key=_importance), deadlock)
        return bool(waiting) and await self._cancel(*min(waiting, key=lambda each: _importance(each[0])))

    async def _rows(self, deadlock: Deadlock, ids: Sequence[str]) -> list[GraphTaskRow]:
        rows = [await self._store.tasks.get(f"{deadlock.where}/{id}") for id in ids]
        return [row for row in rows if row is not None]

    async def _cancel(self, row: GraphTaskRow, deadlock: Deadlock) -> bool:
        if await self._store.tasks.stop(row.task, self._clock.stamp()):
            telemetry.emit("task.deadlock_ended", task=row.task, warning=f"cancelled, since {deadlock}")
            return True
        return False


def _importance(row: GraphTaskRow) -> tuple[int, float, str]:
    """Give what is least of the task of the lowest priority; of equal ones of the one that would come last."""
    return row.priority, -row.rank, row.task


def _id(graph: str, task: str) -> str:
    """Give the id of a task within its graph; one of another graph keeps its whole name."""
    return task.removeprefix(f"{graph}/")
