"""Named statements on one asyncpg connection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import asyncpg

from interlock.store.sql.postgresql import parameters as numbered
from interlock.store.sql.sealing import Sealing
from interlock.store.sql.transaction import Row


class PostgresTransaction:
    """Runs named statements; who made it began the transaction and ends it."""

    def __init__(
        self,
        connection: asyncpg.Connection[Any] | asyncpg.pool.PoolConnectionProxy[Any],
        sealing: Sealing | None = None,
    ) -> None:
        """`sealing`: None where payloads are stored as they are, and by who has to do with none."""
        self._connection = connection
        self._sealing = sealing
        self._statements = numbered.load()

    @property
    def sealing(self) -> Sealing | None:
        return self._sealing

    async def run(self, statement: str, parameters: Mapping[str, object]) -> int:
        if self._sealing is not None:
            parameters = self._sealing.given(statement, parameters)
        prepared = self._statements[statement]
        status: str = await self._connection.execute(prepared.sql, *prepared.arguments(parameters))
        return int(status.rpartition(" ")[2])  # such as `UPDATE 3` or `INSERT 0 1`

    async def many(self, statement: str, parameters: Sequence[Mapping[str, object]]) -> None:
        prepared = self._statements[statement]
        if self._sealing is not None:
            parameters = [self._sealing.given(statement, each) for each in parameters]
        await self._connection.executemany(prepared.sql, [prepared.arguments(each) for each in parameters])

    async def insert(self, statement: str, shared: Mapping[str, object], rows: Sequence[Mapping[str, object]]) -> None:
        """The statement takes what differs as arrays, a place for each row: `many` would have the server run it for each."""
        prepared = self._statements[statement]
        if self._sealing is not None:
            rows = [self._sealing.given(statement, each) for each in rows]
        given = [shared[name] if name in shared else [row[name] for row in rows] for name in prepared.names]
        await self._connection.execute(prepared.sql, *given)

    async def rows(self, statement: str, parameters: Mapping[str, object]) -> list[Row]:
        prepared = self._statements[statement]
        if self._sealing is None:
            return await self._connection.fetch(prepared.sql, *prepared.arguments(parameters))
        given = prepared.arguments(self._sealing.given(statement, parameters))
        return self._sealing.found(statement, await self._connection.fetch(prepared.sql, *given))
