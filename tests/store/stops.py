"""Transactions of two processes that are stopped between statements, so that they meet where a test wants them to."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

import asyncpg

from interlock.store.ports import Batch, Committed, news
from interlock.store.sql.postgresql import commits, parameters
from interlock.store.sql.postgresql.store import PostgresStore
from interlock.store.sql.sealing import Sealing
from interlock.store.sql.transaction import Database, Row, Transaction

T = TypeVar("T")
_SECONDS = 60


class Stop:
    """Where a transaction stops: after the first time it ran a statement, until it is let go."""

    def __init__(self, statement: str) -> None:
        self.statement = statement
        self.reached = asyncio.Event()
        self.go_on = asyncio.Event()

    async def after(self, statement: str) -> None:
        if statement == self.statement and not self.reached.is_set():
            self.reached.set()
            async with asyncio.timeout(_SECONDS):
                await self.go_on.wait()


class Seen(Stop):
    """Stops nowhere, and knows what was run."""

    def __init__(self) -> None:
        super().__init__("")
        self.statements: list[str] = []

    async def after(self, statement: str) -> None:
        self.statements.append(statement)


class StoppedTransaction:
    def __init__(self, transaction: Transaction, stop: Stop) -> None:
        self._transaction = transaction
        self._stop = stop

    @property
    def sealing(self) -> Sealing | None:
        return self._transaction.sealing

    async def run(self, statement: str, parameters: Mapping[str, object]) -> int:
        changed = await self._transaction.run(statement, parameters)
        await self._stop.after(statement)
        return changed

    async def many(self, statement: str, parameters: Sequence[Mapping[str, object]]) -> None:
        await self._transaction.many(statement, parameters)
        await self._stop.after(statement)

    async def insert(self, statement: str, shared: Mapping[str, object], rows: Sequence[Mapping[str, object]]) -> None:
        await self._transaction.insert(statement, shared, rows)
        await self._stop.after(statement)

    async def rows(self, statement: str, parameters: Mapping[str, object]) -> list[Row]:
        found = await self._transaction.rows(statement, parameters)
        await self._stop.after(statement)
        return found


class StoppedDatabase:
    def __init__(self, database: Database, stop: Stop) -> None:
        self._database = database
        self._stop = stop

    @property
    def sealing(self) -> Sealing | None:
        return self._database.sealing

    async def write(
        self,
        work: Callable[[Transaction], Awaitable[T]],
        *,
        counted: bool = True,
        tells: int = news.ANYTHING,
        once: bool = False,
    ) -> T:
        return await self._database.write(
            lambda inner: work(StoppedTransaction(inner, self._stop)), counted=counted, tells=tells, once=once
        )

    async def read(self, work: Callable[[Transaction], Awaitable[T]], *, once: bool = False) -> T:
        return await self._database.read(work, once=once)

    async def commit(self, each: Batch) -> Committed:
        return await self._database.commit(each)


def stopped(store: PostgresStore, port: Any, statement: str) -> Stop:
    """Make the next transaction of a port stop after a statement."""
    stop = Stop(statement)
    port._database = StoppedDatabase(store.database, stop)
    return stop


@contextlib.asynccontextmanager
async def committing(store: PostgresStore, *batches: Batch, durable: bool = True) -> AsyncIterator[set[str]]:
    """Apply a group as the committer does, but make it durable at the end only; gives the runs that it was applied to.

    Not `durable`: its connection breaks instead.
    """
    connection = await store.server.connect()
    statement = parameters.load()["commit"]
    columns = commits.arrays(batches).columns
    try:
        await connection.execute("BEGIN")
        rows = await connection.fetch(statement.sql, *(columns.get(name, []) for name in statement.names))
        yield {row[0] for row in rows}
        if durable:
            await connection.execute("COMMIT")
    finally:
        await connection.close(timeout=_SECONDS)


async def is_blocked(url: str) -> None:
    """Wait until some connection waits for a lock of another one."""
    connection = await asyncpg.connect(url)
    try:
        async with asyncio.timeout(_SECONDS):
            while not await connection.fetchval(
                "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
            ):
                await asyncio.sleep(0.01)
    finally:
        await connection.close()
