"""Which waiting task is for which worker: what workers that look at the same time agree on without talking. Pure.

Each worker that takes tasks out of a queue sees the same tasks, the same workers and their loads. So each computes the same
plan for all of them and takes only its own part; whatever it takes, it takes atomically, so two that saw different things
take nothing twice.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from interlock.decisions import record, strategies
from interlock.decisions import task as tasks
from interlock.decisions.record import Decision
from interlock.decisions.strategies import Options, Question, Ranking, Strategy
from interlock.decisions.task import Task
from interlock.model.worker import Worker, WorkerStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Allotted:
    """A task and the worker that it is for. `workers`: all of them, with the loads that were assumed."""

    task: Task
    worker: Worker
    strategy: Strategy
    ranking: Ranking
    workers: Sequence[Worker]

    def decision(self) -> Decision:
        """Explain it: who could have had the task, with which score, and who could not."""
        return record.decision(self.strategy, self.task, self.ranking, self.worker, self.workers)


def allot(
    strategy: Strategy,
    waiting: Sequence[Task],
    workers: Sequence[Worker],
    *,
    now: float,
    options: Options | None = None,
    weights: Mapping[str, float] | None = None,
) -> dict[str, Allotted]:
    """Give each task, in their order, to the best worker, as if those before it had been taken; by their ids.

    A task that nobody has room for is left out. `weights`: what the voters of `adaptive` have learned. `now`: UTC seconds.
    """
    assumed = {worker.id: worker for worker in sorted(workers, key=lambda worker: worker.id)}
    plan: dict[str, Allotted] = {}
    for task in waiting:
        if not any(worker.has_capacity for worker in assumed.values()):
            break
        everybody = list(assumed.values())
        able = [worker for worker in everybody if tasks.refusal(task, worker) is None]
        if not able:
            continue
        question = Question(
            task=task,
            able=able,
            fitting=[worker for worker in everybody if tasks.misfit(task, worker) is None],
            options=options or Options(),
            chance=_lots(task.id),
            weights=weights or {},
        )
        ranking = strategies.rank(strategy, question)
        best = ranking.order[0][0]
        plan[task.id] = Allotted(task=task, worker=best, strategy=strategy, ranking=ranking, workers=everybody)
        assumed[best.id] = _with_one_more(best, now)
    return plan


def in_order(waiting: Sequence[Task], now: float, ageing_seconds: float | None) -> list[Task]:
    """Give tasks in the order in which they are to be done: by urgency with their age, then the oldest first."""
    return sorted(
        waiting,
        key=lambda task: (
            -tasks.urgency(task, now, ageing_seconds),
            now if task.created_at is None else task.created_at,
            task.id,
        ),
    )


def _with_one_more(worker: Worker, now: float) -> Worker:
    active = worker.active + 1
    status = WorkerStatus.BUSY if active >= worker.capacity else worker.status
    return replace(worker, active=active, status=status, assigned=worker.assigned + 1, assigned_at=now)


def _lots(task: str) -> Callable[[], float]:
    """Give numbers of [0, 1) that are the same for a task in every process, so that all draw the same lots."""
    drawn = 0

    def draw() -> float:
        nonlocal drawn
        drawn += 1
        digest = hashlib.blake2b(f"{task}/{drawn}".encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big") / 2**64

    return draw


__all__ = ["Allotted", "allot", "in_order"]
