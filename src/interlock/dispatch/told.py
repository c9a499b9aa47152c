"""What a process tells of what it performs in pools, as it happens: for its log, and for who observes it.

    task.placed -> runner.started -> runner.finished -> task.completed | task.failed | task.tried_again | task.cancelled

Nobody has to have listened: what happened stands in the rows of attempts, and `app.task_events` reads the same from those.
"""

from __future__ import annotations

from interlock import errors, telemetry
from interlock.dispatch.briefing import runner_id
from interlock.dispatch.placement import is_placed
from interlock.model import task_graph
from interlock.model.states import TaskState
from interlock.model.task import Cancelled, Done, Failed, Outcome
from interlock.store.ports import ClaimedTask, Store


def placed(task: ClaimedTask) -> None:
    """Tell that a task was given a place in a pool."""
    telemetry.emit("task.placed", task=task.task, pool=task.pool, attempt=task.attempt, runner=runner_id(task))


def started(task: ClaimedTask) -> None:
    """Tell that a pool has begun an attempt."""
    if is_placed(task):
        telemetry.emit("runner.started", task=task.task, pool=task.pool, runner=runner_id(task))


def finished(task: ClaimedTask, seconds: float) -> None:
    """Tell that an attempt runs no more, and how long this process saw it run."""
    if is_placed(task):
        runner = runner_id(task)
        telemetry.emit("runner.finished", task=task.task, pool=task.pool, runner=runner, seconds=round(seconds, 3))


async def settled(store: Store, task: ClaimedTask, outcome: Outcome) -> None:
    """Tell what became of a task whose attempt was settled. One that is given back to be placed again is not told of."""
    if task.spec is None:
        return
    about = {"task": task.task, "pool": task.pool, "attempt": task.attempt}
    match outcome:
        case Done():
            telemetry.emit("task.completed", **about)
        case Cancelled():
            telemetry.emit("task.cancelled", **about)
        case Failed():
            await _failed(store, task.task, outcome, about)


async def _failed(store: Store, task: str, outcome: Failed, about: dict[str, object]) -> None:
    why = {"failure": outcome.failure, "detail": outcome.fault.detail or outcome.fault.title}
    try:
        row = await store.tasks.get(task)
    except errors.Environment as error:  # of the telling alone: what happened is stored
        telemetry.emit("task.not_told", task=task, error=error)
        return
    if row is None or row.state in {TaskState.FAILED, TaskState.QUARANTINED}:
        retries = 0 if row is None else sum(task_graph.retried(row.used).values())
        telemetry.emit("task.failed", **about, **why, retries=retries)
    elif row.state is TaskState.CANCELLED:
        telemetry.emit("task.cancelled", **about)
    else:
        telemetry.emit("task.tried_again", **about, **why)
