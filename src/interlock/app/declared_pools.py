"""What a node's configuration tells the store of its pools, for those who load, explain or claim tasks elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

import msgspec

from interlock.decisions import pools as choosing
from interlock.decisions.pools import PoolStrategy
from interlock.dispatch.attempt_terms import AttemptTerms
from interlock.dispatch.configuration import LOCAL, PoolSettings, Scheduling
from interlock.model.task_graph import RetryTerms
from interlock.store.ports import ALL, DeclaredPool


class Declared(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the row of all pools keeps of the configuration: who loads or explains tasks elsewhere goes by that."""

    policy: str = "priority"
    ageing_seconds: float | None = None
    weights: dict[str, float] = {}
    retry: RetryTerms = RetryTerms()
    strategy: PoolStrategy = PoolStrategy.LEAST_LOADED
    failover: bool = True
    attempts: AttemptTerms = AttemptTerms()
    mapping: dict[str, tuple[str, ...]] = msgspec.field(default_factory=lambda: {choosing.DEFAULT: (LOCAL,)})


class DeclaredOfPool(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the row of a pool keeps of its configuration, beside its room."""

    labels: dict[str, str] = {}
    cost: float = 0.0
    weight: float = 1.0
    nodes: tuple[str, ...] = ()
    """Those that have it in their configuration, as far as the last one that declared it knew."""


def declared(scheduling: Scheduling, nodes: Mapping[str, Iterable[str]] = MappingProxyType({})) -> list[DeclaredPool]:
    """Give what the store keeps of a configuration. `nodes`: by pool, those that have it."""
    whole = Declared(
        policy=scheduling.policy,
        ageing_seconds=scheduling.ageing_seconds,
        weights=dict(scheduling.weights),
        retry=scheduling.retry,
        strategy=scheduling.strategy,
        failover=scheduling.failover,
        attempts=AttemptTerms(timeout_seconds=scheduling.timeout_seconds, environment=dict(scheduling.environment)),
        mapping=dict(scheduling.mapping),
    )
    rows = [DeclaredPool(pool=ALL, type="", capacity=scheduling.capacity, settings=msgspec.json.encode(whole))]
    return rows + [_row(pool, nodes.get(name, ())) for name, pool in scheduling.pools.items()]


def _row(pool: PoolSettings, nodes: Iterable[str]) -> DeclaredPool:
    kept = DeclaredOfPool(labels=dict(pool.labels), cost=pool.cost, weight=pool.weight, nodes=tuple(sorted(nodes)))
    return DeclaredPool(
        pool=pool.name,
        type=pool.type,
        capacity=pool.capacity,
        cpu=pool.cpu,
        memory=pool.memory,
        gpus=pool.gpus or None,
        settings=msgspec.json.encode(kept),
        enabled=pool.enabled,
    )
