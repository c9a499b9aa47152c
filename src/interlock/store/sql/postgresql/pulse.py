"""The renewal of leases from a thread of its own: its own event loop, its own connection."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeVar

from interlock.store.ports import Renewed
from interlock.store.sql import locks, nodes
from interlock.store.sql.postgresql.failures import FAILURES, translated
from interlock.store.sql.postgresql.server import Connection, Server
from interlock.store.sql.postgresql.transaction import PostgresTransaction
from interlock.store.sql.transaction import Transaction

T = TypeVar("T")

_BEAT_SECONDS: Final = 2.5  # less than the 3 s between beats, so that one that hangs does not cost the next


class _Line:
    """A connection for one thread. Connects when it is first used, and again after the connection broke."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._loop = asyncio.new_event_loop()
        self._connection: Connection | None = None

    def run(self, statement: Callable[[Transaction], Awaitable[T]]) -> T:
        """Run a single statement, now, in this thread."""
        return self._loop.run_until_complete(self._run(statement))

    async def _run(self, statement: Callable[[Transaction], Awaitable[T]]) -> T:
        try:
            with translated(self._server.place):
                async with asyncio.timeout(_BEAT_SECONDS):
                    if self._connection is None or self._connection.is_closed():
                        self._connection = await self._server.connect()
                    return await self._send(self._connection, statement)
        except BaseException:
            if self._connection is not None:
                self._connection.terminate()  # in whatever state it is; the next beat begins anew
                self._connection = None
            raise

    async def _send(self, connection: Connection, statement: Callable[[Transaction], Awaitable[T]]) -> T:
        transaction = PostgresTransaction(connection)
        if not self._server.pooled:  # one statement is a transaction, and one round trip
            return await statement(transaction)
        await connection.execute(self._server.begin)
        given = await statement(transaction)
        await connection.execute("COMMIT")
        return given

    def close(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(*FAILURES):
                self._loop.run_until_complete(self._connection.close(timeout=_BEAT_SECONDS))
        self._loop.run_until_complete(asyncio.sleep(0))  # the transport of a connection ends a turn later
        self._loop.close()


class PostgresPulse:
    """See ports.Pulse."""

    def __init__(self, server: Server, node: str) -> None:
        self._line = _Line(server)
        self._node = node

    def beat(self, node_ttl_seconds: float, attempt_ttl_seconds: float, now: float | None) -> bool:
        return self._line.run(lambda one: nodes.renew(one, self._node, node_ttl_seconds, attempt_ttl_seconds, now))

    def close(self) -> None:
        self._line.close()


class PostgresRenewals:
    """See ports.Renewals."""

    def __init__(self, server: Server) -> None:
        self._line = _Line(server)

    def renew(self, held: Sequence[Renewed], now: float | None) -> list[Renewed]:
        return self._line.run(lambda one: locks.renew(one, held, now))

    def close(self) -> None:
        self._line.close()
