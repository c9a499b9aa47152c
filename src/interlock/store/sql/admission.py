"""Back-pressure: callers wait in their order while as much is queued as may be.

Each is woken when there is room for it, and only then: were all of them woken whenever something leaves the queue, ten
thousand callers would look ten thousand times.
"""

from __future__ import annotations

import asyncio
from collections import deque


class Admission:
    """The way into a queue of at most `most` entries. It belongs to one loop."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def enter(self, queued: int) -> None:
        """Wait until there is room; at once when fewer than `most` are queued and nobody waits."""
        if queued < self._most and not self._waiting:
            return
        place = asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        try:
            await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():  # it was let in, and does not come: the next one may
                self._let_in(1)
            raise

    def left(self, queued: int) -> None:
        """Let callers in, after entries have left the queue and `queued` are in it."""
        self._let_in(self._most - queued)

    def _let_in(self, room: int) -> None:
        while room > 0 and self._waiting:
            place = self._waiting.popleft()
            if not place.done():
                place.set_result(None)
                room -= 1
