"""Conformance of a caller's transaction: the caller's rows and the store's are committed or rolled back together."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import sqlite3
from collections.abc import Coroutine
from typing import Any, TypeVar

import asyncpg
import pytest

from interlock import errors
from interlock.model.states import RunStatus
from interlock.store.ports import Committed, Joined, NewToken, Store, TokenState
from interlock.store.sql.postgresql.store import PostgresStore
from store.rows import accepting, batch, definition, new_task

T = TypeVar("T")

TAKEN = (sqlite3.IntegrityError, asyncpg.UniqueViolationError)


@pytest.fixture
async def orders(store: Store) -> Store:
    """A store with a table of its user's beside it."""
    async with store.transaction() as joined:
        await joined.execute("CREATE TABLE orders (id integer PRIMARY KEY, note text)")
    return store


def sql(store: Store, text: str) -> str:
    """Number the parameters as the driver of the store does."""
    if isinstance(store, PostgresStore):
        for number in range(1, text.count("?") + 1):
            text = text.replace("?", f"${number}", 1)
    return text


async def insert(store: Store, joined: Joined, number: int = 1, note: str = "new") -> int:
    return await joined.execute(sql(store, "INSERT INTO orders (id, note) VALUES (?, ?)"), number, note)


async def count(store: Store) -> int:
    async with store.transaction() as joined:
        ((found,),) = await joined.rows("SELECT count(*) FROM orders")
    return int(found)


# -- together --------------------------------------------------------------------------------------------------------


async def test_start_of_a_run_is_committed_with_the_rows_of_its_caller(orders: Store) -> None:
    heard = asyncio.Event()
    orders.bell.listen(heard.set)
    async with orders.transaction() as joined:
        assert await insert(orders, joined) == 1
        await joined.store.journal.define(definition("d1"))
        assert await joined.store.journal.commit(accepting(new={"owner": None})) is Committed.APPLIED
        assert await joined.store.journal.load("r1") is not None
        heard.clear()
    async with asyncio.timeout(60):
        await heard.wait()
    assert await orders.nodes.unowned([])
    assert await orders.journal.definition("d1") is not None
    assert await count(orders) == 1


@pytest.mark.parametrize("error", [ValueError, asyncio.CancelledError])
async def test_start_of_a_run_is_rolled_back_with_the_rows_of_its_caller(
    orders: Store, error: type[BaseException]
) -> None:
    async def block() -> None:
        async with orders.transaction() as joined:
            await insert(orders, joined)
            await joined.store.journal.commit(accepting(large={"d": b"x" * 100_000}))
            raise error

    with pytest.raises(error):
        await block()
    assert await orders.journal.load("r1") is None
    assert await orders.journal.texts("r1", ["d"]) == {}
    assert await count(orders) == 0


async def test_error_of_a_statement_of_the_caller_rolls_the_start_back(orders: Store) -> None:
    async def block(run: str) -> None:
        async with orders.transaction() as joined:
            await joined.store.journal.commit(accepting(run))
            await insert(orders, joined)

    await block("r1")
    with pytest.raises(TAKEN):
        await block("r2")
    assert await orders.journal.load("r1") is not None
    assert await orders.journal.load("r2") is None


async def test_block_that_goes_on_after_an_error_is_refused_whole(orders: Store) -> None:
    async def block() -> None:
        async with orders.transaction() as joined:
            await joined.store.journal.commit(accepting())
            with contextlib.suppress(sqlite3.Error, asyncpg.PostgresError):
                await joined.execute("INSERT INTO nothing VALUES (1)")
            with pytest.raises(errors.Conflict, match="the block went on"):
                await insert(orders, joined)

    with pytest.raises(errors.Conflict, match="a statement of the transaction failed"):
        await block()
    assert await orders.journal.load("r1") is None


async def test_block_that_goes_on_after_a_refused_batch_is_refused_whole(orders: Store) -> None:
    async def block() -> None:
        async with orders.transaction() as joined:
            await insert(orders, joined)
            with pytest.raises(errors.Invalid, match="has 2002 bytes"):
                await joined.store.journal.commit(accepting(attributes={"a": "x" * 2000}))

    with pytest.raises(errors.Conflict, match="nothing of it is stored"):
        await block()
    assert await count(orders) == 0


async def test_refusals_of_the_store_are_values_that_the_block_lives_with(orders: Store) -> None:
    for run in ("order-1", "order-2"):
        await orders.journal.commit(accepting(run))
    async with orders.transaction() as joined:
        await insert(orders, joined)
        assert await joined.store.journal.commit(accepting("order-1")) is Committed.EXISTS
        assert await joined.store.journal.commit(batch("order-1", seq=7)) is Committed.STALE
        with pytest.raises(errors.Conflict, match="fits several runs"):
            await joined.store.views.run(None, "order")
        assert await joined.store.journal.commit(batch("order-1", seq=1)) is Committed.APPLIED
    assert await count(orders) == 1


async def test_every_port_works_inside_of_a_transaction(orders: Store) -> None:
    token = NewToken(token="k1", effect=2, name="approval")
    async with orders.transaction() as joined:
        inner = joined.store
        await inner.journal.commit(accepting(tasks=[new_task()], tokens=[token], attributes={"a": 1}))
        (claimed,) = await inner.queue.claim("n1", "local", 1, 1, 60.0, 100.0, own=False)
        done = await inner.tokens.complete("k1", TokenState.COMPLETED, b"1", "d", "ann", 150.0)
        assert done is not None
        assert done.applied
        await inner.graphs.limit("key", 1)
        await inner.nodes.forget(0.0)
        await inner.upkeep.record("ann", "test", "r1", 1.0)
        assert [row.run for row in await inner.views.runs("default", [], None, None, 9, attributes={"a": 1})] == ["r1"]
        assert inner.url == orders.url
    assert [task.task for task in await orders.queue.held("n1", "local")] == [claimed.task]
    assert len(await orders.journal.inbox("n1")) == 1


async def test_rows_are_given_and_changes_counted_as_the_driver_does(orders: Store) -> None:
    async with orders.transaction() as joined:
        for number in (1, 2, 3):
            await insert(orders, joined, number)
        assert await joined.execute(sql(orders, "UPDATE orders SET note = ? WHERE id > ?"), "old", 1) == 2
        assert await joined.execute("CREATE TABLE more (id integer)") == 0
        statement = sql(orders, "SELECT id, note FROM orders WHERE id < ? ORDER BY id")
        assert await joined.rows(statement, 3) == [(1, "new"), (2, "old")]


async def test_named_parameters_are_sqlites_and_refused_where_they_are_numbered(orders: Store) -> None:
    named = {"id": 7, "note": "x"}
    if not isinstance(orders, PostgresStore):
        async with orders.transaction() as joined:
            assert await joined.execute("INSERT INTO orders (id, note) VALUES (:id, :note)", named) == 1
            assert await joined.rows("SELECT note FROM orders WHERE id = :id", {"id": 7}) == [("x",)]
        return
    with pytest.raises(errors.Invalid, match=r"write \$1, \$2"):
        async with orders.transaction() as joined:
            await joined.execute("INSERT INTO orders (id, note) VALUES (:id, :note)", named)


# -- beside others ---------------------------------------------------------------------------------------------------


async def test_others_do_not_see_what_is_not_committed_and_their_commits_succeed(orders: Store) -> None:
    async with orders.transaction() as joined:
        await joined.store.journal.commit(accepting())
        seen = elsewhere(orders.journal.load("r1"))
        others = [elsewhere(orders.journal.commit(accepting(f"o{n}"))) for n in range(20)]
        await insert(orders, joined)
        for _ in range(20):
            await joined.rows("SELECT 1")
        if not orders.url.endswith(":memory:"):  # where readers wait for the end
            assert await seen is None
    assert await asyncio.gather(*others) == [Committed.APPLIED] * 20
    if orders.url.endswith(":memory:"):
        assert await seen is not None
    assert len(await orders.views.runs(None, [], None, None, 99)) == 21


def elsewhere(call: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    """Await something as a task that is no part of the block."""
    return asyncio.create_task(call, context=contextvars.Context())


async def test_transactions_of_several_tasks_are_made_one_after_the_other(orders: Store) -> None:
    async def one(number: int) -> None:
        async with orders.transaction() as joined:
            ((highest,),) = await joined.rows("SELECT coalesce(max(id), 0) FROM orders WHERE note = 'counted'")
            await joined.store.journal.commit(accepting(f"r{number}"))
            if not isinstance(orders, PostgresStore):  # where nobody else writes meanwhile
                await insert(orders, joined, highest + 1, "counted")
            else:
                await insert(orders, joined, number, "counted")

    await asyncio.gather(*(one(number) for number in range(1, 13)))
    assert await count(orders) == 12


async def test_statements_of_tasks_that_share_a_block_take_turns(orders: Store) -> None:
    async with orders.transaction() as joined:
        await asyncio.gather(*(insert(orders, joined, number) for number in range(1, 30)))
    assert await count(orders) == 29


async def test_task_inside_of_a_block_that_goes_past_it_is_refused(orders: Store) -> None:
    async with orders.transaction() as joined:
        with pytest.raises(errors.Invalid, match="cannot begin another one: it would wait for itself"):
            async with orders.transaction():
                raise AssertionError("unreachable")
        with pytest.raises(errors.Invalid, match="a transaction cannot begin another one"):
            joined.store.transaction()
        if not isinstance(orders, PostgresStore):  # where it would not wait
            with pytest.raises(errors.Invalid, match="cannot write from outside of it"):
                await orders.journal.commit(accepting())
        await insert(orders, joined)
    assert await count(orders) == 1
    assert await orders.journal.commit(accepting()) is Committed.APPLIED


# -- the end ---------------------------------------------------------------------------------------------------------


async def test_block_that_takes_too_long_is_rolled_back_and_told(orders: Store) -> None:
    """Others go on as soon as the time is over, though the block goes on, too."""

    async def block() -> None:
        async with orders.transaction(0.2) as joined:
            await insert(orders, joined)
            await joined.store.journal.commit(accepting())
            async with asyncio.timeout(60):
                assert await elsewhere(orders.journal.commit(accepting("r2"))) is Committed.APPLIED
                assert await elsewhere(orders.journal.load("r2")) is not None
                await _until_over(joined)
            with pytest.raises(errors.Conflict, match="took longer"):
                await insert(orders, joined)

    with pytest.raises(errors.Conflict, match=r"took longer than 0\.2 s and was rolled back"):
        await block()
    assert await orders.journal.load("r1") is None
    assert await count(orders) == 0


async def _until_over(joined: Any) -> None:
    while not joined.is_over:
        await asyncio.sleep(0.01)


async def test_statement_that_takes_too_long_is_given_up(orders: Store) -> None:
    endless = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
    if orders.url.endswith(":memory:"):
        pytest.skip("in memory statements run on the loop itself")

    async def block() -> None:
        async with orders.transaction(0.3) as joined:
            await insert(orders, joined)
            async with asyncio.timeout(60):
                await joined.rows(endless)

    with pytest.raises(errors.Conflict, match="took longer"):
        await block()
    assert await count(orders) == 0


async def test_transaction_is_used_within_its_block_only(orders: Store) -> None:
    transaction = orders.transaction()
    with pytest.raises(errors.Invalid, match="has not begun"):
        await transaction.execute("SELECT 1")  # type: ignore[attr-defined]  # what stands before the block
    async with transaction as joined:
        inner = joined.store
    for call in (inner.journal.load("r1"), joined.execute("SELECT 1"), inner.journal.commit(accepting())):
        with pytest.raises(errors.Invalid, match="has ended with its block"):
            await call
    with pytest.raises(errors.Invalid, match="has ended with its block"):
        async with transaction:
            raise AssertionError("unreachable")


async def test_store_inside_of_a_transaction_is_not_closed_or_prepared(orders: Store) -> None:
    async with orders.transaction() as joined:
        inner = joined.store
        for call in (inner.close(), inner.prepare(1.0), inner.figures()):
            with pytest.raises(errors.Invalid, match="do that with the store itself"):
                await call
        with pytest.raises(errors.Invalid, match="cannot renew leases"):
            inner.pulse("n")


@pytest.mark.parametrize("statement", ["COMMIT", "ROLLBACK"])
async def test_statement_that_ends_the_transaction_is_told(orders: Store, statement: str) -> None:
    async def block() -> None:
        async with orders.transaction() as joined:
            await insert(orders, joined)
            with pytest.raises(errors.Invalid, match="before its block did"):
                await joined.execute(statement)

    with pytest.raises(errors.Invalid, match="leave COMMIT and ROLLBACK to the block"):
        await block()
    assert await count(orders) == (statement == "COMMIT")
    assert await orders.journal.commit(accepting()) is Committed.APPLIED


async def test_transaction_that_is_open_when_the_store_closes_is_rolled_back(orders: Store) -> None:
    entered = asyncio.Event()
    closed = asyncio.Event()

    async def work() -> None:
        async with orders.transaction(60.0) as joined:
            await joined.store.journal.commit(accepting(status=RunStatus.WAITING))
            entered.set()
            await closed.wait()
            await joined.rows("SELECT 1")

    task = asyncio.create_task(work())
    await entered.wait()
    async with asyncio.timeout(60):
        await orders.close()
    closed.set()
    with pytest.raises(errors.StoreUnavailable, match="was closed; the transaction was rolled back"):
        await task
    with pytest.raises(errors.StoreUnavailable, match="closed"):
        async with orders.transaction():
            raise AssertionError("unreachable")
