"""Task graphs on SQL: loaded in pieces behind a gate, read by pages, changed by hand.

Until a load is whole, those of its tasks that wait for no other new one wait for its gate, an edge whose predecessor is no
task. So nothing begins before all is stored, and a load that a crash broke off is made good by the next one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from interlock import errors
from interlock.model import task_graph
from interlock.model.states import TaskState
from interlock.store.ports import (
    GraphRow,
    GraphTask,
    GraphTaskRow,
    LoadedGraph,
    NewGraph,
    NewStamp,
    PlaceWait,
    StampedTask,
    TryRow,
    WaitRow,
)
from interlock.store.sql import graphs, limits, place_waits
from interlock.store.sql.graph_changes import Changes, Known, changes_of, tried_again
from interlock.store.sql.transaction import Database, Row, Transaction

AT_ONCE: Final = 1000
"""Tasks that one transaction stores, which others wait for."""
_LOADING_SECONDS: Final = 60.0

_encode = msgspec.json.Encoder().encode


class SqlTasks:
    def __init__(self, database: Database) -> None:
        self._database = database

    # -- loading -------------------------------------------------------------------------------------------------

    async def load(self, graph: NewGraph, tasks: Sequence[GraphTask], now: float | None) -> LoadedGraph:
        await self._begin(graph, now)
        try:
            known = await self._look(graph.graph)
            changes = changes_of(tasks, known)
            for start in range(0, len(changes.new), AT_ONCE):
                await self._stage(graph.graph, changes, changes.new[start : start + AT_ONCE], now)
            await self._conclude(graph, changes, now)
        except BaseException:
            await self._abandon(graph.graph)
            raise
        await self._open(graph.graph, now)
        return changes.report

    async def conclude_loads(self, now: float | None) -> int:
        async def look(transaction: Transaction) -> list[str]:
            return [row[0] for row in await transaction.rows("gates_left", {})]

        graphs_ = await self._database.read(look, once=True)
        for graph in graphs_:
            await self._open(graph, now)
        return len(graphs_)

    async def _begin(self, graph: NewGraph, now: float | None) -> None:
        """Keep other loads of the graph away, and make good what the last one left. Raises Conflict."""
        row = _header(graph) | {"seconds": _LOADING_SECONDS, "now": now}

        async def work(transaction: Transaction) -> bool | None:
            if await transaction.rows("removal_of", {"run": graph.graph}):
                raise errors.Conflict(
                    f"the graph {graph.name} of {graph.namespace} is being removed with the run that loaded it; load it again"
                    " in a moment"
                )
            before = await transaction.rows("graph_loading", row)
            if not await transaction.run("graph_begin", row):
                return None
            return bool(before) and before[0][0] is not None

        is_unfinished = await self._database.write(work)
        if is_unfinished is None:
            raise errors.Conflict(
                f"another process loads the graph {graph.name} of {graph.namespace}; load it again when that is done"
            )
        if is_unfinished:
            await self._clear(graph.graph)
        else:
            await self._open(graph.graph, now)

    async def _clear(self, graph: str) -> None:
        """Remove what an unfinished load has stored: the tasks behind the gate, and those behind them."""

        async def work(transaction: Transaction) -> None:
            rows = await transaction.rows("edges_end", {"predecessor": _gate(graph)})
            left = [row[0] for row in rows]
            while left:
                task = left.pop()
                await transaction.run("edges_of_task_end", {"task": task})
                if await transaction.run("graph_task_drop", {"task": task}):
                    left += [row[0] for row in await transaction.rows("edges_end", {"predecessor": task})]

        await self._database.write(work)

    async def _stage(self, graph: str, changes: Changes, tasks: Sequence[GraphTask], now: float | None) -> None:
        """Store new tasks behind the gate, with what they wait for among themselves."""
        rows = [graphs.row_of(each, now) | {"state": TaskState.BLOCKED} for each in tasks]
        edges = [
            graphs.edge(p, each.task.task, blocking) for each in tasks for p, blocking in changes.inner(each).items()
        ]
        edges += [graphs.edge(_gate(graph), each.task.task, False) for each in tasks if changes.is_gated(each)]
        named = [{"task": each.task.task, "name": name} for each in tasks for name in each.limits]

        async def work(transaction: Transaction) -> None:
            await transaction.many("graph_task_add", rows)
            await transaction.many("edge_add", edges)
            await transaction.many("task_limit_add", named)

        await self._database.write(work)

    async def _conclude(self, graph: NewGraph, changes: Changes, now: float | None) -> None:
        """Change tasks that neither run nor are done, let new ones wait for those that were there: then the load is whole."""
        header = _header(graph) | {"tasks": changes.total, "now": now}
        outer = sorted(
            (p, each.task.task, blocking)
            for each in [*changes.new, *changes.changed]
            for p, blocking in changes.outer(each).items()
        )

        async def work(transaction: Transaction) -> None:
            for each in changes.changed:
                await transaction.run("edges_of_task_end", {"task": each.task.task})
                inner = changes.inner(each) | {_gate(graph.graph): False}
                await transaction.many("edge_add", [graphs.edge(p, each.task.task, b) for p, b in inner.items()])
                await transaction.run("graph_task_update", graphs.row_of(each, now))
            for each in changes.corrected:
                await transaction.run("graph_task_correct", graphs.row_of(each, now))
            for each in [*changes.changed, *changes.corrected]:
                await transaction.run("task_limits_end", {"task": each.task.task})
                await transaction.many("task_limit_add", [{"task": each.task.task, "name": n} for n in each.limits])
            for predecessor, task, blocking in outer:
                await graphs.wait_for(transaction, predecessor, task, blocking, now)
            await transaction.run("graph_put", header)

        await self._database.write(work)

    async def _open(self, graph: str, now: float | None) -> None:
        """Let the tasks go that waited for the gate."""

        async def work(transaction: Transaction) -> int:
            rows = await transaction.rows("gate_open", {"gate": _gate(graph), "limit": AT_ONCE})
            tasks = _encode([row[0] for row in rows]).decode()
            await transaction.run("tasks_unblock", {"tasks": tasks, "now": now})
            return len(rows)

        while await self._database.write(work) == AT_ONCE:
            pass  # the others of many, in further transactions

    async def _abandon(self, graph: str) -> None:
        """Give a load up; where the store is away, the next one finds that it was not finished."""
        await self._clear(graph)

        async def work(transaction: Transaction) -> None:
            await transaction.run("graph_abandon", {"graph": graph})

        await self._database.write(work)

    # -- reading -------------------------------------------------------------------------------------------------

    async def graph(self, namespace: str, name: str) -> GraphRow | None:
        async def work(transaction: Transaction) -> GraphRow | None:
            rows = await transaction.rows("graph_get", {"namespace": namespace, "name": name})
            if not rows:
                return None
            graph, digest, tasks, loads, loaded_at, folder, run_id = rows[0]
            return GraphRow(
                graph=graph,
                namespace=namespace,
                name=name,
                digest=digest,
                tasks=tasks,
                loads=loads,
                loaded_at=loaded_at,
                folder=folder,
                run_id=run_id,
            )

        return await self._database.read(work, once=True)

    async def document(self, namespace: str, name: str) -> tuple[str, bytes] | None:
        async def work(transaction: Transaction) -> tuple[str, bytes] | None:
            rows = await transaction.rows("graph_document", {"namespace": namespace, "name": name})
            return (rows[0][0], rows[0][1]) if rows else None

        return await self._database.read(work, once=True)

    async def graphs(self, namespace: str | None, after: tuple[str, str], limit: int) -> list[GraphRow]:
        page = {"namespace": namespace, "after_namespace": after[0], "after_name": after[1], "limit": limit}

        async def work(transaction: Transaction) -> list[GraphRow]:
            rows = await transaction.rows("graphs_page", page)
            return [
                GraphRow(
                    graph=row[0],
                    namespace=row[1],
                    name=row[2],
                    digest=row[3],
                    tasks=row[4],
                    loads=row[5],
                    loaded_at=row[6],
                    run_id=row[7],
                )
                for row in rows
            ]

        return await self._database.read(work, once=True)

    async def counts(self, graph: str, total: int) -> Mapping[TaskState, int]:
        async def work(transaction: Transaction) -> Mapping[TaskState, int]:
            rows = await transaction.rows("graph_counts", {"graph": graph})
            found = {TaskState(row[0]): int(row[1]) for row in rows}
            return found | {TaskState.DONE: max(0, total - sum(found.values()))}

        return await self._database.read(work, once=True)

    async def page(self, graph: str, state: TaskState | None, after: int, limit: int) -> list[GraphTaskRow]:
        asked = {"graph": graph, "state": state, "after": after, "limit": limit}

        async def work(transaction: Transaction) -> list[GraphTaskRow]:
            return [_task(row) for row in await transaction.rows("graph_tasks_page", asked)]

        return await self._database.read(work, once=True)

    async def get(self, task: str) -> GraphTaskRow | None:
        async def work(transaction: Transaction) -> GraphTaskRow | None:
            rows = await transaction.rows("graph_task_get", {"task": task})
            return _task(rows[0]) if rows else None

        return await self._database.read(work, once=True)

    async def tries(self, task: str, limit: int) -> list[TryRow]:
        async def work(transaction: Transaction) -> list[TryRow]:
            rows = await transaction.rows("attempts_of_task", {"task": task, "limit": limit})
            return [TryRow(**dict(zip(TryRow.__struct_fields__, row, strict=True))) for row in rows]

        return await self._database.read(work, once=True)

    async def waits_for(self, task: str) -> Mapping[str, bool]:
        async def work(transaction: Transaction) -> Mapping[str, bool]:
            return {row[0]: bool(row[1]) for row in await transaction.rows("edges_of_task", {"task": task})}

        return await self._database.read(work, once=True)

    async def open_after(self, graph: str) -> str | None:
        async def work(transaction: Transaction) -> str | None:
            rows = await transaction.rows("graph_open_after", {"graph": graph})
            return rows[0][0] if rows else None

        return await self._database.read(work, once=True)

    async def place_waits(self) -> list[PlaceWait]:
        return await self._database.read(place_waits.found)

    async def waits(self, graph: str) -> list[WaitRow]:
        async def work(transaction: Transaction) -> list[WaitRow]:
            rows = await transaction.rows("edges_of_graph", {"graph": graph})
            return [WaitRow(task=row[0], other=row[1], is_there=bool(row[2])) for row in rows]

        return await self._database.read(work, once=True)

    async def durations(self, graph: str) -> Mapping[str, float]:
        async def work(transaction: Transaction) -> Mapping[str, float]:
            return {row[0]: row[1] for row in await transaction.rows("durations_of_graph", {"graph": graph})}

        return await self._database.read(work, once=True)

    # -- by hand -------------------------------------------------------------------------------------------------

    async def reopen(self, task: str, now: float | None) -> bool:
        row = await self.get(task)
        if row is None:
            return False
        again = tried_again(row.id, await self._look(row.graph))

        async def work(transaction: Transaction) -> None:
            for wait in again.own:  # first: what waits for one that is open is blocked
                await transaction.run("edge_add_behind", graphs.edge(*wait))
            if not await transaction.run("task_reopen", {"task": task}):
                raise _NotOver
            await transaction.many("edge_add", [graphs.edge(*wait) for wait in again.inner])
            for skipped in again.behind:
                await transaction.run("task_reopen", {"task": skipped})
            for wait in again.outer:
                await graphs.wait_for(transaction, *wait, now)

        try:
            await self._database.write(work)
        except _NotOver:
            return False
        return True

    async def _look(self, graph: str) -> dict[str, Known]:
        async def work(transaction: Transaction) -> dict[str, Known]:
            rows = await transaction.rows("graph_tasks_known", {"graph": graph})
            return {row[2]: Known(row[0], row[1], TaskState(row[3]), task_graph.decode(row[4])) for row in rows}

        return await self._database.read(work, once=True)

    async def stop(self, task: str, now: float | None) -> bool:
        return bool(await self.stop_all([task], now))

    async def stop_all(self, tasks: Sequence[str], now: float | None) -> int:
        async def work(transaction: Transaction) -> int:
            return sum([await stop(transaction, task, now) for task in sorted(tasks)])

        return await self._database.write(work)

    async def stamped(self, graph: str) -> list[StampedTask]:
        async def work(transaction: Transaction) -> list[StampedTask]:
            rows = await transaction.rows("graph_tasks_stamped", {"graph": graph})
            fields = StampedTask.__struct_fields__[:-1]
            return [
                StampedTask(**dict(zip(fields, row[:-1], strict=True)), spec=task_graph.decode(row[-1])) for row in rows
            ]

        return await self._database.read(work, once=True)

    async def stamp(self, stamps: Sequence[NewStamp]) -> None:
        rows = [_stamp(each) for each in sorted(stamps, key=lambda each: each.task)]
        for start in range(0, len(rows), AT_ONCE):
            await self._stamp(rows[start : start + AT_ONCE])

    async def _stamp(self, rows: Sequence[Mapping[str, object]]) -> None:
        async def work(transaction: Transaction) -> None:
            await transaction.many("task_stamp", rows)

        await self._database.write(work)

    async def rank(self, task: str, priority: int, rank: float, spec: task_graph.TaskSpec) -> bool:
        row = {"task": task, "priority": priority, "rank": rank, "spec": task_graph.encode(spec)}

        async def work(transaction: Transaction) -> bool:
            return bool(await transaction.run("task_rank", row))

        return await self._database.write(work)


class _NotOver(Exception):
    """The task is not over, or was a success: nothing of its retry is written."""


async def stop(transaction: Transaction, task: str, now: float | None) -> bool:
    """Cancel a task, or ask who performs it to; False: it is over already."""
    rows = await transaction.rows("task_stop", {"task": task, "now": now})
    if not rows:
        return bool(await transaction.run("task_ask_to_stop", {"task": task}))
    if rows[0][0]:
        await limits.release(transaction, task)
    await transaction.run("edges_of_task_end", {"task": task})
    await graphs.unblock(transaction, task, False, now)
    return True


def _stamp(stamp: NewStamp) -> dict[str, object]:
    before = {"before_priority": stamp.before[0], "before_rank": stamp.before[1]}
    return {"task": stamp.task, "priority": stamp.after[0], "rank": stamp.after[1]} | before


def _gate(graph: str) -> str:
    """Give what the first tasks of a graph wait for while it is loaded; no task has such a name."""
    return f"{graph}/"


def _header(graph: NewGraph) -> dict[str, object]:
    return {
        "graph": graph.graph,
        "namespace": graph.namespace,
        "name": graph.name,
        "digest": graph.digest,
        "document": graph.document,
        "folder": graph.folder,
    }


def _task(row: Row) -> GraphTaskRow:
    fields = dict(zip(GraphTaskRow.__struct_fields__, row, strict=True))
    used, spec = fields["used"], fields["spec"]
    fields |= {
        "state": TaskState(fields["state"]),
        "cancel": bool(fields["cancel"]),
        "used": task_graph.decode_used(used) if used else {},
        "spec": task_graph.decode(spec),
    }
    return GraphTaskRow(**fields)
