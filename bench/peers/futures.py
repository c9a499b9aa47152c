"""What products without results are given instead: a future in this process, which the task itself resolves."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence


class Futures:
    """The ends of tasks, by their key."""

    def __init__(self) -> None:
        self._futures: dict[int, asyncio.Future[int]] = {}
        self._next = 0

    def new(self, number: int) -> int:
        """Give the key of a task that is about to be submitted."""
        self._next += 1
        self._futures[self._next] = asyncio.get_running_loop().create_future()
        return self._next

    def keys(self, count: int) -> Sequence[int]:
        return [self.new(number) for number in range(count)]

    def resolve(self, key: int, number: int) -> None:
        self._futures[key].set_result(number)

    async def wait(self, key: int) -> int:
        number = await self._futures[key]
        del self._futures[key]
        return number
