"""Finds nodes that died and frees what they owned. A repeating scan: one that failed is made again, whatever it missed."""

from __future__ import annotations

from typing import Final

from interlock import telemetry
from interlock.engine import identity
from interlock.service import Clock, Loop
from interlock.store.ports import Store

SCAN_SECONDS: Final = 2.0  # with a lease of 10 s, a run is taken over within 15 s


class Recovery(Loop):
    """Buries dead nodes, and ends attempts whose lease ran out."""

    def __init__(self, node: str, store: Store, clock: Clock) -> None:
        super().__init__("recovery", SCAN_SECONDS)
        self._node = node
        self._store = store
        self._clock = clock

    async def round(self) -> bool:
        await sweep(self._store, self._clock, but=self._node)
        return False


async def sweep(store: Store, clock: Clock, *, but: str | None = None) -> int:
    """Bury every node that is dead by now; gives how many. `but`: the node that asks."""
    now = clock.now()
    gone = [node for node in await store.nodes.expired(now) if node.node != but]
    gone += [node for node in await store.nodes.live(now) if node.node != but and identity.is_dead(node)]
    for node in gone:
        freed = await store.nodes.bury(node.node, now)
        telemetry.emit("node.buried", node=node.node, runs=freed)
    await store.queue.expire(now)
    return len(gone)
