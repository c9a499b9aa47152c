"""How long an engine is waited for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, TypeVar

from interlock.pool.docker.engine import Unreachable

_T = TypeVar("_T")

PATIENCE_SECONDS: Final = 30.0
"""How long an engine may be away under a container. A restart of it takes a few seconds."""
_AGAIN_SECONDS: Final = (0.1, 2.0)  # between askings, the first and the longest


async def patiently(ask: Callable[[], Awaitable[_T]], seconds: float, away: Callable[[Unreachable], None]) -> _T:
    """Ask an engine, again and again while it gives no answer, for so long at most. `away` hears each time of it.

    Raises Unreachable when the time is over, and whatever else comes of the asking.
    """
    until = time.monotonic() + seconds
    wait_seconds, longest = _AGAIN_SECONDS
    while True:
        try:
            return await ask()
        except Unreachable as error:
            away(error)
            if time.monotonic() >= until:
                raise
        await asyncio.sleep(wait_seconds)
        wait_seconds = min(wait_seconds * 2, longest)


async def unless(other: Coroutine[Any, Any, object], work: Coroutine[Any, Any, _T]) -> asyncio.Task[_T]:
    """Do a work unless something else ends before it. Gives the work, done or cancelled."""
    tasks = asyncio.create_task(work), asyncio.create_task(other)
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    return tasks[0]
