"""What the dispatcher's files mean, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from interlock.decisions.autoscaling import Terms
from interlock.decisions.pools import DEFAULT, WORKFLOWS, PoolStrategy
from interlock.model.json import Json
from interlock.model.task_graph import RetryTerms

LOCAL: Final = "local"


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolSettings:
    """One pool as it is configured. None: no bound. `memory`: megabytes. `config`: of its type, checked by its launcher."""

    name: str
    type: str
    capacity: int | None = None
    cpu: float | None = None
    memory: float | None = None
    gpus: int = 0
    enabled: bool = True
    labels: Mapping[str, str] = field(default_factory=dict)
    cost: float = 0.0
    weight: float = 1.0
    config: Mapping[str, Json] = field(default_factory=dict)


OF_WORKFLOWS: Final = PoolSettings(name=WORKFLOWS, type=WORKFLOWS, capacity=1000)
"""Where tasks that are workflows wait for their runs. Its bound leaves room among the attempts that one node watches."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthSettings:
    """How pools are tried: every `interval_seconds`, for at most `timeout_seconds`; one that failed again after
    `again_seconds`."""

    enabled: bool = True
    interval_seconds: float = 30.0
    timeout_seconds: float = 10.0
    again_seconds: float = 300.0


class DeadlockAction(StrEnum):
    """What becomes of tasks that wait for each other."""

    WARN = "warn"
    """They are told of as a warning, and stay."""
    ERROR = "error"
    """They are told of as an error, and stay: somebody has to decide."""
    RESOLVE = "resolve"
    """They are told of, and the one of the lowest priority is cancelled, which lets the others go on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadlockSettings:
    """How often circles are looked for, and what is done about them."""

    enabled: bool = True
    interval_seconds: float = 60.0
    action: DeadlockAction = DeadlockAction.WARN


@dataclass(frozen=True, slots=True, kw_only=True)
class AutoscalingSettings:
    """When pools of workers and of Kubernetes grow and shrink. `command`: the arguments of the program that carries it out
    for workers, nothing where there are none."""

    terms: Terms = field(default_factory=Terms)
    command: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkspaceSettings:
    """Where the worktrees of attempts are: `folder`, "" for beside the repository. `lease_seconds`: how long making one ready
    may take; `release_seconds`: how long taking it back may."""

    folder: str = ""
    lease_seconds: float = 30.0
    release_seconds: float = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Scheduling:
    """How tasks of graphs are placed.

    `capacity`: of all pools together, None for no bound. `poll_seconds`: how long a wake-up that was lost may delay a task,
    None for what the dispatcher does by itself. `grace_seconds`: how long attempts of graphs may still run when their node
    drains, None for as long as everything else there. `timeout_seconds` and `environment`: of attempts whose tasks say
    nothing else. `autoscaling`: None for off. `pools`: those of the file, and the one of workflows.
    """

    policy: str = "priority"
    ageing_seconds: float | None = None
    weights: Mapping[str, float] = field(default_factory=dict)
    capacity: int | None = None
    retry: RetryTerms = field(default_factory=RetryTerms)
    poll_seconds: float | None = None
    grace_seconds: float | None = None
    timeout_seconds: float | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    deadlocks: DeadlockSettings = DeadlockSettings()
    workspaces: WorkspaceSettings = WorkspaceSettings()
    strategy: PoolStrategy = PoolStrategy.LEAST_LOADED
    failover: bool = True
    health: HealthSettings = HealthSettings()
    autoscaling: AutoscalingSettings | None = None
    pools: Mapping[str, PoolSettings] = field(
        default_factory=lambda: {LOCAL: PoolSettings(name=LOCAL, type="local-process"), WORKFLOWS: OF_WORKFLOWS}
    )
    mapping: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: {DEFAULT: (LOCAL,)})
