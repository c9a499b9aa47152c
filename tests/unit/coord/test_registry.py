"""The registry of workers: its seven operations, who is listed, what is refused."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from interlock import errors
from interlock.coord.workers import WorkerRegistry
from interlock.model.worker import Capabilities, Device, Worker, WorkerStatus
from interlock.testing.clock import VirtualClock
from unit.coord.scripted import scripted

W = WorkerStatus


class World:
    def __init__(self, store: Any) -> None:
        self.store = store
        self.clock = VirtualClock()
        self.registry = WorkerRegistry(store, self.clock)

    def passes(self, seconds: float) -> None:
        self.clock.move_to(self.clock.now() + seconds)

    async def worker(self, id: str = "w1") -> Worker:
        found = await self.registry.get_worker(id)
        assert found is not None
        return found

    async def take(self, worker: Worker, task: str) -> Any:
        return await self.store.workers.reserve(worker.id, worker.session, task, self.clock.now())


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with scripted() as store:
        yield World(store)


async def test_seven_operations_do_what_they_say(world: World) -> None:
    """WR-01"""
    registry = world.registry
    worker = await registry.register("w1", capacity=2)
    await registry.register("w2", capacity=2)
    assert await registry.get_worker("w1") == worker
    assert [each.id for each in await registry.list_workers()] == ["w1", "w2"]
    assert (await registry.update_status("w1", W.DRAINING, capacity=3)).status is W.DRAINING
    assert await registry.deregister("w1")
    assert not await registry.deregister("w1")
    assert not await registry.deregister("nobody")
    world.passes(130)
    assert await registry.mark_stale() == ["w2"]
    assert await registry.cleanup_stale_workers() == 1
    assert await registry.cleanup_stale_workers() == 0
    assert await registry.list_workers() == []
    assert [each.id for each in await registry.list_workers(W)] == ["w1", "w2"]
    world.passes(90_000)
    assert await registry.cleanup_stale_workers() == 0
    assert await registry.list_workers(W) == []


async def test_record_comes_back_as_it_was_registered(world: World) -> None:
    """WR-02"""
    able = Capabilities(task_types={"build"}, skills={"rust", "python"}, cpu_cores=4, memory_mb=8000, region="eu")
    device = Device(cpu=12.5, battery=80.0)
    given = await world.registry.register(
        "w1", capacity=3, capabilities=able, metadata={"version": "1", "role": ["a"]}, device=device, host="h"
    )
    assert (given.capabilities, given.device, given.metadata) == (able, device, {"version": "1", "role": ["a"]})
    assert (given.status, given.host, given.capacity, given.active, given.free) == (W.ACTIVE, "h", 3, 0, 3)
    assert (given.registered_at, given.heard_at, given.silent_seconds) == (world.clock.now(), world.clock.now(), 0.0)
    await world.take(given, "t1")
    assert (await world.worker()).free == 2


async def test_zero_slots_stay_zero(world: World) -> None:
    """What was unset before by `value or default`."""
    assert (await world.registry.register("w1", capacity=0)).status is W.BUSY
    await world.registry.update_status("w1", capacity=2)
    assert (await world.registry.update_status("w1", capacity=0)).capacity == 0


async def test_busy_worker_is_active_again_when_a_task_ends(world: World) -> None:
    """WR-04"""
    worker = await world.registry.register("w1", capacity=1)
    slot = await world.take(worker, "t1")
    assert (await world.worker()).status is W.BUSY
    await world.store.workers.finish(slot, succeeded=False, seconds=2.0, now=world.clock.now())
    world.passes(7)
    found = await world.worker()
    assert (found.status, found.failed, found.since_failure_seconds) == (W.ACTIVE, 1, 7.0)


async def test_stale_worker_is_active_again_at_its_heartbeat(world: World) -> None:
    """WR-04"""
    worker = await world.registry.register("w1")
    world.passes(121)
    assert (await world.worker()).status is W.STALE
    assert await world.store.workers.beat("w1", worker.session, b"{}", world.clock.now())
    assert (await world.worker()).status is W.ACTIVE


async def test_draining_worker_takes_no_task_and_may_come_back(world: World) -> None:
    """WR-04"""
    worker = await world.registry.register("w1")
    assert (await world.registry.update_status("w1", W.DRAINING)).status is W.DRAINING
    assert await world.take(worker, "t1") is None
    assert (await world.registry.update_status("w1", W.DRAINING)).status is W.DRAINING
    assert (await world.registry.update_status("w1", W.ACTIVE)).status is W.ACTIVE
    assert await world.take(worker, "t1") is not None


@pytest.mark.parametrize("status", [W.NEW, W.BUSY, W.STALE, W.OFFLINE, W.REMOVED])
async def test_state_that_nobody_sets_is_refused(world: World, status: W) -> None:
    """WR-03"""
    await world.registry.register("w1")
    with pytest.raises(errors.WorkerError, match="is active and cannot be made") as refused:
        await world.registry.update_status("w1", status)
    assert (refused.value.code, refused.value.worker) == ("worker-state", "w1")


async def test_nothing_is_made_of_a_worker_that_is_gone(world: World) -> None:
    """WR-03"""
    await world.registry.register("w1")
    await world.registry.deregister("w1")
    with pytest.raises(errors.WorkerError, match="is removed and cannot be made active; nothing can be made of it"):
        await world.registry.update_status("w1", W.ACTIVE)
    with pytest.raises(errors.WorkerError, match="register it again") as gone:
        await world.registry.update_status("w1", capacity=3)
    assert gone.value.code == "worker-gone"
    with pytest.raises(errors.NotFound, match="there is no worker 'w9'"):
        await world.registry.update_status("w9", W.DRAINING)


async def test_process_that_lost_its_place_changes_nothing(world: World) -> None:
    """WR-08"""
    before = await world.registry.register("w1")
    world.passes(121)
    after = await world.registry.register("w1")
    assert (after.fence, after.session != before.session) == (before.fence + 1, True)
    with pytest.raises(errors.WorkerError, match="its place was taken"):
        await world.registry.update_status("w1", W.DRAINING, session=before.session)
    assert not await world.registry.deregister("w1", session=before.session)
    assert await world.registry.deregister("w1", session=after.session)


async def test_second_live_process_of_an_id_is_refused(world: World) -> None:
    """WR-08"""
    await world.registry.register("w1", host="one")
    with pytest.raises(errors.WorkerError, match="registered by a process that is alive") as taken:
        await world.registry.register("w1", host="other")
    assert taken.value.code == "worker-taken"


async def test_one_worker_too_many_is_refused(world: World) -> None:
    """WR-07"""
    await asyncio.gather(*(world.registry.register(f"w{number}") for number in range(100)))
    with pytest.raises(errors.WorkerError, match="100 workers are registered") as full:
        await world.registry.register("w100")
    assert full.value.code == "too-many-workers"


@pytest.mark.parametrize("wrong", [{"worker": ""}, {"worker": "a\nb"}, {"capacity": -1}, {"silent_seconds": 0.0}])
async def test_what_is_no_worker_is_refused(world: World, wrong: dict[str, Any]) -> None:
    with pytest.raises(errors.Invalid, match="worker"):
        await world.registry.register(**{"worker": "w1"} | wrong)


async def test_listing_fits_all_that_is_asked(world: World) -> None:
    """WR-06"""

    async def join(id: str, types: set[str], skills: set[str], region: str | None, capacity: int = 1) -> Worker:
        able = Capabilities(task_types=types, skills=skills, region=region)
        return await world.registry.register(id, capacity=capacity, capabilities=able)

    await join("any", set(), {"a", "b", "c"}, None)
    await join("build", {"build"}, {"a"}, "eu")
    await join("both", {"build", "test"}, {"a", "b"}, "us", 2)
    full = await join("full", {"build"}, {"a", "b"}, "eu")
    await world.take(full, "t1")
    await join("drains", {"build"}, {"a"}, "eu")
    await world.registry.update_status("drains", W.DRAINING)

    async def listed(*args: Any, **more: Any) -> set[str]:
        return {each.id for each in await world.registry.list_workers(*args, **more)}

    assert await listed() == {"any", "build", "both", "full", "drains"}
    assert await listed({W.BUSY, W.DRAINING}) == {"full", "drains"}
    assert await listed({W.OFFLINE}) == set()
    assert await listed(has_capacity=True) == {"any", "build", "both"}
    assert await listed(has_capacity=False) == {"full", "drains"}
    assert await listed(task_type="test") == {"any", "both"}
    assert await listed(capabilities={"a", "b"}) == {"any", "both", "full"}
    assert await listed(region="eu") == {"build", "full", "drains"}
    assert await listed({W.ACTIVE}, has_capacity=True, task_type="build", capabilities={"b"}, region="us") == {"both"}


async def test_best_of_the_ranking_is_listed_first(world: World) -> None:
    """LB-09: 0.5 free + 0.3 success + 0.2 speed"""
    for id, outcome in (("bad", False), ("good", True)):
        worker = await world.registry.register(id, capacity=1)
        slot = await world.take(worker, f"t-{id}")
        await world.store.workers.finish(slot, succeeded=outcome, seconds=4.0, now=world.clock.now())
    await world.registry.register("new", capacity=1)
    assert [each.id for each in await world.registry.list_workers()] == ["new", "good", "bad"]


async def test_threshold_of_its_own_finds_who_is_silent_for_longer(world: World) -> None:
    await world.registry.register("w1")
    world.passes(20)
    await world.registry.register("w2")
    world.passes(15)
    assert await world.registry.mark_stale(20.0) == ["w1"]
    assert await world.registry.mark_stale(10.0) == ["w1", "w2"]
    assert await world.registry.mark_stale() == []
    assert (await world.worker()).status is W.ACTIVE  # it is only told, nothing is stored


async def test_events_tell_what_became_of_workers(world: World) -> None:
    await world.registry.register("w1")
    await world.registry.deregister("w1")
    first = await world.registry.events(limit=1)
    assert [each.kind for each in first] == ["registered"]
    later = await world.registry.events(first[0].number)
    assert [each.kind for each in later] == ["locks-released", "removed"]


async def test_worker_that_is_replaced_as_it_registers_is_told(world: World) -> None:
    async def replace() -> None:
        world.passes(121)
        await WorkerRegistry(world.store, world.clock).register("w1", session="quicker")

    world.store.workers.after["register"] = replace
    with pytest.raises(errors.WorkerError, match="its place was taken") as gone:
        await world.registry.register("w1")
    assert gone.value.code == "worker-gone"


async def test_worker_that_is_forgotten_as_it_changes_is_told(world: World) -> None:
    worker = await world.registry.register("w1")

    async def forget() -> None:
        await world.store.workers.leave("w1", worker.session, world.clock.now())
        await world.store.workers.forget(world.clock.now() + 1)

    world.store.workers.after["change"] = forget
    with pytest.raises(errors.WorkerError, match="register it again"):
        await world.registry.update_status("w1", W.DRAINING)


async def test_worker_that_lives_is_not_recovered(world: World) -> None:
    assert await world.registry.recover("nobody") is None
    await world.registry.register("w1")
    assert await world.registry.recover("w1") is None
    world.passes(121)
    recovered = await world.registry.recover("w1")
    assert recovered is not None
    assert recovered.worker == "w1"
