"""Moments in memory: one per run, bounded, and true to the clock on the wall."""

from __future__ import annotations

import asyncio

from interlock.engine.timers import Timers
from interlock.service import SystemClock


class SetClock(SystemClock):
    def __init__(self) -> None:
        self.moment = 1000.0

    def now(self) -> float:
        return self.moment


async def test_moments_that_were_replaced_are_forgotten() -> None:
    timers = Timers(SetClock(), lambda run: None)
    for number in range(10_000):
        timers.arm(f"run-{number % 10}", 2000.0 + number)
    assert len(timers) < 100
    for number in range(10_000):
        timers.arm(f"gone-{number}", 9000.0)
        timers.forget(f"gone-{number}")
    assert len(timers) < 200
    timers.stop()


async def test_clock_that_was_put_forward_wakes_what_is_due_and_nothing_else() -> None:
    clock, due = SetClock(), asyncio.Queue[str]()
    timers = Timers(clock, due.put_nowait)
    timers.stop()
    timers.arm("later", 1000.0 + 7200)
    timers.arm("soon", 1000.0 + 3600)
    timers.arm("moved", 1000.0 + 10)
    timers.arm("moved", 1000.0 + 9000)
    clock.moment += 3601
    assert await asyncio.wait_for(due.get(), 60) == "soon"
    assert due.empty()
    timers.stop()
