"""PgQueuer: a job queue on PostgreSQL. It keeps no results; the job is deleted when it is done."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from typing import Final

import asyncpg
from pgqueuer import PgQueuer
from pgqueuer.db import AsyncpgDriver, AsyncpgPoolDriver
from pgqueuer.models import Job
from pgqueuer.queries import Queries

from bench.case import Given
from bench.peers import calling
from bench.peers.futures import Futures

_ENTRY: Final = "task"
_BATCH: Final = 100
"""Jobs that its worker takes at once: ten times its default, since more is faster here."""


class Opened:
    def __init__(self, url: str, queries: Queries) -> None:
        self._url = url
        self._queries = queries
        self._futures = Futures()

    async def submit(self, number: int, seconds: float = 0.0, later: float = 0.0) -> int:
        key = self._futures.new(number)
        after = timedelta(seconds=later) if later else None
        await self._queries.enqueue(_ENTRY, json.dumps([key, number, seconds]).encode(), execute_after=after)
        return key

    async def submit_all(self, count: int) -> Sequence[int]:
        keys = self._futures.keys(count)
        payloads: list[bytes | None] = [json.dumps([key, number, 0.0]).encode() for number, key in enumerate(keys)]
        await self._queries.enqueue([_ENTRY] * count, payloads, [0] * count)
        return keys

    async def result(self, key: int) -> int:
        return await self._futures.wait(key)

    @contextlib.asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        connection = await asyncpg.connect(self._url)
        worker = PgQueuer(AsyncpgDriver(connection))

        @worker.entrypoint(_ENTRY)
        async def perform(job: Job) -> None:
            key, number, seconds = json.loads(job.payload or b"null")
            if seconds:
                await asyncio.sleep(seconds)
            self._futures.resolve(key, number)

        running = asyncio.create_task(worker.qm.run(batch_size=_BATCH))
        try:
            yield
        finally:
            worker.qm.shutdown.set()
            await running
            await connection.close()


@contextlib.asynccontextmanager
async def opened(given: Given) -> AsyncIterator[Opened]:
    pool = await asyncpg.create_pool(given.url)
    try:
        queries = Queries(AsyncpgPoolDriver(pool))
        await queries.install()
        yield Opened(given.url, queries)
    finally:
        await pool.close()


CASES = calling.cases(opened, is_fast=True)
