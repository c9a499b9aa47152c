"""Moments at which runs go on: one per run, in memory; the store has them too (`wake_at`)."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from typing import Final

from interlock.service import Clock

_FEW: Final = 64
_LONGEST_SECONDS: Final = 1.0
"""The loop counts seconds, runs wait for moments: a machine that slept, or a clock that was put forward, is noticed after
this long."""


class Timers:
    """Calls `due` with a run when its moment has come."""

    def __init__(self, clock: Clock, due: Callable[[str], None]) -> None:
        self._clock = clock
        self._due = due
        self._armed: dict[str, float] = {}
        self._heap: list[tuple[float, str]] = []
        self._handle: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        """How many entries are kept, those that count no more included."""
        return len(self._heap)

    def arm(self, run: str, moment: float) -> None:
        """Wake a run at a moment instead of the one before. The old entry is passed over when its time comes."""
        if self._armed.get(run) == moment:
            return
        self._armed[run] = moment
        heapq.heappush(self._heap, (moment, run))
        if len(self._heap) > 2 * len(self._armed) + _FEW:
            self._heap = [(moment, run) for run, moment in self._armed.items()]
            heapq.heapify(self._heap)
        if self._handle is None or self._heap[0] == (moment, run):
            self._set()

    def forget(self, run: str) -> None:
        self._armed.pop(run, None)

    @property
    def next(self) -> float | None:
        """The moment of the next run that waits for one."""
        return min(self._armed.values(), default=None)

    def look(self) -> None:
        """Call who is due by now: somebody moved the clock."""
        self.stop()
        self._fire()

    def stop(self) -> None:
        if self._handle is not None:
            self._handle.cancel()

    def _set(self) -> None:
        self.stop()
        delay = min(max(0.0, self._heap[0][0] - self._clock.now()), _LONGEST_SECONDS)
        self._handle = asyncio.get_running_loop().call_later(delay, self._fire)

    def _fire(self) -> None:
        now = self._clock.now()
        while self._heap and self._heap[0][0] <= now:
            moment, run = heapq.heappop(self._heap)
            if self._armed.get(run) == moment:
                del self._armed[run]
                self._due(run)
        self._handle = None
        if self._heap:
            self._set()
