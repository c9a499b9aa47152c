"""A task as the balancer sees it: what it needs of a worker, how urgent it is, whom it prefers and whom it avoids."""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Final

import msgspec

from interlock.model.json import Json
from interlock.model.worker import Worker

Reason = str
"""Why a worker cannot have a task, as people read it."""


class Task(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A task to be placed. A larger `priority` is more urgent. `created_at`: UTC seconds, None as if just now.

    `complexity`: how hard it is, which no slots are counted by. `prefers`, `avoids`: ids of workers; a preference gives way
    when those are full, an aversion never does. `metadata`: also what an affinity looks at.
    """

    id: str
    type: str = ""
    priority: float = 0.0
    complexity: float = 1.0
    estimated_seconds: float | None = None
    min_cpu_cores: float = 0.0
    min_memory_mb: float = 0.0
    skills: frozenset[str] = frozenset()
    region: str | None = None
    prefers: frozenset[str] = frozenset()
    avoids: frozenset[str] = frozenset()
    metadata: Mapping[str, Json] = {}
    created_at: float | None = None


def misfit(task: Task, worker: Worker) -> Reason | None:
    """Say why a worker can never have a task as it is; None: it can, once it has a free slot."""
    able = worker.capabilities
    if worker.id in task.avoids:
        return "the task avoids it"
    if task.type and not able.supports(task.type):
        return f"takes no tasks of the type {task.type}"
    if missing := sorted(task.skills - _names(able.skills)):
        return f"lacks {', '.join(missing)}"
    if task.region is not None and able.region != task.region:
        return f"is not in the region {task.region}"
    if able.cpu_cores < task.min_cpu_cores:
        return f"has {able.cpu_cores:g} of {task.min_cpu_cores:g} cores"
    if able.memory_mb < task.min_memory_mb:
        return f"has {able.memory_mb:g} of {task.min_memory_mb:g} MB"
    return None


def refusal(task: Task, worker: Worker) -> Reason | None:
    """Say why a worker cannot have a task now; None: it can."""
    if reason := misfit(task, worker):
        return reason
    if worker.has_capacity:
        return None
    if not worker.device.accepts:
        return "is stopping"
    return f"is {worker.status}" if worker.free else "has no free slot"


def urgency(task: Task, now: float, ageing_seconds: float | None) -> float:
    """Give the priority of a task with its age: one level more for every `ageing_seconds`, so that nothing waits for ever."""
    if ageing_seconds is None or task.created_at is None:
        return task.priority
    return task.priority + max(0.0, now - task.created_at) / ageing_seconds


def _names(found: Set[str]) -> frozenset[str]:
    return frozenset(found)


encode: Final = msgspec.json.Encoder().encode
