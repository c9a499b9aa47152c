"""The store in a PostgreSQL database: the ports over one pool of connections, the bell, and what it costs here."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

from interlock.model.json import Json
from interlock.store.ports import TRANSACTION_SECONDS
from interlock.store.ports.news import ANYTHING
from interlock.store.sql import sealing
from interlock.store.sql.artifacts import SqlArtifacts
from interlock.store.sql.cells import SqlCells
from interlock.store.sql.deliveries import SqlDeliveries
from interlock.store.sql.graphs import SqlGraphs
from interlock.store.sql.joined import JoinedDatabase, JoinedTransaction, Transactions
from interlock.store.sql.joined_store import JoinedStore
from interlock.store.sql.journal import SqlJournal
from interlock.store.sql.keys import SqlKeys
from interlock.store.sql.locks import SqlLocks
from interlock.store.sql.nodes import SqlNodes
from interlock.store.sql.pools import SqlPools
from interlock.store.sql.postgresql import partitions, schema, server
from interlock.store.sql.postgresql.bell import PostgresBell
from interlock.store.sql.postgresql.database import PostgresDatabase
from interlock.store.sql.postgresql.failures import translated
from interlock.store.sql.postgresql.joined import JoinedConnection
from interlock.store.sql.postgresql.pulse import PostgresPulse, PostgresRenewals
from interlock.store.sql.postgresql.server import Connection, Server
from interlock.store.sql.postgresql.tokens import PostgresTokens
from interlock.store.sql.queue import SqlQueue
from interlock.store.sql.reseal import SqlSealed
from interlock.store.sql.sealing import Keys
from interlock.store.sql.store import costs
from interlock.store.sql.tasks import SqlTasks
from interlock.store.sql.transaction import Database
from interlock.store.sql.upkeep import SqlUpkeep
from interlock.store.sql.views import SqlViews
from interlock.store.sql.waits import SqlWaits
from interlock.store.sql.workers import SqlWorkers

CONNECTIONS: Final = 8


class PostgresUpkeep(SqlUpkeep):
    """Upkeep that can drop whole weeks. `drop_weeks` does it and gives the number of runs."""

    def __init__(self, database: Database, drop_weeks: Callable[[float], Awaitable[int]]) -> None:
        super().__init__(database)
        self._drop_weeks = drop_weeks

    async def drop(self, before: float) -> int:
        return await self._drop_weeks(before)


class PostgresStore:
    """A store in one PostgreSQL database, shared by as many processes as there are."""

    def __init__(self, found: Server, connections: int = CONNECTIONS) -> None:
        self.server = found
        self.bell = PostgresBell()
        self.database = PostgresDatabase(found, connections, self.bell.changed)
        self.journal = SqlJournal(self.database)
        self.queue = SqlQueue(self.database, self.bell.post)
        self.graphs = SqlGraphs(self.database)
        self.tasks = SqlTasks(self.database)
        self.pools = SqlPools(self.database)
        self.tokens = PostgresTokens(self.database, self.bell.post)
        self.deliveries = SqlDeliveries(self.database)
        self.nodes = SqlNodes(self.database)
        self.locks = SqlLocks(self.database)
        self.cells = SqlCells(self.database)
        self.waits = SqlWaits(self.database)
        self.workers = SqlWorkers(self.database)
        self.keys = SqlKeys(self.database)
        self.artifacts = SqlArtifacts(self.database)
        self.views = SqlViews(self.database)
        self.upkeep = PostgresUpkeep(self.database, self._drop_weeks)
        self.sealed = SqlSealed(self.database)
        self._joined = Transactions(found.place, lambda: self.bell.changed(ANYTHING))
        self._seats = asyncio.Semaphore(max(1, connections // 2))

    @property
    def url(self) -> str:
        return f"postgresql://{self.server.place}"

    def transaction(self, timeout_seconds: float = TRANSACTION_SECONDS) -> JoinedTransaction:
        return JoinedTransaction(
            self._joined, JoinedConnection(self.database, self._seats), self._inside, timeout_seconds
        )

    def _inside(self, database: JoinedDatabase) -> JoinedStore:
        return JoinedStore(self.url, self.bell, database)

    async def open(self, listen: Server | None, keys: Keys) -> None:
        """Bring the schema up to date and start. `listen`: where notifications can be heard, None for nowhere."""
        async with self._apart() as connection:
            await schema.migrate(connection)
            await partitions.make(connection, time.time())
        await self.database.open()
        try:
            self.database.sealing = await sealing.find(self.database, keys, self.server.place)
        except BaseException:
            await self.database.close()
            raise
        self.bell.connect(listen)
        await self.bell.start()

    async def close(self) -> None:
        await self._joined.close()
        await self.tokens.close()
        await self.bell.stop()
        await self.database.close()

    async def prepare(self, now: float) -> None:
        async with self._apart() as connection:
            await partitions.make(connection, now)

    async def _drop_weeks(self, before: float) -> int:
        async with self._apart() as connection:
            return await partitions.drop(connection, before)

    @contextlib.asynccontextmanager
    async def _apart(self) -> AsyncIterator[Connection]:
        """Lend a connection that is no part of the pool."""
        with translated(self.server.place):
            connection = await self.server.connect()
            try:
                yield connection
            finally:
                await connection.close(timeout=server.CONNECT_SECONDS)

    def pulse(self, node: str) -> PostgresPulse:
        return PostgresPulse(self.server, node)

    def renewals(self) -> PostgresRenewals:
        return PostgresRenewals(self.server)

    async def figures(self) -> dict[str, Json]:
        return await costs(self.database) | await self._server_figures()

    async def _server_figures(self) -> dict[str, Json]:
        """Ask the server what it is; its clock is compared with the middle of the question."""
        async with self._apart() as connection, connection.transaction():
            sent = time.time()
            there = await connection.fetchval("SELECT extract(epoch FROM clock_timestamp())::float8")
            offset = there - (sent + time.time()) / 2
            settings = await connection.fetchrow(
                "SELECT current_setting('fsync'), current_setting('synchronous_commit')"
            )
        assert settings is not None
        return {
            "server": f"PostgreSQL {self.server.version}",
            "pooled": self.server.pooled,
            "clock_offset_s": offset,
            "fsync": settings[0],
            "synchronous_commit": settings[1],
        }


async def open_store(
    url: str, *, connections: int = CONNECTIONS, listen_url: str | None = None, keys: Keys | None = None
) -> PostgresStore:
    """Open the store at a URL. `listen_url`: a direct connection for notifications, where `url` names a pooler.

    Raises StoreUnavailable, StoreCorrupt, StoreFull, Invalid, Environment without the key of a sealed store, Conflict.
    """
    found = await server.find(url)
    if listen_url is not None:
        server.check(listen_url)
        listen: Server | None = Server(listen_url, pooled=False, version=found.version)
    else:
        listen = None if found.pooled else found
    store = PostgresStore(found, connections)
    await store.open(listen, keys or Keys(url))
    return store
