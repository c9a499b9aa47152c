"""The SQL store: the ports over one database, the bell, and what it costs here."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

from interlock.model.json import Json
from interlock.store.sql import nodes
from interlock.store.sql.journal import SqlJournal
from interlock.store.sql.nodes import SqlNodes
from interlock.store.sql.queue import SqlQueue
from interlock.store.sql.sqlite import SqliteDatabase, SqlitePulse
from interlock.store.sql.transaction import Transaction
from interlock.store.sql.upkeep import SqlUpkeep
from interlock.store.sql.views import SqlViews

_PROBES: Final = 20


class LocalBell:
    """Wakes listeners of this process, on its loop. Wake-ups that come while one is on its way are one."""

    def __init__(self) -> None:
        self._listeners: list[Callable[[], None]] = []

    def listen(self, wake: Callable[[], None]) -> Callable[[], None]:
        self._listeners.append(wake)

        def end() -> None:
            if wake in self._listeners:
                self._listeners.remove(wake)

        return end

    def ring(self) -> None:
        for wake in tuple(self._listeners):
            wake()


class SqlitePulseOfNode:
    """Renews a node's leases from a thread of its own; see ports.Pulse."""

    def __init__(self, path: str, node: str) -> None:
        self._pulse = SqlitePulse(path)
        self._node = node

    def beat(self, node_ttl_seconds: float, attempt_ttl_seconds: float, now: float) -> bool:
        async def work(transaction: Transaction) -> bool:
            return await nodes.renew(transaction, self._node, node_ttl_seconds, attempt_ttl_seconds, now)

        return self._pulse.write(work)

    def close(self) -> None:
        self._pulse.close()


class SqliteStore:
    """A store in one SQLite file, or in memory."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.bell = LocalBell()
        self.database = SqliteDatabase(path, self.bell.ring)
        self.journal = SqlJournal(self.database)
        self.queue = SqlQueue(self.database)
        self.nodes = SqlNodes(self.database)
        self.views = SqlViews(self.database)
        self.upkeep = SqlUpkeep(self.database)

    @property
    def url(self) -> str:
        return f"sqlite:///{self.path}"

    async def open(self) -> None:
        await self.database.open()

    async def close(self) -> None:
        await self.database.close()

    def pulse(self, node: str) -> SqlitePulseOfNode | None:
        """Give the node's renewal connection; None in memory, where nothing can outlive this process."""
        return None if self.path == ":memory:" else SqlitePulseOfNode(self.path, node)

    async def figures(self) -> dict[str, Json]:
        async def nothing(transaction: Transaction) -> None:
            await transaction.run("lease_put", _PROBE)
            await transaction.run("lease_end", {"kind": _PROBE["kind"], "name": _PROBE["name"]})

        async def look(transaction: Transaction) -> None:
            await transaction.rows("run_load", {"run": ""})

        writes = [await _milliseconds(self.database.write, nothing) for _ in range(_PROBES)]
        reads = [await _milliseconds(self.database.read, look) for _ in range(_PROBES)]
        return {
            "commit_p50_ms": sorted(writes)[_PROBES // 2],
            "commit_worst_ms": max(writes),
            "read_p50_ms": sorted(reads)[_PROBES // 2],
            "worst_lock_wait_ms": self.database.worst_wait_seconds * 1000,
        }


_PROBE: Final[dict[str, object]] = {
    "kind": "probe", "name": "doctor", "holder": "doctor", "fence": 0, "place": "", "expires_at": 0.0,
}  # fmt: skip


async def _milliseconds(call: Callable[..., object], work: object) -> float:
    started = time.perf_counter()
    result = call(work)
    assert asyncio.iscoroutine(result)
    await result
    return (time.perf_counter() - started) * 1000
