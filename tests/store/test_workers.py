"""Conformance of workers: one life per id, heartbeats, recovery in its order, slots that are never too many."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from interlock.store.open import open_store
from interlock.store.ports import (
    Heard,
    Lesson,
    LockMode,
    LockRequest,
    NewWorker,
    Recovered,
    Registered,
    SlotRow,
    Store,
    Taking,
    Tally,
    WorkerRow,
    WorkerState,
    news,
)
from store.rows import accepting, new_task

PRESENT = [WorkerState.REGISTERED, WorkerState.DRAINING]
T = 1_900_000_000.0
"""The present of these tests; the store's own clock has no part in them."""


def new(worker: str = "w1", session: str = "s1", **more: Any) -> NewWorker:
    fields: dict[str, Any] = {"host": "h", "pid": 7, "capacity": 2, "silent_seconds": 120.0}
    return NewWorker(worker=worker, session=session, **fields | more)


async def join(store: Store, worker: str = "w1", session: str = "s1", at: float = T, **more: Any) -> None:
    assert await store.workers.register(new(worker, session, **more), 100, at) is Registered.REGISTERED


async def row(store: Store, worker: str = "w1", at: float = T) -> WorkerRow:
    found = await store.workers.get(worker, at)
    assert found is not None
    return found


async def reserve(store: Store, task: str, worker: str = "w1", session: str = "s1", at: float = T) -> SlotRow:
    slot = await store.workers.reserve(worker, session, task, at)
    assert slot is not None
    return slot


async def hold(store: Store, name: str, holder: str) -> None:
    request = LockRequest(
        namespace="default", name=name, holder=holder, session=f"of-{holder}", mode=LockMode.EXCLUSIVE,
        taking=Taking.RESPECT, ttl_seconds=300.0, limit=1,
    )  # fmt: skip
    assert (await store.locks.take(request, T)).grant is not None


async def told(store: Store, worker: str = "w1") -> list[tuple[str, Any]]:
    events = await store.workers.events(0, 100)
    return [(each.kind, msgspec.json.decode(each.detail or b"null")) for each in events if each.worker == worker]


# -- registration ----------------------------------------------------------------------------------------------------


async def test_record_comes_back_as_it_was_given(store: Store) -> None:
    """WR-02"""
    given = new(capabilities=b'{"skills":["a"]}', metadata=b'{"region":"eu"}', metrics=b'{"cpu":5}', capacity=4)
    assert await store.workers.register(given, 100, T) is Registered.REGISTERED
    found = await row(store, at=T + 10)
    assert (found.host, found.pid, found.capacity, found.active) == ("h", 7, 4, 0)
    assert (found.capabilities, found.metadata, found.metrics) == (given.capabilities, given.metadata, given.metrics)
    assert (found.state, found.registered_at, found.heard_at, found.ended_at) == (WorkerState.REGISTERED, T, T, None)
    assert (found.silent_seconds, found.may_be_silent_seconds, found.is_stale) == (10.0, 120.0, False)
    assert await store.workers.list(PRESENT, T + 10) == [found]
    assert await store.workers.get("nobody", T) is None


async def test_registration_that_is_sent_again_is_the_same(store: Store) -> None:
    await join(store)
    await join(store)
    assert (await row(store)).fence == 1


async def test_live_id_is_refused_and_stale_one_replaced(store: Store) -> None:
    """WR-08"""
    await join(store)
    slot = await reserve(store, "t1")
    assert await store.workers.register(new(session="s2"), 100, T + 120.0) is Registered.TAKEN
    assert await store.workers.beat("w1", "s1", b"{}", T + 120.0)
    assert await store.workers.register(new(session="s2"), 100, T + 240.001) is Registered.REGISTERED
    assert not await store.workers.beat("w1", "s1", b"{}", T + 240.001)
    assert not await store.workers.started(slot)
    assert await store.workers.slots(None) == []
    found = await row(store, at=T + 250)
    assert (found.session, found.fence, found.active, found.state) == ("s2", 2, 0, WorkerState.REGISTERED)
    kinds = [kind for kind, _ in await told(store)]
    assert kinds == [
        "registered", "stale", "offline", "locks-released", "alert", "requeued", "recovered", "registered",
    ]  # fmt: skip


async def test_one_more_than_there_may_be_is_refused(store: Store) -> None:
    """WR-07"""
    for number in range(100):
        assert await store.workers.register(new(f"w{number}", f"s{number}"), 100, T) is Registered.REGISTERED
    assert await store.workers.register(new("late", "late"), 100, T) is Registered.FULL
    assert await store.workers.get("late", T) is None
    assert await store.workers.leave("w3", "s3", T)
    assert await store.workers.register(new("late", "late"), 100, T) is Registered.REGISTERED


async def test_concurrent_registrations_stay_within_the_bound(store: Store) -> None:
    """WR-07"""
    answers = await asyncio.gather(*(store.workers.register(new(f"w{n}", f"s{n}"), 5, T) for n in range(12)))
    assert sorted(answers) == [Registered.FULL] * 7 + [Registered.REGISTERED] * 5


async def test_stale_worker_takes_nobodys_place(store: Store) -> None:
    await join(store)
    assert await store.workers.register(new("w2", "s2"), 1, T + 121) is Registered.REGISTERED


async def test_change_is_made_by_the_present_process_only(store: Store) -> None:
    """WR-03: what is stored goes registered -> draining and back, and ends by leaving or by recovery only."""
    await join(store)
    assert await store.workers.change("w1", "s1", state=WorkerState.DRAINING, now=T)
    assert (await row(store)).state is WorkerState.DRAINING
    assert await store.workers.reserve("w1", "s1", "t1", T) is None
    assert await store.workers.change("w1", "s1", state=WorkerState.REGISTERED, capacity=9, now=T)
    assert (await row(store)).capacity == 9
    assert not await store.workers.change("w1", "other", capacity=1, now=T)
    for state in (WorkerState.OFFLINE, WorkerState.REMOVED):
        assert not await store.workers.change("w1", "s1", state=state, now=T)
    assert await store.workers.leave("w1", "s1", T)
    assert not await store.workers.change("w1", "s1", state=WorkerState.REGISTERED, now=T)
    assert (await row(store)).capacity == 9


async def test_fence_grows_with_every_registration_also_after_the_worker_was_forgotten(store: Store) -> None:
    await join(store)
    assert await store.workers.leave("w1", "s1", T)
    await join(store, session="s2")
    assert (await row(store)).fence == 2
    assert await store.workers.leave("w1", "s2", T + 1)
    assert await store.workers.forget(T + 1) == 0
    assert await store.workers.forget(T + 2) == 1
    assert await store.workers.get("w1", T) is None
    assert await store.workers.events(0, 9) == []
    await join(store, session="s3", at=T + 3)
    assert (await row(store)).fence == 3


# -- heartbeats ------------------------------------------------------------------------------------------------------


async def test_worker_is_stale_when_it_was_silent_for_longer_than_it_may(store: Store) -> None:
    """HB-02: 120.0 s is not stale, 120.001 s is; also for times that no binary fraction fits."""
    for worker, silent in (("w1", 120.0), ("w2", 0.1), ("w3", 1 / 3)):
        await join(store, worker, worker, silent_seconds=silent)
        assert not (await row(store, worker, T + silent)).is_stale
        assert (await row(store, worker, T + silent + 0.001)).is_stale
        assert await store.workers.recover(worker, worker, T + silent) is None
        assert await store.workers.recover(worker, worker, T + silent + 0.001) is not None


async def test_heartbeat_tells_how_the_worker_is(store: Store) -> None:
    await join(store)
    assert await store.workers.beat("w1", "s1", b'{"cpu":80}', T + 30)
    found = await row(store, at=T + 40)
    assert (found.metrics, found.heard_at, found.silent_seconds) == (b'{"cpu":80}', T + 30, 10.0)
    assert not await store.workers.beat("w1", "another", b"{}", T + 41)
    assert not await store.workers.beat("nobody", "s1", b"{}", T + 41)
    assert not await store.workers.beat("w1", "", b"{}", T + 41)


async def test_heartbeat_is_answered_with_how_many_others_are_stale(store: Store) -> None:
    """HB-03"""
    for name in ("w1", "w2", "w3", "gone"):
        await join(store, name, f"s-{name}")
    assert await store.workers.leave("gone", "s-gone", T)
    assert await store.workers.beat("w3", "s-w3", b"{}", T + 60) == Heard(alive=True, stale=0)
    assert (await store.workers.beat("w1", "s-w1", b"{}", T + 120)).stale == 0
    assert (await store.workers.beat("w1", "s-w1", b"{}", T + 120.001)).stale == 1
    assert (await store.workers.beat("w2", "s-w2", b"{}", T + 190)).stale == 1  # w3; itself it does not count
    assert await store.workers.recover("w3", "s-w3", T + 190)
    assert (await store.workers.beat("w1", "s-w1", b"{}", T + 191)).stale == 0
    refused = await store.workers.beat("w3", "s-w3", b"{}", T + 191)
    assert (refused.alive, refused.stale) == (False, 0)


async def test_stale_worker_that_nobody_recovered_is_active_again(store: Store) -> None:
    """WR-04"""
    await join(store)
    assert (await row(store, at=T + 130)).is_stale
    assert await store.workers.reserve("w1", "s1", "t1", T + 130) is None
    assert await store.workers.beat("w1", "s1", b"{}", T + 131)
    assert not (await row(store, at=T + 131)).is_stale
    assert await store.workers.recover("w1", "s1", T + 131) is None
    assert await store.workers.reserve("w1", "s1", "t1", T + 131) is not None


# -- recovery --------------------------------------------------------------------------------------------------------


async def test_recovery_is_made_once_and_in_its_order(store: Store) -> None:
    """HB-05, HB-07"""
    await join(store)
    await join(store, "w2", "s2")
    await hold(store, "deploy", "w1")
    await hold(store, "other", "w2")
    await reserve(store, "t2")
    await reserve(store, "t1")
    recovered = await store.workers.recover("w1", "s1", T + 150)
    assert recovered == Recovered(worker="w1", session="s1", locks=1, tasks=["t1", "t2"])
    assert await store.workers.recover("w1", "s1", T + 150) is None
    about = {"session": "s1", "silent_seconds": 150.0}
    assert await told(store) == [
        ("registered", {"session": "s1", "host": "h"}),
        ("stale", about),
        ("offline", {}),
        ("locks-released", {"locks": 1}),
        ("alert", about),
        ("requeued", {"task": "t1"}),
        ("requeued", {"task": "t2"}),
        ("recovered", {"locks": 1, "tasks": 2}),
    ]
    found = await row(store, at=T + 150)
    assert (found.state, found.active, found.heard_at, found.ended_at) == (WorkerState.OFFLINE, 0, None, T + 150)
    assert found.is_stale
    assert [lock.name for lock in await store.locks.holders("default", "deploy", T)] == []
    assert [lock.holder for lock in await store.locks.holders("default", "other", T)] == ["w2"]
    assert await store.workers.list(PRESENT, T) == [await row(store, "w2")]


async def test_recovery_loses_the_attempts_of_the_worker(store: Store) -> None:
    """HB-14, as far as the store goes: the attempt is lost, its late outcome is refused, its run is told once."""
    await join(store)
    await store.journal.commit(accepting(tasks=[new_task()]))
    assert [task.task for task in await store.queue.claim("s1", "local", 4, 4, 60.0, T, own=False)] == ["t1"]
    assert (await row(store)).active == 1
    recovered = await store.workers.recover("w1", "s1", T + 121)
    assert recovered is not None
    assert recovered.tasks == ["t1"]
    stored = await store.journal.load("r1")
    assert stored is not None
    assert [b"lost" in each.cause for each in stored.inbox] == [True]


async def test_leaving_frees_what_the_worker_holds_without_an_alert(store: Store) -> None:
    """HB-12, as far as the store goes."""
    await join(store)
    await hold(store, "deploy", "w1")
    await reserve(store, "t1")
    assert not await store.workers.leave("w1", "another", T)
    assert await store.workers.leave("w1", "s1", T)
    assert not await store.workers.leave("w1", "s1", T)
    assert not await store.workers.beat("w1", "s1", b"{}", T)
    assert await store.workers.recover("w1", "s1", T + 999) is None
    assert [kind for kind, _ in await told(store)] == ["registered", "locks-released", "requeued", "removed"]
    assert (await row(store)).state is WorkerState.REMOVED
    assert await store.locks.holders("default", "deploy", T) == []


async def test_lock_is_stale_when_its_holder_is_given_up_and_not_when_it_deregistered(store: Store) -> None:
    """What a process takes under its name after it deregistered is its own."""
    await join(store)
    await join(store, "w2", "s2")
    await hold(store, "one", "w1")
    assert await store.workers.leave("w2", "s2", T)
    await hold(store, "two", "w2")
    found = {}
    for name in ("one", "two"):
        request = LockRequest(
            namespace="default", name=name, holder="w3", session="s3", ttl_seconds=300.0, taking=Taking.STALE
        )
        found[name] = (await store.locks.take(request, T + 121)).grant is not None
    assert found == {"one": True, "two": False}


async def test_worker_without_a_life_is_recovered(store: Store) -> None:
    """After a restore no lease is left: whoever is stored as registered is nobody any more."""
    await join(store)
    await store.upkeep.raise_fences(1000, T)
    assert (await row(store)).is_stale
    assert not await store.workers.beat("w1", "s1", b"{}", T)
    assert await store.workers.recover("w1", "s1", T) is not None
    await join(store, session="s2")
    assert (await row(store)).fence > 1000


# -- slots -----------------------------------------------------------------------------------------------------------


async def test_worker_holds_as_many_tasks_as_it_has_slots(store: Store) -> None:
    """WR-05, LB-08"""
    await join(store)
    slots = [await reserve(store, "t1"), await reserve(store, "t2")]
    assert [slot.fence for slot in slots] == [1, 2]
    assert await store.workers.reserve("w1", "s1", "t3", T) is None
    assert (await row(store)).active == 2
    assert await store.workers.finish(slots[0], succeeded=True, seconds=2.5, now=T)
    assert not await store.workers.finish(slots[0], succeeded=True, seconds=2.5, now=T)
    assert (await reserve(store, "t3")).fence == 3
    assert await store.workers.slots("w1") == [slots[1], await _of(store, "t3")]
    found = await row(store)
    assert (found.active, found.assigned, found.assigned_at, found.succeeded, found.busy_seconds) == (2, 3, T, 1, 2.5)


async def _of(store: Store, task: str) -> SlotRow:
    return next(slot for slot in await store.workers.slots(None) if slot.task == task)


async def test_thousand_changes_at_once_leave_the_exact_count(store: Store) -> None:
    """WR-05: 500 reservations and their ends, at once; never more than there are slots, and nothing left."""
    await join(store, capacity=3)
    most = 0

    async def work(number: int) -> int:
        nonlocal most
        slot = await store.workers.reserve("w1", "s1", f"t{number}", T)
        if slot is None:
            return 0
        most = max(most, len(await store.workers.slots("w1")))
        assert await store.workers.finish(slot, succeeded=True, seconds=1.0, now=T)
        return 1

    given = sum(await asyncio.gather(*(work(number) for number in range(500))))
    found = await row(store)
    assert (found.active, found.succeeded, found.assigned, found.busy_seconds) == (0, given, given, float(given))
    assert 0 < most <= 3


async def test_task_has_one_holder(store: Store) -> None:
    """LB-08"""
    await join(store)
    await join(store, "w2", "s2")
    await reserve(store, "t1")
    assert await store.workers.reserve("w2", "s2", "t1", T) is None
    assert (await row(store, "w2")).assigned == 0


async def test_turn_that_another_one_took_is_refused(store: Store) -> None:
    """LB-05"""
    await join(store)
    assert await store.workers.reserve("w1", "s1", "t1", T, assigned=1) is None
    assert await store.workers.reserve("w1", "s1", "t1", T, assigned=0) is not None
    assert await store.workers.reserve("w1", "s1", "t2", T, assigned=0) is None


async def test_only_what_was_not_started_is_moved(store: Store) -> None:
    """LB-12"""
    await join(store)
    await join(store, "w2", "s2")
    one, two = await reserve(store, "t1"), await reserve(store, "t2")
    assert await store.workers.started(one)
    assert await store.workers.started(one)
    assert (await _of(store, "t1")).started
    assert await store.workers.move(one, "w2", "s2", T) is None
    moved = await store.workers.move(two, "w2", "s2", T)
    assert moved == SlotRow(task="t2", worker="w2", session="s2", fence=1, started=False, reserved_at=T, detail=b"{}")
    assert not await store.workers.started(two)
    assert not await store.workers.finish(two, succeeded=True, seconds=1.0, now=T)
    assert await store.workers.move(two, "w2", "s2", T) is None
    assert await store.workers.move(moved, "w2", "s2", T) is None
    assert [(await row(store, name)).active for name in ("w1", "w2")] == [1, 1]
    assert [(await row(store, name)).succeeded for name in ("w1", "w2")] == [0, 0]


async def test_task_is_not_moved_to_who_has_no_room(store: Store) -> None:
    await join(store)
    await join(store, "w2", "s2", capacity=0)
    slot = await reserve(store, "t1")
    for worker, session in (("w2", "s2"), ("nobody", "s3"), ("w1", "s1")):
        assert await store.workers.move(slot, worker, session, T) is None
    assert await _of(store, "t1") == slot


async def test_same_number_of_another_worker_is_another_slot(store: Store) -> None:
    """Each worker counts for itself, so a task that was moved may keep its number."""
    await join(store)
    await join(store, "w2", "s2")
    one = await reserve(store, "t1")
    moved = await store.workers.move(one, "w2", "s2", T)
    assert moved is not None
    assert moved.fence == one.fence
    assert not await store.workers.started(one)
    assert await store.workers.started(moved)


async def test_outcomes_are_counted(store: Store) -> None:
    await join(store)
    for number, succeeded in enumerate([True, False, None]):
        slot = await reserve(store, f"t{number}")
        assert await store.workers.finish(slot, succeeded=succeeded, seconds=1.5, now=T + number)
    found = await row(store)
    assert (found.succeeded, found.failed, found.busy_seconds, found.failed_at) == (1, 1, 4.5, T + 1)


# -- decisions -------------------------------------------------------------------------------------------------------


async def test_decisions_are_kept_with_their_reason(store: Store) -> None:
    await store.workers.note("worker", "t1", "w1", b'{"reason":"idle"}', T)
    await store.workers.note("worker", "t2", None, b"{}", T + 1)
    await store.workers.note("pool", "t1", "p", b"{}", T + 2)
    assert [choice.subject for choice in await store.workers.choices("worker", None, 9)] == ["t2", "t1"]
    assert [choice.subject for choice in await store.workers.choices("worker", None, 1)] == ["t2"]
    found = (await store.workers.choices("worker", "t1", 9))[0]
    assert (found.at, found.chosen, found.body) == (T, "w1", b'{"reason":"idle"}')
    await store.workers.forget(T + 1)
    assert await store.workers.choices("worker", "t1", 9) == []
    assert len(await store.workers.choices("pool", None, 9)) == 1


async def test_what_several_learn_at_once_adds_up_within_bounds(store: Store) -> None:
    """LB-10"""
    await join(store, capacity=99)

    async def learn(task: str, **factors: float) -> None:
        lessons = [
            Lesson(strategy=name, factor=factor, prior=0.4, low=0.1, high=0.9) for name, factor in factors.items()
        ]
        slot = await reserve(store, task)
        assert await store.workers.finish(slot, succeeded=True, seconds=1.0, lessons=lessons, now=T)
        assert not await store.workers.finish(slot, succeeded=True, seconds=1.0, lessons=lessons, now=T)

    await asyncio.gather(*(learn(f"t{number}", a=0.9) for number in range(4)))
    assert abs((await store.workers.weights())["a"] - 0.4 * 0.9**4) < 1e-12
    for number in range(4):
        await learn(f"u{number}", b=2.0, a=0.5)
    assert await store.workers.weights() == {"a": 0.1, "b": 0.9}


# -- news and transactions -------------------------------------------------------------------------------------------


async def test_room_is_told_and_a_heartbeat_is_not(store: Store) -> None:
    """Else a thousand workers would wake everybody thirty times a second."""
    await join(store)
    rung = asyncio.Event()
    end = store.bell.listen(rung.set, news.WORKERS)
    slot = await reserve(store, "t1")
    for act in (
        store.workers.finish(slot, succeeded=True, seconds=1.0, now=T),
        store.workers.change("w1", "s1", capacity=3, now=T),
        store.workers.leave("w1", "s1", T),
    ):
        rung.clear()
        await act
        async with asyncio.timeout(60):
            await rung.wait()
    end()


async def test_heartbeats_wake_nobody() -> None:
    opened = await open_store("sqlite:///:memory:")
    joined = asyncio.Event()
    end = opened.bell.listen(joined.set)
    await join(opened)
    async with asyncio.timeout(60):
        await joined.wait()
    end()
    rung: list[int] = []
    left = asyncio.Event()

    def ring() -> None:
        rung.append(1)
        left.set()

    opened.bell.listen(ring)
    for number in range(10):
        assert await opened.workers.beat("w1", "s1", b"{}", T + number)
    assert await opened.workers.leave("w1", "s1", T + 10)
    async with asyncio.timeout(60):
        await left.wait()
    assert rung == [1]  # by the one that left, after ten heartbeats
    await opened.close()


async def test_slot_of_a_transaction_that_is_rolled_back_is_free(store: Store) -> None:
    await join(store, capacity=1)

    async def failing() -> None:
        async with store.transaction() as transaction:
            assert await transaction.store.workers.reserve("w1", "s1", "t1", T) is not None
            raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        await failing()
    assert (await row(store)).active == 0
    async with store.transaction() as transaction:
        assert await transaction.store.workers.reserve("w1", "s1", "t1", T) is not None
    assert (await row(store)).active == 1


# -- workers that take their tasks out of the queue ---------------------------------------------------------------------


async def test_what_a_worker_did_is_counted_and_learned_from(store: Store) -> None:
    await join(store)
    assert await store.workers.tally("w1", "s1", Tally(taken=3), T + 1)
    found = await row(store)
    assert (found.assigned, found.assigned_at, found.failed_at) == (3, T + 1, None)
    lesson = Lesson(strategy="least_loaded", factor=2.0, prior=0.2, low=0.1, high=0.9)
    done = Tally(succeeded=2, failed=1, seconds=4.5, lessons=[lesson, lesson])
    assert await store.workers.tally("w1", "s1", done, T + 2)
    found = await row(store)
    assert (found.assigned, found.assigned_at, found.failed_at) == (3, T + 1, T + 2)
    assert (found.succeeded, found.failed, found.busy_seconds) == (2, 1, 4.5)
    assert await store.workers.weights() == {"least_loaded": pytest.approx(0.8)}


async def test_process_that_lost_its_place_counts_nothing(store: Store) -> None:
    await join(store)
    lesson = Lesson(strategy="least_loaded", factor=2.0, prior=0.2, low=0.1, high=0.9)
    assert not await store.workers.tally("w1", "s0", Tally(taken=1, succeeded=1, lessons=[lesson]), T)
    assert (await row(store)).assigned == 0
    assert await store.workers.weights() == {}
