"""Heartbeats on a virtual clock: when they are sent, when a silence is found, and what is done about it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from interlock import errors, telemetry
from interlock.coord import timing as timings
from interlock.coord.heartbeats import HeartbeatMonitor
from interlock.coord.timing import BALANCED, GUIDE, PRESETS, Timing, preset
from interlock.coord.workers import WorkerRegistry
from interlock.model.worker import Device, Worker, WorkerStatus
from interlock.store.ports import LockRequest
from interlock.testing.clock import VirtualClock
from unit.coord.scripted import scripted
from unit.coord.virtual import LoopClock, run

CALM = Device(cpu=10.0)


@pytest.fixture
def told() -> Iterator[list[str]]:
    """The names of what was told to observers."""
    names: list[str] = []
    end = telemetry.attach(lambda name, fields: names.append(name))
    yield names
    end()


def monitor(store: Any, timing: Timing = BALANCED, clock: Any = None, **more: Any) -> HeartbeatMonitor:
    return HeartbeatMonitor(store, clock or LoopClock(), timing, sample=lambda: CALM, **more)


async def joined(store: Any, name: str = "w1", timing: Timing = BALANCED, clock: Any = None) -> Worker:
    registry = WorkerRegistry(store, clock or LoopClock())
    return await registry.register(name, capacity=2, silent_seconds=timing.stale_seconds)


def now() -> float:
    return asyncio.get_running_loop().time()


# -- sending ---------------------------------------------------------------------------------------------------------


def test_worker_is_heard_every_thirty_seconds() -> None:
    """HB-01: 10 minutes, 21 heartbeats, at 0 s, 30 s, ..., 600 s; the store has each of them."""

    async def main() -> None:
        async with scripted(now) as store:
            beating = monitor(store)
            await beating.start(await joined(store))
            await asyncio.sleep(600.5)
            assert store.workers.times("beat") == [30.0 * number for number in range(21)]
            found = await WorkerRegistry(store, LoopClock()).get_worker("w1")
            assert found is not None
            assert (found.silent_seconds, found.device) == (pytest.approx(0.5, abs=1e-6), CALM)
            await beating.stop()

    run(main())


def test_heartbeat_that_fails_is_sent_again_three_times_and_told_at_the_third_failure(told: list[str]) -> None:
    """HB-10"""

    async def main() -> None:
        async with scripted(now) as store:
            beating = monitor(store)
            worker = await joined(store)
            store.workers.fails = 5
            await beating.start(worker)
            await asyncio.sleep(4)
            assert beating.failures == 1
            await asyncio.sleep(5)
            assert told.count("worker.heartbeat_failed") == 0
            await asyncio.sleep(2)
            assert told.count("worker.heartbeat_failed") == 1
            await asyncio.sleep(40)
            assert store.workers.times("beat") == [0.0, 5.0, 10.0, 15.0, 45.0, 50.0]
            assert (beating.failures, told.count("worker.heartbeat_failed")) == (0, 1)
            store.workers.fails = 2
            await asyncio.sleep(60)
            assert (beating.failures, told.count("worker.heartbeat_failed")) == (0, 1)  # it began again from none
            await beating.stop()

    run(main())


def test_worker_that_lost_its_place_is_told_once_and_sends_no_more(told: list[str]) -> None:
    async def main() -> None:
        async with scripted(now) as store:
            lost: list[str] = []
            beating = monitor(store, lost=lost.append)
            worker = await joined(store)
            await beating.start(worker)
            await asyncio.sleep(10)
            await store.workers.leave("w1", worker.session, LoopClock().now())
            await asyncio.sleep(300)
            assert lost == ["w1"]
            assert store.workers.times("beat") == [0.0, 30.0]
            await beating.stop()
            assert (await WorkerRegistry(store, LoopClock()).list_workers(WorkerStatus)) != []
            assert told.count("worker.lost") == 1

    run(main())


def test_worker_that_nobody_hears_is_told_before_others_take_its_work() -> None:
    async def main() -> None:
        async with scripted(now) as store:
            unheard: list[float] = []
            beating = monitor(store, unheard=lambda worker: unheard.append(now()))
            await beating.start(await joined(store))
            await asyncio.sleep(31)
            store.workers.away = {"beat"}
            await asyncio.sleep(200)
            assert unheard == [pytest.approx(30.0 + 118.0)]
            store.workers.away = set()
            await asyncio.sleep(60)
            found = await WorkerRegistry(store, LoopClock()).get_worker("w1")
            assert found is not None
            assert found.status is WorkerStatus.OFFLINE  # this process looked too, and could
            await beating.stop()

    run(main())


def test_store_that_does_not_answer_counts_as_away() -> None:
    async def main() -> None:
        async with scripted(now) as store:
            beating = monitor(store)
            worker = await joined(store)

            async def hang() -> None:
                await asyncio.sleep(3600)

            store.workers.after["beat"] = hang
            await beating.start(worker)
            await asyncio.sleep(16)
            assert store.workers.times("beat") == [0.0, 15.0]
            await beating.stop()

    run(main())


def test_last_heartbeat_says_that_no_more_is_taken_and_frees_all() -> None:
    """HB-12, as far as it goes without a process."""

    async def main() -> None:
        async with scripted(now) as store:
            beating = monitor(store)
            worker = await joined(store)
            await beating.start(worker)
            await asyncio.sleep(1)
            present = LoopClock().now()
            request = LockRequest(namespace="default", name="deploy", holder="w1", session="s", ttl_seconds=300.0)
            assert (await store.locks.take(request, present)).grant is not None
            assert await store.workers.reserve("w1", worker.session, "t1", present) is not None
            await beating.stop()
            await beating.stop()
            assert [name for _, name in store.workers.calls][-2:] == ["beat", "leave"]
            assert await store.locks.holders("default", "deploy", present) == []
            assert await store.workers.slots(None) == []
            found = await WorkerRegistry(store, LoopClock()).get_worker("w1")
            assert found is not None
            assert found.status is WorkerStatus.REMOVED

    run(main())


def test_stop_while_the_store_is_away_leaves_the_worker_to_be_found() -> None:
    async def main() -> None:
        async with scripted(now) as store:
            beating = monitor(store)
            await beating.start(await joined(store))
            await asyncio.sleep(1)
            store.workers.away = {"beat", "leave"}
            await beating.stop()
            store.workers.away = set()
            found = await WorkerRegistry(store, LoopClock()).get_worker("w1")
            assert found is not None
            assert found.status is WorkerStatus.ACTIVE

    run(main())


def test_monitor_can_stop_without_removing_its_worker() -> None:
    async def main() -> None:
        async with scripted(now) as store:
            beating = monitor(store)
            worker = await joined(store)
            await beating.start(worker)
            await beating.stop(leave=False)
            assert await beating.send_heartbeat(worker)
            assert await beating.send_heartbeat(worker, Device(cpu=99.0))

    run(main())


def test_worker_that_may_be_silent_for_less_than_two_heartbeats_is_refused() -> None:
    async def main() -> None:
        async with scripted(now) as store:
            worker = await joined(store, timing=timings.FAST)
            with pytest.raises(errors.Invalid, match="may be silent for 30 s and is heard every 30 s only"):
                await monitor(store).start(worker)

    run(main())


# -- looking ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("age", "found"), [(10.0, []), (45.0, []), (120.0, []), (120.001, ["w1"]), (150.0, ["w1"])])
async def test_worker_is_stale_by_the_age_of_its_last_heartbeat(age: float, found: list[str]) -> None:
    """HB-02, HB-06"""
    clock = VirtualClock()
    async with scripted() as store:
        await joined(store, clock=clock)
        clock.move_to(clock.now() + age)
        looking = monitor(store, clock=clock)
        assert await looking.check_stale_workers() == found
        assert await looking.scan() == found


async def _detected(timing: Timing, last: float, phase: float) -> float:
    """Give when a worker is found whose last heartbeat was at `last`, by one who looks from `phase` on."""
    async with scripted(now) as store:
        found: list[float] = []
        looking = monitor(store, timing, recovered=lambda recovered: found.append(now()))

        async def look() -> None:
            await asyncio.sleep(phase)
            await looking.start()

        task = asyncio.create_task(look())
        await asyncio.sleep(last)
        await joined(store, timing=timing)
        await asyncio.sleep(timing.stale_seconds + 3 * timing.scan_seconds + phase)
        await task
        await looking.stop()
        assert len(found) == 1
        return found[0]


def test_corrected_diagram_finds_the_worker_at_240_seconds() -> None:
    """HB-04: last heard at 60 s, looks at 0 s, 60 s, ...: nothing at 120 s, 150 s or 180 s, for 120.0 s is not longer than 120."""
    assert run(_detected(GUIDE, 60.0, 0.0)) == 240.0
    assert run(_detected(GUIDE, 60.0, 0.001)) == pytest.approx(180.001)


def test_documented_example_from_its_first_heartbeat_to_the_recovery() -> None:
    """HB-04: heartbeats at 0 s, 30 s and 60 s, a crash, looks every 60 s: nothing at 120 s and 180 s, recovered at 240 s."""

    async def main() -> None:
        async with scripted(now) as store:
            found: list[float] = []
            looking = monitor(store, GUIDE, recovered=lambda recovered: found.append(now()))
            registry = WorkerRegistry(store, LoopClock())
            await looking.start()
            beating = HeartbeatMonitor(store, LoopClock(), replace(GUIDE, scan_seconds=1e6), sample=lambda: CALM)
            await beating.start(await joined(store, timing=GUIDE))
            await asyncio.sleep(75)
            await beating.stop(leave=False)  # it is dead
            assert store.workers.times("beat") == [0.0, 30.0, 60.0]
            silences = []
            for moment in (120.0, 150.0, 180.0):
                await asyncio.sleep(moment - now())
                worker = await registry.get_worker("w1")
                assert worker is not None
                silences.append((worker.silent_seconds, worker.status, list(found)))
            await asyncio.sleep(239.9 - now())
            assert found == []
            await asyncio.sleep(0.2)
            assert found == [240.0]
            assert silences == [
                (pytest.approx(silent, abs=1e-6), WorkerStatus.ACTIVE, []) for silent in (60.0, 90.0, 120.0)
            ]
            await looking.stop()

    run(main())


@pytest.mark.parametrize("name", PRESETS)
def test_worker_is_heard_as_often_as_its_preset_says(name: str) -> None:
    """HB-01"""
    timing = preset(name)

    async def main() -> None:
        async with scripted(now) as store:
            beating = monitor(store, timing)
            await beating.start(await joined(store, timing=timing))
            await asyncio.sleep(10.5 * timing.beat_seconds)
            assert store.workers.times("beat") == [timing.beat_seconds * number for number in range(11)]
            await beating.stop()

    run(main())


@pytest.mark.parametrize("name", PRESETS)
def test_detection_is_within_its_bound_whatever_the_phase(name: str) -> None:
    """HB-03: later than the threshold, and at the threshold and one interval at the latest, for every preset."""
    timing = preset(name)
    chance = random.Random(name)
    low, high = timing.detection
    for _ in range(25):
        last, phase = chance.uniform(0.0, 90.0), chance.uniform(0.0, timing.scan_seconds)
        passed = run(_detected(timing, last, phase)) - last
        assert low < passed <= high + 1e-6, (last, phase)


def test_documented_bounds_are_what_the_presets_give() -> None:
    """HB-03: 180 s with looks every 60 s, 150 s with looks every 30 s."""
    assert GUIDE.detection == (120.0, 180.0)
    assert BALANCED.detection == (120.0, 150.0)
    documented = {
        "fast": (10, 30), "balanced": (30, 120), "slow": (60, 300), "guide": (30, 120), "protocol": (300, 600),
        "protocol-fast": (120, 300), "protocol-long": (600, 1800),
    }  # fmt: skip
    assert {name: (each.beat_seconds, each.stale_seconds) for name, each in PRESETS.items()} == documented
    scans = {"guide": 60, "protocol": 60, "protocol-fast": 30, "protocol-long": 300}
    assert {name: PRESETS[name].scan_seconds for name in scans} == scans


@pytest.mark.parametrize("name", PRESETS)
def test_living_worker_is_never_recovered(name: str) -> None:
    timing = preset(name)

    async def main() -> None:
        async with scripted(now) as store:
            found: list[Any] = []
            beating = monitor(store, timing, recovered=found.append)
            await beating.start(await joined(store, timing=timing))
            for _ in range(4):
                store.workers.fails = 2
                await asyncio.sleep(timing.stale_seconds)
            assert found == []
            await beating.stop()

    run(main())


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"beat_seconds": 0.0}, "above 0"),
        ({"retries": -1}, "retries at least 0"),
        ({"beat_seconds": 61.0}, "at least 122 s, not 120 s"),
        ({"retry_seconds": 30.0}, "3 retries, 30 s apart"),
    ],
)
def test_times_that_cannot_go_together_are_refused(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(errors.Invalid, match=words):
        replace(BALANCED, **wrong)


def test_unknown_preset_is_refused() -> None:
    with pytest.raises(errors.Invalid, match="there are fast, balanced"):
        preset("quick")


def test_who_sends_does_not_read_the_workers_but_now_and_then() -> None:
    """What the store answers a heartbeat tells of the stale; one look in ten reads the workers in any case."""

    async def main() -> None:
        async with scripted(now) as store:
            beating = monitor(store)
            await beating.start(await joined(store))
            await asyncio.sleep(899)
            assert len(store.workers.times("beat")) == 30
            assert len(store.workers.times("list")) == 3
            await beating.stop()

    run(main())


@pytest.mark.parametrize("name", PRESETS)
def test_detection_by_heartbeats_is_within_the_bound_too(name: str) -> None:
    """HB-03: two workers of which one dies; the other one finds it."""
    timing = preset(name)
    chance = random.Random(name)

    async def passed(before: float) -> float:
        async with scripted(now) as store:
            found: list[float] = []
            living = monitor(store, timing, recovered=lambda recovered: found.append(now()))
            await living.start(await joined(store, "living", timing))
            await asyncio.sleep(before)
            last = now()
            await joined(store, "dead", timing)
            await asyncio.sleep(timing.stale_seconds + timing.scan_seconds + 1)
            await living.stop()
            assert len(found) == 1
            return found[0] - last

    low, high = timing.detection
    for _ in range(10):
        assert low < run(passed(chance.uniform(0.0, 3 * timing.beat_seconds))) <= high + 1e-6


def test_who_is_not_taken_looks_for_itself() -> None:
    """A store that takes no heartbeats and can be read is looked at as often as ever."""

    async def main() -> None:
        async with scripted(now) as store:
            beating = monitor(store)
            await beating.start(await joined(store))
            await asyncio.sleep(31)
            store.workers.away = {"beat", "recover"}
            await asyncio.sleep(90)
            assert len([moment for moment in store.workers.times("list") if moment > 31]) >= 3
            await beating.stop()

    run(main())


# -- recovering ------------------------------------------------------------------------------------------------------


async def test_five_monitors_recover_a_worker_once() -> None:
    """HB-07"""
    clock = VirtualClock()
    async with scripted() as store:
        worker = await joined(store, clock=clock)
        for task in ("t1", "t2"):
            assert await store.workers.reserve("w1", worker.session, task, clock.now())
        clock.move_to(clock.now() + 150)
        found: list[Any] = []
        looking = [monitor(store, clock=clock, recovered=found.append) for _ in range(5)]
        answers = await asyncio.gather(*(each.scan() for each in looking))
        assert sorted(answers) == [[], [], [], [], ["w1"]]
        assert [each.tasks for each in found] == [["t1", "t2"]]
        kinds = [event.kind for event in await store.workers.events(0, 99)]
        assert (kinds.count("recovered"), kinds.count("requeued")) == (1, 2)


async def test_heartbeat_between_look_and_recovery_keeps_the_worker() -> None:
    """HB-09"""
    clock = VirtualClock()
    async with scripted() as store:
        worker = await joined(store, clock=clock)
        clock.move_to(clock.now() + 150)
        looking = monitor(store, clock=clock)

        async def beat() -> None:
            assert await looking.send_heartbeat(worker)

        for method in ("list", "get"):  # after the look, and after the second one that is nearer
            store.workers.after[method] = beat
            assert await looking.scan() == []
            clock.move_to(clock.now() + 150)
        assert await looking.recover_stale_locks("w1") == 0
        assert await looking.recover("w1") is None


async def test_recovery_tells_how_many_locks_it_freed() -> None:
    clock = VirtualClock()
    async with scripted() as store:
        await joined(store, clock=clock)
        request = LockRequest(namespace="default", name="a", holder="w1", session="s", ttl_seconds=3000.0)
        for name in ("a", "b"):
            assert (await store.locks.take(_named(request, name), clock.now())).grant
        looking = monitor(store, clock=clock)
        assert await looking.recover_stale_locks("w1") == 0
        assert await looking.recover_stale_locks("nobody") == 0
        clock.move_to(clock.now() + 121)
        assert await looking.recover_stale_locks("w1") == 2


def _named(request: LockRequest, name: str) -> LockRequest:
    return LockRequest(namespace="default", name=name, holder=request.holder, session="s", ttl_seconds=3000.0)


def test_store_that_cannot_be_read_recovers_nobody_and_alerts_once(told: list[str]) -> None:
    """HB-08: ten minutes away, one alert, no recovery; nor afterwards, before the living had the time to be heard again."""

    async def main() -> None:
        async with scripted(now) as store:
            found: list[Any] = []
            beating, watching = monitor(store, recovered=found.append), monitor(store, recovered=found.append)
            await beating.start(await joined(store))
            await asyncio.sleep(10)
            await watching.start()
            await asyncio.sleep(60)
            store.workers.away = {"list", "get", "beat", "recover"}
            await asyncio.sleep(625)  # so that who looks comes back before the worker is heard again
            assert told.count("worker.scan_failed") == 2  # one by each who looks
            store.workers.away = set()
            await asyncio.sleep(600)
            assert found == []
            assert [event.kind for event in await store.workers.events(0, 99)] == ["registered"]
            await watching.stop()
            await beating.stop(leave=False)
            survivor = monitor(store, recovered=found.append)
            await survivor.start()
            await asyncio.sleep(180)
            assert [each.worker for each in found] == ["w1"]  # who is really gone is found as ever
            await survivor.stop()

    run(main())


def test_who_looks_forgets_in_the_end() -> None:
    async def main() -> None:
        async with scripted(now) as store:
            registry = WorkerRegistry(store, LoopClock())
            looking = monitor(store)
            await looking.start()
            await joined(store)
            await registry.deregister("w1")
            await asyncio.sleep(86_000)
            assert len(await registry.list_workers(WorkerStatus)) == 1
            await asyncio.sleep(5_000)
            assert await registry.list_workers(WorkerStatus) == []
            assert await registry.events() == []
            await looking.stop()

    run(main())
