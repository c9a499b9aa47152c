"""What the shared Python of the SQL stores asks of a driver: named statements inside one transaction."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar

from interlock.store.ports import Batch, Committed, news

if TYPE_CHECKING:
    from interlock.store.sql.sealing import Sealing

T = TypeVar("T")
Tells: TypeAlias = int | Callable[[], int]
"""What a change concerns, see `news`; or what is called on the loop once the change is durable, and gives it."""
Row = Sequence[Any]
"""A row as the database gave it; the caller names its columns at once. `Any`: the boundary of the driver."""


class Transaction(Protocol):
    @property
    def sealing(self) -> Sealing | None:
        """What seals payloads in it; None in a store that keeps them as they are."""
        ...

    async def run(self, statement: str, parameters: Mapping[str, object]) -> int:
        """Execute a statement and give the number of rows changed."""
        ...

    async def many(self, statement: str, parameters: Sequence[Mapping[str, object]]) -> None:
        """Execute a statement once for each set of parameters."""
        ...

    async def insert(self, statement: str, shared: Mapping[str, object], rows: Sequence[Mapping[str, object]]) -> None:
        """Store rows by a statement that takes many at once. `shared`: the parameters that are the same for all of them."""
        ...

    async def rows(self, statement: str, parameters: Mapping[str, object]) -> list[Row]:
        """Execute a statement and give its rows."""
        ...


class Database(Protocol):
    """Runs functions in transactions."""

    @property
    def sealing(self) -> Sealing | None:
        """What seals payloads; None in a store that keeps them as they are."""
        ...

    async def accept(self, batches: Sequence[Batch]) -> set[str]:
        """Apply batches that accept a run each in one transaction; gives the runs that are stored."""
        ...

    async def write(
        self,
        work: Callable[[Transaction], Awaitable[T]],
        *,
        counted: bool = True,
        tells: Tells = news.ANYTHING,
        once: bool = False,
    ) -> T:
        """Run `work` in a write transaction, possibly shared with others; durable when it returns.

        `work` must not change anything when it raises or returns a refusal; one that raises fails alone. `counted` False
        keeps the transaction apart from the group and from the count of INTERLOCK_FAULT. `tells`: 0 for nothing that anybody
        waits for. `once`: it is a single statement, which is a transaction by itself.
        """
        ...

    async def commit(self, batch: Batch) -> Committed:
        """Apply a batch, in one transaction with others that wait at the same time; see commit.apply for what it does."""
        ...

    async def read(self, work: Callable[[Transaction], Awaitable[T]], *, once: bool = False) -> T:
        """Run `work` in a read transaction; it may see a slightly older state.

        `once`: it is a single statement, which is consistent by itself.
        """
        ...


def news_of(tells: Tells) -> int:
    """Give what a change concerns that is durable now."""
    return tells if isinstance(tells, int) else tells()


async def present(transaction: Transaction, now: float | None) -> float:
    """Give the store's time, or `now` where a test says it."""
    moment: float = (await transaction.rows("present", {"now": now}))[0][0]
    return moment
