"""Joins, limits and cursors under load, as often as it takes to meet what happens seldom."""

from __future__ import annotations

import asyncio
import random

import asyncpg
import pytest

from interlock import config, errors
from interlock.dispatch.attempts import Attempts
from interlock.dispatch.delayed import Delayed
from interlock.dispatch.dispatcher import Dispatcher
from interlock.dispatch.holder import Holder
from interlock.dispatch.logbook import Logbook
from interlock.model.states import TaskState
from interlock.model.task import Done, Outcome
from interlock.pool.launcher import Launch, OnOutput
from interlock.secrets.keeper import Keeper
from interlock.service import SystemClock
from interlock.store.ports import GraphTask, LogLine
from interlock.store.sql.postgresql.store import PostgresStore
from store.rows import accepting, new_task, node

Two = tuple[PostgresStore, PostgresStore]
JOINS = 1_000
LIMITED = 500
WRITERS = 8


@pytest.mark.slow
async def test_task_whose_predecessors_end_at_the_same_instant_never_stays_blocked(two: Two) -> None:
    one, other = two
    tasks = []
    for number in range(JOINS):
        first, second = f"a{number:04}", f"b{number:04}"
        tasks += [GraphTask(task=new_task(name, "g", 3 * number + i)) for i, name in enumerate((first, second))]
        joined = new_task(f"c{number:04}", "g", 3 * number + 2)
        tasks.append(GraphTask(task=joined, after={first: True, second: True}))
    await one.graphs.load(tasks, 100.0)
    claimed = await one.queue.claim("n1", "local", 3 * JOINS, 3 * JOINS, 600.0, 100.0, own=False)
    assert len(claimed) == 2 * JOINS
    for number in range(JOINS):
        ends = [
            store.queue.settle(f"{name}{number:04}", 1, Done(), 101.0) for store, name in ((one, "a"), (other, "b"))
        ]
        assert await asyncio.gather(*ends) == [True, True]
    states = [row.state for row in await one.views.tasks("g")]
    assert (states.count(TaskState.DONE), states.count(TaskState.READY)) == (2 * JOINS, JOINS)


# -- limits ----------------------------------------------------------------------------------------------------------


class Grants:
    """A pool whose attempts note when they begin and end, and end at once."""

    def __init__(self) -> None:
        self.log: list[int] = []

    async def launch(self, launch: Launch, on_output: OnOutput) -> Granted:
        self.log.append(1)
        return Granted(self.log)

    async def adopt(self, launch: Launch, on_output: OnOutput) -> Granted:
        raise AssertionError("nothing is orphaned here")

    def is_left(self, launch: Launch) -> bool:
        return False


class Granted:
    def __init__(self, log: list[int]) -> None:
        self._log = log

    async def outcome(self) -> Outcome:
        await asyncio.sleep(0)
        self._log.append(-1)
        return Done()

    async def cancel(self) -> None:
        """It has ended before anybody could."""

    async def forget(self) -> None:
        """Nothing was kept."""

    async def detach(self) -> None:
        """Nothing is left."""


def most(log: list[int]) -> int:
    """Give how many grants there were at once at most."""
    running, highest = 0, 0
    for change in log:
        running += change
        highest = max(highest, running)
    return highest


LOGGED = """
CREATE TABLE grants (number bigserial, change int NOT NULL);
CREATE FUNCTION log_grant() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  INSERT INTO grants (change) VALUES (CASE TG_OP WHEN 'INSERT' THEN 1 ELSE -1 END); RETURN NULL; END $$;
CREATE TRIGGER logged AFTER INSERT OR DELETE ON lease_limits FOR EACH ROW EXECUTE FUNCTION log_grant();
"""


@pytest.mark.slow
async def test_two_dispatchers_never_hold_more_leases_than_a_limit_allows(two: Two, postgres_url: str) -> None:
    """Sampled by somebody else all the time, and checked from what the pools and the store noted."""
    watching = await asyncpg.connect(postgres_url)
    await watching.execute(LOGGED)
    await two[0].graphs.limit("key", 3)
    tasks = [GraphTask(task=new_task(f"t{n:03}", "g", n), limits=["key"]) for n in range(LIMITED)]
    await two[0].graphs.load(tasks, None)
    grants, clock, samples = Grants(), SystemClock(), list[int]()
    dispatchers = [_dispatcher(store, f"n{number}", grants, clock) for number, store in enumerate(two)]
    for number, dispatcher in enumerate(dispatchers):
        await two[number].nodes.join(node(f"n{number}", joined_at=None), 600.0)
        await dispatcher.start()
    async with asyncio.timeout(60):
        while await watching.fetchval("SELECT count(*) FROM tasks WHERE state = 'done'") < LIMITED:
            samples.append(await watching.fetchval("SELECT count(*) FROM leases WHERE kind = 'attempt'"))
    for dispatcher in dispatchers:
        await dispatcher.stop()
    stored = [row[0] for row in await watching.fetch("SELECT change FROM grants ORDER BY number")]
    await watching.close()
    assert max(samples) == most(stored) == 3
    assert most(grants.log) <= 3
    assert (grants.log.count(1), stored.count(1), stored.count(-1)) == (LIMITED, LIMITED, LIMITED)


def _dispatcher(store: PostgresStore, name: str, grants: Grants, clock: SystemClock) -> Dispatcher:
    def away(error: errors.Environment) -> None:
        raise AssertionError(error)

    secrets = Keeper("", config.Secrets(), clock, {})
    holder = Holder(name, store, clock, Logbook(store, clock, 1000), secrets, 0.0, away, may_act=lambda: True)
    attempts = Attempts(holder, lambda task: grants)
    return Dispatcher(name, store, clock, "local", attempts, Delayed(store, clock), slots=100, own=False)


# -- cursors ---------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("rows", [10_000, pytest.param(100_000, marks=[pytest.mark.chaos, pytest.mark.timeout(900)])])
async def test_reader_that_follows_by_number_misses_nothing_of_eight_writers(two: Two, rows: int) -> None:
    one, other = two
    await one.journal.commit(accepting())
    written = asyncio.gather(*(_write(two[number % 2], number, rows // WRITERS) for number in range(WRITERS)))
    found: list[LogLine] = []

    async def follow() -> bool:
        page = await other.views.logs("r1", found[-1].number if found else 0, 1000, None)
        found.extend(page)
        return bool(page)

    async with asyncio.timeout(100 if rows == 10_000 else 280):
        while not written.done():
            await follow()
        await written
        while await follow():
            pass
    numbers = [line.number for line in found]
    assert numbers == sorted(set(numbers))
    assert len(found) == rows
    assert len({line.text for line in found}) == rows


async def _write(store: PostgresStore, writer: int, count: int) -> None:
    """Write pieces in transactions of all sizes, so that numbers become visible out of order."""
    sizes = random.Random(writer)
    written = 0
    while written < count:
        size = min(sizes.choice((1, 3, 50, 400)), count - written)
        lines = [_line(writer, written + number) for number in range(size)]
        await store.queue.log("r1", lines, 10**9)
        written += size


def _line(writer: int, number: int) -> LogLine:
    path = f"/do/{writer}/a"
    return LogLine(number=number, path=path, attempt=1, at=1.0, stream="stdout", text=f"{writer}:{number}")
