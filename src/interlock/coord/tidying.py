"""Forgets what coordination has left behind: locks that are free, values whose time is over, changes of a day ago.

What is forgotten makes no difference to anybody, only the store smaller. Several that do it at once do no harm.
"""

from __future__ import annotations

from typing import Final

from interlock import errors, telemetry
from interlock.coord.workers import KEPT_SECONDS
from interlock.service import Clock, Loop
from interlock.store.ports import Store

_ROUND_SECONDS: Final = 3600.0
_RETRY_SECONDS: Final = 60.0


async def tidy(store: Store, clock: Clock) -> int:
    """Forget what is over for a day, and give how many rows; to be called every hour and not more often.

    By the store's clock: one whose own clock is wrong ends nothing of others. Raises StoreUnavailable.
    """
    forgotten = await store.locks.sweep(clock.stamp(), KEPT_SECONDS)
    forgotten += await store.cells.sweep(clock.stamp(), KEPT_SECONDS)
    return forgotten + await store.workers.forget(clock.now() - KEPT_SECONDS)


class Tidying(Loop):
    """Does that every hour, first within an hour: of many processes that begin at once not all at the same time."""

    def __init__(self, store: Store, clock: Clock) -> None:
        super().__init__("tidying", _RETRY_SECONDS)
        self._store = store
        self._clock = clock
        self._next = clock.monotonic() + clock.uniform(_RETRY_SECONDS, _ROUND_SECONDS)

    async def round(self) -> bool:
        if self._clock.monotonic() >= self._next:
            try:
                await tidy(self._store, self._clock)
            except errors.Environment as error:  # made again in a minute
                telemetry.emit("coordination.tidying_failed", error=error)
                return False
            self._next = self._clock.monotonic() + _ROUND_SECONDS
        return False
