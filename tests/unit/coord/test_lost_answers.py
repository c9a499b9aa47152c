"""Callers that are cancelled, and answers that are lost: neither leaves a lock, a place in a queue or a slot behind."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from coordinating import simulated
from interlock import errors
from interlock.coord.balancer import LoadBalancer
from interlock.coord.lock import Lock
from interlock.coord.locks import LockManager
from interlock.coord.workers import WorkerRegistry
from interlock.decisions.task import Task
from interlock.service import Clock
from interlock.store.ports import Store

TURNS = 60
"""Moments of a call at which it is cancelled: more than it takes turns of the loop."""


class Port:
    """A port whose answers are lost, after it has done what it was asked for."""

    def __init__(self, port: Any) -> None:
        self._port = port
        self.lost: dict[str, int] = {}
        """How many of the next answers of a method are lost."""
        self.slow: dict[str, float] = {}
        """Seconds that the answers of a method take, after it has done what it was asked for."""
        self.is_away = False

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._port, name)

        async def called(*args: Any, **kwargs: Any) -> Any:
            if self.is_away:
                raise errors.StoreUnavailable("the store of this test is away")
            answer = await call(*args, **kwargs)
            await asyncio.sleep(self.slow.get(name, 0.0))
            if self.lost.get(name):
                self.lost[name] -= 1
                raise errors.StoreUnavailable("the answer was lost")
            return answer

        return called


class Unsteady:
    """A store of which a test loses answers."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.locks = Port(store.locks)
        self.workers = Port(store.workers)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


def world(work: Callable[[Any, Clock], Awaitable[None]]) -> None:
    async def whole(store: Store, clock: Clock) -> None:
        await work(Unsteady(store), clock)

    simulated(whole)


async def cancelled(task: asyncio.Task[Any], turns: int) -> Any:
    """Cancel a task after some turns of the loop; gives what it gave if it was done before, else None."""
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait({task})
    return None if task.cancelled() else task.result()


# -- cancelled ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["acquire", "wait", "hold"])
def test_lock_is_free_when_its_caller_was_cancelled(how: str) -> None:
    """At whichever moment: a grant that its caller never saw would be renewed for as long as the process lives."""

    async def work(store: Any, clock: Clock) -> None:
        one = LockManager(store, clock, "w1")
        await one.start()

        async def hold() -> None:
            async with one.hold("deploy"):
                pass

        done = 0
        for turns in range(TURNS):
            calls: dict[str, Callable[[], Any]] = {
                "acquire": lambda: one.acquire("deploy", strategy="fail_fast"),
                "wait": lambda: one.wait("deploy"),
                "hold": hold,
            }
            lock = await cancelled(asyncio.create_task(calls[how]()), turns)
            if lock is not None:
                done += 1
                await lock.release()
            await asyncio.sleep(1)
            assert not await one.is_locked("deploy"), turns
            assert one._held == {}
        assert how == "hold" or 0 < done < TURNS  # some were too late
        await one.stop()

    world(work)


def test_waiter_that_is_cancelled_while_it_is_granted_leaves_nothing() -> None:
    async def work(store: Any, clock: Clock) -> None:
        one, two = LockManager(store, clock, "w1"), LockManager(store, clock, "w2")
        await one.start()
        await two.start()
        granted = 0
        for turns in range(TURNS):
            held = await one.wait("deploy")
            assert held is not None
            waiting = asyncio.create_task(two.wait("deploy"))
            await asyncio.sleep(1)
            releasing = asyncio.create_task(held.release())
            lock = await cancelled(waiting, turns)
            await releasing
            if lock is not None:
                granted += 1
                await lock.release()
            await asyncio.sleep(1)
            assert not await one.is_locked("deploy"), turns
            assert two._held == {}
            assert (
                await store.locks.list("default", holder=None, expired=True, after=None, limit=9, now=clock.stamp())
                == []
            )
        assert 0 < granted < TURNS
        await one.stop()
        await two.stop()

    world(work)


def test_place_in_the_queue_is_nobodys_when_its_caller_was_cancelled() -> None:
    """Else whoever comes next waits until the place has run out."""

    async def work(store: Any, clock: Clock) -> None:
        one, two = LockManager(store, clock, "w1"), LockManager(store, clock, "w2")
        await one.start()
        await two.start()
        for slow, turns in [(0.0, turns) for turns in range(TURNS)] + [(0.5, TURNS)]:
            store.locks.slow = {"queue": slow}
            held = await one.acquire("deploy")
            assert held is not None
            assert await cancelled(asyncio.create_task(two.wait("deploy")), turns) is None
            await asyncio.sleep(1)
            await held.release()
            assert await one.acquire("deploy", strategy="fail_fast") is not None, (slow, turns)
            await one.release("deploy")
        await one.stop()
        await two.stop()

    world(work)


def test_slot_is_free_when_who_chose_its_worker_was_cancelled() -> None:
    """A slot does not run out: the worker would have one less for as long as it lives, and the task no worker at all."""

    async def work(store: Any, clock: Clock) -> None:
        await WorkerRegistry(store, clock).register("w1", capacity=1, silent_seconds=1e6)
        balancer = LoadBalancer(store, clock)
        done = 0
        for turns in range(TURNS):
            found = await cancelled(asyncio.create_task(balancer.select_worker(Task(id="t"))), turns)
            if found is not None:
                done += 1
                assert await balancer.finish(found.slot, succeeded=None)
            await balancer.stop()
            assert await store.workers.slots(None) == [], turns
        assert 0 < done < TURNS

    world(work)


def test_block_that_ended_is_not_cancelled_later() -> None:
    """The caller was cancelled while the lock was released: that it is gone then is no loss."""

    async def work(store: Any, clock: Clock) -> None:
        one = LockManager(store, clock, "w1")
        await one.start()
        store.locks.slow = {"release": 1.0}

        async def hold() -> str:
            try:
                async with one.hold("deploy", ttl=30):
                    pass
            except asyncio.CancelledError:
                await asyncio.sleep(100)  # what comes after, for longer than the lock would have lasted
            return "ended"

        holding = asyncio.create_task(hold())
        await asyncio.sleep(0.5)
        holding.cancel()
        assert await holding == "ended"
        assert (one.metrics.lost, one._held) == (0, {})
        await one.stop()

    world(work)


def test_lock_that_is_being_released_is_not_missed_by_its_renewal() -> None:
    """The answer takes longer than the time to the next renewal, which finds the lock gone."""

    async def work(store: Any, clock: Clock) -> None:
        one = LockManager(store, clock, "w1")
        await one.start()
        store.locks.slow = {"release": 50.0}
        async with one.hold("deploy", ttl=30):
            pass
        assert (one.metrics.lost, one.metrics.releases) == (0, 1)
        await one.stop()

    world(work)


# -- lost answers ------------------------------------------------------------------------------------------------


def test_lock_is_had_although_the_answer_was_lost() -> None:
    async def work(store: Any, clock: Clock) -> None:
        one = LockManager(store, clock, "w1")
        await one.start()
        for mode in ("exclusive", "read"):
            store.locks.lost = {"take": 2}
            lock = await one.acquire(mode, strategy="fail_fast", mode=mode, ttl=30)
            assert isinstance(lock, Lock)
            assert lock.fence == 1
            await asyncio.sleep(100)
            assert await lock.check()
            await lock.release()
        await one.stop()

    world(work)


def test_lock_is_released_although_the_answer_was_lost() -> None:
    async def work(store: Any, clock: Clock) -> None:
        one, two = LockManager(store, clock, "w1"), LockManager(store, clock, "w2")
        await one.start()
        await two.start()
        lock = await one.acquire("deploy")
        assert lock is not None
        store.locks.lost = {"release": 1}
        await lock.release()
        assert one.metrics.releases == 1
        assert await two.acquire("deploy", strategy="fail_fast") is not None
        await two.stop()
        await one.stop()

    world(work)


def test_lock_that_could_not_be_released_is_not_renewed_any_more() -> None:
    async def work(store: Any, clock: Clock) -> None:
        one, two = LockManager(store, clock, "w1"), LockManager(store, clock, "w2")
        await one.start()
        await two.start()
        with pytest.raises(errors.StoreUnavailable):
            async with one.hold("deploy", ttl=30):
                store.locks.is_away = True
        store.locks.is_away = False
        await asyncio.sleep(31)
        assert await two.acquire("deploy", strategy="fail_fast") is not None
        assert one.metrics.lost == 0
        await two.stop()
        await one.stop()

    world(work)


def test_stopping_ends_soon_when_the_store_is_away() -> None:
    async def work(store: Any, clock: Clock) -> None:
        one = LockManager(store, clock, "w1")
        await one.start()
        for number in range(50):
            await one.acquire(f"l{number}")
        store.locks.is_away = True
        began = clock.monotonic()
        await one.stop()
        assert clock.monotonic() - began < 10

    world(work)


def test_slot_is_had_although_the_answer_was_lost() -> None:
    """Once: neither a second slot nor a task that nobody has."""

    async def work(store: Any, clock: Clock) -> None:
        registry, balancer = WorkerRegistry(store, clock), LoadBalancer(store, clock)
        store.workers.lost = {"register": 1}
        await registry.register("w1", capacity=1)
        store.workers.lost = {"reserve": 2}
        found = await balancer.select_worker(Task(id="t"))
        assert found is not None
        assert [slot.task for slot in await store.workers.slots(None)] == ["t"]
        assert len(await balancer.decisions("t")) == 1
        assert await balancer.finish(found.slot, succeeded=True)
        store.workers.lost = {"reserve": 99}
        with pytest.raises(errors.StoreUnavailable):
            await balancer.select_worker(Task(id="u"))

    world(work)


def test_other_reservation_of_the_same_task_is_not_taken_for_ones_own() -> None:
    """LB-08"""

    async def work(store: Any, clock: Clock) -> None:
        await WorkerRegistry(store, clock).register("w1", capacity=2)
        assert await LoadBalancer(store, clock).select_worker(Task(id="t")) is not None
        store.workers.lost = {"reserve": 1}
        assert await LoadBalancer(store, clock).select_worker(Task(id="t")) is None

    world(work)
