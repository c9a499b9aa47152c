"""Why a step of a workflow is where it is, or waits: what it asks of the pools, and why each could not have it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from interlock import errors
from interlock.app.declarers import live_nodes, standing
from interlock.app.ordering import in_force
from interlock.app.stranded import is_configured
from interlock.app.tasks import pool_view
from interlock.coord.workers import WorkerRegistry
from interlock.decisions import pools as choosing
from interlock.decisions import steps
from interlock.decisions import task as matching
from interlock.decisions.pools import Asked, PoolDecision
from interlock.dispatch.lanes import SERVES
from interlock.model.call import Requirements
from interlock.model.states import TaskState
from interlock.service import Clock
from interlock.store.ports import ALL, PoolRow, QueuedStep, RunRow, Store, TaskRow

_HEADS: Final = 10_000
"""Steps of one lane among which the one is looked for that waits."""
_PLACEMENT: Final = "placement"
_OVER: Final = frozenset({TaskState.DONE, TaskState.FAILED, TaskState.CANCELLED})


@dataclass(frozen=True, slots=True, kw_only=True)
class StepExplanation:
    """`asked`: the pools that it may have, None once it does not wait; `now`: why each of them, or each worker of the pool
    that it names, could not have it at present (None: it could); `placements`: why its attempts were where they were, the
    latest first."""

    run: RunRow
    task: TaskRow
    asked: Asked | None
    now: Mapping[str, str | None]
    placements: Sequence[PoolDecision]


async def explain(store: Store, clock: Clock, run: RunRow, path: str) -> StepExplanation:
    """Explain the last task of a step that is not over, or its last one. Raises NotFound for a step without a task."""
    tasks = [each for each in await store.views.tasks(run.run) if each.path == path]
    if not tasks:
        raise errors.NotFound(
            f"the step {path} of the run {run.id} has no task: it has not begun, or the node that has the run performs it by "
            f"itself; `interlock show {run.id}` says how it stands"
        )
    task = next((each for each in reversed(tasks) if each.state not in _OVER), tasks[-1])
    recorded = await store.workers.choices(_PLACEMENT, task.task, 20)
    asked, now = await _waiting(store, clock, task) if task.state is TaskState.READY else (None, {})
    return StepExplanation(
        run=run, task=task, asked=asked, now=now, placements=[choosing.decode(each.body) for each in recorded]
    )


async def _waiting(store: Store, clock: Clock, task: TaskRow) -> tuple[Asked, dict[str, str | None]]:
    """Give what a ready step may have, and why it has not: by pool, or by worker where workers serve its pool."""
    rows = {row.pool: row for row in await store.pools.all()}
    if task.pool in steps.NODE_POOLS:
        return Asked((), "no pool: the node that has its run performs it, when it has a free slot"), {}
    step = next((each for each in await store.pools.steps(task.pool, _HEADS) if each.task == task.task), None)
    if step is None:
        return Asked((), f"{task.pool}; it was taken meanwhile, or more than {_HEADS} others are before it"), {}
    if is_configured(task.pool, rows):
        return _of_pools(step, task.pool, rows, clock.now(), await live_nodes(store, clock))
    return await _of_workers(store, clock, step, task.pool)


def _of_pools(
    step: QueuedStep, lane: str, rows: Mapping[str, PoolRow], now: float, live: Collection[str]
) -> tuple[Asked, dict[str, str | None]]:
    """Say it of the pools of configurations. `live`: the nodes that are."""
    spec = steps.spec(step.task, step.target, step.requires)
    types = {name: row.type for name, row in rows.items() if name != ALL}
    declared = in_force(rows.get(ALL)).declared
    asked = choosing.preferred(steps.asked(lane, spec, types, declared.mapping), failover=declared.failover)
    told: dict[str, str | None] = {}
    there = {row.pool: row for row in standing(rows.values(), live)}
    for name in asked.pools:
        row = there.get(name)
        told[name] = (
            "is not configured by any node" if row is None else choosing.refusal(spec, pool_view(row, now, live))
        )
    return asked, told


async def _of_workers(store: Store, clock: Clock, step: QueuedStep, pool: str) -> tuple[Asked, dict[str, str | None]]:
    """Say it of the workers of a pool."""
    found = await WorkerRegistry(store, clock).list_workers()
    serving = [worker for worker in found if worker.metadata.get(SERVES) == pool]
    asks = step.requires or Requirements()
    task = matching.Task(
        id=step.task,
        type=asks.type,
        skills=frozenset(asks.skills),
        region=asks.region,
        min_cpu_cores=asks.cpu,
        min_memory_mb=asks.memory,
    )
    told = {worker.id: matching.refusal(task, worker) for worker in serving}
    warning = None if told else f"no live worker takes the tasks of {pool}, and no node has a pool of that name"
    return Asked((pool,), f"named by the step: {pool}, whose workers claim its tasks", warning), told
