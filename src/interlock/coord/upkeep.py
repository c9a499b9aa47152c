"""Deletes what coordination leaves behind, and tells watchers of values whose time is over.

Every node does it, and every process that uses coordination alone; twice does no harm. Nothing waits for it: what is over is
over for whoever looks, swept or not.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from interlock.service import Clock, Loop
from interlock.store.ports import Store

EXPIRE_SECONDS: Final = 30.0
"""How late a watcher learns at most that the time of a value is over, when nobody has written it since."""
KEPT_SECONDS: Final = 86_400.0
"""How long deleted cells, changes, workers that are gone and events are kept."""

_SWEEP_SECONDS: Final = 3600.0


class Upkeep(Loop):
    """`expires`: whether values are looked for whose time is over; processes that nobody watches in need not."""

    def __init__(self, store: Store, clock: Clock, expires: Callable[[], bool] = lambda: True) -> None:
        super().__init__("upkeep", EXPIRE_SECONDS)
        self._store = store
        self._clock = clock
        self._expires = expires
        # many processes that begin together do not sweep together
        self._sweep_at = clock.monotonic() + clock.uniform(0.5, 1.5) * _SWEEP_SECONDS

    async def round(self) -> bool:
        if self._clock.monotonic() >= self._sweep_at:
            await sweep(self._store, self._clock)
            self._sweep_at = self._clock.monotonic() + _SWEEP_SECONDS
        elif self._expires():
            await self._store.cells.expire(self._clock.stamp())
        return False


async def sweep(store: Store, clock: Clock) -> None:
    """Delete what nobody can ask for any more."""
    before = clock.now() - KEPT_SECONDS
    await store.cells.expire(clock.stamp())
    await store.cells.sweep(before)
    await store.locks.sweep()
    await store.workers.forget(before)
