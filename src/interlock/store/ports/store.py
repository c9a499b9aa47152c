"""A store, opened: every port over one backend, and the bell."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, Protocol

from interlock.model.json import Json
from interlock.store.ports.artifacts import Artifacts
from interlock.store.ports.cells import Cells
from interlock.store.ports.deliveries import Deliveries
from interlock.store.ports.graphs import TaskGraphs
from interlock.store.ports.journal import InboxRow, Journal
from interlock.store.ports.keys import Keys
from interlock.store.ports.locks import Locks, Renewals
from interlock.store.ports.news import ANYTHING
from interlock.store.ports.nodes import Nodes, Pulse
from interlock.store.ports.pools import Pools
from interlock.store.ports.queue import Queue
from interlock.store.ports.sealed import Sealed
from interlock.store.ports.tasks import Tasks
from interlock.store.ports.tokens import Tokens
from interlock.store.ports.upkeep import Upkeep
from interlock.store.ports.views import Views
from interlock.store.ports.waits import Waits
from interlock.store.ports.workers import Workers

TRANSACTION_SECONDS: Final = 5.0
"""How long a caller's transaction may take: on SQLite everybody else's writes wait for it, and a node whose lease is not
renewed for 8 s stops its effects."""


class Bell(Protocol):
    def listen(self, wake: Callable[[], None], news: int = ANYTHING) -> Callable[[], None]:
        """Call `wake` on the event loop after something may have changed; the returned function ends it.

        `news`: of what kind, see `news`.
        """
        ...

    def receive(self, take: Callable[[InboxRow], bool]) -> Callable[[], None]:
        """Call `take` on the event loop with what this process tells a run, as soon as it is durable; True: it is seen to, so
        no wake-up has to tell of it. Not all is handed over so: whoever receives listens too. The returned function ends it.
        """
        ...


class Joined(Protocol):
    """A caller's transaction, in which its own statements and those of the store are committed or rolled back together."""

    async def execute(self, sql: str, *arguments: object) -> int:
        """Execute a statement of the caller's and give the number of rows changed.

        The placeholders are the driver's: `?` or `:name` (with one mapping) on SQLite, `$1` on PostgreSQL. What the database
        refuses is raised as its driver raises it (sqlite3, asyncpg), and nothing of the transaction will be stored.
        """
        ...

    async def rows(self, sql: str, *arguments: object) -> list[tuple[Any, ...]]:
        """Execute a statement of the caller's and give its rows; `Any`: what the columns are is the caller's to know."""
        ...

    @property
    def store(self) -> Store:
        """The store as this transaction sees and changes it; refused after the end of the block."""
        ...


class Store(Protocol):
    """A store, opened."""

    @property
    def url(self) -> str:
        """Where it is, as people may read it: without a password."""
        ...

    @property
    def journal(self) -> Journal: ...

    @property
    def queue(self) -> Queue: ...

    @property
    def graphs(self) -> TaskGraphs: ...

    @property
    def tasks(self) -> Tasks: ...

    @property
    def waits(self) -> Waits: ...

    @property
    def pools(self) -> Pools: ...

    @property
    def nodes(self) -> Nodes: ...

    @property
    def tokens(self) -> Tokens: ...

    @property
    def deliveries(self) -> Deliveries: ...

    @property
    def locks(self) -> Locks: ...

    @property
    def cells(self) -> Cells: ...

    @property
    def workers(self) -> Workers: ...

    @property
    def keys(self) -> Keys: ...

    @property
    def artifacts(self) -> Artifacts: ...

    @property
    def upkeep(self) -> Upkeep: ...

    @property
    def sealed(self) -> Sealed: ...

    @property
    def bell(self) -> Bell: ...

    @property
    def views(self) -> Views: ...

    def transaction(self, timeout_seconds: float = TRANSACTION_SECONDS) -> AbstractAsyncContextManager[Joined]:
        """Open a transaction of the caller's: committed at the end of the block, rolled back when it raises.

        Raises Conflict when the block takes longer than `timeout_seconds`, when it lost against another transaction, or when
        a statement failed and the block went on: nothing is stored then. Raises StoreUnavailable when the connection breaks;
        if that happens during the commit, the message says that the outcome is unknown. Raises Invalid inside another one.
        """
        ...

    async def close(self) -> None: ...

    async def prepare(self, now: float) -> None:
        """Make what the runs of the next weeks need, such as partitions; to be called every hour, cheap when it is there."""
        ...

    def pulse(self, node: str) -> Pulse | None:
        """Give a connection for renewals; None where nothing outlives this process."""
        ...

    def renewals(self) -> Renewals | None:
        """Give a connection for the renewal of locks; None where nothing outlives this process."""
        ...

    async def figures(self) -> dict[str, Json]:
        """Measure what the store costs here: milliseconds of a durable commit, of a read, clock offset in seconds."""
        ...
