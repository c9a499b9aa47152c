"""What happens when two connections meet over one lock. The one that is first is stopped between two statements, or has done
its statement and not committed yet, until the other one waits for it.

The last test knows every statement by which coordination writes: each has its race here, or in the files beside.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import pytest

from interlock.store.ports import (
    CellWrite,
    Lesson,
    LockMode,
    LockRequest,
    LockRow,
    Released,
    Taking,
    Tally,
    WriteResult,
)
from interlock.store.sql import statements
from interlock.store.sql.lock_rows import key_of, lease_of
from interlock.store.sql.postgresql import parameters
from interlock.store.sql.postgresql.store import PostgresStore
from store.stops import is_blocked, stopped
from store.test_locks import NOW, asking, granted
from store.test_workers import T, join, reserve, row

Two = tuple[PostgresStore, PostgresStore]
KEY = key_of("default", "deploy")


@contextlib.asynccontextmanager
async def uncommitted(url: str, statement: str, **given: Any) -> AsyncIterator[int]:
    """Do a statement on a connection of one's own, and commit it at the end of the block; gives the rows changed."""
    known = parameters.load()[statement]
    connection = await asyncpg.connect(url)
    try:
        async with connection.transaction():
            done = await connection.execute(known.sql, *known.arguments({"now": NOW, **given}))
            yield int(done.rpartition(" ")[2])
    finally:
        await connection.close()


async def meet(first: Awaitable[Any], stop: Any, second: Awaitable[Any], url: str) -> tuple[Any, Any]:
    """Let the second begin when the first has stopped, and go on when the second waits for it."""
    one = asyncio.ensure_future(first)
    async with asyncio.timeout(60):
        await stop.reached.wait()
    other = asyncio.ensure_future(second)
    await is_blocked(url)
    stop.go_on.set()
    return await one, await other


async def later(url: str, waiting: Awaitable[Any]) -> asyncio.Future[Any]:
    """Begin what has to wait for an open transaction, and give it when it does."""
    begun = asyncio.ensure_future(waiting)
    await is_blocked(url)
    return begun


def given(request: LockRequest) -> dict[str, Any]:
    """Give the parameters by which a statement grants a request."""
    detail = msgspec.json.encode({"session": request.session, "nonce": request.nonce, "limit": 1, "metadata": {}})
    return {"key": KEY, "holder": request.holder, "ttl": request.ttl_seconds, "detail": detail}


async def waiting(store: PostgresStore, holder: str) -> LockRequest:
    request = asking(holder=holder)
    return msgspec.structs.replace(request, ticket=await store.locks.queue(request, 60.0, NOW))


def winner(*taken: Any) -> LockRow:
    """Give the one grant that there is."""
    (grant,) = [each.grant for each in taken if each.grant is not None]
    assert isinstance(grant, LockRow)
    return grant


# -- granting --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_new", [True, False])
async def test_free_lock_that_two_take_is_one_ones(two: Two, postgres_url: str, is_new: bool) -> None:
    """LK-02"""
    one, other = two
    if not is_new:
        before = await granted(one, asking(holder="w0"))
        await one.locks.release("default", "deploy", "w0", before.fence, NOW)
    async with uncommitted(postgres_url, "lock_take", **given(asking(holder="w1"))):
        second = await later(postgres_url, other.locks.take(asking(holder="w2"), NOW))
    assert (await second).grant is None
    assert [each.holder for each in (await second).holders] == ["w1"]


@pytest.mark.parametrize("statement", ["lock_guard", "lock_shares_end", "lock_grant"])
async def test_lock_that_is_over_and_that_two_take_is_one_ones(two: Two, postgres_url: str, statement: str) -> None:
    """LK-02, LK-07, LK-09"""
    one, other = two
    old = await granted(one, asking(holder="w0"))
    stop = stopped(one, one.locks, statement)
    over = NOW + 300
    taken = await meet(
        one.locks.take(asking(holder="w1"), over), stop, other.locks.take(asking(holder="w2"), over), postgres_url
    )
    assert (winner(*taken).holder, winner(*taken).fence) == ("w1", old.fence + 1)


@pytest.mark.parametrize("statement", ["lock_guard", "lock_grant", "lock_leave"])
async def test_turn_is_the_first_ones_though_both_are_awake(two: Two, postgres_url: str, statement: str) -> None:
    """First come, first served: both were woken when the lock came free."""
    one, other = two
    old = await granted(one, asking(holder="w0"))
    first, second = await waiting(one, "w1"), await waiting(one, "w2")
    await one.locks.release("default", "deploy", "w0", old.fence, NOW)
    stop = stopped(one, one.locks, statement)
    taking = asyncio.ensure_future(one.locks.take(first, NOW))
    async with asyncio.timeout(60):
        await stop.reached.wait()
    assert (await other.locks.take(second, NOW)).grant is None  # who is not the first does not even wait
    stop.go_on.set()
    assert (await taking).grant.holder == "w1"
    assert (await other.locks.turn(second, NOW)).ahead == 0


async def test_two_who_queue_at_once_have_two_places(two: Two, postgres_url: str) -> None:
    one, other = two
    await granted(one, asking(holder="w0"))
    stop = stopped(one, one.locks, "lock_queue")
    places = await meet(
        one.locks.queue(asking(holder="w1"), 60.0, NOW),
        stop,
        other.locks.queue(asking(holder="w2"), 60.0, NOW),
        postgres_url,
    )
    assert places == (1, 2)


async def test_who_queues_while_the_lock_is_taken_finds_it_taken(two: Two, postgres_url: str) -> None:
    _, other = two
    async with uncommitted(postgres_url, "lock_take", **given(asking(holder="w1"))):
        queueing = await later(postgres_url, waiting(other, "w2"))
    met = await other.locks.turn(await queueing, NOW)
    assert (met.grant, met.ahead, [each.holder for each in met.holders]) == (None, 0, ["w1"])


async def test_two_who_come_to_an_empty_queue_and_a_free_lock_are_served_both(two: Two, postgres_url: str) -> None:
    """Who asks while the first place in a queue is being made may be first; the place is kept, and is next."""
    one, other = two
    before = await granted(one, asking(holder="w0"))
    await one.locks.release("default", "deploy", "w0", before.fence, NOW)
    stop = stopped(one, one.locks, "lock_queue")
    place, taken = await meet(
        one.locks.queue(asking(holder="w1"), 60.0, NOW), stop, other.locks.take(asking(holder="w2"), NOW), postgres_url
    )
    request = msgspec.structs.replace(asking(holder="w1"), ticket=place)
    if taken.grant is not None:
        await other.locks.release("default", "deploy", "w2", taken.grant.fence, NOW)
    assert (await one.locks.take(request, NOW)).grant is not None


# -- holding and losing ----------------------------------------------------------------------------------------------


async def test_renewal_that_comes_first_keeps_the_lock(two: Two, postgres_url: str) -> None:
    """LK-08"""
    one, other = two
    held = await granted(one, asking(holder="w1"))
    renewing = msgspec.json.encode([(lease.kind, lease.name, lease.fence) for lease in [lease_of(held)]]).decode()
    async with uncommitted(postgres_url, "locks_renew", held=renewing, now=NOW + 299) as renewed:
        assert renewed == 1
        taking = await later(postgres_url, other.locks.take(asking(holder="w2"), NOW + 301))
    assert (await taking).grant is None


async def test_renewal_that_comes_after_the_next_grant_is_refused(two: Two, postgres_url: str) -> None:
    """LK-06, LK-08"""
    one, other = two
    held = await granted(one, asking(holder="w1"))
    stop = stopped(one, one.locks, "lock_grant")
    taken, renewed = await meet(
        one.locks.take(asking(holder="w2"), NOW + 301),
        stop,
        other.locks.renew([lease_of(held)], NOW + 299),
        postgres_url,
    )
    assert taken.grant.fence == held.fence + 1
    assert renewed == []


async def test_release_that_comes_after_the_next_grant_does_not_end_that(two: Two, postgres_url: str) -> None:
    """LK-06"""
    one, other = two
    held = await granted(one, asking(holder="w1"))
    stop = stopped(one, one.locks, "lock_grant")
    taken, released = await meet(
        one.locks.take(asking(holder="w1", session="w1/2", taking=Taking.FORCE), NOW),
        stop,
        other.locks.release("default", "deploy", "w1", held.fence, NOW),
        postgres_url,
    )
    assert released is Released.NOT_OWNER
    assert await other.locks.check("default", "deploy", taken.grant.fence, NOW)


async def test_release_that_comes_first_makes_room(two: Two, postgres_url: str) -> None:
    one, other = two
    held = await granted(one, asking(holder="w1"))
    async with uncommitted(postgres_url, "lock_release", key=KEY, holder="w1", fence=held.fence) as released:
        assert released == 1
        taking = await later(postgres_url, other.locks.take(asking(holder="w2", taking=Taking.FORCE), NOW))
    assert (await taking).grant.fence == held.fence + 1


async def test_locks_of_a_holder_that_are_freed_are_taken_once(two: Two, postgres_url: str) -> None:
    """LK-12"""
    one, other = two
    held = await granted(one, asking(holder="w1"))
    stop = stopped(one, one.locks, "lock_release")
    freed, taken = await meet(
        one.locks.release_all("default", "w1", stale=False, now=NOW),
        stop,
        other.locks.take(asking(holder="w2", taking=Taking.FORCE), NOW),
        postgres_url,
    )
    assert freed == 1
    assert (taken.grant.holder, taken.grant.fence) == ("w2", held.fence + 1)


# -- sharing ---------------------------------------------------------------------------------------------------------


def reading(holder: str, **more: Any) -> LockRequest:
    return asking(holder=holder, mode=LockMode.READ, **more)


@pytest.mark.parametrize("statement", ["lock_share", "lock_share_add"])
async def test_two_who_read_have_two_numbers(two: Two, postgres_url: str, statement: str) -> None:
    one, other = two
    stop = stopped(one, one.locks, statement)
    taken = await meet(one.locks.take(reading("w1"), NOW), stop, other.locks.take(reading("w2"), NOW), postgres_url)
    assert [each.grant.fence for each in taken] == [1, 2]


@pytest.mark.parametrize("statement", ["lock_share", "lock_share_add"])
async def test_last_place_of_a_counted_lock_is_given_once(two: Two, postgres_url: str, statement: str) -> None:
    one, other = two
    counted = {"mode": LockMode.COUNTED, "limit": 2}
    await granted(one, asking(holder="w0", **counted))
    stop = stopped(one, one.locks, statement)
    taken = await meet(
        one.locks.take(asking(holder="w1", **counted), NOW),
        stop,
        other.locks.take(asking(holder="w2", **counted), NOW),
        postgres_url,
    )
    assert winner(*taken).holder == "w1"


@pytest.mark.parametrize("statement", ["lock_share", "lock_share_add"])
async def test_writer_that_meets_a_reader_finds_it(two: Two, postgres_url: str, statement: str) -> None:
    one, other = two
    stop = stopped(one, one.locks, statement)
    read, written = await meet(
        one.locks.take(reading("w1"), NOW), stop, other.locks.take(asking(holder="w2"), NOW), postgres_url
    )
    assert read.grant is not None
    assert written.grant is None


async def test_reader_that_meets_a_writer_finds_it(two: Two, postgres_url: str) -> None:
    _, other = two
    async with uncommitted(postgres_url, "lock_take", **given(asking(holder="w1"))):
        reader = await later(postgres_url, other.locks.take(reading("w2"), NOW))
    assert (await reader).grant is None


async def test_share_that_ends_is_there_until_it_has_ended(two: Two) -> None:
    one, other = two
    share = await granted(one, reading("w1"))
    stop = stopped(one, one.locks, "lock_share_release")
    ending = asyncio.ensure_future(one.locks.release("default", "deploy", "w1", share.fence, NOW))
    async with asyncio.timeout(60):
        await stop.reached.wait()
    assert (await other.locks.take(asking(holder="w2"), NOW)).grant is None
    stop.go_on.set()
    assert await ending is Released.RELEASED
    assert (await other.locks.take(asking(holder="w2"), NOW)).grant is not None


async def test_share_that_is_taken_away_is_not_renewed(two: Two, postgres_url: str) -> None:
    """LK-16"""
    one, other = two
    share = await granted(one, reading("w1"))
    stop = stopped(one, one.locks, "lock_shares_end")
    taken, renewed = await meet(
        one.locks.take(asking(holder="w2", taking=Taking.FORCE), NOW),
        stop,
        other.locks.renew([lease_of(share)], NOW),
        postgres_url,
    )
    assert taken.grant is not None
    assert renewed == []


# -- tidying ---------------------------------------------------------------------------------------------------------


async def test_lock_that_is_renewed_while_what_is_over_is_cleared_stays(two: Two, postgres_url: str) -> None:
    """LK-10"""
    one, other = two
    held = await granted(one, asking(holder="w1"))
    renewing = msgspec.json.encode([("lock", KEY, held.fence)]).decode()
    async with uncommitted(postgres_url, "locks_renew", held=renewing, now=NOW + 299):
        clearing = await later(postgres_url, other.locks.clear("default", NOW + 301))
    assert await clearing == 0
    assert await one.locks.check("default", "deploy", held.fence, NOW + 301)


async def test_lock_that_is_cleared_is_not_renewed(two: Two, postgres_url: str) -> None:
    """LK-10"""
    one, other = two
    held = await granted(one, asking(holder="w1"))
    stop = stopped(one, one.locks, "locks_clear")
    cleared, renewed = await meet(
        one.locks.clear("default", NOW + 301), stop, other.locks.renew([lease_of(held)], NOW + 299), postgres_url
    )
    assert (cleared, renewed) == (1, [])


async def test_place_that_is_kept_is_not_cleared(two: Two, postgres_url: str) -> None:
    one, other = two
    await granted(one, asking(holder="w0", ttl_seconds=3000.0))
    kept = await waiting(one, "w1")
    place = {"name": f"{KEY}\x1f{kept.session}", "ticket": kept.ticket, "ttl": 60.0}
    async with uncommitted(postgres_url, "lock_stay", **place, now=NOW + 59) as stayed:
        assert stayed == 1
        clearing = await later(postgres_url, other.locks.clear("default", NOW + 61))
    assert await clearing == 0
    assert await one.locks.stay(kept, 60.0, NOW + 61)


async def test_place_that_is_cleared_is_not_kept(two: Two, postgres_url: str) -> None:
    one, other = two
    await granted(one, asking(holder="w0", ttl_seconds=3000.0))
    lost = await waiting(one, "w1")
    bounds = {"kind": "wait", "low": "default/", "high": "default0", "now": NOW + 61}
    async with uncommitted(postgres_url, "locks_clear_kind", **bounds) as cleared:
        assert cleared == 1
        staying = await later(postgres_url, other.locks.stay(lost, 60.0, NOW + 59))
    assert not await staying


async def test_number_goes_on_though_its_row_is_swept_meanwhile(two: Two, postgres_url: str) -> None:
    """LK-09"""
    one, other = two
    for _ in range(3):
        held = await granted(one, asking(holder="w1"))
        await one.locks.release("default", "deploy", "w1", held.fence, NOW)
    assert await one.locks.sweep(NOW, 0.0) == 0  # the first one raises the floor
    stop = stopped(one, one.locks, "locks_floor")
    swept, taken = await meet(one.locks.sweep(NOW, 0.0), stop, other.locks.take(asking(holder="w2"), NOW), postgres_url)
    assert swept == 1
    assert taken.grant.fence == 4


async def test_row_that_is_taken_meanwhile_is_not_swept(two: Two, postgres_url: str) -> None:
    """LK-09"""
    one, other = two
    held = await granted(one, asking(holder="w1"))
    await one.locks.release("default", "deploy", "w1", held.fence, NOW)
    await one.locks.sweep(NOW, 0.0)
    async with uncommitted(postgres_url, "lock_take", **given(asking(holder="w2"))):
        sweeping = await later(postgres_url, other.locks.sweep(NOW, 0.0))
    assert await sweeping == 0
    assert [each.holder for each in await one.locks.holders("default", "deploy", NOW)] == ["w2"]


async def test_two_who_sweep_raise_the_floor_to_the_largest_number(two: Two, postgres_url: str) -> None:
    one, other = two
    for name, count in (("deploy", 2), ("index", 5)):
        for _ in range(count):
            held = await granted(one, asking(name, holder="w1"))
            await one.locks.release("default", name, "w1", held.fence, NOW)
    stop = stopped(one, one.locks, "locks_floor_raise")
    assert await meet(one.locks.sweep(NOW, 0.0), stop, other.locks.sweep(NOW, 0.0), postgres_url) == (0, 0)
    await one.locks.sweep(NOW, 0.0)
    assert (await granted(one, asking("new"))).fence == 6


async def test_lock_that_is_shared_while_it_is_swept_stays_shared(two: Two, postgres_url: str) -> None:
    """The sweep does not see the share that is being added, but that the number of the lock has grown."""
    one, other = two
    share = await granted(one, reading("w1"))
    await one.locks.release("default", "deploy", "w1", share.fence, NOW)
    stop = stopped(one, one.locks, "lock_share_add")
    read, swept = await meet(one.locks.take(reading("w2"), NOW), stop, other.locks.sweep(NOW, 0.0), postgres_url)
    assert (read.grant.fence, swept) == (share.fence + 1, 0)
    assert (await other.locks.take(asking(holder="w3"), NOW)).grant is None


async def test_reader_who_comes_while_the_lock_is_made_a_free_one_shares_it(two: Two, postgres_url: str) -> None:
    one, other = two
    share = await granted(one, reading("w1"))
    await one.locks.release("default", "deploy", "w1", share.fence, NOW)
    stop = stopped(one, one.locks, "locks_unshare")
    swept, read = await meet(one.locks.sweep(NOW, 0.0), stop, other.locks.take(reading("w2"), NOW), postgres_url)
    assert (swept, read.grant.fence) == (0, share.fence + 1)
    assert (await one.locks.take(asking(holder="w3"), NOW)).grant is None


# -- what is written under a lock ------------------------------------------------------------------------------------


async def test_lock_under_which_is_written_is_not_taken_before_that_is_done(two: Two, postgres_url: str) -> None:
    """LK-09: of the write under the lock and the next grant one is first."""
    one, other = two
    held = await granted(one, asking(holder="w1"))
    write = CellWrite(space="global", key="k", value=b"1", writer="w1")
    stop = stopped(one, one.cells, "lock_hold")
    written, taken = await meet(
        one.cells.write("default", [write], NOW, under=("deploy", held.fence)),
        stop,
        other.locks.take(asking(holder="w2", taking=Taking.FORCE), NOW),
        postgres_url,
    )
    assert [each.result for each in written] == [WriteResult.APPLIED]
    assert taken.grant.fence == held.fence + 1


# -- slots, and what was learned -------------------------------------------------------------------------------------


@pytest.mark.parametrize("statement", ["slot_end", "worker_counted"])
async def test_outcome_that_two_report_counts_once(two: Two, postgres_url: str, statement: str) -> None:
    """HB-14"""
    one, other = two
    await join(one)
    slot = await reserve(one, "t1")
    stop = stopped(one, one.workers, statement)
    reports = await meet(
        one.workers.finish(slot, succeeded=True, seconds=1.0, now=T),
        stop,
        other.workers.finish(slot, succeeded=False, seconds=1.0, now=T),
        postgres_url,
    )
    assert reports == (True, False)
    assert ((await row(one)).succeeded, (await row(one)).failed) == (1, 0)


async def test_tally_that_meets_an_outcome_loses_neither(two: Two, postgres_url: str) -> None:
    one, other = two
    await join(one)
    slot = await reserve(one, "t1")
    stop = stopped(one, one.workers, "worker_tally")
    assert await meet(
        one.workers.tally("w1", "s1", Tally(taken=2, succeeded=2), T),
        stop,
        other.workers.finish(slot, succeeded=True, seconds=1.0, now=T),
        postgres_url,
    ) == (True, True)
    assert ((await row(one)).assigned, (await row(one)).succeeded) == (3, 3)


async def test_two_who_learn_at_once_are_both_heard(two: Two, postgres_url: str) -> None:
    """LB-10"""
    one, other = two
    lesson = Lesson(strategy="least_loaded", factor=2.0, prior=0.2, low=0.02, high=10.0)
    slots = []
    for number in (1, 2):
        await join(one, f"w{number}", f"s{number}")
        slots.append(await reserve(one, f"t{number}", f"w{number}", f"s{number}"))
    stop = stopped(one, one.workers, "weight_learn")
    await meet(
        one.workers.finish(slots[0], succeeded=True, seconds=1.0, lessons=[lesson], now=T),
        stop,
        other.workers.finish(slots[1], succeeded=True, seconds=1.0, lessons=[lesson], now=T),
        postgres_url,
    )
    assert await one.workers.weights() == {"least_loaded": pytest.approx(0.8)}


async def test_task_that_is_started_while_its_worker_is_recovered_is_not(two: Two, postgres_url: str) -> None:
    """HB-14"""
    one, other = two
    await join(one)
    slot = await reserve(one, "t1")
    stop = stopped(one, one.workers, "leases_end_of_holder")
    recovered, started = await meet(
        one.workers.recover("w1", "s1", T + 150), stop, other.workers.started(slot), postgres_url
    )
    assert list(recovered.tasks) == ["t1"]
    assert not started


async def test_task_that_starts_first_is_not_moved(two: Two, postgres_url: str) -> None:
    """LB-12"""
    one, other = two
    await join(one)
    await join(one, "w2", "s2")
    slot = await reserve(one, "t1")
    named = {"task": "t1", "session": "s1", "fence": slot.fence}
    async with uncommitted(postgres_url, "slot_start", **named) as started:
        assert started == 1
        moving = await later(postgres_url, other.workers.move(slot, "w2", "s2", T))
    assert await moving is None


async def test_worker_that_drains_first_is_given_nothing(two: Two, postgres_url: str) -> None:
    """WR-04"""
    one, other = two
    await join(one)
    changed = {"worker": "w1", "session": "s1", "state": "draining", "capacity": None}
    async with uncommitted(postgres_url, "worker_change", **changed):
        reserving = await later(postgres_url, other.workers.reserve("w1", "s1", "t1", T))
    assert await reserving is None


# -- whether that is all ---------------------------------------------------------------------------------------------

WRITES = re.compile(r"^\s*(INSERT|UPDATE|DELETE)\b", re.MULTILINE)
OURS = re.compile(r"(lock|locks|cell|cells|slot|worker|workers|weight|decision|decisions)_")
ELSEWHERE = {
    "cell_swap": "reached by deletes and by writes with a base: test_of_two_writes_on_one_base_one_applies",
    "cells_put": "test_batches_that_meet_in_opposite_orders_both_apply",
    "cells_expire": "test_the_end_of_a_time_that_meets_a_write_is_told_once",
    "cells_forget": "a tombstone of a day ago; skips what is locked, and looks again at what it locks",
    "cell_changes_floor": "test_a_change_that_was_swept_before_it_could_be_read_is_not_swept",
    "cell_changes_sweep": "test_a_change_that_was_swept_before_it_could_be_read_is_not_swept",
    "worker_assigned": "under worker_lock, as slot_add: test_two_who_choose_get_one_slot",
    "worker_begin": "under workers_guard: test_id_that_two_register_at_once_belongs_to_one",
    "worker_put": "under workers_guard: test_id_that_two_register_at_once_belongs_to_one",
    "worker_end": "under worker_hold: test_five_who_recover_a_worker_do_it_once",
    "worker_forget": "under workers_guard: test_worker_that_is_forgotten_while_it_registers_gets_a_larger_fence",
    "worker_event_add": "adds a row of its own",
    "decisions_add": "adds a row of its own",
    "worker_events_sweep": "deletes what is a day old, which nobody changes",
    "decisions_sweep": "deletes what is a day old, which nobody changes",
}
"""Statements that no test stops at by their name, and where they meet others, or why they cannot."""


def test_every_statement_by_which_coordination_writes_has_its_race() -> None:
    writing = {name for name, sql in statements.load("postgresql").items() if OURS.match(name) and WRITES.search(sql)}
    files = [file.read_text() for file in Path(__file__).parent.glob("test_races*.py")]
    named = {name for name in writing for text in files if re.search(rf'"{name}"[,\])]', text)}

    assert len(writing) > 40
    assert named | ELSEWHERE.keys() == writing
    assert named & ELSEWHERE.keys() == set()
    tests = {name for text in files for name in re.findall(r"def (test_\w+)", text)}
    assert {each for why in ELSEWHERE.values() for each in re.findall(r"test_\w+", why)} <= tests
