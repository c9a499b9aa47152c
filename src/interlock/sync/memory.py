"""Shared memory for programs without an event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from interlock.coord import memory
from interlock.coord import watch as watches
from interlock.coord.cell import Cell, Change, MemoryMetrics, Outcome
from interlock.coord.memory import Duration, Grant
from interlock.coord.patterns import DEFAULT_SPACE
from interlock.coord.resolvers import Resolve
from interlock.model.json import Json
from interlock.sync.portal import Portal


class Watch:
    """The changes of the keys that match a pattern, by `for`, which waits for the next one. Used by one thread at a time;
    `close` by any.

    `with` fixes where it begins before anything else happens; else the first `next` does.
    """

    def __init__(self, portal: Portal, watch: watches.Watch) -> None:
        self._portal = portal
        self._watch = watch

    @property
    def cursor(self) -> str | None:
        """Where another watch would go on after what this one gave; None when it has not begun."""
        return self._watch.cursor

    def begin(self) -> Self:
        """Fix where the watch begins: every change from now on is given. Raises StoreUnavailable."""
        self._portal.call(self._watch.begin())
        return self

    def next(self, timeout: float | None = None) -> Change | None:
        """Give the next change; None when there was none within `timeout` seconds, or the watch has ended.

        Raises SyncError when changes were removed before they were given.
        """
        return self._portal.call(self._next(timeout))

    async def _next(self, timeout: float | None) -> Change | None:
        try:
            async with asyncio.timeout(timeout):
                return await self._watch.__anext__()
        except (TimeoutError, StopAsyncIteration):
            return None

    def close(self) -> None:
        """End the watch: a `for` over it ends, in whichever thread. Safe to call twice."""
        self._portal.call(self._watch.aclose())

    def __enter__(self) -> Self:
        return self.begin()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Change:
        """Give the next change, whenever it comes. Raises SyncError as `next` does."""
        change = self.next()
        if change is None:
            raise StopIteration
        return change


class MemorySyncManager:
    """See `interlock.coord.memory.MemorySyncManager`, of which each method waits here."""

    def __init__(self, portal: Portal, inner: memory.MemorySyncManager) -> None:
        self._portal = portal
        self._memory = inner

    def get(self, key: str, space: str = DEFAULT_SPACE, default: Json = None, *, fresh: bool = False) -> Json:
        return self._portal.call(self._memory.get(key, space, default, fresh=fresh))

    def cell(self, key: str, space: str = DEFAULT_SPACE) -> Cell | None:
        return self._portal.call(self._memory.cell(key, space))

    def list(self, prefix: str = "", space: str = DEFAULT_SPACE) -> list[str]:
        return self._portal.call(self._memory.list(prefix, space))

    def cells(self, prefix: str = "", space: str = DEFAULT_SPACE) -> Sequence[Cell]:
        return self._portal.call(self._memory.cells(prefix, space))

    def set(
        self,
        key: str,
        value: Json,
        space: str = DEFAULT_SPACE,
        *,
        ttl: Duration | None = None,
        base: int | None = None,
        resolver: str | Resolve | None = None,
        stamp: int | None = None,
        under: Grant | tuple[str, int] | None = None,
        wait: bool = True,
    ) -> Outcome:
        """As `interlock.coord.memory.MemorySyncManager.set`; a resolver is called on the loop, so it must be quick."""
        return self._portal.call(
            self._memory.set(
                key, value, space, ttl=ttl, base=base, resolver=resolver, stamp=stamp, under=under, wait=wait
            )
        )

    def delete(
        self,
        key: str,
        space: str = DEFAULT_SPACE,
        *,
        base: int | None = None,
        stamp: int | None = None,
        under: Grant | tuple[str, int] | None = None,
    ) -> bool:
        return self._portal.call(self._memory.delete(key, space, base=base, stamp=stamp, under=under))

    def flush(self) -> None:
        self._portal.call(self._memory.flush())

    def sync(self, space: str | None = None) -> int:
        return self._portal.call(self._memory.sync(space))

    def watch(self, pattern: str, space: str = DEFAULT_SPACE, *, after: str | None = None) -> Watch:
        """Give the changes of the keys that match, as they come, by whomever; `after` a cursor: also those since then.

        Raises Invalid. See Watch for how it begins and ends, and for SyncError.
        """
        return Watch(self._portal, self._portal.call(self._watch(pattern, space, after)))

    async def _watch(self, pattern: str, space: str, after: str | None) -> watches.Watch:
        """Made on the loop, which alone may listen to the bell."""
        return self._memory.watch(pattern, space, after=after)

    @property
    def is_watched(self) -> bool:
        """Whether this process watches something."""
        return self._memory.is_watched

    @property
    def metrics(self) -> MemoryMetrics:
        return self._memory.metrics
