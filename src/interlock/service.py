"""One lifecycle for everything that runs in the background, and the one source of time, randomness and ids.

A `Service` starts when it is ready to work and stops twice safely. A `Loop` is a service that does one round of work,
then waits for a wake-up or its interval. A loop logs an unexpected error and goes on: housekeeping must not die of a
single bad row.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import time
from abc import ABC, abstractmethod
from typing import Final, Protocol

from interlock import telemetry

_SLACKENING: Final = 1.5  # a minute's silence, and a loop that looked every second looks every fifteen
RESTING_SECONDS: Final = 15.0
"""How far apart the looks of those lie at last who are woken when there is something: what a lost wake-up may cost."""


class Clock(Protocol):
    """Time, randomness and ids, injected, so that a whole cluster can be simulated from a seed."""

    def now(self) -> float:
        """Give UTC seconds since 1970."""
        ...

    def stamp(self) -> float | None:
        """Give what a store is to take for the present in leases: None for its own clock, which all nodes share."""
        ...

    def monotonic(self) -> float:
        """Give seconds that never jump; only differences mean anything."""
        ...

    def uuid(self) -> str:
        """Give a new UUIDv7 as text; later ones sort after earlier ones to the millisecond."""
        ...

    def uniform(self, low: float, high: float) -> float:
        """Give a random number in [low, high]."""
        ...


class SystemClock:
    """The clock of the machine."""

    def now(self) -> float:
        return time.time()

    def stamp(self) -> float | None:
        return None

    def monotonic(self) -> float:
        return time.monotonic()

    def uuid(self) -> str:
        return uuid7(time.time_ns() // 1_000_000, os.urandom(10))

    def uniform(self, low: float, high: float) -> float:
        return random.uniform(low, high)  # noqa: S311 (jitter, not a secret)


def uuid7(milliseconds: int, entropy: bytes) -> str:
    """Give the UUIDv7 (RFC 9562) of a time and 10 random bytes."""
    raw = bytearray(milliseconds.to_bytes(6, "big") + entropy)
    raw[6] = (raw[6] & 0x0F) | 0x70
    raw[8] = (raw[8] & 0x3F) | 0x80
    text = raw.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


class Service(ABC):
    """Something that is started and stopped. `start` returns when it works; `stop` may be called repeatedly."""

    @abstractmethod
    async def start(self) -> None: ...

    @abstractmethod
    async def stop(self) -> None: ...


class Loop(Service):
    """Repeats `round` every `interval_seconds`, or sooner when woken.

    `round` returns True when there is more to do at once. `resting_seconds`: while nobody wakes it, it looks less and less
    often, at last this far apart; what a wake-up tells is what it looks for.
    """

    def __init__(self, name: str, interval_seconds: float, resting_seconds: float | None = None) -> None:
        self._name = name
        self._interval_seconds = interval_seconds
        self._resting_seconds = interval_seconds if resting_seconds is None else resting_seconds
        self._woken = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @abstractmethod
    async def round(self) -> bool: ...

    def wake(self) -> None:
        """Ask for a round now. Only from the loop's own thread."""
        self._woken.set()

    async def start(self) -> None:
        self._task = asyncio.create_task(self._repeat(), name=self._name)

    async def stop(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait({task})

    async def _repeat(self) -> None:
        pause = self._interval_seconds
        while True:
            if self._woken.is_set():
                pause = self._interval_seconds
            self._woken.clear()
            more = False
            try:
                more = await self.round()
            except Exception as error:  # noqa: BLE001 (a loop outlives its errors; the next round tries again)
                telemetry.emit("loop.failed", loop=self._name, error=error)
            if not more:
                # Not wait_for: in Python 3.11 it loses a cancellation that comes as the event is set.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await self._woken.wait()
                pause = min(pause * _SLACKENING, self._resting_seconds)
