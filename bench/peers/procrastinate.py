"""Procrastinate: a task queue on PostgreSQL. It keeps no results; its jobs stay in the table when they are done."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Final

import procrastinate

from bench.case import Given
from bench.peers import calling
from bench.peers.futures import Futures

_CONCURRENCY: Final = 20
_POLL_SECONDS: Final = 0.05
"""Its default is 5 s, which every notification that the worker misses would cost."""


class Opened:
    def __init__(self, app: procrastinate.App) -> None:
        self._app = app
        self._futures = Futures()
        self._task = app.task(name="perform")(self._perform)

    async def _perform(self, key: int, number: int, seconds: float) -> None:
        if seconds:
            await asyncio.sleep(seconds)
        self._futures.resolve(key, number)

    async def submit(self, number: int, seconds: float = 0.0, later: float = 0.0) -> int:
        key = self._futures.new(number)
        task = self._task
        if later:
            task = self._task.configure(schedule_in={"seconds": later})  # type: ignore[assignment]  # has the same defer
        await task.defer_async(key=key, number=number, seconds=seconds)
        return key

    async def submit_all(self, count: int) -> Sequence[int]:
        keys = self._futures.keys(count)
        await self._task.batch_defer_async(
            *({"key": key, "number": number, "seconds": 0.0} for number, key in enumerate(keys))
        )
        return keys

    async def result(self, key: int) -> int:
        return await self._futures.wait(key)

    @contextlib.asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        working = self._app.run_worker_async(
            concurrency=_CONCURRENCY, install_signal_handlers=False, fetch_job_polling_interval=_POLL_SECONDS
        )
        running = asyncio.create_task(working)
        try:
            yield
        finally:
            running.cancel()
            await asyncio.wait([running])


@contextlib.asynccontextmanager
async def opened(given: Given) -> AsyncIterator[Opened]:
    app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=given.url))
    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        yield Opened(app)


CASES = calling.cases(opened)
