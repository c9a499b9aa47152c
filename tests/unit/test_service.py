"""The lifecycle of loops, the clock, and the seam of telemetry."""

from __future__ import annotations

import asyncio
import re

import pytest

from interlock import telemetry
from interlock.service import Loop, SystemClock, uuid7


class Rounds(Loop):
    def __init__(self, interval_seconds: float, results: list[bool | Exception]) -> None:
        super().__init__("rounds", interval_seconds)
        self.results = results
        self.done = 0
        self.idle = asyncio.Event()

    async def round(self) -> bool:
        self.done += 1
        result = self.results.pop(0) if self.results else False
        if isinstance(result, Exception):
            raise result
        if not self.results:
            self.idle.set()
        return result


async def test_loop_goes_on_while_there_is_more_and_outlives_its_errors() -> None:
    heard: list[str] = []
    detach = telemetry.attach(lambda name, fields: heard.append(f"{name} {fields['loop']}"))
    loop = Rounds(0.001, [True, ValueError("once"), True, False])
    await loop.start()
    await asyncio.wait_for(loop.idle.wait(), 60)
    await loop.stop()
    await loop.stop()
    detach()
    detach()
    assert loop.done >= 4
    assert heard == ["loop.failed rounds"]


async def test_woken_loop_does_not_wait_for_its_interval() -> None:
    loop = Rounds(3600.0, [False])
    await loop.start()
    await asyncio.wait_for(loop.idle.wait(), 60)
    loop.idle.clear()
    loop.wake()
    await asyncio.wait_for(loop.idle.wait(), 60)
    await loop.stop()
    assert loop.done == 2


def test_observer_that_raises_is_detached_and_not_felt(capsys: pytest.CaptureFixture[str]) -> None:
    def broken(name: str, fields: dict[str, object]) -> None:
        raise RuntimeError("broken observer")

    telemetry.attach(broken)
    telemetry.emit("something")
    telemetry.emit("something")
    assert capsys.readouterr().err.count("RuntimeError: broken observer") == 1


def test_uuids_are_version_7_and_sort_by_time() -> None:
    early, late = uuid7(1, b"\xff" * 10), uuid7(2, b"\x00" * 10)
    assert early < late
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", late)


def test_system_clock_tells_time_and_draws_within_bounds() -> None:
    clock = SystemClock()
    assert clock.now() > 1_700_000_000
    assert clock.monotonic() <= clock.monotonic()
    assert 1.0 <= clock.uniform(1.0, 2.0) <= 2.0
    assert clock.uuid() != clock.uuid()


@pytest.mark.parametrize("turns", range(6))
async def test_loop_that_is_woken_while_it_is_stopped_stops(turns: int) -> None:
    loop = Rounds(3600.0, [False])
    await loop.start()
    await asyncio.wait_for(loop.idle.wait(), 60)
    loop.wake()
    for _ in range(turns):
        await asyncio.sleep(0)
    async with asyncio.timeout(60):
        await loop.stop()


async def test_loop_that_nobody_wakes_looks_less_and_less_often() -> None:
    looks = 0
    looked = asyncio.Event()

    class Looks(Loop):
        async def round(self) -> bool:
            nonlocal looks
            looks += 1
            looked.set()
            return False

    loop = Looks("looks", 0.001, 1_000.0)
    await loop.start()
    await asyncio.sleep(1.0)  # how often it looks in that time is the question
    assert looks < 25
    loop.wake()
    async with asyncio.timeout(5):  # at the pace it had come to, these would take ten times as long
        for _ in range(10):
            looked.clear()
            await looked.wait()
    await loop.stop()
