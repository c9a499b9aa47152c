"""What happened to a task of a graph, as events, read from the rows of its attempts.

    task.assigned    it was given its place            runner.started    its pool had begun it
    runner.finished  the attempt was over              task.completed, task.failed, task.cancelled   so was the task

Every row is written in the transaction that places or ends an attempt, so no event can be lost or told twice, and none has to
be kept elsewhere while the store is away (checklist EV-01, EV-02).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from interlock.dispatch.briefing import runner_of
from interlock.model import task_graph
from interlock.model.states import TaskState
from interlock.store.ports import GraphTaskRow, TryRow
from interlock.wire.graphs import TaskEventTold

_ENDS: Final = {
    TaskState.DONE: "task.completed",
    TaskState.FAILED: "task.failed",
    TaskState.QUARANTINED: "task.failed",
    TaskState.CANCELLED: "task.cancelled",
}


def events(row: GraphTaskRow, tries: Sequence[TryRow]) -> list[TaskEventTold]:
    """Give the events of the attempts that are given, the latest first, in the order of their happening."""
    found = [event for each in reversed(tries) for event in _of(each)]
    if row.state in _ENDS:
        last = tries[0] if tries else None
        ends = [at for at in (row.ended_at, None if last is None else last.ended_at) if at is not None]
        if ends:
            at = max(ends)  # both are of one transaction, whose statements may read the clock one by one
            found.append(
                TaskEventTold(
                    type=_ENDS[row.state],
                    time=at,
                    attempt=row.attempt,
                    retries=sum(task_graph.retried(row.used).values()),
                    seconds=None if not tries else round(at - tries[-1].placed_at, 6),
                    failure=None if last is None else last.failure,
                )
            )
    return found


def _of(each: TryRow) -> Iterator[TaskEventTold]:
    runner = runner_of(each.task, each.fence)

    def event(type: str, time: float, seconds: float | None = None, outcome: str | None = None) -> TaskEventTold:
        return TaskEventTold(
            type=type,
            time=time,
            attempt=each.attempt,
            runner=runner,
            pool=each.pool,
            node=each.holder,
            seconds=seconds,
            outcome=outcome,
            failure=each.failure if outcome is not None else None,
        )

    yield event("task.assigned", each.placed_at)
    if each.started_at is not None:
        yield event("runner.started", each.started_at)
    if each.ended_at is not None:
        began = each.placed_at if each.started_at is None else each.started_at
        yield event("runner.finished", each.ended_at, round(each.ended_at - began, 6), each.outcome)
