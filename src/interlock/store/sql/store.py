"""The SQL store: the ports over one database, the bell, and what it costs here."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Sequence
from typing import Final

from interlock.model.json import Json
from interlock.store.ports import TRANSACTION_SECONDS, Renewed
from interlock.store.sql import locks, nodes, sealing
from interlock.store.sql.artifacts import SqlArtifacts
from interlock.store.sql.bell import LocalBell
from interlock.store.sql.cells import SqlCells
from interlock.store.sql.deliveries import SqlDeliveries
from interlock.store.sql.graphs import SqlGraphs
from interlock.store.sql.joined import JoinedDatabase, JoinedTransaction
from interlock.store.sql.joined_store import JoinedStore
from interlock.store.sql.journal import SqlJournal
from interlock.store.sql.keys import SqlKeys
from interlock.store.sql.locks import SqlLocks
from interlock.store.sql.nodes import SqlNodes
from interlock.store.sql.pools import SqlPools
from interlock.store.sql.queue import SqlQueue
from interlock.store.sql.reseal import SqlSealed
from interlock.store.sql.sealing import Keys
from interlock.store.sql.sqlite import SqliteDatabase, SqlitePulse
from interlock.store.sql.sqlite_file import scrub
from interlock.store.sql.tasks import SqlTasks
from interlock.store.sql.tokens import SqlTokens
from interlock.store.sql.transaction import Database, Transaction
from interlock.store.sql.upkeep import SqlUpkeep
from interlock.store.sql.views import SqlViews
from interlock.store.sql.waits import SqlWaits
from interlock.store.sql.workers import SqlWorkers

_PROBES: Final = 20


class SqlitePulseOfNode:
    """Renews a node's leases from a thread of its own; see ports.Pulse."""

    def __init__(self, path: str, node: str) -> None:
        self._pulse = SqlitePulse(path)
        self._node = node

    def beat(self, node_ttl_seconds: float, attempt_ttl_seconds: float, now: float | None) -> bool:
        async def work(transaction: Transaction) -> bool:
            return await nodes.renew(transaction, self._node, node_ttl_seconds, attempt_ttl_seconds, now)

        return self._pulse.write(work)

    def close(self) -> None:
        self._pulse.close()


class SqliteRenewals:
    """Renews locks from a thread of its own; see ports.Renewals."""

    def __init__(self, path: str) -> None:
        self._pulse = SqlitePulse(path)

    def renew(self, held: Sequence[Renewed], now: float | None) -> list[Renewed]:
        async def work(transaction: Transaction) -> list[Renewed]:
            return await locks.renew(transaction, held, now)

        return self._pulse.write(work)

    def close(self) -> None:
        self._pulse.close()


class SqliteSealed(SqlSealed):
    """A file can be rewritten, so that nothing is left of what was in it."""

    def __init__(self, database: Database, path: str) -> None:
        super().__init__(database)
        self._path = path

    async def scrub(self, *, alone: bool) -> bool:
        return self._path == ":memory:" or await asyncio.to_thread(scrub, self._path, whole=alone)


class SqliteStore:
    """A store in one SQLite file, or in memory."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.bell = LocalBell()
        self.database = SqliteDatabase(path, self.bell.ring)
        self.journal = SqlJournal(self.database)
        self.queue = SqlQueue(self.database, self.bell.post)
        self.graphs = SqlGraphs(self.database)
        self.tasks = SqlTasks(self.database)
        self.pools = SqlPools(self.database)
        self.tokens = SqlTokens(self.database, self.bell.post)
        self.deliveries = SqlDeliveries(self.database)
        self.nodes = SqlNodes(self.database)
        self.locks = SqlLocks(self.database)
        self.cells = SqlCells(self.database)
        self.waits = SqlWaits(self.database)
        self.workers = SqlWorkers(self.database)
        self.keys = SqlKeys(self.database)
        self.artifacts = SqlArtifacts(self.database)
        self.views = SqlViews(self.database)
        self.upkeep = SqlUpkeep(self.database)
        self.sealed = SqliteSealed(self.database, path)

    def transaction(self, timeout_seconds: float = TRANSACTION_SECONDS) -> JoinedTransaction:
        return JoinedTransaction(self.database.joined, self.database.join(), self._inside, timeout_seconds)

    def _inside(self, database: JoinedDatabase) -> JoinedStore:
        return JoinedStore(self.url, self.bell, database)

    @property
    def url(self) -> str:
        return f"sqlite:///{self.path}"

    async def open(self, keys: Keys | None = None) -> None:
        """`keys`: where the store key is, None: it is looked for in the usual places."""
        await self.database.open()
        try:
            await self.database.seal(await sealing.find(self.database, keys or Keys(self.url), self.path))
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        await self.database.close()

    async def prepare(self, now: float) -> None:
        """One file grows as it is: there is nothing to prepare."""

    def pulse(self, node: str) -> SqlitePulseOfNode | None:
        """Give the node's renewal connection; None in memory, where nothing can outlive this process."""
        return None if self.path == ":memory:" else SqlitePulseOfNode(self.path, node)

    def renewals(self) -> SqliteRenewals | None:
        return None if self.path == ":memory:" else SqliteRenewals(self.path)

    async def figures(self) -> dict[str, Json]:
        return await costs(self.database) | {"worst_lock_wait_ms": self.database.worst_wait_seconds * 1000}


async def costs(database: Database) -> dict[str, Json]:
    """Measure a durable commit and a read, in milliseconds."""

    async def nothing(transaction: Transaction) -> None:
        await transaction.run("lease_put", _PROBE)
        await transaction.run("lease_end", {"kind": _PROBE["kind"], "name": _PROBE["name"]})

    async def look(transaction: Transaction) -> None:
        await transaction.rows("run_load", {"run": ""})

    writes = [await _milliseconds(database.write(nothing)) for _ in range(_PROBES)]
    reads = [await _milliseconds(database.read(look)) for _ in range(_PROBES)]
    return {
        "commit_p50_ms": sorted(writes)[_PROBES // 2],
        "commit_worst_ms": max(writes),
        "read_p50_ms": sorted(reads)[_PROBES // 2],
    }


_PROBE: Final[dict[str, object]] = {
    "kind": "probe", "name": "doctor", "holder": "doctor", "fence": 0, "place": "", "now": 0.0, "ttl": 0.0,
}  # fmt: skip


async def _milliseconds(call: Awaitable[object]) -> float:
    started = time.perf_counter()
    await call
    return (time.perf_counter() - started) * 1000
