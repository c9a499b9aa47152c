"""The renewal of a node's leases from a thread of its own: its own event loop, its own connection."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

from interlock.store.sql import nodes
from interlock.store.sql.postgresql.failures import FAILURES, translated
from interlock.store.sql.postgresql.server import Connection, Server
from interlock.store.sql.postgresql.transaction import PostgresTransaction

_BEAT_SECONDS: Final = 2.5  # less than the 3 s between beats, so that one that hangs does not cost the next


class PostgresPulse:
    """See ports.Pulse. Connects when it is first used, and again after the connection broke."""

    def __init__(self, server: Server, node: str) -> None:
        self._server = server
        self._node = node
        self._loop = asyncio.new_event_loop()
        self._connection: Connection | None = None

    def beat(self, node_ttl_seconds: float, attempt_ttl_seconds: float, now: float | None) -> bool:
        return self._loop.run_until_complete(self._beat(node_ttl_seconds, attempt_ttl_seconds, now))

    async def _beat(self, node_ttl_seconds: float, attempt_ttl_seconds: float, now: float | None) -> bool:
        try:
            with translated(self._server.place):
                async with asyncio.timeout(_BEAT_SECONDS):
                    if self._connection is None or self._connection.is_closed():
                        self._connection = await self._server.connect()
                    return await self._renew(self._connection, node_ttl_seconds, attempt_ttl_seconds, now)
        except BaseException:
            if self._connection is not None:
                self._connection.terminate()  # in whatever state it is; the next beat begins anew
                self._connection = None
            raise

    async def _renew(self, connection: Connection, node_ttl: float, attempt_ttl: float, now: float | None) -> bool:
        transaction = PostgresTransaction(connection)
        if not self._server.pooled:  # one statement is a transaction, and one round trip
            return await nodes.renew(transaction, self._node, node_ttl, attempt_ttl, now)
        await connection.execute(self._server.begin)
        alive = await nodes.renew(transaction, self._node, node_ttl, attempt_ttl, now)
        await connection.execute("COMMIT")
        return alive

    def close(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(*FAILURES):
                self._loop.run_until_complete(self._connection.close(timeout=_BEAT_SECONDS))
        self._loop.run_until_complete(asyncio.sleep(0))  # the transport of a connection ends a turn later
        self._loop.close()
