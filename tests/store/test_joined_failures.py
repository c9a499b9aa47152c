"""A caller's transaction whose process, connection or turn is lost: in real processes, behind a proxy, against others."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import proxy
from interlock import errors
from interlock.store.open import open_store
from interlock.store.ports import Committed, Joined
from interlock.store.sql.postgresql.store import PostgresStore
from interlock.store.sql.sqlite_file import OsLock
from store.rows import accepting
from store.stops import is_blocked

SOURCE = Path(__file__).parents[2] / "src"
Two = tuple[PostgresStore, PostgresStore]

# -- SQLite ----------------------------------------------------------------------------------------------------------

KILLED = """
import asyncio, sys
from interlock.store.open import open_store
from store.rows import accepting

async def main():
    store = await open_store(sys.argv[1])
    async with store.transaction(60.0) as joined:
        await joined.execute("INSERT INTO orders VALUES (1)")
        await joined.store.journal.commit(accepting(large={"d": b"x" * 3_000_000}))
        print("inside", flush=True)
        await asyncio.sleep(60)

asyncio.run(main())
"""


async def test_process_that_is_killed_inside_of_a_block_leaves_neither(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/s.db"
    store = await open_store(url)
    async with store.transaction() as joined:
        await joined.execute("CREATE TABLE orders (id integer)")
    environment = os.environ | {"PYTHONPATH": f"{SOURCE}:{SOURCE.parent / 'tests'}"}
    with subprocess.Popen([sys.executable, "-c", KILLED, url], stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout is not None
        assert await asyncio.to_thread(process.stdout.readline) == b"inside\n"
        process.send_signal(signal.SIGKILL)
    async with asyncio.timeout(60), store.transaction() as joined:
        assert await joined.rows("SELECT * FROM orders") == []
        assert await joined.store.journal.load("r1") is None
        assert await joined.store.journal.texts("r1", ["d"]) == {}
    assert await store.journal.commit(accepting()) is Committed.APPLIED
    await store.close()


async def test_block_that_cannot_begin_in_time_says_so_and_leaves_the_store_free(tmp_path: Path) -> None:
    store = await open_store(f"sqlite:///{tmp_path}/s.db")
    lock = OsLock(f"{tmp_path}/s.db.lock")
    lock.acquire()
    with pytest.raises(errors.StoreUnavailable, match=r"no transaction could begin within 0\.1 s"):
        async with store.transaction(0.1):
            raise AssertionError("unreachable")
    lock.release()
    async with asyncio.timeout(60):
        assert await store.journal.commit(accepting()) is Committed.APPLIED
    lock.close()
    await store.close()


# -- PostgreSQL ------------------------------------------------------------------------------------------------------


@pytest.fixture
async def behind(postgres_url: str) -> AsyncIterator[tuple[proxy.Proxy, PostgresStore]]:
    start, _, end = postgres_url.rpartition("/")
    async with proxy.before(int(start.rpartition(":")[2])) as between:
        store = await open_store(f"postgresql://postgres@127.0.0.1:{between.port}/{end}")
        assert isinstance(store, PostgresStore)
        async with store.transaction() as joined:
            await joined.execute("CREATE TABLE orders (id integer PRIMARY KEY)")
        yield between, store
        await store.close()


async def _start(joined: Joined, run: str = "r1") -> None:
    await joined.execute("INSERT INTO orders VALUES (1)")
    await joined.store.journal.commit(accepting(run))


async def test_commit_whose_reply_is_lost_says_that_its_outcome_is_unknown(
    behind: tuple[proxy.Proxy, PostgresStore],
) -> None:
    between, store = behind

    async def block() -> None:
        async with store.transaction() as joined:
            await _start(joined)
            between.marker = b"COMMIT"

    with pytest.raises(errors.StoreUnavailable, match="its outcome is unknown"):
        await block()
    assert await store.journal.load("r1") is not None


async def test_connection_that_breaks_inside_of_a_block_rolls_it_back(
    behind: tuple[proxy.Proxy, PostgresStore],
) -> None:
    between, store = behind

    async def block() -> None:
        async with store.transaction() as joined:
            await _start(joined)
            between.cut_all()
            await joined.rows("SELECT 1")

    with pytest.raises(errors.StoreUnavailable, match="is away"):
        await block()
    assert await store.journal.load("r1") is None
    async with store.transaction() as joined:  # over a connection that is not broken
        await _start(joined)
    assert await store.journal.load("r1") is not None


async def test_blocks_that_lock_each_other_out_end_one_with_a_conflict(two: Two) -> None:
    async with two[0].transaction() as joined:
        await joined.execute("CREATE TABLE orders (id integer PRIMARY KEY, n integer)")
        await joined.execute("INSERT INTO orders VALUES (1, 0), (2, 0)")
    met = asyncio.Barrier(2)

    async def block(store: PostgresStore, first: int, second: int) -> str:
        try:
            async with store.transaction() as joined:
                await joined.execute("UPDATE orders SET n = n + 1 WHERE id = $1", first)
                await met.wait()
                await joined.execute("UPDATE orders SET n = n + 1 WHERE id = $1", second)
        except errors.Conflict as error:
            return str(error)
        return "committed"

    outcomes = sorted(await asyncio.gather(block(two[0], 1, 2), block(two[1], 2, 1)))
    assert outcomes[0] == "committed"
    assert "lost against another one" in outcomes[1]
    assert "repeat the block" in outcomes[1]


async def test_constraint_that_is_checked_at_the_end_rolls_the_start_back(two: Two) -> None:
    store = two[0]
    async with store.transaction() as joined:
        await joined.execute("CREATE TABLE orders (id integer UNIQUE DEFERRABLE INITIALLY DEFERRED)")
        await joined.execute("INSERT INTO orders VALUES (1)")

    async def block() -> None:
        async with store.transaction() as joined:
            await _start(joined)

    with pytest.raises(Exception, match="duplicate key"):
        await block()
    assert await store.journal.load("r1") is None
    assert await store.journal.commit(accepting()) is Committed.APPLIED


async def test_id_that_a_block_takes_makes_others_wait_for_its_end(two: Two, postgres_url: str) -> None:
    one, other = two
    async with one.transaction() as joined:
        assert await joined.store.journal.commit(accepting("r1", new={"id": "order-1"})) is Committed.APPLIED
        start = asyncio.create_task(other.journal.commit(accepting("r2", new={"id": "order-1"})))
        await is_blocked(postgres_url)
    assert await start is Committed.EXISTS


async def test_many_blocks_at_once_leave_connections_for_commits(two: Two) -> None:
    store = two[0]
    inside = asyncio.Semaphore(0)
    leave = asyncio.Event()

    async def block(number: int) -> None:
        async with store.transaction() as joined:
            await joined.store.journal.commit(accepting(f"r{number}"))
            inside.release()
            await leave.wait()

    blocks = [asyncio.create_task(block(number)) for number in range(12)]
    for _ in range(4):
        await inside.acquire()
    async with asyncio.timeout(60):
        assert await store.journal.commit(accepting("other")) is Committed.APPLIED
    leave.set()
    await asyncio.gather(*blocks)
    assert len(await store.views.runs(None, [], None, None, 99)) == 13
