"""Writes that are sent later, many in one transaction: the write-behind batch of shared memory.

    added --flush_seconds--> being sent --answered--> gone
                             being sent --the store failed--> added, in the same place, to be sent again

Order is kept, and nothing is dropped: a write that may have been applied before its answer was lost is sent as the same
write again, which the store applies once.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeAlias

import msgspec

from interlock import errors, telemetry
from interlock.service import RESTING_SECONDS, Loop
from interlock.store.ports import CellWrite

Send: TypeAlias = Callable[[Sequence[CellWrite]], Awaitable[None]]

_AT_ONCE: Final = 500  # writes in a transaction: others wait for it on SQLite
_AT_ONCE_BYTES: Final = 4 * 1024 * 1024
_MOST: Final = 10_000  # writes that wait; whoever adds more waits for them
_MOST_BYTES: Final = 16 * 1024 * 1024
_REPEAT_SECONDS: Final = (0.25, 0.5, 1.0, 2.0, 5.0)


class WriteBehind(Loop):
    """Sends what is added within `flush_seconds`. `send` writes in one transaction and raises when the store fails."""

    def __init__(self, send: Send, flush_seconds: float) -> None:
        super().__init__("memory-flush", RESTING_SECONDS)
        self._send = send
        self._flush_seconds = flush_seconds
        self._waiting: deque[CellWrite] = deque()
        self._bytes = 0
        self._latest: dict[tuple[str, str], CellWrite] = {}
        self._turn = asyncio.Lock()
        self._timer: asyncio.TimerHandle | None = None
        self._failures = 0
        self.flushes = 0

    def __len__(self) -> int:
        return len(self._waiting)

    async def add(self, write: CellWrite) -> None:
        """Send a write soon. Waits when too much waits already. Raises StoreUnavailable when that cannot be stored."""
        if len(self._waiting) >= _MOST or self._bytes >= _MOST_BYTES:
            await self.flush()
        self._waiting.append(write)
        self._bytes += _size(write)
        self._latest[write.space, write.key] = write
        self._wake_in(self._flush_seconds)

    def latest(self, space: str, key: str) -> CellWrite | None:
        """Give the last write of a cell that waits."""
        return self._latest.get((space, key))

    async def flush(self) -> None:
        """Send everything that waits. Raises StoreUnavailable; what was not stored waits on."""
        async with self._turn:
            while self._waiting:
                part = self._part()
                try:
                    await self._send(part)
                except BaseException:
                    self._send_again(part)
                    raise
                self._remove(part)
                self.flushes += 1
            self._failures = 0

    async def round(self) -> bool:
        if self._timer is not None:
            return False  # it is not time yet
        try:
            await self.flush()
        except errors.Environment as error:
            pause = _REPEAT_SECONDS[min(self._failures, len(_REPEAT_SECONDS) - 1)]
            self._failures += 1
            telemetry.emit("memory.flush_failed", waiting=len(self._waiting), again_seconds=pause, error=error)
            self._wake_in(pause)
        return False

    async def stop(self) -> None:
        """Send what waits, and stop. Raises StoreUnavailable, naming how much was not stored."""
        await super().stop()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        try:
            await self.flush()
        except errors.StoreUnavailable as error:
            left = len(self._waiting)
            raise errors.StoreUnavailable(f"{left} writes to shared memory could not be stored: {error}") from error

    def _part(self) -> list[CellWrite]:
        """Give the first writes that wait, as many as go at once; at least one."""
        part: list[CellWrite] = []
        size = 0
        for write in self._waiting:
            size += _size(write)
            if part and (len(part) == _AT_ONCE or size > _AT_ONCE_BYTES):
                break
            part.append(write)
        return part

    def _send_again(self, part: Sequence[CellWrite]) -> None:
        for place in range(len(part)):
            self._waiting[place] = msgspec.structs.replace(self._waiting[place], again=True)

    def _remove(self, part: Sequence[CellWrite]) -> None:
        for sent in part:
            write = self._waiting.popleft()
            self._bytes -= _size(write)
            latest = self._latest.get((sent.space, sent.key))
            if latest is not None and latest.nonce == sent.nonce:
                del self._latest[sent.space, sent.key]

    def _wake_in(self, seconds: float) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(seconds, self._is_time)

    def _is_time(self) -> None:
        self._timer = None
        self.wake()


def _size(write: CellWrite) -> int:
    return len(write.value or b"") + len(write.key)
