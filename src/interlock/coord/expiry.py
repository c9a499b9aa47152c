"""Tells watchers of values whose time is over.

A value that is over is over for whoever reads it, at once and without this; that it ended is a change, and a change has to be
written for who watches. Every node looks, and every process that watches; twice does no harm.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from interlock.service import Clock, Loop
from interlock.store.ports import Store

EXPIRE_SECONDS: Final = 30.0
"""How late a watcher learns at most that the time of a value is over, when nobody has written it since."""


class Expiry(Loop):
    """`wanted`: whether it matters to anybody that this process knows of."""

    def __init__(self, store: Store, clock: Clock, wanted: Callable[[], bool] = lambda: True) -> None:
        super().__init__("expiry", EXPIRE_SECONDS)
        self._store = store
        self._clock = clock
        self._wanted = wanted

    async def round(self) -> bool:
        if self._wanted():
            await self._store.cells.expire(self._clock.stamp())
        return False
