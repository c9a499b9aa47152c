"""Collects the output of attempts and stores it in pieces, so that a chatty process costs few transactions."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import Final

from interlock.service import Clock, Loop
from interlock.store.ports import LogLine, Store

_FLUSH_SECONDS: Final = 0.2
_FLUSH_PIECES: Final = 200


class Logbook(Loop):
    """Appends pieces of output to the store, in order per run, at most 0.2 s late."""

    def __init__(self, store: Store, clock: Clock, max_bytes: int) -> None:
        super().__init__("logbook", _FLUSH_SECONDS)
        self._store = store
        self._clock = clock
        self._max_bytes = max_bytes
        self._pieces: dict[str, list[LogLine]] = defaultdict(list)
        self._flushing = asyncio.Lock()

    def write(self, run: str, path: str, attempt: int, stream: str, text: str) -> None:
        """Keep a piece of output for the next flush."""
        pieces = self._pieces[run]
        pieces.append(LogLine(number=0, path=path, attempt=attempt, at=self._clock.now(), stream=stream, text=text))
        if len(pieces) >= _FLUSH_PIECES:
            self.wake()

    async def flush(self) -> None:
        """Store everything that was written so far."""
        async with self._flushing:
            taken, self._pieces = self._pieces, defaultdict(list)
            for run, pieces in taken.items():
                await self._store.queue.log(run, pieces, self._max_bytes)

    async def round(self) -> bool:
        if self._pieces:
            await self.flush()
        return False

    async def stop(self) -> None:
        await super().stop()
        await self.flush()
