"""Locks as a program has them: strategies, renewal, the queue, deadlocks; in virtual time."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from coordinating import simulated
from interlock import errors
from interlock.coord.lock import Lock
from interlock.coord.locks import LockManager, Strategy
from interlock.model.lock_state import LEGAL, LockState, moved
from interlock.service import Clock
from interlock.store.ports import LockMode, Store


@asynccontextmanager
async def managers(store: Store, clock: Clock, count: int, **options: Any) -> AsyncIterator[list[LockManager]]:
    made = [LockManager(store, clock, f"w{number}", **options) for number in range(1, count + 1)]
    for each in made:
        await each.start()
    try:
        yield made
    finally:
        for each in made:
            await each.stop()


async def acquired(manager: LockManager, name: str = "deploy", **options: Any) -> Lock:
    lock = await manager.acquire(name, strategy="fail_fast", **options)
    assert lock is not None
    return lock


# -- LK-15 -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("before", "after"), list(itertools.product(LockState, LockState)))
def test_lock_goes_where_it_may_and_nowhere_else(before: LockState, after: LockState) -> None:
    """LK-15"""
    if after in LEGAL[before]:
        assert moved(before, after) is after
    else:
        with pytest.raises(ValueError, match=f"from {before} to {after}"):
            moved(before, after)


def test_states_of_a_grant_follow_what_becomes_of_it() -> None:
    """LK-15"""

    async def work(store: Store, clock: Clock) -> None:
        async with managers(store, clock, 2) as (one, two):
            lock = await acquired(one)
            assert (lock.state, lock.is_held, lock.is_lost) == (LockState.ACQUIRED, True, False)
            lock.executing()
            lock.executing()
            assert lock.state is LockState.EXECUTING
            await lock.release()
            await lock.release()
            assert lock.state is LockState.RELEASED
            with pytest.raises(errors.LockError, match="it was released") as refused:
                lock.executing()
            assert refused.value.code == "lock-expired"
            again = await acquired(one)
            forced = await two.acquire("deploy", strategy=Strategy.FORCE_ACQUIRE)
            assert forced is not None
            await asyncio.sleep(101)
            assert again.state is LockState.EXPIRED
            with pytest.raises(errors.LockError, match="another one took it"):
                await again.release()

    simulated(work)


# -- acquiring ---------------------------------------------------------------------------------------------------


def test_conflict_is_a_value_and_changes_nothing() -> None:
    """LK-01"""

    async def work(store: Store, clock: Clock) -> None:
        async with managers(store, clock, 2) as (one, two):
            lock = await acquired(one, metadata={"taskType": "build"})
            assert await two.acquire("deploy", strategy="fail_fast") is None
            assert await two.is_locked("deploy")
            held = await two.get_lock("deploy")
            assert held is not None
            assert (held.holder, held.fence, held.metadata["taskType"]) == ("w1", lock.fence, "build")
            assert set(held.metadata) == {"hostname", "pid", "taskType"}
            assert await two.get_lock("other") is None
            assert repr(held).startswith("<Held 'deploy' fence=")
            assert await lock.check()

    simulated(work)


@pytest.mark.parametrize("strategy", list(Strategy))
def test_strategies_do_what_their_names_say(strategy: Strategy) -> None:
    """LK-13: each against a free lock, a live one, and one whose holder has stopped renewing it."""
    wins = {
        Strategy.RETRY: (True, False, True),  # the stale one ends while it is asked for again
        Strategy.FAIL_FAST: (True, False, False),
        Strategy.STEAL_STALE: (True, False, True),
        Strategy.FORCE_ACQUIRE: (True, True, True),
    }

    async def work(store: Store, clock: Clock) -> None:
        async with managers(store, clock, 3) as (one, two, dead):
            found = [await two.acquire("free", strategy=strategy)]
            await acquired(one, "live", ttl=30)
            found.append(await two.acquire("live", strategy=strategy))
            await acquired(dead, "stale", ttl=30)
            await dead._renewal.stop()
            await asyncio.sleep(22)
            found.append(await two.acquire("stale", strategy=strategy))
            assert tuple(lock is not None for lock in found) == wins[strategy]
            assert two.metrics.stale_recovered == int(wins[strategy][2])
            dead._held.clear()

    simulated(work)


def test_retries_wait_as_long_as_the_formula_says() -> None:
    """LK-14: 1, 2, 4, 8, 16, then 16 s, a tenth more or less; as many attempts as were asked for."""
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    async def work(store: Store, clock: Clock) -> None:
        async with managers(store, clock, 2, pause=pause) as (one, two):
            await acquired(one)
            assert await two.acquire("deploy", attempts=8) is None
            assert (two.metrics.conflicts, two.metrics.retries, two.metrics.failures) == (8, 7, 1)
            pauses.clear()
            assert await two.acquire("deploy") is None
            assert len(pauses) == 4  # five attempts unless told otherwise

    simulated(work)
    formula = [1, 2, 4, 8]
    assert [pytest.approx(seconds, rel=0.1) for seconds in formula] == pauses
    assert pauses != formula


def test_retry_formula_has_a_cap() -> None:
    """LK-14"""
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    async def work(store: Store, clock: Clock) -> None:
        async with managers(store, clock, 2, pause=pause, attempts=8) as (one, two):
            await acquired(one)
            assert await two.acquire("deploy") is None

    simulated(work)
    assert [pytest.approx(seconds, rel=0.1) for seconds in [1, 2, 4, 8, 16, 16, 16]] == pauses


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": ""}, "is no name of a lock"),
        ({"name": "a\nb"}, "is no name of a lock"),
        ({"name": "x" * 201}, "is no name of a lock"),
        ({"ttl": 0.5}, "at least 1 s"),
        ({"ttl": "soon"}, "ttl='soon'"),
        ({"limit": 0}, "at least 1"),
        ({"limit": 2}, "only with mode='counted'"),
    ],
)
def test_bad_input_is_refused_by_name(options: dict[str, Any], message: str) -> None:
    async def work(store: Store, clock: Clock) -> None:
        async with managers(store, clock, 1) as (one,):
            with pytest.raises(errors.Invalid, match=message):
                await one.acquire(**{"name": "deploy"} | options)
            assert await one.list_locks() == []

    simulated(work)


def test_time_limit_that_is_none_is_refused_though_the_lock_is_free() -> None:
    async def work(store: Store, clock: Clock) -> None:
        async with managers(store, clock, 1) as (one,):
            with pytest.raises(errors.Invalid, match="timeout='soon'"):
                await one.wait("deploy", timeout="soon")
            assert await one.list_locks() == []

    simulated(work)


# -- renewal -----------------------------------------------------------------------------------------------------


def test_lock_is_kept_as_long_as_its_holder_works() -> None:
    """LK-08: renewed every third of its time, for an hour; nobody takes it as stale."""

    async def work(store: Store, clock: Clock) -> None:
        async with managers(store, clock, 2) as (one, two):
            lock = await acquired(one, ttl="90s")
            for _ in range(60):
                await asyncio.sleep(60)
                assert await two.acquire("deploy", strategy="steal_stale") is None
            assert await lock.check()
            (row,) = await store.locks.holders("default", "deploy", clock.stamp())
            assert 59 <= row.expires_at - clock.now() <= 90

    simulated(work)


@pytest.mark.parametrize("how", ["forced", "cleared", "away"])
def test_holder_is_told_of_its_loss_within_one_renewal(how: str) -> None:
    """LK-16"""

    async def work(store: Store, clock: Clock) -> None:
        told: list[tuple[float, Lock]] = []
        async with managers(store, clock, 2) as (one, two):
            lock = await acquired(one, ttl=90, on_lost=lambda lost: told.append((clock.monotonic(), lost)))
            await asyncio.sleep(7)
            began = clock.monotonic()
            if how == "forced":
                assert await two.acquire("deploy", strategy="force_acquire")
            elif how == "cleared":
                assert await two.release_worker_locks("w1") == 1
            else:
                await one._renewal.stop()
                one._renewal._store = Away(store)  # type: ignore[assignment]  # whose locks are away
                await one._renewal.start()
                one._renewal._begin()
            await lock.wait_lost()
            ((at, lost),) = told
            assert lost is lock
            bound = 90 - 9 if how == "away" else 30
            assert at - began <= bound + 1
            assert lock.is_lost
            assert not await lock.check()
            late: list[Lock] = []
            lock.on_lost(late.append)
            assert late == [lock]
            assert one.metrics.lost == 1

    simulated(work)


def test_holder_is_told_when_its_own_process_takes_the_lock() -> None:
    """LK-16: at once, and what renews the second grant does not keep the first one."""

    async def work(store: Store, clock: Clock) -> None:
        async with managers(store, clock, 1) as (one,):
            first = await acquired(one)
            second = await one.acquire("deploy", strategy="force_acquire")
            assert second is not None
            assert first.is_lost
            assert not second.is_lost
            await asyncio.sleep(1000)
            assert await second.check()
            assert one.metrics.lost == 1

    simulated(work)


class Away:
    """A store that cannot be reached."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.locks = self

    def renewals(self) -> None:
        return None

    async def renew(self, held: object, now: float | None) -> list[Any]:
        raise errors.StoreUnavailable("away")


def test_block_is_stopped_when_its_lock_is_lost() -> None:
    """LK-16"""

    async def work(store: Store, clock: Clock) -> None:
        async with managers(store, clock, 2) as (one, two):
            reached = []

            async def hold() -> None:
                async with one.hold("deploy", ttl=30) as lock:
                    reached.append(lock)
                    await asyncio.sleep(1000)
                    reached.append(lock)

            holding = asyncio.create_task(hold())
            await asyncio.sleep(5)
            assert await two.acquire("deploy", strategy="force_acquire")
            with pytest.raises(errors.LeaseLost, match="lost under the number"):
                await holding
            assert len(reached) == 1
            # A block that is cancelled by others is cancelled.
            await acquired(one, "other")
            waiting = asyncio.create_task(_hold(two, "other"))
            await asyncio.sleep(1)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            assert await store.locks.waits("default", clock.stamp()) == []

    simulated(work)


async def _hold(manager: LockManager, name: str, seconds: float = 0.0, **options: Any) -> int:
    async with manager.hold(name, **options) as lock:
        await asyncio.sleep(seconds)
        return lock.fence


# -- waiting -----------------------------------------------------------------------------------------------------


def test_who_waits_is_served_in_turn() -> None:
    async def work(store: Store, clock: Clock) -> None:
        async with managers(store, clock, 6) as all_:
            order: list[str] = []

            async def use(manager: LockManager) -> None:
                async with manager.hold("deploy", ttl=10):
                    order.append(manager.worker)
                    await asyncio.sleep(3)

            tasks = []
            for manager in all_:
                tasks.append(asyncio.create_task(use(manager)))
                await asyncio.sleep(0.1)
            await asyncio.gather(*tasks)
            assert order == [manager.worker for manager in all_]
            assert clock.monotonic() < 3 * 6 + 2  # nobody waited for more than the one before

    simulated(work)


def test_waiting_ends_in_time_and_says_who_holds_it() -> None:
    async def work(store: Store, clock: Clock) -> None:
        async with managers(store, clock, 2) as (one, two):
            await acquired(one)
            began = clock.monotonic()
            assert await two.wait("deploy", timeout="5s") is None
            assert clock.monotonic() - began == pytest.approx(5, abs=0.5)
            assert (two.metrics.failures, two.metrics.conflicts) == (1, 1)
            with pytest.raises(TimeoutError, match="'w1' holds it under the number"):
                await _hold(two, "deploy", timeout=1)
            assert await store.locks.waits("default", clock.stamp()) == []

    simulated(work)


def test_lock_of_a_process_that_is_gone_comes_free_by_itself() -> None:
    async def work(store: Store, clock: Clock) -> None:
        async with managers(store, clock, 3) as (_, two, dead):
            await acquired(dead, ttl=30)
            await dead._renewal.stop()
            dead._held.clear()
            began = clock.monotonic()
            lock = await two.wait("deploy")
            assert lock is not None
            assert clock.monotonic() - began == pytest.approx(30, abs=1)
            assert two.metrics.stale_recovered == 1

    simulated(work)


def test_ring_of_waits_is_broken_where_it_was_closed() -> None:
    async def work(store: Store, clock: Clock) -> None:
        async with managers(store, clock, 3) as all_:

            async def both(manager: LockManager, first: str, second: str, pause: float) -> str:
                async with manager.hold(first, ttl=60):
                    await asyncio.sleep(pause)
                    async with manager.hold(second, ttl=60):
                        return manager.worker

            tasks = [
                asyncio.create_task(both(manager, *names, pause))
                for manager, names, pause in zip(
                    all_, [("a", "b"), ("b", "c"), ("c", "a")], [1.0, 2.0, 3.0], strict=True
                )
            ]
            results = await asyncio.gather(*tasks, return_exceptions=True)
            assert results[:2] == ["w1", "w2"]
            assert isinstance(results[2], errors.LockError)
            assert results[2].code == "deadlock"
            assert "waits for 'a'" in str(results[2])
            assert all_[2].metrics.deadlocks == 1
            assert clock.monotonic() < 20

    simulated(work)


def test_two_tasks_of_one_worker_are_not_taken_for_one() -> None:
    """Each holds what another worker's task waits for, and that one will end: no ring."""

    async def work(store: Store, clock: Clock) -> None:
        async with managers(store, clock, 2) as (one, two):

            async def first() -> None:
                async with one.hold("a", ttl=60):
                    await asyncio.sleep(1)
                    async with one.hold("b", ttl=60):
                        return

            async def second() -> None:
                async with two.hold("b", ttl=60):
                    await asyncio.sleep(5)

            async def third() -> None:
                await asyncio.sleep(0.5)
                async with two.hold("a", ttl=60):
                    return

            await asyncio.gather(first(), second(), third())

    simulated(work)


def test_readers_and_counted_locks() -> None:
    async def work(store: Store, clock: Clock) -> None:
        async with managers(store, clock, 3) as (one, two, three):
            readers = [await acquired(each, mode="read") for each in (one, two)]
            assert await three.acquire("deploy", strategy="fail_fast") is None
            assert [held.holder for held in await three.holders("deploy")] == ["w1", "w2"]
            for reader in readers:
                await reader.release()
            tickets = [await acquired(each, "pool", mode=LockMode.COUNTED, limit=2) for each in (one, two)]
            assert await three.acquire("pool", mode="counted", limit=2, strategy="fail_fast") is None
            waiting = asyncio.create_task(three.wait("pool", mode="counted", limit=2))
            await asyncio.sleep(100)
            assert not waiting.done()
            await tickets[0].release()
            assert (await waiting) is not None

    simulated(work)


# -- releasing ---------------------------------------------------------------------------------------------------


def test_release_is_refused_by_its_reason() -> None:
    """LK-05, LK-06"""

    async def work(store: Store, clock: Clock) -> None:
        async with managers(store, clock, 2) as (one, two):
            lock = await acquired(one)
            for call, code in [
                (two.release("deploy"), "invalid-owner"),
                (two.release("deploy", fence=lock.fence), "invalid-owner"),
                (two.release("nothing"), "not-found"),
                (two.release("nothing", fence=1), "not-found"),
            ]:
                with pytest.raises(errors.LockError) as refused:
                    await call
                assert refused.value.code == code
            assert await lock.check()
            await one.release("deploy")
            assert lock.state is LockState.RELEASED
            shares = [await acquired(one, "r", mode="read") for _ in range(2)]
            with pytest.raises(errors.LockError, match="say which"):
                await one.release("r")
            await one.release("r", fence=shares[0].fence)
            await one.release(shares[1])
            dead = await acquired(two, "x", ttl=10)
            await two._renewal.stop()
            await asyncio.sleep(10)
            with pytest.raises(errors.LockError) as refused:
                await two.release(dead)
            assert (refused.value.code, dead.is_lost) == ("lock-expired", True)

    simulated(work)


def test_stale_locks_are_recovered_and_cleared() -> None:
    """LK-10, LK-12"""

    async def work(store: Store, clock: Clock) -> None:
        async with managers(store, clock, 2) as (one, dead):
            for name in ("a", "b"):
                await acquired(dead, name, ttl=30)
            await acquired(dead, "long", ttl=3000)
            await acquired(one, "mine", ttl=30)
            await dead._renewal.stop()
            dead._held.clear()
            await asyncio.sleep(22)
            assert await one.recover_stale_locks("w2") == 2
            await asyncio.sleep(3000)
            assert [held.name for held in await one.list_locks()] == ["mine"]
            assert [held.name for held in await one.list_locks(worker="w2", include_expired=True)] == ["long"]
            assert await one.cleanup_stale_locks() == 1
            assert [held.name for held in await one.list_locks(include_expired=True)] == ["mine"]

    simulated(work)


def test_metrics_count_what_happened() -> None:
    """LK-17"""

    async def work(store: Store, clock: Clock) -> None:
        async with managers(store, clock, 2) as (one, two):
            assert one.metrics.average_seconds is None
            lock = await acquired(one)
            assert await two.acquire("deploy", attempts=2) is None
            await lock.release()
            taken = await two.acquire("deploy")
            assert taken is not None
            await taken.release()
            assert (one.metrics.acquisitions, one.metrics.releases) == (1, 1)
            found = two.metrics
            assert (found.acquisitions, found.conflicts, found.retries, found.failures) == (1, 2, 1, 1)
            assert found.average_seconds is not None
            assert found.average_seconds < 0.1

    simulated(work)


def test_grant_that_nobody_waits_for_any_more_is_given_back() -> None:
    """The caller was cancelled while the store granted it."""

    async def work(store: Store, clock: Clock) -> None:
        async with managers(store, clock, 1) as (one,):
            acquiring = asyncio.create_task(one.acquire("deploy", strategy="fail_fast"))
            await asyncio.sleep(0)
            acquiring.cancel()
            with pytest.raises(asyncio.CancelledError):
                await acquiring
            await asyncio.sleep(1)
            assert not await one.is_locked("deploy")

    simulated(work)
