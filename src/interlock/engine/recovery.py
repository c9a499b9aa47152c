"""Finds nodes that died and frees what they owned. A repeating scan: one that failed is made again, whatever it missed."""

from __future__ import annotations

from typing import Final

from interlock import telemetry
from interlock.engine import identity
from interlock.service import Clock, Loop
from interlock.store.ports import Store

SCAN_SECONDS: Final = 2.0  # with a lease of 10 s, a run is taken over within 15 s


_SWEEP_SECONDS: Final = 3600.0
_UNREFERRED_SECONDS: Final = 86400.0  # a commit follows its large values within seconds; a day is beyond doubt


class Recovery(Loop):
    """Buries dead nodes, ends attempts whose lease ran out; every hour sweeps what nothing refers to and prepares the weeks
    to come."""

    def __init__(self, node: str, store: Store, clock: Clock) -> None:
        super().__init__("recovery", SCAN_SECONDS)
        self._node = node
        self._store = store
        self._clock = clock
        self._swept = clock.monotonic()

    async def round(self) -> bool:
        await sweep(self._store, self._clock, but=self._node)
        if self._clock.monotonic() - self._swept > _SWEEP_SECONDS:
            self._swept = self._clock.monotonic()
            await self._store.prepare(self._clock.now())
            await self._store.journal.sweep(self._clock.now() - _UNREFERRED_SECONDS)
        return False


async def sweep(store: Store, clock: Clock, *, but: str | None = None) -> int:
    """Bury every node that is dead by now; gives how many. `but`: the node that asks."""
    now = clock.stamp()
    gone = [node.node for node in await store.nodes.expired(now)]
    gone += [node.node for node in await store.nodes.live(now) if identity.is_dead(node)]
    gone += await store.nodes.ghosts()
    gone = [node for node in gone if node != but]
    for node in gone:
        freed = await store.nodes.bury(node, now)
        telemetry.emit("node.buried", node=node, runs=freed)
    await store.queue.expire(now)
    return len(gone)
