"""Finds nodes that died and frees what they owned. A repeating scan: one that failed is made again, whatever it missed.

A node is dead when its lease has run out or, on this host, when its process is gone. Its runs are free at once. Attempts
that may outlive it wait: the nodes of its host adopt them first, and whatever is left when its lease runs out is lost.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from interlock import telemetry
from interlock.coord.tidying import tidy
from interlock.engine import identity
from interlock.service import Clock, Loop
from interlock.store.ports import Store

SCAN_SECONDS: Final = 2.0  # with a lease of 10 s, a run is taken over within 15 s


_SWEEP_SECONDS: Final = 3600.0
_LEFT_SECONDS: Final = 86400.0  # a node that left is shown for a day
_UNREFERRED_SECONDS: Final = 86400.0  # a commit follows its large values within seconds; a day is beyond doubt


class Recovery(Loop):
    """Buries dead nodes, has their attempts adopted, ends those whose lease ran out; every hour deletes what nobody refers to
    and prepares the weeks to come.

    `adopt` adopts or ends the orphans of this host.
    """

    def __init__(
        self, node: str, store: Store, clock: Clock, adopt: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        super().__init__("recovery", SCAN_SECONDS)
        self._node = node
        self._store = store
        self._clock = clock
        self._adopt = adopt
        self._swept = clock.monotonic()
        self._recovering = False

    async def round(self) -> bool:
        live, must_recover = await self._store.nodes.look(self._clock.stamp())
        if must_recover or self._recovering or any(identity.is_dead(node) for node in live):
            self._recovering = must_recover  # once more: whoever adopts looks twice
            await bury(self._store, self._clock, but=self._node)
            if self._adopt is not None:
                await self._adopt()
            await self._store.queue.expire(self._clock.stamp())
        if self._clock.monotonic() - self._swept > _SWEEP_SECONDS:
            self._swept = self._clock.monotonic()
            await self._store.prepare(self._clock.now())
            await self._store.journal.sweep(self._clock.now() - _UNREFERRED_SECONDS)
            await self._store.nodes.forget(self._clock.now() - _LEFT_SECONDS)
            await tidy(self._store, self._clock)
        return False


async def sweep(store: Store, clock: Clock, *, but: str | None = None) -> int:
    """Bury every node that is dead by now and end attempts whose lease ran out; gives how many nodes.

    `but`: the node that asks.
    """
    gone = await bury(store, clock, but=but)
    await store.queue.expire(clock.stamp())
    return gone


async def bury(store: Store, clock: Clock, *, but: str | None = None) -> int:
    """Bury every node that is dead by now; gives how many. `but`: the node that asks."""
    now = clock.stamp()
    gone = [node.node for node in await store.nodes.expired(now)]
    gone += [node.node for node in await store.nodes.live(now) if identity.is_dead(node)]
    gone += await store.nodes.ghosts()
    gone = [node for node in gone if node != but]
    for node in gone:
        freed = await store.nodes.bury(node, now)
        telemetry.emit("node.buried", node=node, runs=freed)
    return len(gone)
