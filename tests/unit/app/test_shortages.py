"""What a process is short of: it says so once, refuses what is new, and says when there is enough again."""

from __future__ import annotations

import asyncio
import os
import resource
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from interlock import errors, telemetry
from interlock.app import supplies
from interlock.app.readiness import Readiness
from interlock.app.shortages import Shortages
from interlock.app.supplies import Supply
from interlock.testing.clock import VirtualClock

AMPLE = Supply(errors.DISK, 100, 1_000, 10, "free some space")
LITTLE = Supply(errors.DISK, 5, 1_000, 10, "free some space")


class World:
    """Shortages with a supply that can be set, and a clock that can be moved."""

    def __init__(self) -> None:
        self.supply: Supply | None = AMPLE
        self.clock = VirtualClock()
        self.readiness = Readiness(lambda reasons: None)
        self.told: list[str] = []
        self.shortages = Shortages([lambda: self.supply], self.clock, self.readiness)

    async def look(self, seconds: float = 0.0) -> None:
        self.clock.move_to(self.clock.now() + seconds)
        await self.shortages.round()


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()

    def hear(name: str, fields: dict[str, object]) -> None:
        if name.startswith("node."):
            world.told.append(f"{name} {fields['what']}")

    detach = telemetry.attach(hear)
    await world.shortages.start()
    yield world
    await world.shortages.stop()
    detach()


async def test_little_left_is_told_once_and_refuses_what_is_new(world: World) -> None:
    assert not world.shortages.any
    world.supply = LITTLE
    await world.look()
    await world.look()
    assert world.told == ["node.short disk"]
    assert world.readiness.reasons == ("short of disk",)
    with pytest.raises(errors.Exhausted, match="5 of 1000 bytes of the disk are left; free some space"):
        world.shortages.refuse()
    world.supply = AMPLE
    await world.look()
    assert world.told == ["node.short disk", "node.enough disk"]
    assert world.readiness.reasons == ()
    world.shortages.refuse()


async def test_error_that_tells_what_ran_out_counts_until_none_came_for_a_while(world: World) -> None:
    for _ in range(2):
        telemetry.emit("store.away", error=errors.StoreUnavailable("no more", short_of=errors.CONNECTIONS))
        await world.look(8.0)
        assert world.shortages.any
    await world.look(3.0)
    assert world.told == ["node.short connections", "node.enough connections"]


async def test_cause_of_an_error_tells_too_and_other_errors_do_not(world: World) -> None:
    telemetry.emit("store.away", error=errors.StoreUnavailable("somewhere"))
    await world.look()
    assert not world.shortages.any
    away = errors.StoreUnavailable("away")
    away.__cause__ = OSError(24, "Too many open files")
    telemetry.emit("store.away", error=away)
    await world.look()
    assert world.told == ["node.short descriptors"]


async def test_who_waits_for_enough_is_woken_when_nothing_is_short_any_more(world: World) -> None:
    woken = []
    end = world.shortages.tell(lambda: woken.append(1))
    world.supply = LITTLE
    await world.look()
    world.supply = None
    await world.look()
    end()
    world.supply = LITTLE
    await world.look()
    world.supply = AMPLE
    await world.look()
    assert woken == [1]


async def test_error_is_heard_at_once_in_whatever_thread_it_is_told(world: World) -> None:
    error = errors.StoreFull("full", short_of=errors.DISK)
    await asyncio.to_thread(telemetry.emit, "node.beat_failed", error=error)
    async with asyncio.timeout(60):
        while not world.shortages.any:
            await asyncio.sleep(0.001)


@contextmanager
def _limit(which: int, soft: int) -> Iterator[None]:
    before = resource.getrlimit(which)
    resource.setrlimit(which, (soft, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(which, before)


@pytest.mark.parametrize("measure", [supplies.descriptors, supplies.memory, lambda: supplies.disk(Path.cwd())])
def test_there_is_enough_here(measure: Callable[[], Supply | None]) -> None:
    found = measure()
    assert found is None or not found.is_short


def test_process_that_may_open_no_descriptor_is_short_of_them() -> None:
    with _limit(resource.RLIMIT_NOFILE, 3):
        found = supplies.descriptors()
    assert found is not None
    assert (found.left, found.is_short) == (0, True)


def test_process_whose_address_space_is_nearly_used_up_is_short_of_memory() -> None:
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    with _limit(resource.RLIMIT_AS, used + 32 * 2**20):
        found = supplies.memory()
    assert found is not None
    assert found.is_short


def test_disk_that_is_not_there_is_left_to_the_store_to_tell(tmp_path: Path) -> None:
    assert supplies.disk(tmp_path / "gone") is None
    assert len(supplies.measures(f"sqlite:///{tmp_path}/s.db")) == 3
    assert len(supplies.measures("sqlite:///:memory:")) == 2
    assert len(supplies.measures("postgresql://h/db")) == 2


def test_what_ran_out_is_told_by_the_operating_system() -> None:
    assert errors.short_of(None) == ""
    assert errors.short_of(ValueError()) == ""
    assert errors.short_of(MemoryError()) == errors.MEMORY
    assert errors.short_of(OSError(28, os.strerror(28))) == errors.DISK
