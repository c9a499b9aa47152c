"""Which live nodes have a pool in their configuration, as its row says, and with which machines.

Who only tells people of pools asks here, and loads nothing of what reads a configuration.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

import msgspec

from interlock.dispatch.machines import DeclaredMachines, Machine
from interlock.engine import identity
from interlock.service import Clock
from interlock.store.ports import PoolRow, Store


async def declaring(
    node: str, own: Mapping[str, Machine], store: Store, clock: Clock, pools: Iterable[str]
) -> dict[str, DeclaredMachines]:
    """Give the live nodes that declared each pool, and the one that is about to, with their machines. `own`: its, by pool."""
    live = await live_nodes(store, clock)
    before = {row.pool: _declared(row) for row in await store.pools.all()}
    return {name: _with(node, own.get(name), before.get(name, DeclaredMachines()), live) for name in pools}


def _with(node: str, machine: Machine | None, before: DeclaredMachines, live: set[str]) -> DeclaredMachines:
    """Give those of the nodes that are live, and one more. `machine`: its, None where nobody knows that."""
    kept = {each: of for each, of in before.machines.items() if each in live and each != node}
    return DeclaredMachines(
        nodes=tuple(sorted((set(before.nodes) & live) | {node})),
        machines=kept if machine is None else kept | {node: machine},
    )


def declarers(row: PoolRow) -> set[str]:
    """Give the nodes that have a pool in their configuration, as the last one that declared it knew them."""
    return set(_declared(row).nodes)


def standing(rows: Iterable[PoolRow], live: Collection[str]) -> list[PoolRow]:
    """Give the pools that one of the live nodes has in its configuration; the row of another stays in the store, with
    room that nobody gives. Where no live node has declared any, all: what the next one has is not known. Rows that an older
    version declared, which left no names, count too.
    """
    known = [(row, declarers(row)) for row in rows]
    if not any(nodes & set(live) for _, nodes in known):
        return [row for row, _ in known]
    return [row for row, nodes in known if not nodes or nodes & set(live)]


def _declared(row: PoolRow) -> DeclaredMachines:
    return msgspec.json.decode(row.settings, type=DeclaredMachines)


async def live_nodes(store: Store, clock: Clock) -> set[str]:
    """Give the nodes whose lease runs and whose process is not known to be gone."""
    return {each.node for each in await store.nodes.live(clock.stamp()) if not identity.is_dead(each)}
