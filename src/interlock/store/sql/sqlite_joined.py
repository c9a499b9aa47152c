"""A caller's transaction on SQLite: a connection of its own under the lock between processes, in a thread of its own.

In memory there is one connection: whoever else wants it waits for the end of the block.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from interlock import errors
from interlock.store.ports import Batch, Committed
from interlock.store.sql import commit as committing
from interlock.store.sql.joined import one_mapping
from interlock.store.sql.sealing import Sealing
from interlock.store.sql.sqlite_file import OsLock, SqliteTransaction, connect, drive, translated
from interlock.store.sql.transaction import Transaction

T = TypeVar("T")


class JoinedFile:
    """See joined.Connection. The group writer and the renewals of this process wait for the lock like other processes."""

    def __init__(self, path: str, sealing: Sealing | None) -> None:
        self._path = path
        self.sealing = sealing
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="interlock-transaction")
        self._lock: OsLock | None = None
        self._connection: sqlite3.Connection | None = None

    async def begin(self) -> None:
        try:
            await self._call(self._begin)
        except BaseException:
            # Not waited for: a caller that gave up must not wait for the lock. The thread ends behind its last call.
            self._thread.submit(self._end, commit=False)
            self._thread.shutdown(wait=False)
            raise

    async def work(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        return await self._call(lambda: drive(work(SqliteTransaction(self._opened(), self.sealing))))

    async def commit_batch(self, batch: Batch) -> Committed:
        return await self.work(lambda transaction: committing.apply(transaction, batch))

    async def execute(self, sql: str, arguments: tuple[object, ...]) -> int:
        return await self._call(lambda: execute(self._opened(), sql, arguments))

    async def rows(self, sql: str, arguments: tuple[object, ...]) -> list[tuple[Any, ...]]:
        return await self._call(lambda: rows(self._opened(), sql, arguments))

    def is_open(self) -> bool:
        return self._opened().in_transaction

    async def end(self, *, commit: bool) -> None:
        if not commit and self._connection is not None:
            self._connection.interrupt()  # a statement that the block gave up may still be under way
        try:
            await self._call(lambda: self._end(commit=commit))
        finally:
            self._thread.shutdown(wait=False)

    async def _call(self, function: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, function)

    def _opened(self) -> sqlite3.Connection:
        assert self._connection is not None
        return self._connection

    # -- in the thread -------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        with translated(self._path):
            try:
                self._lock = OsLock(f"{self._path}.lock")
            except OSError as error:
                raise errors.StoreUnavailable(f"cannot open the store {self._path}: {error}") from error
            self._lock.acquire()
            self._connection = connect(self._path)
            if self.sealing is not None:
                self._connection.execute("PRAGMA secure_delete = ON")  # see queries/sqlite/overwrite_deleted.sql
            self._connection.execute("BEGIN IMMEDIATE")

    def _end(self, *, commit: bool) -> None:
        connection, self._connection = self._connection, None
        lock, self._lock = self._lock, None
        try:
            if connection is not None:
                with translated(self._path), contextlib.closing(connection):
                    finish(connection, commit=commit)
                    if lock is not None and commit:
                        lock.count_commit()
        finally:
            if lock is not None:
                lock.close()  # which releases it


class JoinedMemory:
    """See joined.Connection. `gate`: what every other use of the connection takes first."""

    def __init__(self, connection: sqlite3.Connection, gate: asyncio.Lock, sealing: Sealing | None) -> None:
        self._connection = connection
        self.sealing = sealing
        self._gate = gate

    async def begin(self) -> None:
        await self._gate.acquire()
        try:
            with translated(":memory:"):
                self._connection.execute("BEGIN IMMEDIATE")
        except BaseException:
            self._gate.release()
            raise

    async def work(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        return drive(work(SqliteTransaction(self._connection, self.sealing)))

    async def commit_batch(self, batch: Batch) -> Committed:
        return await self.work(lambda transaction: committing.apply(transaction, batch))

    async def execute(self, sql: str, arguments: tuple[object, ...]) -> int:
        return execute(self._connection, sql, arguments)

    async def rows(self, sql: str, arguments: tuple[object, ...]) -> list[tuple[Any, ...]]:
        return rows(self._connection, sql, arguments)

    def is_open(self) -> bool:
        return self._connection.in_transaction

    async def end(self, *, commit: bool) -> None:
        try:
            with translated(":memory:"):
                finish(self._connection, commit=commit)
        finally:
            self._gate.release()


def execute(connection: sqlite3.Connection, sql: str, arguments: tuple[object, ...]) -> int:
    """Execute a statement of a caller's; gives the rows changed, 0 for one that changes none."""
    named = one_mapping(arguments)
    return max(0, connection.execute(sql, arguments if named is None else named).rowcount)


def rows(connection: sqlite3.Connection, sql: str, arguments: tuple[object, ...]) -> list[tuple[Any, ...]]:
    named = one_mapping(arguments)
    return connection.execute(sql, arguments if named is None else named).fetchall()


def finish(connection: sqlite3.Connection, *, commit: bool) -> None:
    """Commit, or roll back what SQLite did not roll back by itself, as it does after a full disk."""
    try:
        if commit:
            connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
