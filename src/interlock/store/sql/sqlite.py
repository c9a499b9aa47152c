"""The SQLite driver: one writer thread with group commit, readers, an OS lock between processes.

Between processes the writers queue on `flock` of `<file>.lock`, which is taken before `BEGIN IMMEDIATE`: SQLite's own busy
handler sleeps and polls, so that under load some process waits for seconds, while the lock wakes them in turn. Only its
holder checkpoints, so no two processes ever reset the write-ahead log at once (and readers are opened read-only), which
also keeps clear of the WAL-reset defect of SQLite before 3.51.3.

A group is what is queued when the writer is free. One fsync makes all of it durable. A member that fails is found by
repeating the group one by one, so that it fails alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from interlock import errors
from interlock.store.ports import Batch, Committed, news
from interlock.store.sql import commit, crash
from interlock.store.sql.admission import Admission
from interlock.store.sql.joined import Transactions
from interlock.store.sql.sealing import Sealing
from interlock.store.sql.sqlite_file import OsLock, SqliteTransaction, connect, drive, translated
from interlock.store.sql.sqlite_joined import JoinedFile, JoinedMemory
from interlock.store.sql.sqlite_schema import migrate, revert
from interlock.store.sql.transaction import Tells, Transaction, news_of
from interlock.store.sql.write_ahead_log import WriteAheadLog

T = TypeVar("T")

_GROUP_MEMBERS: Final = 150  # more would have the runs of a group wait for its last one, and nobody decide meanwhile
_QUEUED_MEMBERS: Final = 5_000  # back-pressure: callers wait for room beyond this
_BACKLOG_PAGES: Final = 8_192  # the log is folded back into the file above this size (32 MB), whoever waits,
_IDLE_PAGES: Final = 256  # and above this one when nobody writes
_ACTIVE_SECONDS: Final = 2.0  # after a change by others the next ones are looked for often
_POLL_ACTIVE_SECONDS: Final = 0.02
_POLL_IDLE_SECONDS: Final = 0.25
_READERS: Final = 2


@dataclass(slots=True)
class _Member:
    work: Callable[[Transaction], Awaitable[Any]]
    future: asyncio.Future[Any]
    counted: bool
    tells: Tells
    result: Any = None
    error: BaseException | None = None


def _told(member: _Member) -> int:
    """Give what a member's change concerns; nobody is woken by one that failed, and would fail again, and ring again."""
    return 0 if member.error is not None else news_of(member.tells)


class SqliteDatabase:
    """One SQLite file (or memory) and everything this process needs to use it."""

    def __init__(self, path: str, ring: Callable[[int], None], environ: Mapping[str, str] | None = None) -> None:
        self._path = path
        self._ring = ring
        self._memory = path == ":memory:"
        self._crash = crash.told(os.environ if environ is None else environ)
        self.sealing: Sealing | None = None
        """What seals payloads; None in a store that keeps them as they are."""
        self.transactions = 0
        """Group transactions begun, renewals and large values left out."""
        self._queue: deque[_Member] = deque()
        self._condition = threading.Condition()
        self._sleeps = False
        """Whether the writer waits to be woken, or is about to."""
        self._admission = Admission(_QUEUED_MEMBERS)
        self._closing = False
        self._thread: threading.Thread | None = None
        self._readers: ThreadPoolExecutor | None = None
        self._local = threading.local()
        self._reading: list[sqlite3.Connection] = []
        self._connection: sqlite3.Connection | None = None
        self._lock: OsLock | None = None
        self._log: WriteAheadLog | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._version = 0
        self._commits: int | None = None
        self.joined = Transactions(path, lambda: ring(news.ANYTHING))
        self._gate = asyncio.Lock()
        """In memory: held by whoever uses the one connection."""
        self.worst_wait_seconds = 0.0
        """The longest that this process waited for the lock between processes."""

    # -- life ----------------------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Open or create the file, bring its schema up to date and start the writer.

        Raises StoreUnavailable, StoreCorrupt or StoreFull with what to do.
        """
        self._loop = asyncio.get_running_loop()
        try:
            await self._open()
        except BaseException:
            await self.close()
            raise

    async def _open(self) -> None:
        if self._memory:
            with translated(self._path):
                self._connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
                migrate(self._connection)
            return
        assert self._loop is not None
        opening = self._loop.run_in_executor(None, self._open_file)
        try:
            await asyncio.shield(opening)
        except asyncio.CancelledError:
            # The thread goes on, and what it opens must not be closed beneath it: SQLite then ends the whole process.
            await asyncio.wait({opening})
            raise
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="interlock-reader")
        self._thread = threading.Thread(target=self._write_for_ever, name="interlock-writer", daemon=True)
        self._thread.start()

    def _open_file(self) -> None:
        file = Path(self._path)
        with translated(self._path):
            try:
                file.parent.mkdir(parents=True, exist_ok=True)
                self._lock = OsLock(f"{self._path}.lock")
            except OSError as error:
                text = f"cannot open the store {self._path}: {error}"
                raise errors.StoreUnavailable(text, short_of=errors.short_of(error)) from error
            with self._lock.held():
                self._connection = connect(self._path)
                migrate(self._connection)
            self._version = self._data_version()
            self._log = WriteAheadLog(self._path)

    async def close(self) -> None:
        """Finish what is queued, then close everything. Safe to call twice."""
        await self.joined.close()  # before anything here waits for the lock that one of them may hold
        if self._thread is not None:
            with self._condition:
                self._closing = True
                self._condition.notify()
            await asyncio.to_thread(self._thread.join)
            self._thread = None
        if self._readers is not None:
            self._readers.shutdown(wait=True)
            for reader in self._reading:
                reader.close()
            self._reading.clear()
            self._readers = None
        self._log = None
        connection, self._connection = self._connection, None
        if connection is not None:
            with self._lock.held() if self._lock is not None else contextlib.nullcontext():
                connection.close()
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    async def seal(self, sealing: Sealing | None) -> None:
        """Seal payloads from now on, None for a store that keeps them as they are."""
        self.sealing = sealing
        if sealing is not None:

            async def work(transaction: Transaction) -> None:
                await transaction.rows("overwrite_deleted", {})

            await self.write(work, counted=False, tells=0)

    # -- reading -------------------------------------------------------------------------------------------------

    async def read(self, work: Callable[[Transaction], Awaitable[T]], *, once: bool = False) -> T:
        if self._memory:
            self.joined.refuse_inside("read from outside of it")
            assert self._connection is not None
            async with self._gate:
                return await work(SqliteTransaction(self._connection, self.sealing))
        if self._readers is None:
            raise errors.StoreUnavailable(f"the store {self._path} is closed")
        assert self._loop is not None
        return await self._loop.run_in_executor(self._readers, self._read, work)

    def _read(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        with translated(self._path):
            if connection is None:
                connection = connect(self._path, read_only=True)
                self._local.connection = connection
                self._reading.append(connection)
            connection.execute("BEGIN")
            try:
                return drive(work(SqliteTransaction(connection, self.sealing)))
            finally:
                connection.execute("COMMIT")

    # -- writing -------------------------------------------------------------------------------------------------

    async def write(
        self,
        work: Callable[[Transaction], Awaitable[T]],
        *,
        counted: bool = True,
        tells: Tells = news.ANYTHING,
        once: bool = False,
    ) -> T:
        self.joined.refuse_inside("write from outside of it")
        if self._memory:
            async with self._gate:
                return await self._write_in_memory(work, counted, tells)
        await self._admission.enter(len(self._queue))
        if self._connection is None or self._closing:
            self._admission.left(len(self._queue))  # who waits behind this one is to learn it too
            raise errors.StoreUnavailable(f"the store {self._path} is closed")
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._queue.append(_Member(work, future, counted, tells))
        if self._sleeps:  # else it looks at the queue before it does
            with self._condition:
                self._condition.notify()
        return await future  # a caller that is cancelled learns nothing; the transaction goes on without it

    async def commit(self, batch: Batch) -> Committed:
        async def work(transaction: Transaction) -> Committed:
            return await commit.apply(transaction, batch)

        return await self.write(work, tells=news.of(batch))

    async def accept(self, batches: Sequence[Batch]) -> set[str]:
        plain = [batch for batch in batches if commit.is_plain(batch)]

        async def work(transaction: Transaction) -> set[str]:
            assert isinstance(transaction, SqliteTransaction)
            rows = [commit.accepted_row(batch) for batch in plain]
            stored = {batch.run for batch in plain}
            if await transaction.changed_by_many("run_accept", rows) < len(plain):
                stored = {run for run in stored if await transaction.rows("run_load", {"run": run})}
            others = [batch for batch in batches if not commit.is_plain(batch)]
            return stored | {
                batch.run for batch in others if await commit.apply(transaction, batch) is Committed.APPLIED
            }

        return await self.write(work)

    def join(self) -> JoinedFile | JoinedMemory:
        """Give the connection of a caller's transaction."""
        if self._connection is None or self._closing:
            raise errors.StoreUnavailable(f"the store {self._path} is closed")
        if self._memory:
            return JoinedMemory(self._connection, self._gate, self.sealing)
        return JoinedFile(self._path, self.sealing)

    async def _write_in_memory(self, work: Callable[[Transaction], Awaitable[T]], counted: bool, tells: Tells) -> T:
        assert self._connection is not None
        member = _Member(work, asyncio.get_running_loop().create_future(), counted, tells)
        self._transact([member])
        assert self._loop is not None
        self._loop.call_soon(lambda: self._ring(_told(member)))
        if member.error is not None:
            member.future.cancel()
            raise member.error
        member.future.cancel()
        result: T = member.result
        return result

    def _write_for_ever(self) -> None:
        active_until = 0.0
        while True:
            with self._condition:
                if not self._queue:
                    if self._closing:
                        return
                    active = time.monotonic() < active_until
                    self._sleeps = True
                    if not self._queue:
                        self._condition.wait(_POLL_ACTIVE_SECONDS if active else _POLL_IDLE_SECONDS)
                    self._sleeps = False
                group = self._take_group()
            if group:
                self._transact(group)
                self._answer(group)
                self._fold_back(_BACKLOG_PAGES)
                active_until = time.monotonic() + _ACTIVE_SECONDS
            if self._changed_by_others():
                active_until = time.monotonic() + _ACTIVE_SECONDS
                self._call_on_loop(lambda: self._ring(news.ANYTHING))
            elif not group:
                self._fold_back(_IDLE_PAGES)

    def _take_group(self) -> list[_Member]:
        """Take what is queued, up to the limit; a member that keeps apart makes a group of its own."""
        group: list[_Member] = []
        while self._queue and len(group) < _GROUP_MEMBERS:
            if not self._queue[0].counted:
                if not group:
                    group.append(self._queue.popleft())
                return group
            group.append(self._queue.popleft())
        return group

    def _transact(self, group: list[_Member]) -> None:
        """Commit a group in one transaction; when that fails, each member in one of its own."""
        try:
            self._commit(group)
            return
        except Exception as error:  # noqa: BLE001 (told to the member that caused it, below)
            if len(group) == 1:
                group[0].error = error
                return
        for member in group:
            try:
                self._commit([member])
            except Exception as error:  # noqa: BLE001 (told to the member that caused it)
                member.error = error

    def _commit(self, group: list[_Member]) -> None:
        connection = self._connection
        assert connection is not None
        with translated(self._path), self._locked():
            connection.execute("BEGIN IMMEDIATE")
            try:
                transaction = SqliteTransaction(connection, self.sealing)
                for member in group:
                    member.result = drive(member.work(transaction))
                self._die_if_told(group, after=False)
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
            if self._lock is not None:
                self._lock.count_commit()
            self._die_if_told(group, after=True)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        if self._lock is None:
            yield
            return
        started = time.monotonic()
        with self._lock.held():
            self.worst_wait_seconds = max(self.worst_wait_seconds, time.monotonic() - started)
            yield

    def _die_if_told(self, group: list[_Member], *, after: bool) -> None:
        if not group[0].counted:
            return
        if not after:
            self.transactions += 1
        self._crash.die_if_told(self.transactions, after=after)

    def _fold_back(self, pages: int) -> None:
        """Fold the log back if it is longer. What this meets (a full disk) is nobody's failure: all of it is durable."""
        assert self._connection is not None
        if self._log is None:
            return
        with contextlib.suppress(OSError, sqlite3.Error):
            if self._log.backlog() <= pages:
                return
            with self._locked():
                if self._log.backlog() > pages:  # else another process has done it while this one waited
                    self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)")

    def _answer(self, group: list[_Member]) -> None:
        def resolve() -> None:
            tells = 0
            for member in group:
                tells |= _told(member)
                if member.future.done():
                    continue
                if member.error is not None:
                    member.future.set_exception(member.error)
                else:
                    member.future.set_result(member.result)
            self._admission.left(len(self._queue))
            if tells:
                self._ring(tells)

        self._call_on_loop(resolve)

    def _call_on_loop(self, function: Callable[[], None]) -> None:
        assert self._loop is not None
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(function)

    def _changed_by_others(self) -> bool:
        try:
            version = self._data_version()
        except sqlite3.Error:
            return False  # the next transaction meets it too and tells its caller; the writer must not die of it
        if version == self._version:
            return False
        self._version = version
        assert self._lock is not None
        before, self._commits = self._commits, self._lock.commits
        return before is None or before != self._commits

    def _data_version(self) -> int:
        assert self._connection is not None
        value: int = self._connection.execute("PRAGMA data_version").fetchone()[0]
        return value


class SqlitePulse:
    """A write connection of its own for lease renewals, for use from a thread that user code cannot starve."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._lock = OsLock(f"{path}.lock")
        self._connection = connect(path)

    def write(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        """Run `work` in a transaction of its own, now, in this thread."""
        with translated(self._path), self._lock.held():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                result = drive(work(SqliteTransaction(self._connection)))
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
            return result

    def close(self) -> None:
        with self._lock.held():
            self._connection.close()
        self._lock.close()


__all__ = ["SqliteDatabase", "SqlitePulse", "migrate", "revert"]
