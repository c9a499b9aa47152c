"""How large the machines are that serve a pool: what one attempt there may ask for at most, where no quota says it.

Without a quota a pool is bounded by its places alone, and attempts may ask for more together than there is. One that asks by
itself for more than a machine has could never have it. So a node places no such task on itself, and who tells people
goes by the largest machine among the live nodes that declared the pool. Of a pool of containers it is that of the engine.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from typing import Final

import msgspec

from interlock.coord import vitals
from interlock.decisions.pools import PoolView
from interlock.service import Clock
from interlock.store.ports import PoolRow, Store

OF_NODES: Final = frozenset({"local-process", "in-process"})
"""Types of pools whose attempts run on the machine of the node that places them."""
_ON_ONE: Final = OF_NODES | {"docker"}
"""Types of pools whose attempts run on one machine, that of the node or of its engine."""


class Machine(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a machine has: cores, and megabytes. None: nobody knows."""

    cpu: float | None = None
    memory: float | None = None


class DeclaredMachines(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the row of a pool says of the nodes that have it in their configuration."""

    nodes: tuple[str, ...] = ()
    """As far as the last one that declared it knew."""
    machines: dict[str, Machine] = {}
    """By node, as it measured them; none for pools whose attempts run on no one machine."""

    def largest(self, live: Collection[str]) -> Machine:
        """Give the most that one machine of the live nodes has; where none of them is live, of those that were."""
        counted = [node for node in self.nodes if node in live] or self.nodes
        return _largest([self.machines.get(node, Machine()) for node in counted])


def here() -> Machine:
    """Give what this machine has: the cores that this process may use, and its memory."""
    found = vitals.capabilities()
    return Machine(cpu=found.cpu_cores, memory=float(int(found.memory_mb)) or None)


def bounded(pool: PoolView, machine: Machine) -> PoolView:
    """Give a pool as it is where such a machine serves it. A quota counts before the machine."""
    if pool.type not in _ON_ONE:
        return pool
    return dataclasses.replace(
        pool,
        cpu_each=machine.cpu if pool.cpu is None else None,
        memory_each=machine.memory if pool.memory is None else None,
    )


class Machines:
    """The machines of the pools of one node: by pool its `own` ones, which may be measured later, and those of the others."""

    def __init__(self, node: str, store: Store, clock: Clock, own: Mapping[str, Machine]) -> None:
        self._node = node
        self._store = store
        self._clock = clock
        self._own = own
        self._declared: dict[str, DeclaredMachines] = {}

    def view(self, row: PoolRow, pool: PoolView) -> PoolView:
        """Give a pool as it is on the machine of this node, and remember what its row says of the others."""
        if pool.type in _ON_ONE:
            self._declared[pool.name] = _decode(row.settings)
        return bounded(pool, self._own.get(pool.name, Machine()))

    async def everywhere(self, pools: Mapping[str, PoolView]) -> Mapping[str, PoolView]:
        """Give pools as they are on the largest machine of all live nodes. Raises StoreUnavailable."""
        others = {node for each in self._declared.values() for node in each.nodes} - {self._node}
        if not others:
            return pools
        live = {each.node for each in await self._store.nodes.live(self._clock.stamp())} & others
        if not live:
            return pools
        return {name: self._widened(name, pool, live) for name, pool in pools.items()}

    def _widened(self, name: str, pool: PoolView, live: Collection[str]) -> PoolView:
        declared = self._declared.get(name)
        if declared is None or not any(node in live for node in declared.nodes):
            return pool
        return bounded(pool, _largest([self._own.get(name, Machine()), declared.largest(live)]))


def _largest(machines: Collection[Machine]) -> Machine:
    """Give the most of each; None where one of them, or there being none, leaves it open."""
    cpu = [each.cpu for each in machines if each.cpu is not None]
    memory = [each.memory for each in machines if each.memory is not None]
    return Machine(
        cpu=max(cpu) if cpu and len(cpu) == len(machines) else None,
        memory=max(memory) if memory and len(memory) == len(machines) else None,
    )


_decode: Final = msgspec.json.Decoder(DeclaredMachines).decode
