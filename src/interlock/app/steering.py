"""What people change about task graphs and pools, whichever door they come through: refused in words, and in the audit log.

The audit row follows its change in a transaction of its own: a crash between the two loses the row, never the change.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from interlock import errors
from interlock.app.actor import actor
from interlock.app.ordering import Chosen, Ordering
from interlock.app.tasks import TaskGraphs, short
from interlock.flow import nearest
from interlock.service import Clock
from interlock.store.ports import ALL, GraphRow, GraphTaskRow, LoadedGraph, PoolRow, PoolState, Store

if TYPE_CHECKING:
    from interlock.flow.taskgraph.document import GraphDocument


class Steering:
    """Changes by hand in one store."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._book = TaskGraphs(store, clock)

    async def load(self, document: GraphDocument, folder: str) -> LoadedGraph:
        """Store a graph, or what has changed of it, to start in `folder`.

        Raises Conflict while another process loads it, Invalid for names that not every store can hold.
        """
        check_names(document)
        from interlock.flow.taskgraph import reading  # noqa: PLC0415 (start-up: whoever loads one has read it)

        terms = await self._book.retry_terms()
        loaded = await self._book.load(reading.with_retry(document, terms), folder)
        await self._record("load-graph", f"{document.namespace}/{document.name}")
        return loaded

    async def retry(self, task: GraphTaskRow) -> None:
        """Try a task again. Raises Conflict for one that cannot be."""
        if not await self._book.retry(task):
            raise errors.Conflict(
                f"the task {short(task.task)} is {task.state}; only one that failed, was cancelled or skipped, waits for "
                "its retry, or is in quarantine can be tried again"
            )
        await self._record("retry-task", task.task)

    async def cancel(self, task: GraphTaskRow) -> None:
        """Cancel a task. Raises Conflict for one that is over."""
        if not await self._book.cancel(task):
            raise errors.Conflict(f"the task {short(task.task)} is {task.state} already")
        await self._record("cancel-task", task.task)

    async def cancel_all(self, graph: GraphRow) -> int:
        """Cancel every task of a graph that is not over; gives how many."""
        count = await self._book.cancel_all(graph)
        await self._record("cancel-graph", graph.graph)
        return count

    async def reprioritise(self, task: GraphTaskRow, priority: int) -> None:
        """Give a task another priority. Raises Conflict for one that is over."""
        if not await self._book.reprioritise(task, priority):
            raise errors.Conflict(f"the task {short(task.task)} is {task.state}; its priority changes nothing any more")
        await self._record("reprioritise-task", f"{task.task} {priority}")

    async def pool(self, name: str) -> PoolRow:
        """Give a pool. Raises NotFound."""
        rows = {row.pool: row for row in await self._store.pools.all() if row.pool != ALL}
        if name not in rows:
            near = nearest.name(name, list(rows))
            advice = f"; did you mean {near!r}?" if near else "; `interlock pools list` shows those there are"
            raise errors.NotFound(f"there is no pool {name!r}{advice}")
        return rows[name]

    async def move(self, name: str, state: PoolState) -> tuple[PoolRow, bool]:
        """Enable, disable or drain a pool; gives it as it is then, and whether it was otherwise before. Raises NotFound."""
        await self.pool(name)
        changed = await self._store.pools.set_state(name, state)
        if changed:
            await self._record(f"pool-{state}", name)
        return await self.pool(name), changed

    async def order(self, policy: str | None) -> Chosen:
        """Order all tasks by a policy, None: by the configured one. Raises Invalid, Conflict before there are pools."""
        done = await Ordering(self._store, self._clock).choose(policy)
        await self._record("choose-policy", policy or f"configured ({done.order.name})")
        return done

    async def _record(self, action: str, target: str) -> None:
        await self._store.upkeep.record(actor(), action, target, self._clock.now())


def check_names(document: GraphDocument) -> None:
    """Raise Invalid for names in a graph that not every store can hold."""
    for each in document.tasks:
        spec = each.spec
        _check([*spec.skills, *spec.pools, spec.key, *(limit.name for limit in each.limits)], f"the task {spec.id}")


def folder_of(document: GraphDocument, beside: Path) -> str:
    """Give where the tasks of a graph start: in its repository, else `beside` its file. Raises Invalid for no path."""
    _check([document.repository], f"the graph {document.name}")
    return str((beside / document.repository).resolve() if document.repository else beside)


def _check(names: Iterable[str], of: str) -> None:
    """Refuse U+0000, which neither PostgreSQL's texts nor paths can hold. Raises Invalid."""
    for name in names:
        if "\0" in name:
            raise errors.Invalid(f"{of} has the character U+0000 in {name[:100]!r}; leave it out")
