"""Huey on SQLite with `fsync=True`, its consumer as threads of this process."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

from huey import SqliteHuey

from bench.case import Given
from bench.peers import calling

_THREADS: Final = 20
_LOOK_SECONDS: Final = 0.001
"""Between looks for a task and for a result; its default of 0.1 s would be all there is to measure."""
_LONGEST_SECONDS: Final = 0.02
_END_SECONDS: Final = 120.0


class Opened:
    """Its client blocks; the consumer's threads go on meanwhile."""

    def __init__(self, huey: SqliteHuey) -> None:
        self._huey = huey
        self._task = huey.task(name="perform")(_perform)

    async def submit(self, number: int, seconds: float = 0.0, later: float = 0.0) -> Any:
        if later:
            return self._task.schedule((number, seconds), delay=later)
        return self._task(number, seconds)

    async def submit_all(self, count: int) -> Sequence[Any]:
        return [self._task(number, 0.0) for number in range(count)]

    async def result(self, ticket: Any) -> int:
        deadline = time.monotonic() + _END_SECONDS
        while (number := ticket.get()) is None:
            if time.monotonic() > deadline:
                raise TimeoutError(f"a task has not ended after {_END_SECONDS:.0f} s")
            await asyncio.sleep(_LOOK_SECONDS)
        return int(number)

    @contextlib.asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        consumer = self._huey.create_consumer(
            workers=_THREADS, worker_type="thread", initial_delay=_LOOK_SECONDS, max_delay=_LONGEST_SECONDS
        )
        consumer.start()
        try:
            yield
        finally:
            await asyncio.to_thread(consumer.stop, True)


def _perform(number: int, seconds: float) -> int:
    if seconds:
        time.sleep(seconds)
    return number


@contextlib.asynccontextmanager
async def opened(given: Given) -> AsyncIterator[Opened]:
    yield Opened(SqliteHuey(filename=given.url.removeprefix("sqlite:///"), fsync=True))


CASES = calling.cases(opened)
