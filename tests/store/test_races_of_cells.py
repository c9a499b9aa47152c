"""What happens when two connections meet over cells, and over changes that become visible out of order."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import msgspec

from interlock.coord.cache import Cache, Sync
from interlock.coord.memory import MemorySyncManager
from interlock.service import SystemClock
from interlock.store.ports import CellChange, CellWrite, WriteResult
from interlock.store.sql.postgresql.store import PostgresStore
from store.stops import is_blocked, stopped

Two = tuple[PostgresStore, PostgresStore]
SECONDS = 60


def write(key: str = "k", value: bytes | None = b"1", **more: Any) -> CellWrite:
    return msgspec.structs.replace(CellWrite(space="global", key=key, value=value, writer="w1"), **more)


async def put(store: PostgresStore, *writes: CellWrite) -> list[WriteResult]:
    return [each.result for each in await store.cells.write("default", writes, None)]


async def value(store: PostgresStore, key: str = "k") -> bytes | None:
    cell = await store.cells.read("default", "global", key, None)
    return None if cell is None else cell.value


async def end(store: PostgresStore) -> str:
    return (await store.cells.changes("default", None, None, 1)).cursor


@contextlib.asynccontextmanager
async def working(url: str, statement: str = "SELECT pg_current_xact_id()") -> AsyncIterator[asyncpg.Connection[Any]]:
    """A transaction of somebody else that has begun to write, until the end of the block, where it commits."""
    connection = await asyncpg.connect(url)
    try:
        async with connection.transaction():
            await connection.execute(statement)
            yield connection
    finally:
        await connection.close()


async def follow(store: PostgresStore, cursor: str, count: int, page: int = 3) -> list[CellChange]:
    """Read on from a cursor, as a watch does, until there were so many changes."""
    found: list[CellChange] = []
    async with asyncio.timeout(SECONDS):
        while len(found) < count:
            looked = await store.cells.changes("default", "global", cursor, page)
            assert not looked.is_cut
            found += looked.changes
            cursor = looked.cursor
            await asyncio.sleep(0)
    return found


# -- writes ----------------------------------------------------------------------------------------------------------


async def test_of_two_writes_on_one_base_one_applies(two: Two, postgres_url: str) -> None:
    """MS-12"""
    one, other = two
    await put(one, write())
    cell = await one.cells.read("default", "global", "k", None)
    assert cell is not None
    swap = write(value=b"2", base=cell.version)
    async with working(postgres_url, "SELECT 1 FROM cells FOR UPDATE"):
        both = [asyncio.create_task(put(store, swap)) for store in two]
        await is_blocked(postgres_url)
    results = [(await each)[0] for each in both]
    assert sorted(results) == [WriteResult.APPLIED, WriteResult.DIFFERS]
    assert await value(other) == b"2"


async def test_of_two_who_create_a_cell_one_does(two: Two, postgres_url: str) -> None:
    """MS-13"""
    one, other = two
    await put(one, write("there"))
    stop = stopped(one, one.cells, "cell_put")
    first = asyncio.create_task(put(one, write(base=0), write("there", b"2")))
    await stop.reached.wait()
    second = asyncio.create_task(put(other, write(value=b"2", base=0)))
    await is_blocked(postgres_url)
    stop.go_on.set()
    assert await first == [WriteResult.APPLIED, WriteResult.APPLIED]
    assert await second == [WriteResult.DIFFERS]
    assert await value(other) == b"1"


async def test_an_older_stamp_that_waits_for_a_later_one_is_refused(two: Two, postgres_url: str) -> None:
    """MS-02"""
    one, other = two
    stop = stopped(one, one.cells, "cell_put")
    first = asyncio.create_task(put(one, write(stamp=105), write("other")))
    await stop.reached.wait()
    second = asyncio.create_task(put(other, write(value=b"0", stamp=90)))
    await is_blocked(postgres_url)
    stop.go_on.set()
    assert (await first)[0] is WriteResult.APPLIED
    assert await second == [WriteResult.OLDER]


async def test_the_stores_stamps_grow_also_for_a_write_that_had_to_wait(two: Two, postgres_url: str) -> None:
    """MS-02: who began first and had to wait for the other one is the later writer."""
    one, other = two
    stop = stopped(one, one.cells, "cell_put")
    first = asyncio.create_task(put(one, write(base=0), write("other")))
    await stop.reached.wait()
    second = asyncio.create_task(put(other, write(value=b"2")))
    await is_blocked(postgres_url)
    before = await value(other)
    stop.go_on.set()
    await asyncio.gather(first, second)
    cell = await one.cells.read("default", "global", "k", None)
    assert before is None
    assert cell is not None
    assert cell.value == b"2"


async def test_batches_that_meet_in_opposite_orders_both_apply(two: Two) -> None:
    """MS-10"""
    one, other = two
    keys = [f"k{number}" for number in range(20)]
    await put(one, *(write(key) for key in keys))
    for _ in range(10):
        results = await asyncio.gather(
            put(one, *(write(key) for key in keys)), put(other, *(write(key) for key in reversed(keys)))
        )
        assert {each for result in results for each in result} == {WriteResult.APPLIED}


async def test_the_end_of_a_time_that_meets_a_write_is_told_once(two: Two, postgres_url: str) -> None:
    """MS-11"""
    one, other = two
    cursor = await end(one)
    await one.cells.write("default", [write(ttl_seconds=1.0)], 100.0)
    stop = stopped(one, one.cells, "cell_put")
    first = asyncio.create_task(one.cells.write("default", [write(value=b"2", base=0), write("other")], 200.0))
    await stop.reached.wait()
    assert await other.cells.sweep(200.0, 1_000.0) == 0
    stop.go_on.set()
    await first
    assert await other.cells.sweep(200.0, 1_000.0) == 0
    found = await follow(other, cursor, 4)
    assert [each.value for each in found if each.key == "k"] == [b"1", None, b"2"]


# -- changes ---------------------------------------------------------------------------------------------------------


async def test_a_change_whose_number_is_smaller_and_that_commits_later_is_not_lost(two: Two) -> None:
    """MS-07"""
    one, other = two
    cursor = await end(other)
    stop = stopped(one, one.cells, "cell_put")
    late = asyncio.create_task(put(one, write("slow", base=0), write("slow2")))
    await stop.reached.wait()
    await put(other, write("fast"))
    looked = await other.cells.changes("default", "global", cursor, 9)
    assert (list(looked.changes), looked.is_held) == ([], True)
    stop.go_on.set()
    await late
    found = await follow(other, looked.cursor, 3)
    assert sorted(each.key for each in found) == ["fast", "slow", "slow2"]
    assert not (await other.cells.changes("default", "global", found[-1].cursor, 9)).changes


async def test_changes_of_a_cell_come_in_order_whoever_began_first(two: Two, postgres_url: str) -> None:
    """MS-07: a transaction that began earlier writes a cell later, while a third one between them is still at work."""
    one, other = two
    cursor = await end(other)
    stop = stopped(one, one.cells, "cell_put")
    early = asyncio.create_task(put(one, write("first", base=0), write(value=b"2")))
    await stop.reached.wait()
    async with working(postgres_url):
        await put(other, write(value=b"1"))
        stop.go_on.set()
        await early
        looked = await other.cells.changes("default", "global", cursor, 9)
        assert [each.key for each in looked.changes] == ["first"]
        assert looked.is_held
    found = await follow(other, looked.cursor, 2)
    assert [each.value for each in found] == [b"1", b"2"]
    assert found[0].version < found[1].version


async def test_a_watch_hears_of_what_an_older_transaction_held_back(two: Two, postgres_url: str) -> None:
    """MS-07: nobody rings when that transaction ends."""
    one, other = two
    memory = MemorySyncManager(one, SystemClock(), "default", "w1")
    async with memory.watch("**") as watch:
        async with working(postgres_url):
            await put(other, write())
            following = asyncio.create_task(anext(watch))
            done, _ = await asyncio.wait({following}, timeout=0.3)
            assert not done
        async with asyncio.timeout(60):
            assert (await following).value == 1


async def test_the_cache_falls_silent_while_changes_are_held_back(two: Two, postgres_url: str) -> None:
    """MS-05"""
    one, other = two
    clock = SystemClock()
    cache = Cache(10, 0.2, clock)
    sync = Sync(cache, one, clock, "default", 0.2)
    await put(one, write())
    while not cache.get(("global", "k")):
        await sync.round()
        asked = cache.round
        cache.put(("global", "k"), await one.cells.read("default", "global", "k", None), asked)
    async with working(postgres_url):
        await put(other, write(value=b"2"))
        until = clock.monotonic() + 0.2
        while clock.monotonic() < until:
            await sync.round()
        assert cache.get(("global", "k")) is None
    async with asyncio.timeout(SECONDS):
        while ("global", "k") in cache._entries:
            await sync.round()


async def test_a_change_that_was_swept_before_it_could_be_read_is_not_swept(two: Two, postgres_url: str) -> None:
    """MS-07"""
    one, other = two
    cursor = await end(other)
    async with working(postgres_url):
        await one.cells.write("default", [write()], 100.0)
        assert await one.cells.sweep(10_000.0, 50.0) == 0
    assert [each.key for each in await follow(other, cursor, 1)] == ["k"]
    assert await one.cells.sweep(10_000.0, 50.0) == 1


async def test_nothing_is_lost_or_given_twice_among_many_writers(two: Two, postgres_url: str) -> None:
    """MS-07: with transactions of all lengths open, and two who follow while it is written."""
    one, other = two
    writers, rounds = 6, 15
    start = await end(one)

    async def write_some(number: int) -> None:
        store = two[number % 2]
        for turn in range(rounds):
            keys = [f"own{number}", f"shared{turn % 3}"]
            body = b'"%d-%d"' % (number, turn)
            await put(store, *(write(key, body) for key in (keys if number % 3 else reversed(keys))))

    async def disturb() -> None:
        for turn in range(rounds):
            async with working(postgres_url):
                await asyncio.sleep(0.002 * (turn % 5))

    following = [
        asyncio.create_task(follow(store, start, writers * rounds * 2, page))
        for store, page in ((one, 7), (other, 500))
    ]
    await asyncio.gather(disturb(), *(write_some(number) for number in range(writers)))
    first, second = await asyncio.gather(*following)
    assert first == second
    assert len({each.cursor for each in first}) == len(first) == writers * rounds * 2
    wanted = [b'"%d-%d"' % (number, turn) for number in range(writers) for turn in range(rounds)]
    assert sorted(each.value for each in first if each.value and each.key.startswith("own")) == sorted(wanted)
    for key in {each.key for each in first}:
        versions = [each.version for each in first if each.key == key]
        assert versions == sorted(set(versions))
