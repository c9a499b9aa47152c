"""Calls of a store whose answer is lost, or that nobody waits for any more: neither may leave something behind.

    asked --the store fails--> asked again, the same --answered--> given
    asked --the caller is cancelled--> answered later --> undone

A call that is asked again has to be the same to the store: it finds what it did before its answer was lost.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

from interlock import errors

T = TypeVar("T")

REPEAT_SECONDS: Final = (0.05, 0.5, 2.0)
"""Pauses before a call is made again: a connection that broke is replaced at once, a server that restarts takes seconds."""

STOP_SECONDS: Final = 5.0
"""For what is still to be undone when its owner stops."""


async def answered(call: Callable[[bool], Awaitable[T]]) -> T:
    """Give what the store answers, asked again when its answer is lost. `call` gets whether it was asked before.

    Raises StoreUnavailable: it did what was asked or did not.
    """
    for number, pause in enumerate((*REPEAT_SECONDS, None)):
        try:
            return await call(number > 0)
        except errors.StoreUnavailable:
            if pause is None:
                raise
        await asyncio.sleep(pause)
    raise AssertionError("unreachable")


class Undoing:
    """Undoes what a store did for callers that were cancelled meanwhile."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    async def shielded(self, call: Awaitable[T], undo: Callable[[T], Awaitable[object]]) -> T:
        """Give what a call gives. When the caller is cancelled the call goes on, and what it gives is undone."""
        calling = asyncio.ensure_future(call)
        try:
            return await asyncio.shield(calling)
        except asyncio.CancelledError:
            task = asyncio.create_task(_undo(calling, undo), name="undo")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            raise

    async def stop(self) -> None:
        """Wait until everything is undone that is to be, for at most 5 s: what a store without answers gave runs out by
        itself."""
        tasks = list(self._tasks)
        if not tasks:
            return
        _, late = await asyncio.wait(tasks, timeout=STOP_SECONDS)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)


async def _undo(calling: asyncio.Future[Any], undo: Callable[[Any], Awaitable[object]]) -> None:
    with contextlib.suppress(errors.InterlockError):  # the store is away: what it gave runs out by itself
        await undo(await calling)
