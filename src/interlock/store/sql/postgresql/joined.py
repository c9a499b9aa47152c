"""A caller's transaction on PostgreSQL: a connection of the pool, lent for the length of the block."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar

import asyncpg

from interlock import errors
from interlock.store.ports import Batch, Committed
from interlock.store.sql import commit
from interlock.store.sql.joined import one_mapping
from interlock.store.sql.postgresql import failures
from interlock.store.sql.postgresql.transaction import PostgresTransaction
from interlock.store.sql.sealing import Sealing
from interlock.store.sql.transaction import Transaction

if TYPE_CHECKING:
    from interlock.store.sql.postgresql.database import Lent, PostgresDatabase

T = TypeVar("T")

_END_SECONDS: Final = 10.0


class JoinedConnection:
    """See joined.Connection. `seats`: so many callers' transactions may have connections, so that commits have the others."""

    def __init__(self, database: PostgresDatabase, seats: asyncio.Semaphore) -> None:
        self._database = database
        self._seats = seats
        self._lent: Lent | None = None

    @property
    def sealing(self) -> Sealing | None:
        return self._database.sealing

    async def begin(self) -> None:
        await self._seats.acquire()
        try:
            self._lent = await self._database.begin()
        except BaseException:
            self._seats.release()
            raise

    async def work(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        async with self._statement() as connection:
            return await work(PostgresTransaction(connection, self._database.sealing))

    async def commit_batch(self, batch: Batch) -> Committed:
        statement, arguments = self._database.prepared([batch])
        async with self._statement() as connection:
            if await connection.fetch(statement.sql, *arguments):
                if batch.cells is not None:
                    await commit.write_cells(PostgresTransaction(connection, self._database.sealing), batch.cells)
                return Committed.APPLIED
        return Committed.STALE if batch.accept is None else Committed.EXISTS

    async def execute(self, sql: str, arguments: tuple[object, ...]) -> int:
        _refuse_named(arguments)
        async with self._statement() as connection:
            status = await connection.execute(sql, *arguments)
        last = status.rpartition(" ")[2]  # such as `UPDATE 3` or `INSERT 0 1`, and `CREATE TABLE`
        return int(last) if last.isdigit() else 0

    async def rows(self, sql: str, arguments: tuple[object, ...]) -> list[tuple[Any, ...]]:
        _refuse_named(arguments)
        async with self._statement() as connection:
            return [tuple(row) for row in await connection.fetch(sql, *arguments)]

    def is_open(self) -> bool:
        return self._lent is not None and self._lent.is_in_transaction()

    async def end(self, *, commit: bool) -> None:
        lent, self._lent = self._lent, None
        assert lent is not None
        try:
            with failures.translated(self._database.server.place):
                await (self._commit(lent) if commit else _roll_back(lent))
        except BaseException:
            _terminate(lent)  # in whatever state it is: nobody may be lent an open transaction
            raise
        finally:
            await self._database.give_back(lent)
            self._seats.release()

    async def _commit(self, lent: Lent) -> None:
        try:
            async with asyncio.timeout(_END_SECONDS):
                outcome = await lent.execute("COMMIT")
        except failures.FAILURES as error:  # TimeoutError is an OSError
            if not failures.is_lost(error):
                raise  # such as a constraint that is checked at the end: nothing is stored
            raise errors.StoreUnavailable(
                f"the connection to {self._database.server.place} broke while the transaction was committed: its outcome is "
                "unknown. Look for what it stored before you repeat it"
            ) from error
        if outcome != "COMMIT":
            raise errors.Conflict("a statement of the transaction failed before its end; nothing of it is stored")

    @contextlib.asynccontextmanager
    async def _statement(self) -> AsyncIterator[Lent]:
        assert self._lent is not None
        try:
            with failures.translated(self._database.server.place):
                yield self._lent
        except errors.StoreUnavailable as error:
            if error.__cause__ is not None and failures.is_passing(error.__cause__):
                raise errors.Conflict(
                    f"the transaction lost against another one ({error.__cause__}) and was rolled back; repeat the block"
                ) from error
            raise


async def _roll_back(lent: Lent) -> None:
    try:
        async with asyncio.timeout(_END_SECONDS):
            await lent.execute("ROLLBACK")
    except failures.FAILURES:
        _terminate(lent)  # the server rolls back what has no connection


def _terminate(lent: Lent) -> None:
    with contextlib.suppress(asyncpg.InterfaceError):  # one that broke has left the pool by itself
        lent.terminate()


def _refuse_named(arguments: tuple[object, ...]) -> None:
    if one_mapping(arguments) is not None:
        raise errors.Invalid(
            "PostgreSQL numbers its parameters: write $1, $2 and give their values one after the other"
        )
