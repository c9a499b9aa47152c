"""Celery with Redis as broker and for results, one worker process with threads.

The URL comes from the environment, since the worker imports this module by itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

from celery import Celery

from bench import servers
from bench.case import Given
from bench.peers import calling
from bench.processes import started

_URL: Final = "BENCH_REDIS_URL"
_THREADS: Final = 20
_END_SECONDS: Final = 120.0

APP: Final = Celery("bench", broker=os.environ.get(_URL), backend=os.environ.get(_URL))
APP.conf.broker_connection_retry_on_startup = True


@APP.task(name="perform")
def perform(number: int, seconds: float) -> int:
    if seconds:
        time.sleep(seconds)
    return number


class Opened:
    """Its client blocks; nothing else is on the loop of a measurement, so nothing is kept from working."""

    def __init__(self, given: Given) -> None:
        self._given = given

    async def submit(self, number: int, seconds: float = 0.0, later: float = 0.0) -> Any:
        return perform.apply_async((number, seconds), countdown=later or None)

    async def submit_all(self, count: int) -> Sequence[Any]:
        return [perform.delay(number, 0.0) for number in range(count)]

    async def result(self, ticket: Any) -> int:
        number: int = ticket.get(timeout=_END_SECONDS)
        return number

    @contextlib.asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        command = [sys.executable, "-m", "celery", "-A", "bench.peers.celery:APP", "worker", "--pool", "threads"]
        command += ["--concurrency", str(_THREADS), "--loglevel", "ERROR"]
        worker = started(command, self._given.folder, **{_URL: self._given.url})
        try:
            yield
        finally:
            await asyncio.to_thread(servers.end, worker)


@contextlib.asynccontextmanager
async def opened(given: Given) -> AsyncIterator[Opened]:
    APP.conf.update(broker_url=given.url, result_backend=given.url)
    yield Opened(given)


CASES = calling.cases(opened)
