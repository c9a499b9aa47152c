"""taskiq with taskiq-redis: a list as the queue, results in Redis, one worker process.

The URL comes from the environment, since the worker imports this module by itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

from taskiq_redis import ListQueueBroker, RedisAsyncResultBackend

from bench import servers
from bench.case import Given
from bench.peers import calling
from bench.processes import started

_URL: Final = "BENCH_REDIS_URL"
_LOOK_SECONDS: Final = 0.001
"""Between looks for a result; its default of 0.2 s would be all there is to measure."""
_END_SECONDS: Final = 120.0
_AT_ONCE: Final = 200


def broker(url: str) -> ListQueueBroker:
    results: RedisAsyncResultBackend[Any] = RedisAsyncResultBackend(url)
    return ListQueueBroker(url).with_result_backend(results)


BROKER: Final = broker(os.environ.get(_URL, "redis://127.0.0.1:1/0"))


@BROKER.task(task_name="perform")
async def perform(number: int, seconds: float) -> int:
    if seconds:
        await asyncio.sleep(seconds)
    return number


class Opened:
    def __init__(self, given: Given, own: ListQueueBroker) -> None:
        self._given = given
        self._task = own.register_task(perform.original_func, task_name="perform")

    async def submit(self, number: int, seconds: float = 0.0, later: float = 0.0) -> Any:
        if later:
            raise NotImplementedError("taskiq delays a task by a scheduler process that looks once a second")
        return await self._task.kiq(number, seconds)

    async def submit_all(self, count: int) -> Sequence[Any]:
        tickets: list[Any] = []
        for begin in range(0, count, _AT_ONCE):
            tickets += await asyncio.gather(
                *[self.submit(number) for number in range(begin, min(begin + _AT_ONCE, count))]
            )
        return tickets

    async def result(self, ticket: Any) -> int:
        found = await ticket.wait_result(check_interval=_LOOK_SECONDS, timeout=_END_SECONDS)
        number: int = found.return_value
        return number

    @contextlib.asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        command = [sys.executable, "-m", "taskiq", "worker", "bench.peers.taskiq:BROKER", "--workers", "1"]
        worker = started([*command, "--log-level", "ERROR"], self._given.folder, **{_URL: self._given.url})
        try:
            yield
        finally:
            await asyncio.to_thread(servers.end, worker)


@contextlib.asynccontextmanager
async def opened(given: Given) -> AsyncIterator[Opened]:
    own = broker(given.url)
    await own.startup()
    try:
        yield Opened(given, own)
    finally:
        await own.shutdown()


CASES = calling.cases(opened)
