"""What nodes declare of their configuration in the store: who loads or explains tasks elsewhere goes by it."""

from __future__ import annotations

import msgspec

from interlock.decisions import pools as choosing
from interlock.decisions import steps
from interlock.decisions.pools import PoolStrategy
from interlock.dispatch.attempt_terms import AttemptTerms
from interlock.dispatch.machines import DeclaredMachines
from interlock.model.task_graph import RetryTerms


class Declared(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the row of all pools keeps of the configuration."""

    policy: str = "priority"
    ageing_seconds: float | None = None
    weights: dict[str, float] = {}
    retry: RetryTerms = RetryTerms()
    strategy: PoolStrategy = PoolStrategy.LEAST_LOADED
    failover: bool = True
    attempts: AttemptTerms = AttemptTerms()
    mapping: dict[str, tuple[str, ...]] = msgspec.field(default_factory=lambda: {choosing.DEFAULT: (steps.LOCAL,)})


class DeclaredOfPool(DeclaredMachines, frozen=True, kw_only=True, omit_defaults=True):
    """What the row of a pool keeps of its configuration, beside its room, and of the nodes that have it."""

    labels: dict[str, str] = msgspec.field(default_factory=dict)
    cost: float = 0.0
    weight: float = 1.0
