"""Makes ready what was delayed until now, in whatever pool: tries again, places that a rate allows later.

One dispatcher of every process looks, at most a second apart; all of its others say when there may be something sooner. The
bell does not tell of time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from interlock.service import RESTING_SECONDS, Clock
from interlock.store.ports import DUE_AT_ONCE, Store

_APART_SECONDS: Final = 1.0
_LATE_SECONDS: Final = 0.002  # so that the clocks of the store and of this process agree that it is due


class Delayed:
    """What one process knows of it."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._wake: Callable[[], None] = lambda: None
        self._look_at = clock.monotonic()
        self._timer: asyncio.TimerHandle | None = None

    def serve(self, wake: Callable[[], None]) -> None:
        """Say who looks. `wake`: to be called when it is time."""
        self._wake = wake

    def expect(self) -> None:
        """Look in the next round, whenever that comes: something may have been delayed."""
        self._look_at = self._clock.monotonic()

    def hasten(self) -> None:
        """Look now: something may be due before the next look."""
        self.expect()
        self._wake()

    async def ready(self) -> None:
        """Look, if it is time, and make ready what is due. Raises StoreUnavailable."""
        if self._clock.monotonic() < self._look_at:
            return
        while await self._store.graphs.due(self._clock.stamp()) == DUE_AT_ONCE:
            pass  # the others of many, in further transactions
        seconds = await self._store.graphs.next_due(self._clock.stamp())
        until = None if seconds is None else max(seconds, 0.0) + _LATE_SECONDS
        self._look_at = self._clock.monotonic() + min(_APART_SECONDS, until or _APART_SECONDS)
        self.close()
        if until is not None and until < RESTING_SECONDS:
            self._timer = asyncio.get_running_loop().call_later(until, self._wake)

    async def next_moment(self) -> float | None:
        """When, by the clock, something is due."""
        seconds = await self._store.graphs.next_due(self._clock.stamp())
        return None if seconds is None else self._clock.now() + max(seconds, 0.0) + _LATE_SECONDS

    def close(self) -> None:
        """Wake nobody any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
