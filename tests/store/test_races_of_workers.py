"""What happens when two connections meet over one worker: its last slot, its life, its id. The one that is first is stopped
between two statements, until the other one waits for it."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import pytest

from interlock.store.ports import LockMode, LockRequest, Registered, SlotRow, WorkerState
from interlock.store.sql.postgresql import parameters
from interlock.store.sql.postgresql.store import PostgresStore
from store.stops import is_blocked, stopped
from store.test_workers import T, hold, join, new, reserve, row

Two = tuple[PostgresStore, PostgresStore]


async def _meet(first: Any, stop: Any, second: Any, url: str) -> tuple[Any, Any]:
    """Let the second begin when the first has stopped, and go on when the second waits for it."""
    one = asyncio.create_task(first)
    async with asyncio.timeout(60):
        await stop.reached.wait()
    other = asyncio.create_task(second)
    await is_blocked(url)
    stop.go_on.set()
    return await one, await other


async def _kinds(store: PostgresStore) -> list[str]:
    return [event.kind for event in await store.workers.events(0, 99)]


@pytest.mark.parametrize("statement", ["worker_lock", "worker_room", "slot_add"])
async def test_two_who_choose_get_one_slot(two: Two, postgres_url: str, statement: str) -> None:
    """LB-08"""
    one, other = two
    await join(one, capacity=1)
    stop = stopped(one, one.workers, statement)
    first, second = await _meet(
        one.workers.reserve("w1", "s1", "t1", T), stop, other.workers.reserve("w1", "s1", "t2", T), postgres_url
    )
    assert isinstance(first, SlotRow)
    assert second is None
    assert (await row(other)).active == 1


async def test_task_that_two_workers_get_at_once_has_one_of_them(two: Two, postgres_url: str) -> None:
    """LB-08"""
    one, other = two
    await join(one)
    await join(one, "w2", "s2")
    stop = stopped(one, one.workers, "slot_add")
    first, second = await _meet(
        one.workers.reserve("w1", "s1", "t1", T), stop, other.workers.reserve("w2", "s2", "t1", T), postgres_url
    )
    assert isinstance(first, SlotRow)
    assert second is None
    assert (await row(other, "w2")).assigned == 0


async def test_turn_is_taken_once(two: Two, postgres_url: str) -> None:
    """LB-05"""
    one, other = two
    await join(one)
    stop = stopped(one, one.workers, "worker_lock")
    first, second = await _meet(
        one.workers.reserve("w1", "s1", "t1", T, assigned=0),
        stop,
        other.workers.reserve("w1", "s1", "t2", T, assigned=0),
        postgres_url,
    )
    assert isinstance(first, SlotRow)
    assert second is None


async def test_five_who_recover_a_worker_do_it_once(two: Two, postgres_url: str) -> None:
    """HB-07"""
    one, other = two
    await join(one)
    await reserve(one, "t1")
    await reserve(one, "t2")
    stop = stopped(one, one.workers, "worker_hold")
    late = T + 150

    async def others() -> list[Any]:
        return await asyncio.gather(*(other.workers.recover("w1", "s1", late) for _ in range(4)))

    first, rest = await _meet(one.workers.recover("w1", "s1", late), stop, others(), postgres_url)
    assert first.tasks == ["t1", "t2"]
    assert rest == [None] * 4
    assert (await _kinds(one)).count("requeued") == 2
    assert (await _kinds(one)).count("recovered") == 1


async def test_heartbeat_that_comes_after_the_second_look_is_refused(two: Two, postgres_url: str) -> None:
    """HB-09"""
    one, other = two
    await join(one)
    stop = stopped(one, one.workers, "worker_hold")
    recovered, alive = await _meet(
        one.workers.recover("w1", "s1", T + 150), stop, other.workers.beat("w1", "s1", b"{}", T + 150), postgres_url
    )
    assert recovered is not None
    assert not alive


async def test_heartbeat_that_came_before_it_keeps_the_worker(two: Two, postgres_url: str) -> None:
    """HB-09"""
    one, _ = two
    await join(one)
    beat = parameters.load()["worker_beat"]
    connection = await asyncpg.connect(postgres_url)
    try:
        async with connection.transaction():
            given = {"worker": "w1", "session": "s1", "metrics": b"{}", "now": T + 150}
            await connection.execute(beat.sql, *beat.arguments(given))
            recovering = asyncio.create_task(one.workers.recover("w1", "s1", T + 150))
            await is_blocked(postgres_url)
        assert await recovering is None
    finally:
        await connection.close()
    assert (await row(one, at=T + 150)).state is WorkerState.REGISTERED


async def test_id_that_two_register_at_once_belongs_to_one(two: Two, postgres_url: str) -> None:
    """WR-08"""
    one, other = two
    stop = stopped(one, one.workers, "workers_guard")
    answers = await _meet(
        one.workers.register(new(), 9, T), stop, other.workers.register(new(session="s2"), 9, T), postgres_url
    )
    assert answers == (Registered.REGISTERED, Registered.TAKEN)
    assert (await row(other)).session == "s1"


async def test_last_place_that_two_register_for_is_given_once(two: Two, postgres_url: str) -> None:
    """WR-07"""
    one, other = two
    stop = stopped(one, one.workers, "workers_live")
    answers = await _meet(
        one.workers.register(new(), 1, T), stop, other.workers.register(new("w2", "s2"), 1, T), postgres_url
    )
    assert answers == (Registered.REGISTERED, Registered.FULL)


async def test_stale_worker_that_is_replaced_while_it_is_recovered_is_recovered_once(
    two: Two, postgres_url: str
) -> None:
    """WR-08, HB-07"""
    one, other = two
    await join(one)
    await reserve(one, "t1")
    stop = stopped(one, one.workers, "worker_hold")
    late = T + 150
    recovered, registered = await _meet(
        one.workers.recover("w1", "s1", late), stop, other.workers.register(new(session="s2"), 9, late), postgres_url
    )
    assert recovered is not None
    assert registered is Registered.REGISTERED
    assert (await _kinds(one)).count("recovered") == 1
    assert ((await row(one, at=late)).session, (await row(one, at=late)).fence) == ("s2", 2)


async def test_slot_that_is_given_while_its_worker_leaves_is_free_again(two: Two, postgres_url: str) -> None:
    one, other = two
    await join(one)
    stop = stopped(one, one.workers, "slot_add")
    slot, left = await _meet(
        one.workers.reserve("w1", "s1", "t1", T), stop, other.workers.leave("w1", "s1", T), postgres_url
    )
    assert left
    assert not await one.workers.started(slot)
    assert await other.workers.slots(None) == []


async def test_slot_is_not_given_by_who_has_left(two: Two, postgres_url: str) -> None:
    one, other = two
    await join(one)
    stop = stopped(one, one.workers, "worker_retire")
    left, slot = await _meet(
        one.workers.leave("w1", "s1", T), stop, other.workers.reserve("w1", "s1", "t1", T), postgres_url
    )
    assert left
    assert slot is None


async def test_task_that_ends_while_it_is_moved_ends_once(two: Two, postgres_url: str) -> None:
    """LB-12"""
    one, other = two
    await join(one)
    await join(one, "w2", "s2")
    slot = await reserve(one, "t1")
    stop = stopped(one, one.workers, "slot_move")
    moved, ended = await _meet(
        one.workers.move(slot, "w2", "s2", T),
        stop,
        other.workers.finish(slot, succeeded=True, seconds=1.0, now=T),
        postgres_url,
    )
    assert moved is not None
    assert not ended
    assert [(await row(one, name)).succeeded for name in ("w1", "w2")] == [0, 0]


async def test_task_that_starts_while_it_is_moved_is_started_nowhere(two: Two, postgres_url: str) -> None:
    """LB-12"""
    one, other = two
    await join(one)
    await join(one, "w2", "s2")
    slot = await reserve(one, "t1")
    stop = stopped(one, one.workers, "slot_move")
    moved, started = await _meet(one.workers.move(slot, "w2", "s2", T), stop, other.workers.started(slot), postgres_url)
    assert not moved.started
    assert not started


async def test_two_moves_in_opposite_directions_do_not_wait_for_each_other(two: Two, postgres_url: str) -> None:
    one, other = two
    await join(one)
    await join(one, "w2", "s2")
    there, back = await reserve(one, "t1"), await reserve(one, "t2", "w2", "s2")
    stop = stopped(one, one.workers, "worker_lock")
    first, second = await _meet(
        one.workers.move(there, "w2", "s2", T), stop, other.workers.move(back, "w1", "s1", T), postgres_url
    )
    assert (first.worker, second.worker) == ("w2", "w1")


async def test_worker_that_is_forgotten_while_it_registers_gets_a_larger_fence(two: Two, postgres_url: str) -> None:
    one, other = two
    await join(one)
    assert await one.workers.leave("w1", "s1", T)
    stop = stopped(one, one.workers, "workers_guard")
    forgotten, registered = await _meet(
        one.workers.forget(T + 1), stop, other.workers.register(new(session="s2"), 9, T + 2), postgres_url
    )
    assert forgotten == 1
    assert registered is Registered.REGISTERED
    assert (await row(other, at=T + 2)).fence == 2


async def test_floor_of_the_fences_never_goes_down(two: Two, postgres_url: str) -> None:
    """A worker with a large fence is forgotten while a lock with a small one is swept."""
    one, other = two
    for number in range(5):
        await join(one, session=f"s{number}")
        assert await one.workers.leave("w1", f"s{number}", T)
    await hold(one, "deploy", "someone")
    taken = (await one.locks.holders("default", "deploy", T))[0]
    await one.locks.release("default", "deploy", "someone", taken.fence, T)
    stop = stopped(one, one.workers, "worker_forget_floor")
    forgotten, _ = await _meet(one.workers.forget(T + 1), stop, other.locks.sweep(T, 0.0), postgres_url)
    assert forgotten == 1
    await join(one, session="late")
    assert (await row(one)).fence == 6


async def test_lock_that_is_shared_while_it_is_swept_is_not_taken_for_a_free_one(two: Two, postgres_url: str) -> None:
    """Else who wants it alone would have it beside its reader."""
    one, other = two
    request = LockRequest(
        namespace="default", name="deploy", holder="r1", session="r1/1", ttl_seconds=300.0, mode=LockMode.READ
    )
    first = await one.locks.take(request, T)
    assert first.grant is not None
    await one.locks.release("default", "deploy", "r1", first.grant.fence, T)
    stop = stopped(one, one.locks, "lock_share_add")
    shared, _ = await _meet(one.locks.take(request, T), stop, other.locks.sweep(T, 0.0), postgres_url)
    assert shared.grant is not None
    alone = LockRequest(namespace="default", name="deploy", holder="w", session="w/1", ttl_seconds=300.0)
    assert (await other.locks.take(alone, T)).grant is None
