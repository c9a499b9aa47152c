"""Conformance of locks: one winner, a fence that only grows, a queue, shares; on every backend."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from interlock import errors
from interlock.store.ports import LockMode, LockRequest, LockRow, Released, Store, Taking
from interlock.store.sql.lock_rows import lease_of

NOW = 1000.0


def asking(name: str = "deploy", holder: str = "w1", **more: Any) -> LockRequest:
    given: dict[str, Any] = {"namespace": "default", "session": f"{holder}/1", "ttl_seconds": 300.0}
    return LockRequest(name=name, holder=holder, **(given | more))


async def granted(store: Store, request: LockRequest, now: float = NOW) -> LockRow:
    taken = await store.locks.take(request, now)
    assert taken.grant is not None, taken
    return taken.grant


async def refused(store: Store, request: LockRequest, now: float = NOW) -> list[str]:
    taken = await store.locks.take(request, now)
    assert taken.grant is None
    return [each.holder for each in taken.holders]


async def released(store: Store, row: LockRow, now: float = NOW) -> Released:
    return await store.locks.release(row.namespace, row.name, row.holder, row.fence, now)


async def queued(store: Store, request: LockRequest, now: float = NOW) -> LockRequest:
    return msgspec.structs.replace(request, ticket=await store.locks.queue(request, 10.0, now))


async def test_second_taker_gets_nothing_and_the_first_keeps_it(store: Store) -> None:
    """LK-01"""
    first = await granted(store, asking())
    assert await refused(store, asking(holder="w2")) == ["w1"]
    assert await store.locks.holders("default", "deploy", NOW) == [first]


async def test_lock_tells_who_has_it_and_since_when(store: Store) -> None:
    """LK-04"""
    row = await granted(store, asking(metadata=b'{"hostname":"a","pid":7,"taskType":"build"}'))
    assert (row.holder, row.granted_at, row.expires_at - row.granted_at) == ("w1", NOW, 300.0)
    (found,) = await store.locks.holders("default", "deploy", NOW)
    assert found == row
    assert found.metadata == b'{"hostname":"a","pid":7,"taskType":"build"}'


async def test_two_holders_in_one_process_are_two(store: Store) -> None:
    """LK-03"""
    await granted(store, asking(session="shared/1"))
    assert await refused(store, asking(holder="w2", session="shared/1")) == ["w1"]


async def test_release_by_another_one_changes_nothing(store: Store) -> None:
    """LK-05"""
    row = await granted(store, asking())
    assert await released(store, msgspec.structs.replace(row, holder="w2")) is Released.NOT_OWNER
    assert await store.locks.release("default", "nothing", "w1", 1, NOW) is Released.NOT_FOUND
    assert await store.locks.holders("default", "deploy", NOW) == [row]
    assert await released(store, row) is Released.RELEASED
    assert await released(store, row) is Released.NOT_FOUND
    assert await store.locks.holders("default", "deploy", NOW) == []


async def test_holder_of_before_cannot_release_the_next_grant(store: Store) -> None:
    """LK-06"""
    first = await granted(store, asking())
    assert await released(store, first, NOW + 300) is Released.EXPIRED
    second = await granted(store, asking(), NOW + 300)  # even its own
    assert await released(store, first, NOW + 301) is Released.NOT_OWNER
    assert await store.locks.holders("default", "deploy", NOW + 301) == [second]


async def test_lock_is_free_at_the_moment_that_it_ends(store: Store) -> None:
    """LK-07"""
    await granted(store, asking())
    assert await refused(store, asking(holder="w2"), NOW + 299.999) == ["w1"]
    assert await store.locks.holders("default", "deploy", NOW + 300) == []
    taken = await store.locks.take(asking(holder="w2"), NOW + 300)
    assert taken.grant is not None
    assert taken.was_stale


async def test_renewed_lock_lasts_and_is_not_stolen(store: Store) -> None:
    """LK-08"""
    row = await granted(store, asking())
    for moment in range(30, 3631, 30):
        assert await store.locks.renew([lease_of(row)], NOW + moment) == [lease_of(row)]
        assert await refused(store, asking(holder="w2", taking=Taking.STALE), NOW + moment + 29) == ["w1"]
    assert await store.locks.check("default", "deploy", row.fence, NOW + 3900)
    assert await store.locks.renew([lease_of(row)], NOW + 3930) == []


async def test_every_grant_has_a_larger_number(store: Store) -> None:
    """LK-09: also after a release, an expiry, a theft, a share, and when the row was swept away."""
    fences = []
    for turn in range(3):
        row = await granted(store, asking(), NOW + turn)
        fences.append(row.fence)
        assert await released(store, row, NOW + turn) is Released.RELEASED
    fences.append((await granted(store, asking(), NOW + 10)).fence)
    fences.append((await granted(store, asking(holder="w2"), NOW + 310)).fence)
    forced = await granted(store, asking(holder="w3", taking=Taking.FORCE), NOW + 311)
    fences.append(forced.fence)
    assert not await store.locks.check("default", "deploy", fences[-2], NOW + 312)
    assert await released(store, forced, NOW + 312) is Released.RELEASED
    readers = [await granted(store, asking(holder=f"r{n}", mode=LockMode.READ), NOW + 313) for n in range(3)]
    fences += [reader.fence for reader in readers]
    for reader in readers:
        assert await released(store, reader, NOW + 314) is Released.RELEASED
    row = await granted(store, asking(), NOW + 315)
    fences.append(row.fence)
    await released(store, row, NOW + 315)
    assert [await store.locks.sweep(NOW, 0.0) for _ in range(3)] == [0, 1, 0]
    fences.append((await granted(store, asking(), NOW + 316)).fence)
    fences.append((await granted(store, asking(name="another"), NOW + 316)).fence)
    assert fences[:-1] == sorted(set(fences[:-1]))
    assert fences[-1] > fences[-3]  # no name of before is told from a new one


async def test_what_is_over_is_forgotten_and_what_is_not_stays(store: Store) -> None:
    """Locks of one use each, held alone and shared, by who released them and by who died; and places of dead waiters."""
    for number in range(3):
        await released(store, await granted(store, asking(name=f"alone{number}")))
        reader = await granted(store, asking(name=f"shared{number}", mode=LockMode.READ))
        if number:
            await released(store, reader)
        await granted(store, asking(name=f"dead{number}", ttl_seconds=5.0))
        await queued(store, asking(name=f"dead{number}", holder="w2"))
    live = [await granted(store, asking(name="live"), NOW + 90_000)]
    live.append(await granted(store, asking(name="live2", mode=LockMode.READ), NOW + 90_000))
    waiting = await queued(store, asking(name="live", holder="w2"), NOW + 90_000)
    assert [await store.locks.sweep(NOW + 50, 0.0) for _ in range(3)] == [0, 3 + 2 + 3, 0]
    assert [await store.locks.sweep(NOW + 86_400, 0.0) for _ in range(3)] == [1, 0, 0]
    assert (await store.locks.turn(waiting, NOW + 90_000)).ahead == 0
    assert await refused(store, asking(name="live2", holder="w2"), NOW + 90_000) == ["w1"]
    rows = await store.locks.list("default", holder=None, expired=True, after=None, limit=99, now=NOW)
    assert rows == live
    late = await granted(store, asking(name="shared1"), NOW + 90_000)
    assert late.fence > 1  # the numbers go on


async def test_cleaning_takes_what_is_over_and_nothing_else(store: Store) -> None:
    """LK-10"""
    for number in range(3):
        await granted(store, asking(name=f"old{number}", ttl_seconds=10.0))
    await granted(store, asking(name="shared", holder="r", mode=LockMode.READ, ttl_seconds=10.0))
    await granted(store, asking(name="live"))
    await granted(store, asking(name="live2", mode=LockMode.READ))
    assert await store.locks.clear("elsewhere", NOW + 11) == 0
    assert await store.locks.clear("default", NOW + 11) == 4
    rows = await store.locks.list("default", holder=None, expired=True, after=None, limit=10, now=NOW + 11)
    assert [row.name for row in rows] == ["live", "live2"]


async def test_list_is_filtered_and_paged(store: Store) -> None:
    """LK-11"""
    for number in range(5):
        await granted(store, asking(name=f"n{number}", holder=f"w{number % 2}"))
    await granted(store, asking(name="n9", holder="w1", ttl_seconds=5.0))
    await granted(store, asking(name="n0", namespace="other"))

    async def listed(now: float = NOW + 6, **more: Any) -> list[str]:
        given: dict[str, Any] = {"holder": None, "expired": False, "after": None, "limit": 10}
        return [row.name for row in await store.locks.list("default", now=now, **(given | more))]

    assert await listed() == ["n0", "n1", "n2", "n3", "n4"]
    assert await listed(expired=True) == ["n0", "n1", "n2", "n3", "n4", "n9"]
    assert await listed(holder="w1") == ["n1", "n3"]
    assert await listed(holder="w1", expired=True) == ["n1", "n3", "n9"]
    assert await listed(limit=2) == ["n0", "n1"]
    assert await listed(limit=2, after=("n1", 10**6)) == ["n2", "n3"]


async def test_locks_of_one_holder_are_freed_together(store: Store) -> None:
    """LK-12"""
    mine = [await granted(store, asking(name=f"m{number}")) for number in range(3)]
    mine.append(await granted(store, asking(name="shared", mode=LockMode.READ)))
    await granted(store, asking(name="shared", holder="w2", mode=LockMode.READ))
    other = await granted(store, asking(name="o", holder="w2"))
    assert await store.locks.release_all("default", "w1", stale=False, now=NOW) == len(mine)
    left = await store.locks.list("default", holder=None, expired=True, after=None, limit=10, now=NOW)
    assert [(row.name, row.holder) for row in left] == [("o", "w2"), ("shared", "w2")]
    assert await store.locks.check("default", "o", other.fence, NOW)


async def test_only_what_missed_its_renewals_is_recovered(store: Store) -> None:
    await granted(store, asking(name="fresh"))
    await granted(store, asking(name="missed", ttl_seconds=30.0))
    assert await store.locks.release_all("default", "w1", stale=True, now=NOW + 20) == 0
    assert await store.locks.release_all("default", "w1", stale=True, now=NOW + 21) == 1
    assert [row.name for row in await store.locks.list(
        "default", holder="w1", expired=True, after=None, limit=10, now=NOW + 21
    )] == ["fresh"]  # fmt: skip


@pytest.mark.parametrize(
    ("taking", "free", "live", "stale"),
    [
        (Taking.RESPECT, True, False, False),
        (Taking.STALE, True, False, True),
        (Taking.FORCE, True, True, True),
    ],
)
async def test_what_is_taken_from_whom(store: Store, taking: Taking, free: bool, live: bool, stale: bool) -> None:
    """LK-13: free, live, and one that has missed two of its renewals."""
    assert ((await store.locks.take(asking("free", "w2", taking=taking), NOW)).grant is not None) is free
    await granted(store, asking("live"))
    assert ((await store.locks.take(asking("live", "w2", taking=taking), NOW)).grant is not None) is live
    await granted(store, asking("stale"))
    taken = await store.locks.take(asking("stale", "w2", taking=taking), NOW + 201)
    assert (taken.grant is not None) is stale
    assert taken.was_stale is stale


async def test_request_that_is_made_again_gets_its_grant(store: Store) -> None:
    """The reply was lost: the lock is the caller's and nobody else knows."""
    for mode in LockMode:
        request = asking(name=mode, mode=mode, nonce="n1")
        first = await granted(store, request)
        assert await granted(store, request) == first
        if mode is LockMode.EXCLUSIVE:
            assert await refused(store, asking(name=mode, mode=mode, nonce="n2")) == ["w1"]


# -- the queue ---------------------------------------------------------------------------------------------------


async def test_first_to_wait_is_the_first_to_be_served(store: Store) -> None:
    held = await granted(store, asking())
    second, third = await queued(store, asking(holder="w2")), await queued(store, asking(holder="w3"))
    met = await store.locks.turn(third, NOW)
    assert ([each.holder for each in met.holders], met.ahead) == (["w1"], 1)
    await released(store, held)
    assert await refused(store, third) == []
    assert await refused(store, asking(holder="w4")) == []  # who does not wait, neither
    assert (await store.locks.turn(second, NOW)).ahead == 0
    row = await granted(store, second)
    assert row.fence > held.fence
    await released(store, row)
    assert (await granted(store, third)).fence > row.fence


async def test_place_in_the_queue_is_lost_with_its_process(store: Store) -> None:
    held = await granted(store, asking())
    second, third = await queued(store, asking(holder="w2")), await queued(store, asking(holder="w3"), NOW + 5)
    await released(store, held)
    assert await store.locks.stay(third, 10.0, NOW + 9)
    assert (await store.locks.turn(third, NOW + 9)).ahead == 1
    assert (await store.locks.turn(third, NOW + 10)).ahead == 0
    assert not await store.locks.stay(second, 10.0, NOW + 10)
    assert await granted(store, third, NOW + 10)


async def test_place_that_is_given_up_is_nobodys(store: Store) -> None:
    held = await granted(store, asking())
    second, third = await queued(store, asking(holder="w2")), await queued(store, asking(holder="w3"))
    await store.locks.leave(second)
    await released(store, held)
    assert await granted(store, third)


async def test_look_that_is_worth_while_comes_when_the_first_lease_ends(store: Store) -> None:
    await granted(store, asking(ttl_seconds=7.0))
    waiting = await queued(store, asking(holder="w2"))
    met = await store.locks.turn(waiting, NOW + 2)
    assert met.seconds == pytest.approx(5.0)


async def test_force_does_not_wait_its_turn(store: Store) -> None:
    held = await granted(store, asking())
    await queued(store, asking(holder="w2"))
    await released(store, held)
    assert await granted(store, asking(holder="w3", taking=Taking.FORCE))


# -- shares ------------------------------------------------------------------------------------------------------


async def test_readers_share_and_writers_do_not(store: Store) -> None:
    one, two = [await granted(store, asking(holder=f"r{n}", mode=LockMode.READ)) for n in (1, 2)]
    assert await refused(store, asking(holder="w")) == ["r1", "r2"]
    await released(store, one)
    assert await refused(store, asking(holder="w")) == ["r2"]
    await released(store, two)
    writer = await granted(store, asking(holder="w"))
    assert await refused(store, asking(holder="r1", mode=LockMode.READ)) == ["w"]
    assert await released(store, writer) is Released.RELEASED
    assert await granted(store, asking(holder="r1", mode=LockMode.READ))


async def test_reader_behind_a_waiting_writer_waits(store: Store) -> None:
    reader = await granted(store, asking(holder="r1", mode=LockMode.READ))
    writer = await queued(store, asking(holder="w"))
    assert await refused(store, asking(holder="r2", mode=LockMode.READ)) == []
    late = await queued(store, asking(holder="r2", mode=LockMode.READ))
    await released(store, reader)
    assert await refused(store, late) == []
    row = await granted(store, writer)
    assert await refused(store, late) == ["w"]
    await released(store, row)
    assert await granted(store, late)


async def test_counted_lock_is_held_by_as_many_as_its_limit_says(store: Store) -> None:
    counted = {"mode": LockMode.COUNTED, "limit": 2}
    one = await granted(store, asking(holder="a", **counted))
    await granted(store, asking(holder="b", **counted))
    assert await refused(store, asking(holder="c", **counted)) == ["a", "b"]
    with pytest.raises(errors.Invalid, match="limit 2, not 3"):
        await store.locks.take(asking(holder="c", mode=LockMode.COUNTED, limit=3), NOW)
    assert await refused(store, asking(holder="c", mode=LockMode.READ)) == ["a", "b"]
    await released(store, one)
    assert await granted(store, asking(holder="c", **counted))
    forced = await granted(store, asking(holder="d", taking=Taking.FORCE, **counted))
    rows = await store.locks.holders("default", "deploy", NOW)
    assert [row.holder for row in rows] == ["c", "d"]
    assert rows[-1] == forced


async def test_share_that_is_over_makes_room(store: Store) -> None:
    row = await granted(store, asking(holder="r", mode=LockMode.READ, ttl_seconds=10.0))
    assert await store.locks.renew([lease_of(row)], NOW + 5) == [lease_of(row)]
    assert await refused(store, asking(holder="w"), NOW + 14) == ["r"]
    assert await granted(store, asking(holder="w"), NOW + 15)
    assert await store.locks.renew([lease_of(row)], NOW + 15) == []


# -- who waits for whom ------------------------------------------------------------------------------------------


async def test_waits_name_who_holds_and_who_is_ahead(store: Store) -> None:
    await granted(store, asking("a", "w1"))
    await queued(store, asking("a", "w2"))
    await queued(store, asking("a", "w3"))
    await granted(store, asking("a", "w1", namespace="other"))
    found = {(wait.name, wait.session, wait.other) for wait in await store.locks.waits("default", NOW)}
    assert found == {("a", "w2/1", "w1/1"), ("a", "w3/1", "w1/1"), ("a", "w3/1", "w2/1")}
    assert await store.locks.waits("default", NOW + 10) == []


async def test_waits_leave_out_who_shares(store: Store) -> None:
    await granted(store, asking("a", "r1", mode=LockMode.READ))
    await queued(store, asking("a", "w"))
    await queued(store, asking("a", "r2", mode=LockMode.READ))
    found = {(wait.session, wait.other) for wait in await store.locks.waits("default", NOW)}
    assert found == {("w/1", "r1/1"), ("r2/1", "w/1")}
    counted = {"mode": LockMode.COUNTED, "limit": 2}
    for holder in ("a", "b"):
        await granted(store, asking("c", holder, **counted))
    await queued(store, asking("c", "d", **counted))
    found = {(wait.session, wait.other) for wait in await store.locks.waits("default", NOW) if wait.name == "c"}
    assert found == set()  # whichever of the two ends first lets it in


async def test_many_at_once_have_one_winner(store: Store) -> None:
    """LK-02, within one process; tests/acceptance/test_locks.py has the processes."""
    for turn in range(20):
        taken = await asyncio.gather(*(
            store.locks.take(asking(f"t{turn}", f"w{n}"), NOW) for n in range(10)
        ))  # fmt: skip
        assert len([each for each in taken if each.grant is not None]) == 1
