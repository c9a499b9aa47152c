"""Workers as everybody sees them: what they can do, how they are, and which state follows which.

    NEW --register--> ACTIVE <--the last slot is taken, or freed--> BUSY
    ACTIVE, BUSY --drain--> DRAINING, and back
    ACTIVE, BUSY, DRAINING --nothing is heard for too long--> STALE --a heartbeat--> as before
    STALE --given up--> OFFLINE --cleaned up--> REMOVED
    ACTIVE, BUSY, DRAINING, STALE --deregister--> REMOVED

Stored are registered, draining, offline and removed. ACTIVE, BUSY and STALE follow from what the worker holds and from the
age of its last heartbeat. A process that takes the id of a worker that is gone is NEW.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from interlock.model.json import Json


class WorkerState(StrEnum):
    """As it is stored."""

    REGISTERED = "registered"
    DRAINING = "draining"
    OFFLINE = "offline"
    REMOVED = "removed"


class WorkerStatus(StrEnum):
    """As it is seen."""

    NEW = "new"
    ACTIVE = "active"
    BUSY = "busy"
    DRAINING = "draining"
    STALE = "stale"
    OFFLINE = "offline"
    REMOVED = "removed"


_W = WorkerStatus

WORKER_TRANSITIONS: Final[Mapping[WorkerStatus, frozenset[WorkerStatus]]] = {
    _W.NEW: frozenset({_W.ACTIVE}),
    _W.ACTIVE: frozenset({_W.BUSY, _W.DRAINING, _W.STALE, _W.REMOVED}),
    _W.BUSY: frozenset({_W.ACTIVE, _W.DRAINING, _W.STALE, _W.REMOVED}),
    _W.DRAINING: frozenset({_W.ACTIVE, _W.BUSY, _W.STALE, _W.REMOVED}),
    _W.STALE: frozenset({_W.ACTIVE, _W.BUSY, _W.DRAINING, _W.OFFLINE, _W.REMOVED}),
    _W.OFFLINE: frozenset({_W.REMOVED}),
    _W.REMOVED: frozenset(),
}

PRESENT: Final = frozenset({_W.ACTIVE, _W.BUSY, _W.DRAINING, _W.STALE})
"""Those that nobody gave up yet."""


def status(stored: WorkerState, *, is_stale: bool, active: int, capacity: int) -> WorkerStatus:
    """Give how a worker is seen, by what is stored of it and what it holds."""
    if stored is WorkerState.OFFLINE or stored is WorkerState.REMOVED:
        return WorkerStatus(stored.value)
    if is_stale:
        return WorkerStatus.STALE
    if stored is WorkerState.DRAINING:
        return WorkerStatus.DRAINING
    return WorkerStatus.BUSY if active >= capacity else WorkerStatus.ACTIVE


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a worker can do. `task_types`: empty for any. `skills`, and what else tasks may ask for by name."""

    task_types: Set[str] = frozenset()
    skills: Set[str] = frozenset()
    cpu_cores: float = 1.0
    memory_mb: float = 0.0
    region: str | None = None

    def supports(self, task_type: str) -> bool:
        return not self.task_types or task_type in self.task_types


class Health(StrEnum):
    HEALTHY = "healthy"
    DEGRADED = "degraded"
    UNHEALTHY = "unhealthy"


_DEGRADED_PERCENT: Final = 70.0
_UNHEALTHY_PERCENT: Final = 90.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """How the machine of a worker is, as its last heartbeat told. `cpu`, `memory`: percent in use. `network`: 0 to 1.

    `response_ms`: how long it takes to answer; `throughput`: what it gets done, per second. `battery`: percent, None on
    mains. `accepts`: False from a worker that stops. `process_cpu`: percent of one core that its process takes;
    `process_memory_mb`.
    """

    cpu: float = 0.0
    memory: float = 0.0
    network: float = 1.0
    response_ms: float = 0.0
    throughput: float = 0.0
    battery: float | None = None
    accepts: bool = True
    process_cpu: float = 0.0
    process_memory_mb: float = 0.0

    @property
    def health(self) -> Health:
        worst = max(self.cpu, self.memory)
        if not self.accepts or worst > _UNHEALTHY_PERCENT:
            return Health.UNHEALTHY
        return Health.DEGRADED if worst > _DEGRADED_PERCENT else Health.HEALTHY


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """A worker as it was when it was looked at. Times: UTC seconds. `session`: which process it is.

    `silent_seconds`: since its last heartbeat, None when its life has ended; `may_be_silent_seconds`: after which it is
    stale. `assigned`: tasks that it was ever given; `busy_seconds`: that those which ended took in sum.
    `since_failure_seconds`: None when no task of its failed.
    """

    id: str
    session: str
    status: WorkerStatus
    host: str
    pid: int
    capacity: int
    active: int
    capabilities: Capabilities = Capabilities()
    metadata: Mapping[str, Json] = field(default_factory=dict)
    device: Device = Device()
    fence: int = 1
    registered_at: float = 0.0
    ended_at: float | None = None
    heard_at: float | None = None
    silent_seconds: float | None = 0.0
    may_be_silent_seconds: float = 120.0
    assigned: int = 0
    assigned_at: float | None = None
    succeeded: int = 0
    failed: int = 0
    busy_seconds: float = 0.0
    since_failure_seconds: float | None = None

    @property
    def free(self) -> int:
        """Slots that can be taken; none while it is over its capacity, which may have been lowered."""
        return max(0, self.capacity - self.active)

    @property
    def utilisation(self) -> float:
        """The share of its slots that is taken, 0 to 1."""
        return min(1.0, self.active / self.capacity) if self.capacity else 1.0

    @property
    def has_capacity(self) -> bool:
        """Whether it takes a task now."""
        return self.status is WorkerStatus.ACTIVE and self.free > 0 and self.device.accepts

    @property
    def ended(self) -> int:
        """Tasks of its that ended, one way or the other."""
        return self.succeeded + self.failed

    @property
    def success_rate(self) -> float | None:
        return self.succeeded / self.ended if self.ended else None

    @property
    def average_seconds(self) -> float | None:
        return self.busy_seconds / self.ended if self.ended else None

    @property
    def free_cpu(self) -> float:
        """Cores that are idle."""
        return self.capabilities.cpu_cores * (1 - min(100.0, max(0.0, self.device.cpu)) / 100)

    @property
    def free_memory_mb(self) -> float:
        return self.capabilities.memory_mb * (1 - min(100.0, max(0.0, self.device.memory)) / 100)
