"""The store inside a caller's transaction: the same ports, on its connection."""

from __future__ import annotations

from typing import NoReturn

from interlock import errors
from interlock.model.json import Json
from interlock.store.ports import Bell
from interlock.store.sql.artifacts import SqlArtifacts
from interlock.store.sql.cells import SqlCells
from interlock.store.sql.deliveries import SqlDeliveries
from interlock.store.sql.graphs import SqlGraphs
from interlock.store.sql.joined import JoinedDatabase
from interlock.store.sql.journal import SqlJournal
from interlock.store.sql.keys import SqlKeys
from interlock.store.sql.locks import SqlLocks
from interlock.store.sql.nodes import SqlNodes
from interlock.store.sql.pools import SqlPools
from interlock.store.sql.queue import SqlQueue
from interlock.store.sql.reseal import SqlSealed
from interlock.store.sql.tasks import SqlTasks
from interlock.store.sql.tokens import SqlTokens
from interlock.store.sql.upkeep import SqlUpkeep
from interlock.store.sql.views import SqlViews
from interlock.store.sql.waits import SqlWaits
from interlock.store.sql.workers import SqlWorkers


class JoinedStore:
    """See ports.Store. The bell is the store's own: it rings when the transaction is committed."""

    def __init__(self, url: str, bell: Bell, database: JoinedDatabase) -> None:
        self.url = url
        self.bell = bell
        self.journal = SqlJournal(database)
        self.queue = SqlQueue(database)
        self.graphs = SqlGraphs(database)
        self.tasks = SqlTasks(database)
        self.pools = SqlPools(database)
        self.tokens = SqlTokens(database)
        self.deliveries = SqlDeliveries(database)
        self.nodes = SqlNodes(database)
        self.locks = SqlLocks(database)
        self.cells = SqlCells(database)
        self.waits = SqlWaits(database)
        self.workers = SqlWorkers(database)
        self.keys = SqlKeys(database)
        self.artifacts = SqlArtifacts(database)
        self.views = SqlViews(database)
        self.upkeep = SqlUpkeep(database)
        self.sealed = SqlSealed(database)

    def transaction(self, timeout_seconds: float = 0.0) -> NoReturn:
        raise _refused("begin another one")

    async def close(self) -> None:
        raise _refused("close the store")

    async def prepare(self, now: float) -> None:
        raise _refused("prepare the store")

    def pulse(self, node: str) -> NoReturn:
        raise _refused("renew leases")

    def renewals(self) -> NoReturn:
        raise _refused("renew leases")

    async def figures(self) -> dict[str, Json]:
        raise _refused("measure the store")


def _refused(what: str) -> errors.Invalid:
    return errors.Invalid(f"a transaction cannot {what}; do that with the store itself, outside of the block")
