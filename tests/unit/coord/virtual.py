"""A loop whose time passes at once while everybody waits, and a clock that goes with it: an hour takes milliseconds."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

from interlock.service import SystemClock
from interlock.testing.clock import START

T = TypeVar("T")
_EPOCH = START.timestamp()


class _Selector(selectors.SelectSelector):
    """Waits for no time at all, and lets the loop's time pass instead."""

    def __init__(self) -> None:
        super().__init__()
        self.moment = 0.0

    def select(self, timeout: float | None = None) -> Any:
        if timeout:
            self.moment += timeout
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._virtual = _Selector()
        super().__init__(self._virtual)

    def time(self) -> float:
        return self._virtual.moment


class LoopClock(SystemClock):
    """The time of the running loop, as a clock of the store too."""

    def now(self) -> float:
        return _EPOCH + asyncio.get_running_loop().time()

    def stamp(self) -> float | None:
        return self.now()

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run something on virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(work)
