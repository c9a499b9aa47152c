"""What coordination leaves behind is forgotten in time, whoever lives long enough to do it."""

from __future__ import annotations

import asyncio

from coordinating import simulated
from interlock.coord.coordination import Coordination
from interlock.coord.locks import LockManager
from interlock.coord.memory import MemorySyncManager
from interlock.coord.tidying import Tidying, tidy
from interlock.coord.workers import WorkerRegistry
from interlock.engine.recovery import Recovery
from interlock.service import Clock, SystemClock
from interlock.store.ports import Store

DAY = 86_400.0


async def _used(store: Store, clock: Clock) -> None:
    """Use a lock, a cell and a worker, each once."""
    locks, memory = LockManager(store, clock, "w1"), MemorySyncManager(store, clock, "default", "w1")
    await locks.start()
    lock = await locks.acquire("deploy")
    assert lock is not None
    await lock.release()
    await locks.stop()
    await memory.set("k", 1)
    await memory.delete("k")
    registry = WorkerRegistry(store, clock)
    await registry.register("w1")
    await registry.deregister("w1")


async def _left(store: Store) -> tuple[bool, int]:
    """Say whether the deleted cell is remembered, and how many workers are."""
    cell = await store.cells.read("default", "global", "k", None)
    return cell is not None, len(await store.workers.list(["removed"], None))  # type: ignore[list-item]  # its text


def test_what_is_over_for_a_day_is_forgotten() -> None:
    async def work(store: Store, clock: Clock) -> None:
        await _used(store, clock)
        await asyncio.sleep(DAY - 10)
        await tidy(store, clock)
        assert await _left(store) == (True, 1)
        await asyncio.sleep(20)
        assert await tidy(store, clock) > 0
        assert await _left(store) == (False, 0)

    simulated(work)


def test_process_that_coordinates_forgets_by_itself() -> None:
    async def work(store: Store, clock: Clock) -> None:
        await _used(store, clock)
        tidying = Tidying(store, clock)
        await tidying.start()
        await asyncio.sleep(DAY + 3700)
        await tidying.stop()
        assert await _left(store) == (False, 0)

    simulated(work)


def test_node_forgets_by_itself() -> None:
    async def work(store: Store, clock: Clock) -> None:
        await _used(store, clock)
        recovery = Recovery("n1", store, clock)
        await asyncio.sleep(DAY + 3700)
        await recovery.round()
        assert await _left(store) == (False, 0)

    simulated(work)


async def test_coordination_tidies_up_as_long_as_it_is_open() -> None:
    async with Coordination("sqlite:///:memory:", clock=SystemClock()):
        assert "tidying" in {task.get_name() for task in asyncio.all_tasks()}
    assert "tidying" not in {task.get_name() for task in asyncio.all_tasks()}


class Ahead(SystemClock):
    """The clock of a machine that is days ahead of the store."""

    def now(self) -> float:
        return super().now() + 3 * DAY


async def test_process_whose_clock_is_wrong_ends_nothing_of_others() -> None:
    """The store's clock decides what is over."""
    async with Coordination("sqlite:///:memory:") as coord:
        assert await coord.locks.acquire("deploy") is not None
        assert await coord.locks.acquire("index", mode="read") is not None
        await coord.memory.set("k", 1, ttl="1h")
        await coord.memory.set("gone", 1)
        await coord.memory.delete("gone")
        before = await coord.memory.cell("gone")
        assert await tidy(coord.store, Ahead()) == 0
        assert await coord.memory.get("k") == 1
        assert await coord.memory.cell("gone") == before
        assert [held.name for held in await coord.locks.list_locks()] == ["deploy", "index"]
