"""Collects the output of attempts and stores it in pieces, so that a chatty process costs few transactions."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable
from typing import Final

from interlock import errors, telemetry
from interlock.service import Clock, Loop
from interlock.store.ports import LogLine, Store

_FLUSH_SECONDS: Final = 0.2
_FLUSH_PIECES: Final = 200


class Logbook(Loop):
    """Appends pieces of output to the store, in order per run, at most 0.2 s late."""

    def __init__(self, store: Store, clock: Clock, max_bytes: int, may_act: Callable[[], bool] = lambda: True) -> None:
        """`may_act`: whether nobody else can write the output of the same attempts; else it waits here."""
        super().__init__("logbook", _FLUSH_SECONDS)
        self._store = store
        self._clock = clock
        self._max_bytes = max_bytes
        self._may_act = may_act
        self._pieces: dict[str, list[LogLine]] = defaultdict(list)
        self._sizes: dict[tuple[str, str, int], int] = defaultdict(int)
        """Characters that wait for the next flush, by attempt. The piece that exceeds the limit still goes to the store,
        which says in its place that there was more."""
        self._flushing = asyncio.Lock()
        self._writer = clock.uuid()
        self._written = 0

    def write(self, run: str, path: str, attempt: int, stream: str, text: str) -> None:
        """Keep a piece of output for the next flush, unless the store would not keep it: it may be away for long."""
        attempt_ = (run, path, attempt)
        if self._sizes[attempt_] > self._max_bytes:
            return
        self._sizes[attempt_] += len(text)
        pieces = self._pieces[run]
        self._written += 1
        at = self._clock.now()
        pieces.append(LogLine(number=self._written, path=path, attempt=attempt, at=at, stream=stream, text=text))
        if len(pieces) >= _FLUSH_PIECES:
            self.wake()

    async def flush(self) -> None:
        """Store everything that was written so far. What the store could not take stays for the next flush."""
        async with self._flushing:
            if not self._may_act():
                return
            for run in list(self._pieces):
                pieces = self._pieces.pop(run)
                for key in {(run, piece.path, piece.attempt) for piece in pieces}:
                    self._sizes.pop(key, None)
                try:
                    await self._store.queue.log(run, pieces, self._max_bytes, self._writer)
                except BaseException:
                    self._pieces[run] = pieces + self._pieces.pop(run, [])
                    for piece in pieces:
                        self._sizes[run, piece.path, piece.attempt] += len(piece.text)
                    raise

    def drop(self) -> None:
        """Forget what was not stored: whoever goes on with the attempts hears all of their output."""
        self._pieces.clear()
        self._sizes.clear()

    async def round(self) -> bool:
        if self._pieces:
            await self.flush()
        return False

    async def stop(self) -> None:
        """Store the rest; output that a broken store cannot take is given up, it must not hide why the node stops."""
        await super().stop()
        try:
            await self.flush()
        except errors.Environment as error:
            telemetry.emit("logbook.lost", error=error)
