"""Opens SQLite files: the connection as Interlock needs it, the lock between processes, errors in our words."""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
import struct
from collections.abc import Awaitable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, TypeVar

from interlock import errors
from interlock.store.sql import statements
from interlock.store.sql.sealing import Sealing
from interlock.store.sql.transaction import Row

T = TypeVar("T")

_BUSY_MILLISECONDS: Final = 10_000  # only foreign tools hold SQLite's own lock; ours queue on the OS lock
_COUNT: Final = struct.Struct("=Q")
_COMMITS: Final = 2**64
_OURS: Final = {"migrations", "runs"}  # every store has these tables since its first transaction


class SqliteTransaction:
    """Runs named statements on one connection. Its coroutines never suspend."""

    def __init__(self, connection: sqlite3.Connection, sealing: Sealing | None = None) -> None:
        """`sealing`: None where payloads are stored as they are, and by who has to do with none."""
        self._connection = connection
        self._sealing = sealing
        self._statements = statements.load("sqlite")

    @property
    def sealing(self) -> Sealing | None:
        return self._sealing

    async def run(self, statement: str, parameters: Mapping[str, object]) -> int:
        if self._sealing is not None:
            parameters = self._sealing.given(statement, parameters)
        return self._connection.execute(self._statements[statement], parameters).rowcount

    async def many(self, statement: str, parameters: Sequence[Mapping[str, object]]) -> None:
        if self._sealing is not None:
            parameters = [self._sealing.given(statement, each) for each in parameters]
        self._connection.executemany(self._statements[statement], parameters)

    async def insert(self, statement: str, shared: Mapping[str, object], rows: Sequence[Mapping[str, object]]) -> None:
        await self.many(statement, [{**shared, **row} for row in rows])

    async def changed_by_many(self, statement: str, parameters: Sequence[Mapping[str, object]]) -> int:
        """As `many`; gives the number of rows changed, which not every driver can tell."""
        if self._sealing is not None:
            parameters = [self._sealing.given(statement, each) for each in parameters]
        return self._connection.executemany(self._statements[statement], parameters).rowcount

    async def rows(self, statement: str, parameters: Mapping[str, object]) -> list[Row]:
        if self._sealing is None:
            return self._connection.execute(self._statements[statement], parameters).fetchall()
        given = self._sealing.given(statement, parameters)
        return self._sealing.found(statement, self._connection.execute(self._statements[statement], given).fetchall())


class OsLock:
    """The lock between the processes that share a file. The kernel releases it when its holder dies.

    Its file holds a number that grows with every commit that others may want to know of. The renewals of leases do not
    count: SQLite tells that there was a commit, and of those of nodes at rest there is one a second.
    """

    def __init__(self, path: str) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if os.fstat(self._descriptor).st_size < _COUNT.size:
            with contextlib.suppress(OSError):  # no room: then every commit counts
                os.pwrite(self._descriptor, bytes(_COUNT.size), 0)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        self.acquire()
        try:
            yield
        finally:
            self.release()

    def acquire(self) -> None:
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)

    def release(self) -> None:
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    @property
    def commits(self) -> int | None:
        """The number of commits that others may want to know of; None when it is not known."""
        try:
            return int(_COUNT.unpack(os.pread(self._descriptor, _COUNT.size, 0))[0])
        except (OSError, struct.error):
            return None

    def count_commit(self) -> None:
        """Count a commit, as long as the lock is held."""
        with contextlib.suppress(OSError):  # whoever would be woken looks by itself some seconds later
            os.pwrite(self._descriptor, _COUNT.pack(((self.commits or 0) + 1) % _COMMITS), 0)

    def close(self) -> None:
        os.close(self._descriptor)


def connect(path: str, *, read_only: bool = False) -> sqlite3.Connection:
    """Open a connection as Interlock needs it: WAL, full durability, checkpoints only on request."""
    mode = "ro" if read_only else "rwc"
    uri = Path(path).absolute().as_uri()
    connection = sqlite3.connect(f"{uri}?mode={mode}", uri=True, isolation_level=None, check_same_thread=False)
    try:
        connection.execute(f"PRAGMA busy_timeout={_BUSY_MILLISECONDS}")
        if not read_only:
            if not refuse_foreign(connection):  # before the first change: a file of others stays as it is
                connection.execute(
                    "PRAGMA auto_vacuum=INCREMENTAL"
                )  # so that pages of what is removed can be given back
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute("PRAGMA wal_autocheckpoint=0")
    except BaseException:
        connection.close()
        raise
    return connection


def scrub(path: str, *, whole: bool) -> bool:
    """Remove what is left of replaced rows from the write-ahead log and, as a `whole`, from the free space of the file.

    The latter writes all of the file anew, while nobody else can write. False: somebody reads for long, or not the whole.
    """
    lock = OsLock(f"{path}.lock")
    try:
        with translated(path), lock.held(), contextlib.closing(connect(path)) as connection:
            if whole:
                connection.execute("VACUUM")
            is_busy: int = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
            return whole and not is_busy
    finally:
        lock.close()


def is_ours(connection: sqlite3.Connection) -> bool:
    """Say whether a file is an Interlock store."""
    return bool(refuse_foreign(connection))


def refuse_foreign(connection: sqlite3.Connection) -> set[str]:
    """Give the tables of a file, if any. Raises StoreCorrupt when they are not ours."""
    listed = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
    tables = {row[0] for row in listed}
    if tables and not tables >= _OURS:
        raise errors.StoreCorrupt("the file is an SQLite database but not an Interlock store; choose another path")
    return tables


def drive(coroutine: Awaitable[T]) -> T:
    """Run a coroutine that never suspends to its end."""
    try:
        coroutine.send(None)  # type: ignore[attr-defined]  # a coroutine
    except StopIteration as stop:
        value: T = stop.value
        return value
    raise RuntimeError("a transaction on SQLite must not wait for anything but its own statements")


@contextlib.contextmanager
def translated(path: str) -> Iterator[None]:
    """Turn SQLite's errors into ours."""
    try:
        yield
    except sqlite3.Error as error:
        raise _translation(path, error) from error
    except MemoryError as error:  # SQLite's too
        text = f"no memory left to use the store {path}; what was stored is safe"
        raise errors.StoreUnavailable(text, short_of=errors.MEMORY) from error


def _translation(path: str, error: sqlite3.Error) -> Exception:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    text = str(error)
    match code:
        case sqlite3.SQLITE_FULL | sqlite3.SQLITE_IOERR:
            return errors.StoreFull(
                f"no space for the store {path} ({text}); free some space, and live nodes go on, or run"
                " `interlock resume --all`",
                short_of=errors.DISK,
            )
        case sqlite3.SQLITE_NOTADB | sqlite3.SQLITE_CORRUPT:
            return errors.StoreCorrupt(
                f"the store {path} is not a readable SQLite file ({text}); restore a copy or choose another path"
            )
        case sqlite3.SQLITE_CANTOPEN if found := lacks_descriptors():
            return errors.StoreUnavailable(
                f"cannot open the store {path}: {found}; raise `ulimit -n`", short_of=errors.DESCRIPTORS
            )
        case sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_READONLY | sqlite3.SQLITE_PERM | sqlite3.SQLITE_AUTH:
            return errors.StoreUnavailable(f"cannot open the store {path} ({text}); check the folder and its rights")
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return errors.StoreUnavailable(f"the store {path} is locked by a program other than Interlock ({text})")
        case _:
            return error


def lacks_descriptors() -> str:
    """Say that this process may open no file, which SQLite reports like a missing one; "" when it may."""
    try:
        os.close(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
    except OSError as error:
        return error.strerror or str(error)
    return ""
