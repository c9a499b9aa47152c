"""One PostgreSQL database and everything this process needs to use it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

import asyncpg

from interlock import errors
from interlock.store.ports import Batch, Committed, NewCells, news
from interlock.store.sql import commit, crash, statements
from interlock.store.sql.postgresql import commits, failures, parameters
from interlock.store.sql.postgresql.committer import Committer
from interlock.store.sql.postgresql.parameters import Prepared
from interlock.store.sql.postgresql.server import STATEMENT_SECONDS, Server
from interlock.store.sql.postgresql.transaction import PostgresTransaction
from interlock.store.sql.sealing import Sealing
from interlock.store.sql.transaction import Tells, Transaction, news_of

T = TypeVar("T")
if TYPE_CHECKING:
    Lent: TypeAlias = asyncpg.pool.PoolConnectionProxy[asyncpg.Record]

_REPEATS: Final = 6  # of a transaction that lost against another one
_REPEAT_SECONDS: Final = 0.05  # times the number of the attempt, and a random share of it
_CLOSE_SECONDS: Final = 10.0


class PostgresDatabase:
    """Runs functions in transactions on a pool of connections, and commits batches in groups."""

    def __init__(
        self, server: Server, connections: int, changed: Callable[[int], None], environ: Mapping[str, str] | None = None
    ) -> None:
        """`changed` is called on the loop after every write."""
        self.server = server
        self._connections = connections
        self._changed = changed
        self._crash = crash.told(os.environ if environ is None else environ)
        self.sealing: Sealing | None = None
        """What seals payloads; None in a store that keeps them as they are."""
        self.transactions = 0
        """Group transactions begun, renewals and large values left out."""
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None
        self._writes: set[asyncio.Task[Any]] = set()
        self._committer = Committer(self._applied, key=lambda batch: batch.run, size=commits.size)
        self._variants = [parameters.prepare(sql) for sql in commits.variants(statements.load("postgresql")["commit"])]

    # -- life ----------------------------------------------------------------------------------------------------

    async def open(self) -> None:
        self._pool = await self.server.pool(self._connections)

    async def close(self) -> None:
        """Finish what is queued, then close every connection. Safe to call twice."""
        pool, self._pool = self._pool, self._pool
        if pool is None:
            return
        await self._committer.close()
        if self._writes:
            await asyncio.wait(self._writes)
        self._pool = None
        try:
            async with asyncio.timeout(_CLOSE_SECONDS):
                await pool.close()
        except failures.FAILURES:  # TimeoutError is an OSError
            pool.terminate()  # the server is away: there is nobody to take leave of

    # -- reading -------------------------------------------------------------------------------------------------

    async def read(self, work: Callable[[Transaction], Awaitable[T]], *, once: bool = False) -> T:
        """Read, on a fresh connection again when the first one turned out to be broken: a server may have restarted."""
        for last in (False, True):
            try:
                async with self._connection() as connection:
                    if once and not self.server.pooled:
                        return await work(PostgresTransaction(connection, self.sealing))
                    async with self._transaction(connection, f"{self.server.begin}; {_SNAPSHOT}"):
                        return await work(PostgresTransaction(connection, self.sealing))
            except errors.StoreUnavailable as error:
                if last or not failures.is_lost(error.__cause__ or error):
                    raise
        raise AssertionError("unreachable")

    # -- writing -------------------------------------------------------------------------------------------------

    async def write(
        self,
        work: Callable[[Transaction], Awaitable[T]],
        *,
        counted: bool = True,
        tells: Tells = news.ANYTHING,
        once: bool = False,
    ) -> T:
        # A caller that is cancelled must not learn less than the truth: the transaction goes on without it.
        alone = once and not counted and not self.server.pooled
        writing = self._write_alone(work, tells) if alone else self._repeat(lambda: self._write(work, counted, tells))
        return await asyncio.shield(self._started(writing))

    async def commit(self, batch: Batch) -> Committed:
        if self._pool is None:
            raise self._closed()
        return await self._committer.commit(batch)

    async def accept(self, batches: Sequence[Batch]) -> set[str]:
        return await asyncio.shield(self._started(self._apply(batches)))

    def _started(self, coroutine: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.create_task(coroutine, name="write")
        self._writes.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._writes.discard(task)
        if not task.cancelled():
            task.exception()  # whoever waits gets it; one that was cancelled does not want it

    async def _repeat(self, call: Callable[[], Awaitable[T]]) -> T:
        """Run a transaction, again when it lost against another one: a deadlock ends one of two, not the work."""
        attempt = 0
        while True:
            try:
                return await call()
            except errors.StoreUnavailable as error:
                attempt += 1
                if attempt > _REPEATS or error.__cause__ is None or not failures.is_passing(error.__cause__):
                    raise
            await asyncio.sleep(attempt * _REPEAT_SECONDS * random.uniform(0.5, 1.5))  # noqa: S311 (jitter, not a secret)

    async def _write_alone(self, work: Callable[[Transaction], Awaitable[T]], tells: Tells) -> T:
        """Run a single statement, which is a transaction by itself: one round trip."""

        async def send() -> T:
            async with self._connection() as connection:
                return await work(PostgresTransaction(connection, self.sealing))

        result = await self._repeat(send)
        if told := news_of(tells):
            self._changed(told)
        return result

    async def _write(self, work: Callable[[Transaction], Awaitable[T]], counted: bool, tells: Tells) -> T:
        async with self._connection() as connection:
            async with self._transaction(connection, self.server.begin):
                result = await work(PostgresTransaction(connection, self.sealing))
                if counted:
                    self.transactions += 1
                    number = self.transactions
                    self._crash.die_if_told(number, after=False)
            if counted:
                self._crash.die_if_told(number, after=True)
        if told := news_of(tells):
            self._changed(told)
        return result

    async def _applied(self, batches: Sequence[Batch]) -> list[Committed]:
        """Send one group; gives what became of each member."""
        runs = await self._apply(batches)
        return [
            Committed.APPLIED if batch.run in runs else Committed.STALE if batch.accept is None else Committed.EXISTS
            for batch in batches
        ]

    async def _apply(self, batches: Sequence[Batch]) -> set[str]:
        """Send one group; gives the runs that it was applied to."""
        statement, arguments = self.prepared(batches)
        tells = 0
        for batch in batches:
            tells |= news.of(batch)
        remembering = {batch.run: batch.cells for batch in batches if batch.cells is not None}
        return await self._repeat(lambda: self._send(statement.sql, arguments, tells, remembering))

    def prepared(self, batches: Sequence[Batch]) -> tuple[Prepared, list[list[object]]]:
        """Give the shortest statement that commits a group, and its arguments."""
        columns: Mapping[str, list[object]] = commits.arrays(batches).columns
        if self.sealing is not None:
            columns = self.sealing.arrays(columns)
        statement = next((each for each in self._variants if columns.keys() <= set(each.names)), None)
        if statement is None:
            unknown = columns.keys() - set(self._variants[-1].names)
            raise KeyError(f"the statement commit has no parameters {', '.join(sorted(unknown))}")
        return statement, [columns.get(name, []) for name in statement.names]

    async def _send(
        self, statement: str, arguments: list[list[object]], tells: int, remembering: Mapping[str, NewCells]
    ) -> set[str]:
        """Send a statement. `remembering`: what runs that it applies to write to shared memory, in the same transaction."""
        self.transactions += 1
        number = self.transactions
        self._crash.die_if_told(number, after=False)
        async with self._connection() as connection:
            if self.server.pooled or remembering:
                async with self._transaction(connection, self.server.begin):
                    rows = await connection.fetch(statement, *arguments)
                    for run in sorted({row[0] for row in rows} & remembering.keys()):
                        await commit.write_cells(PostgresTransaction(connection, self.sealing), remembering[run])
            else:  # one statement outside a transaction is one: a single round trip
                rows = await connection.fetch(statement, *arguments)
        self._crash.die_if_told(number, after=True)
        self._changed(tells)
        return {row[0] for row in rows}

    # -- connections ---------------------------------------------------------------------------------------------

    @contextlib.asynccontextmanager
    async def _connection(self) -> AsyncIterator[Lent]:
        """Lend a connection. After one was lost, the others are replaced before they are used again."""
        pool = self._pool
        if pool is None:
            raise self._closed()
        with failures.translated(self.server.place):
            try:
                async with pool.acquire(timeout=STATEMENT_SECONDS) as connection:
                    try:
                        yield connection
                    except failures.FAILURES as error:
                        if failures.is_lost(error):
                            connection.terminate()  # in whatever state it is; there is nobody to take leave of
                        raise
            except failures.FAILURES as error:
                if failures.is_lost(error):
                    await pool.expire_connections()
                raise

    async def begin(self) -> Lent:
        """Lend a connection with an open transaction, until `give_back`; one that turned out to be broken is replaced."""
        for last in (False, True):
            pool = self._pool
            if pool is None:
                raise self._closed()
            with failures.translated(self.server.place):
                lent = await pool.acquire(timeout=STATEMENT_SECONDS)
                try:
                    await lent.execute(self.server.begin)
                    return lent
                except BaseException as error:
                    with contextlib.suppress(asyncpg.InterfaceError):  # one that broke has left the pool by itself
                        lent.terminate()
                    await pool.release(lent)
                    if last or not failures.is_lost(error):
                        raise
                    await pool.expire_connections()
        raise AssertionError("unreachable")

    async def give_back(self, lent: Lent) -> None:
        """Take back a connection that was lent by `begin`; its transaction has ended, or it was terminated."""
        pool = self._pool
        if pool is None:
            lent.terminate()  # the store was closed meanwhile, and its connections with it
        else:
            await pool.release(lent)

    @contextlib.asynccontextmanager
    async def _transaction(self, connection: Lent, begin: str) -> AsyncIterator[None]:
        try:
            await connection.execute(begin)
            yield
        except BaseException:
            try:
                await connection.execute("ROLLBACK")
            except failures.FAILURES:
                connection.terminate()  # the error before matters more, and nobody may be lent an open transaction
            raise
        await connection.execute("COMMIT")

    def _closed(self) -> errors.StoreUnavailable:
        return errors.StoreUnavailable(f"the store at {self.server.place} is closed")


_SNAPSHOT: Final = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"
