"""Task graphs, tasks and pools as JSON tells them: the same shapes for the command line, the HTTP API and its clients."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec

from interlock.app.declarers import standing
from interlock.app.ordering import Chosen, in_force
from interlock.app.steps_explained import StepExplanation
from interlock.app.task_events import events
from interlock.app.tasks import Explanation, pool_view, short
from interlock.decisions import pools as choosing
from interlock.model import json, task_graph
from interlock.model.json import Json
from interlock.model.states import TaskState
from interlock.secrets.form import hidden
from interlock.store.ports import ALL, GraphRow, GraphTaskRow, LoadedGraph, PoolRow, TryRow
from interlock.wire import graphs as wire

if TYPE_CHECKING:
    from interlock.flow.taskgraph.document import GraphDocument

_PLACED: Final = frozenset({TaskState.RUNNING, TaskState.DONE, TaskState.FAILED})
"""In which the pool of a row is one; before that it is a lane."""


def loaded(document: GraphDocument, done: LoadedGraph, folder: str, *, served: bool) -> wire.LoadedTold:
    """Give what a load did. `folder`: where the tasks start; `served`: a node places tasks now."""
    return wire.LoadedTold(
        graph=document.name,
        namespace=document.namespace,
        added=list(done.added),
        changed=list(done.changed),
        same=done.same,
        corrected=list(done.corrected),
        kept=list(done.kept),
        absent=list(done.absent),
        folder=folder,
        served=served,
    )


def graph(row: GraphRow, counts: Mapping[TaskState, int]) -> wire.GraphTold:
    """Give a graph with how many of its tasks are in each state."""
    return wire.GraphTold(**_graph(row, counts))


def whole_graph(row: GraphRow, counts: Mapping[TaskState, int], *, served: bool) -> wire.GraphWhole:
    """Give a graph, and whether a node places tasks now."""
    return wire.GraphWhole(**_graph(row, counts), folder=row.folder, served=served)


def source(row: GraphRow, digest: str, document: bytes) -> wire.GraphSource:
    """Give what the author of a graph wrote."""
    told = json.decode(document) if document else None
    return wire.GraphSource(graph=row.name, namespace=row.namespace, digest=digest, document=told)


def _graph(row: GraphRow, counts: Mapping[TaskState, int]) -> dict[str, Any]:
    return {
        "graph": row.name,
        "namespace": row.namespace,
        "tasks": row.tasks,
        "states": {str(state): count for state, count in counts.items() if count},
        "loads": row.loads,
        "loaded_at": row.loaded_at,
        "digest": row.digest,
        "run": row.run_id or None,
    }


def task(row: GraphTaskRow) -> wire.GraphTaskTold:
    """Give a task."""
    return wire.GraphTaskTold(**_task(row))


def _task(row: GraphTaskRow) -> dict[str, Any]:
    namespace, _, name = row.graph.partition("/")
    return {
        "task": short(row.task),
        "id": row.id,
        "graph": name,
        "namespace": namespace,
        "number": row.number,
        "state": str(row.state),
        "pool": row.pool if row.state in _PLACED else None,
        "attempt": row.attempt,
        "attempts": task_graph.executions(row.spec.retry),
        "priority": row.spec.priority,
        "retries": task_graph.retried(row.used),
        "node": row.holder,
        "created_at": row.created_at,
        "ready_at": row.ready_at,
        "ended_at": row.ended_at,
        "held_by": row.held_by,
        "cancel": row.cancel,
        "title": row.spec.title,
        "dependencies": list(row.spec.dependencies),
        "skills": list(row.spec.skills),
        "lane": row.pool if row.state is TaskState.READY else None,
    }


def whole_task(row: GraphTaskRow, tries: Sequence[TryRow]) -> wire.GraphTaskWhole:
    """Give a task with what its author wrote of it, and its attempts."""
    spec = row.spec
    return wire.GraphTaskWhole(
        **_task(row),
        kind=spec.kind,
        description=spec.description,
        pools=list(spec.pools),
        labels=spec.labels,
        cpu=spec.resources.cpu,
        memory=spec.resources.memory,
        gpus=spec.resources.gpus,
        key=spec.key,
        optional=spec.optional,
        timeout_seconds=spec.timeout_seconds,
        deadline=spec.deadline,
        expected_seconds=spec.expected_seconds,
        inputs=spec.inputs,
        metadata=spec.metadata,
        tries=[_try(each) for each in tries],
        events=events(row, tries),
    )


def _try(row: TryRow) -> wire.TryTold:
    return wire.TryTold(
        attempt=row.attempt,
        fence=row.fence,
        pool=row.pool,
        node=row.holder,
        placed_at=row.placed_at,
        started_at=row.started_at,
        ended_at=row.ended_at,
        outcome=row.outcome,
        failure=row.failure,
        detail=_detail(row.detail),
    )


def _detail(detail: bytes | None) -> Json:
    """Give a result or a fault, with `***` for secrets."""
    return None if detail is None else json.decode(hidden(detail.decode()).encode())


def explained(found: Explanation) -> wire.Explained:
    """Give why a task is where it is."""
    row = found.task
    return wire.Explained(
        **_task(row),
        asked=found.asked.how,
        warning=found.asked.warning,
        waits_for=list(found.waits_for),
        now=dict(found.now),
        placements=[msgspec.convert(msgspec.to_builtins(each), wire.PlacementTold) for each in found.placements],
        tries=[_try(each) for each in found.tries],
        policy=found.policy,
        budgets={each.failure: _budget(row, each.failure) for each in found.tries if each.failure is not None},
    )


def step_explained(found: StepExplanation) -> wire.StepExplained:
    """Give why the task of a step is where it is."""
    task, asked = found.task, found.asked
    return wire.StepExplained(
        run=found.run.id,
        namespace=found.run.namespace,
        path=task.path,
        task=task.task,
        state=str(task.state),
        pool=task.pool if task.state in _PLACED else None,
        node=task.holder,
        attempt=task.attempt,
        asked="" if asked is None else asked.how,
        warning=None if asked is None else asked.warning,
        now=dict(found.now),
        placements=[msgspec.convert(msgspec.to_builtins(each), wire.PlacementTold) for each in found.placements],
    )


def _budget(row: GraphTaskRow, failure: str) -> wire.Budget:
    terms = row.spec.retry
    counted = task_graph.counted(failure, terms)  # a timeout may share the budget of another class
    return wire.Budget(used=row.used.get(counted, 0), of=terms.budgets.get(counted, task_graph.budget(counted)))


def pools(rows: Sequence[PoolRow], live: Collection[str]) -> wire.Pools:
    """Give the pools, and what holds for all of them together. `live`: the nodes that are."""
    there = {row.pool for row in standing(rows, live)}
    together = next((row for row in rows if row.pool == ALL), None)
    order = in_force(together)
    return wire.Pools(
        items=[wire.PoolTold(**_pool(row), served=row.pool in there) for row in rows if row.pool != ALL],
        running=0 if together is None else together.running,
        capacity=None if together is None else together.capacity,
        policy=order.name,
        configured=order.declared.policy,
    )


def chosen(done: Chosen) -> wire.PolicyChosen:
    """Give what became of the choice of a policy."""
    order = done.order
    return wire.PolicyChosen(
        policy=order.name, configured=order.declared.policy, changed=done.changed, stamped=done.stamped
    )


def pool(row: PoolRow) -> wire.PoolTold:
    """Give a pool."""
    return wire.PoolTold(**_pool(row))


def moved(row: PoolRow, *, changed: bool) -> wire.PoolMoved:
    """Give a pool after somebody changed it."""
    return wire.PoolMoved(**_pool(row), changed=changed)


def _pool(row: PoolRow) -> dict[str, Any]:
    return {
        "pool": row.pool,
        "type": row.type,
        "state": str(row.state),
        "running": row.running,
        "capacity": row.capacity,
        "cpu": row.cpu,
        "cpu_taken": row.cpu_taken,
        "memory": row.memory,
        "memory_taken": row.memory_taken,
        "gpus": row.gpus,
        "devices_taken": list(row.devices_taken),
        "placed": row.turn,
        "routed": row.routed,
        "ills": [wire.IllTold(node=ill.node, reason=ill.reason, again_at=ill.again_at) for ill in row.ills],
        "warnings": list(choosing.reached(pool_view(row, now=0.0, live=())).values()),
    }
