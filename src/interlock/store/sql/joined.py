"""A caller's transaction: its own statements and ours on one connection, committed or rolled back together.

    open --the block ends--> committed
         --it raises, a statement failed, it took too long, the store closes--> rolled back

A statement that fails dooms the transaction, as on PostgreSQL: a caller that catches the error and goes on must not believe
that half of it was stored. Ours are not repeated here, since only the caller can repeat what it did before them.

What happens while a block is open waits for it on SQLite (the writer, renewals); so a task that writes to the store from
inside its own block, not through it, would wait for itself, and is refused.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextvars import ContextVar
from types import TracebackType
from typing import Any, Final, NoReturn, Protocol, Self, TypeVar

from interlock import errors
from interlock.store.ports import Batch, Committed, Store, news
from interlock.store.sql.sealing import Sealing
from interlock.store.sql.transaction import Tells, Transaction

T = TypeVar("T")


class Connection(Protocol):
    """What a driver gives for one transaction; its calls are made one after the other."""

    @property
    def sealing(self) -> Sealing | None:
        """What seals payloads in it."""
        ...

    async def begin(self) -> None:
        """Take what the transaction needs and begin it; leaves nothing behind when it raises."""
        ...

    async def work(self, work: Callable[[Transaction], Awaitable[T]]) -> T: ...

    async def commit_batch(self, batch: Batch) -> Committed: ...

    async def execute(self, sql: str, arguments: tuple[object, ...]) -> int: ...

    async def rows(self, sql: str, arguments: tuple[object, ...]) -> list[tuple[Any, ...]]: ...

    def is_open(self) -> bool:
        """Say whether the transaction is open, or was ended by a statement of the caller's."""
        ...

    async def end(self, *, commit: bool) -> None:
        """Commit or roll back, and give back what was taken, whatever happens."""
        ...


class JoinedTransaction:
    """One transaction of a caller; see ports.Joined. Used once, by `async with`."""

    def __init__(
        self,
        transactions: Transactions,
        connection: Connection,
        make_store: Callable[[JoinedDatabase], Store],
        timeout_seconds: float,
    ) -> None:
        self._transactions = transactions
        self._connection = connection
        self._timeout_seconds = timeout_seconds
        self._turn = asyncio.Lock()  # statements of tasks that share the block are made one after the other
        self._deadline = 0.0
        self._watch: asyncio.Task[None] | None = None
        self._leaving: asyncio.Task[None] | None = None
        self._outside: JoinedTransaction | None = None
        self._over: Callable[[], errors.InterlockError] | None = _not_begun
        """What to raise for a use of it, None while it is open."""
        self._doomed: BaseException | None = None
        self._store = make_store(JoinedDatabase(self))

    @property
    def store(self) -> Store:
        return self._store

    @property
    def sealing(self) -> Sealing | None:
        return self._connection.sealing

    @property
    def is_over(self) -> bool:
        return self._over is not None

    # -- the block -----------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        self._transactions.refuse_inside("begin another one")
        if self._over is not _not_begun:
            raise _ended()
        try:
            async with asyncio.timeout(self._timeout_seconds):
                await self._connection.begin()
        except TimeoutError as error:
            raise errors.StoreUnavailable(
                f"no transaction could begin within {self._timeout_seconds:g} s: others hold the store; try again"
            ) from error
        self._over = None
        self._transactions.open.add(self)
        self._deadline = asyncio.get_running_loop().time() + self._timeout_seconds
        self._watch = asyncio.create_task(self._expire(), name="transaction-deadline")
        self._outside = _inside.get()
        _inside.set(self)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        _inside.set(self._outside)
        # A caller that is cancelled must not learn less than the truth: the end goes on without it.
        self._leaving = asyncio.create_task(self._leave(error), name="transaction-end")
        self._leaving.add_done_callback(lambda task: task.cancelled() or task.exception())
        await asyncio.shield(self._leaving)

    async def _leave(self, error: BaseException | None) -> None:
        try:
            async with self._turn:
                over, self._over = self._over, _ended
                if over is None:
                    await self._finish(error)
                elif error is None:
                    raise over()
        finally:
            self._transactions.open.discard(self)
            if self._watch is not None:
                self._watch.cancel()

    async def _finish(self, error: BaseException | None) -> None:
        """Commit when all went well, else roll back: then the error of the block matters more than that of the rollback."""
        if error is None and self._doomed is None:
            await self._connection.end(commit=True)
            self._transactions.changed()
            return
        try:
            await self._connection.end(commit=False)
        except errors.Environment:
            if error is None:
                raise
        if error is None:
            self._refuse_doomed()

    # -- statements ----------------------------------------------------------------------------------------------

    async def execute(self, sql: str, *arguments: object) -> int:
        return await self.run(lambda connection: connection.execute(sql, arguments))

    async def rows(self, sql: str, *arguments: object) -> list[tuple[Any, ...]]:
        return await self.run(lambda connection: connection.rows(sql, arguments))

    async def run(self, call: Callable[[Connection], Awaitable[T]], *, writing: bool = True) -> T:
        """Make one call of the connection, in its turn and in time."""
        async with self._turn:
            if self._over is not None:
                raise self._over()
            if self._doomed is not None:
                self._refuse_doomed()
            try:
                async with asyncio.timeout_at(self._deadline):
                    result = await call(self._connection)
            except TimeoutError as error:
                await self._roll_back(self._late)
                raise self._late() from error
            except BaseException as error:
                if writing or not isinstance(error, errors.Conflict):  # an answer that a read refuses changed nothing
                    self._doomed = error
                raise
            if not self._connection.is_open():
                await self._roll_back(_ended_by_statement)
                raise _ended_by_statement()
            return result

    def _refuse_doomed(self) -> NoReturn:
        raise errors.Conflict(
            f"a statement of the transaction failed ({self._doomed}) and the block went on; nothing of it is stored. Let "
            "the error leave the block, and begin again"
        ) from self._doomed

    # -- the end that nobody asked for ---------------------------------------------------------------------------

    async def abort(self, why: Callable[[], errors.InterlockError]) -> None:
        """Roll back now; the next use of the transaction raises what `why` gives."""
        async with self._turn:
            if self._over is None:
                await self._roll_back(why)

    async def _expire(self) -> None:
        await asyncio.sleep(self._timeout_seconds)
        await self.abort(self._late)

    async def _roll_back(self, why: Callable[[], errors.InterlockError]) -> None:
        self._over = why
        try:
            await self._connection.end(commit=False)
        except errors.Environment as error:
            self._doomed = error  # the connection is gone, and the transaction with it: `why` is told either way

    def _late(self) -> errors.InterlockError:
        return errors.Conflict(
            f"the transaction took longer than {self._timeout_seconds:g} s and was rolled back: nothing of it is stored. Do "
            "what takes time before the block, or allow it more by timeout_seconds"
        )


class JoinedDatabase:
    """Runs what the ports ask for in a caller's transaction; see transaction.Database."""

    def __init__(self, joined: JoinedTransaction) -> None:
        self._joined = joined

    @property
    def sealing(self) -> Sealing | None:
        return self._joined.sealing

    async def write(
        self,
        work: Callable[[Transaction], Awaitable[T]],
        *,
        counted: bool = True,
        tells: Tells = news.ANYTHING,
        once: bool = False,
    ) -> T:
        return await self._joined.run(lambda connection: connection.work(work))

    async def commit(self, batch: Batch) -> Committed:
        return await self._joined.run(lambda connection: connection.commit_batch(batch))

    async def accept(self, batches: Sequence[Batch]) -> set[str]:
        return {batch.run for batch in batches if await self.commit(batch) is Committed.APPLIED}

    async def read(self, work: Callable[[Transaction], Awaitable[T]], *, once: bool = False) -> T:
        return await self._joined.run(lambda connection: connection.work(work), writing=False)


class Transactions:
    """The callers' transactions of one store."""

    def __init__(self, place: str, changed: Callable[[], None]) -> None:
        """`changed` is called on the loop after every commit."""
        self._place = place
        self.changed = changed
        self.open: set[JoinedTransaction] = set()

    def refuse_inside(self, what: str) -> None:
        """Raise Invalid when the calling task is inside a transaction of this store."""
        inside = _inside.get()
        if inside in self.open and not inside.is_over:
            raise errors.Invalid(
                f"this task is inside a transaction of the store {self._place} and cannot {what}: it would wait for itself. "
                "Use the transaction (its `store`), or leave the block first"
            )

    async def close(self) -> None:
        """Roll back what is open; the store closes."""
        for joined in tuple(self.open):
            await joined.abort(self._closed)

    def _closed(self) -> errors.InterlockError:
        return errors.StoreUnavailable(f"the store {self._place} was closed; the transaction was rolled back")


_inside: Final[ContextVar[JoinedTransaction | None]] = ContextVar("inside", default=None)
"""The transaction that the running task is inside of; tasks that it starts there are, too, until the end of the block."""


def _not_begun() -> errors.InterlockError:
    return errors.Invalid("the transaction has not begun; use it by `async with`")


def _ended() -> errors.InterlockError:
    return errors.Invalid(
        "the transaction has ended with its block; use the store itself, or begin another transaction"
    )


def _ended_by_statement() -> errors.InterlockError:
    return errors.Invalid(
        "a statement ended the transaction before its block did; leave COMMIT and ROLLBACK to the block. What stood before "
        "such a COMMIT is stored, what follows it is not"
    )


def one_mapping(arguments: tuple[object, ...]) -> Mapping[str, object] | None:
    """Give the named parameters of a statement, None when its parameters have places."""
    return arguments[0] if len(arguments) == 1 and isinstance(arguments[0], Mapping) else None


__all__ = ["Connection", "JoinedDatabase", "JoinedTransaction", "Transactions", "one_mapping"]
