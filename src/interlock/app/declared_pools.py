"""What a node's configuration tells the store of its pools, for those who load, explain or claim tasks elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import msgspec

from interlock.app.declared import Declared, DeclaredOfPool
from interlock.dispatch.attempt_terms import AttemptTerms
from interlock.dispatch.configuration import PoolSettings, Scheduling
from interlock.dispatch.machines import DeclaredMachines
from interlock.store.ports import ALL, DeclaredPool


def declared(
    scheduling: Scheduling, nodes: Mapping[str, DeclaredMachines] = MappingProxyType({})
) -> list[DeclaredPool]:
    """Give what the store keeps of a configuration. `nodes`: by pool, those that have it, and their machines."""
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
    return rows + [_row(pool, nodes.get(name, DeclaredMachines())) for name, pool in scheduling.pools.items()]


def _row(pool: PoolSettings, of: DeclaredMachines) -> DeclaredPool:
    kept = DeclaredOfPool(
        labels=dict(pool.labels), cost=pool.cost, weight=pool.weight, nodes=of.nodes, machines=of.machines
    )
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
