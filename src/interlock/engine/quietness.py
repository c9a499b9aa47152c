"""Whether every asyncio task of a function is known to wait: for a call, or for the tasks that it gathers.

For tasks that our own `gather` made, that is known exactly. Of the tasks that a function makes itself nobody knows the
number: once one of them makes a call, nothing is known any more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class Quietness:
    """Counts the tasks of one function."""

    def __init__(self) -> None:
        self._tasks = 1
        """How many there are: the function's own, and those that were made for calls alone."""
        self._known: set[asyncio.Task[Any] | None] = set()
        self._has_strangers = False
        """Whether a task makes calls that the function made itself."""
        self._gathering: set[asyncio.Future[Any]] = set()
        """What its tasks wait for that do nothing but wait for others of them."""

    @property
    def gathers(self) -> bool:
        """Whether a task waits for others."""
        return bool(self._gathering)

    def holds(self, blocked: int) -> bool:
        """Say whether every task is known to wait, when `blocked` of them wait for a call."""
        if not blocked or self._has_strangers or blocked + len(self._gathering) != self._tasks:
            return False
        return not any(all.done() for all in self._gathering)  # else the one who gathers is about to go on

    def note(self, task: asyncio.Task[Any] | None) -> None:
        """Note that a task other than the function's own makes a call."""
        if task not in self._known:
            self._has_strangers = True

    def alone(self, loop: asyncio.AbstractEventLoop, call: Awaitable[T], done: Callable[[], None]) -> asyncio.Task[T]:
        """Make a call in a task of its own. `done` is called at its end."""
        task = loop.create_task(call if isinstance(call, Coroutine) else _awaited(call))
        self._tasks += 1
        self._known.add(task)

        def end(task: asyncio.Task[Any]) -> None:
            self._known.discard(task)
            self._tasks -= 1
            done()

        task.add_done_callback(end)
        return task

    async def gathered(self, all: asyncio.Future[T]) -> T:
        """Await what does nothing but wait for tasks that were made for calls alone."""
        self._gathering.add(all)
        try:
            return await all
        finally:
            self._gathering.discard(all)


async def _awaited(call: Awaitable[T]) -> T:
    return await call
