"""Statuses of runs, steps and tasks, and which may follow which. Every statement and every transition asks these tables.

Source of the run phases: OWS 1.0.3, "Status Phases".
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class RunStatus(StrEnum):
    PENDING = "pending"
    RUNNING = "running"
    WAITING = "waiting"
    SUSPENDED = "suspended"
    CANCELLED = "cancelled"
    FAULTED = "faulted"
    COMPLETED = "completed"


class StepStatus(StrEnum):
    PENDING = "pending"
    RUNNING = "running"
    WAITING = "waiting"
    COMPLETED = "completed"
    FAULTED = "faulted"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"
    COMPENSATED = "compensated"


class TaskState(StrEnum):
    BLOCKED = "blocked"
    READY = "ready"
    HELD = "held"
    RUNNING = "running"
    DELAYED = "delayed"
    QUARANTINED = "quarantined"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"


R, S, T = RunStatus, StepStatus, TaskState

_LIVE_RUN: Final = frozenset({R.RUNNING, R.WAITING, R.SUSPENDED, R.CANCELLED, R.FAULTED, R.COMPLETED})

RUN_TRANSITIONS: Final[dict[RunStatus, frozenset[RunStatus]]] = {
    R.PENDING: frozenset({R.RUNNING, R.WAITING, R.SUSPENDED, R.CANCELLED, R.FAULTED, R.COMPLETED}),
    R.RUNNING: _LIVE_RUN - {R.RUNNING},
    R.WAITING: _LIVE_RUN - {R.WAITING},
    R.SUSPENDED: frozenset({R.RUNNING, R.WAITING, R.CANCELLED, R.FAULTED, R.COMPLETED}),
    R.CANCELLED: frozenset(),
    R.FAULTED: frozenset({R.RUNNING, R.WAITING}),  # the one way back: `retry`, with a new epoch
    R.COMPLETED: frozenset(),
}

TASK_TRANSITIONS: Final[dict[TaskState, frozenset[TaskState]]] = {
    T.BLOCKED: frozenset({T.READY, T.DELAYED, T.SKIPPED, T.CANCELLED}),
    T.READY: frozenset({T.RUNNING, T.HELD, T.CANCELLED, T.BLOCKED}),  # blocked: by a load that changes it
    T.HELD: frozenset({T.READY, T.CANCELLED, T.BLOCKED}),
    T.RUNNING: frozenset(
        {T.DONE, T.FAILED, T.CANCELLED, T.DELAYED, T.READY, T.QUARANTINED, T.HELD}
    ),  # held: by its claim
    T.DELAYED: frozenset({T.READY, T.CANCELLED, T.BLOCKED}),
    T.QUARANTINED: frozenset({T.READY, T.CANCELLED, T.BLOCKED}),
    T.DONE: frozenset(),
    T.FAILED: frozenset({T.READY, T.BLOCKED}),  # these three only by hand: a new attempt of the same task
    T.CANCELLED: frozenset({T.READY, T.BLOCKED}),
    T.SKIPPED: frozenset({T.READY, T.BLOCKED}),
}

ENDED_RUN: Final = frozenset({R.CANCELLED, R.FAULTED, R.COMPLETED})
