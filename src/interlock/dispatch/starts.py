"""When attempts of tasks of graphs began: the store is told of those that run on, many at once.

Most attempts are short, and a transaction for the beginning of each would cost as much as one for its end. So one that ends
within a second is told of by its end, and the others together, one to two seconds after they began.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from interlock.service import Clock
from interlock.store.ports import AttemptId, ClaimedTask, Store

_LONG_SECONDS: Final = 1.0


class Starts:
    """The beginnings of what runs here. `due`: called when there are some to be told, at most once a second."""

    def __init__(self, store: Store, clock: Clock, due: Callable[[], None]) -> None:
        self._store = store
        self._clock = clock
        self._due = due
        self._timer: asyncio.TimerHandle | None = None
        self._began: dict[AttemptId, float] = {}
        """When, on the monotonic clock, the pool of an attempt had begun it."""

    def note(self, task: ClaimedTask) -> None:
        """Keep that the pool of an attempt has just begun it; of tasks of runs nobody asks."""
        if task.spec is not None:
            self._began[task.key] = self._clock.monotonic()
            self._set_timer()

    def ran(self, task: ClaimedTask) -> float | None:
        """Give for how many seconds an attempt ran that the store knows no beginning of; None: it knows, or there is none."""
        began = self._began.get(task.key)
        return None if began is None else self._clock.monotonic() - began

    def forget(self, task: ClaimedTask) -> None:
        """Drop an attempt that is over."""
        self._began.pop(task.key, None)

    async def tell(self) -> None:
        """Tell the store of those that have run for a while. Raises StoreUnavailable; they are told of the next time then."""
        now = self._clock.monotonic()
        long = [(*attempt, now - at) for attempt, at in self._began.items() if now - at >= _LONG_SECONDS]
        if long:
            await self._store.queue.began(long, self._clock.stamp())
            for task, fence, _ in long:
                self._began.pop((task, fence), None)

    def stop(self) -> None:
        """Call `due` no more."""
        if self._timer is not None:
            self._timer.cancel()

    def _set_timer(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_LONG_SECONDS, self._ring)

    def _ring(self) -> None:
        self._timer = None
        if self._began:
            self._set_timer()
            self._due()
