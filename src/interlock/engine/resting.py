"""Python runs of a node whose function only waits: which of them are to be put away.

A function that waits keeps its stack and its locals in memory. After a while, or when too many wait, it is left, and called
again over the run's memos when something happens: that costs a read, so it is not done at once. One that awaits more than
calls, such as a socket, or a timeout of asyncio's, would never hear of it: it is left only when too many wait.
"""

from __future__ import annotations

import asyncio
from typing import Final

from interlock.flow.python.inside import INSIDE, Inside
from interlock.service import Clock

PATIENCE_SECONDS: Final = 30.0
_MOST: Final = (
    5_000  # functions that wait in memory, at about 13 KB each; one that was put away is read and called anew
)


class Resting:
    """The runs that rest, the longest first."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._since: dict[str, float] = {}

    def __len__(self) -> int:
        return len(self._since)

    def begin(self, run: str) -> str | None:
        """Note that a run only waits now; gives one that is to make room for it."""
        self._since[run] = self._clock.monotonic()
        if len(self._since) <= _MOST:
            return None
        return self._oldest()

    def end(self, run: str) -> None:
        """Note that something happens in a run."""
        self._since.pop(run, None)

    def late(self) -> str | None:
        """Give a run that has rested for long enough; it counts no more."""
        if not self._since or self._clock.monotonic() - next(iter(self._since.values())) < PATIENCE_SECONDS:
            return None
        return self._oldest()

    def _oldest(self) -> str:
        run = next(iter(self._since))
        del self._since[run]
        return run


def timed() -> set[Inside | None]:
    """Give the functions that wait for a moment by asyncio's own means, as in `asyncio.timeout` around a call.

    asyncio does not say who waits, but for the context that a timer is to run in. On a loop that keeps its timers
    elsewhere, as uvloop does, none are found.
    """
    handles = getattr(asyncio.get_running_loop(), "_scheduled", ())
    return {handle._context.get(INSIDE) for handle in handles if not handle.cancelled()}
