"""Following the changes of shared memory, one after the other, each once.

    looking --changes--> giving --all given--> looking
    looking --none--> waiting --the bell, or the slow look--> looking
    any --aclose--> ended

The bell only wakes. While the store cannot be reached the watch waits, and goes on from its cursor afterwards.
"""

from __future__ import annotations

import asyncio
import contextlib
import weakref
from collections import deque
from types import TracebackType
from typing import Final, Self

from interlock import errors, telemetry
from interlock.coord import patterns
from interlock.coord.cell import Change, change_of
from interlock.service import RESTING_SECONDS
from interlock.store.ports import CellChange, Changes, Store, news

_PAGE: Final = 500
_HELD_SECONDS: Final = (0.01, 0.02, 0.05, 0.1, 0.25, 0.5)
"""Between looks at changes that wait for an older transaction, which may end in a moment or in an hour."""
_AWAY_SECONDS: Final = (0.1, 0.5, 1.0, 2.0, 5.0)


class Watch:
    """The changes of the keys that match a pattern, by `async for`. Used by one task at a time; `aclose` by any.

    `async with` fixes where it begins before anything else happens; else the first `anext` does.
    """

    def __init__(self, store: Store, namespace: str, space: str, pattern: str, after: str | None) -> None:
        self._store = store
        self._namespace = namespace
        self._space = space
        self._pattern = pattern
        self._matches = patterns.matcher(pattern)
        self._cursor = after
        self._ready: deque[CellChange] = deque()
        self._page_end = ""
        self._woken = asyncio.Event()
        # Also when somebody breaks out of its loop and drops it: the bell knows the event, not the watch.
        self._unlisten = weakref.finalize(self, store.bell.listen(self._woken.set, news.CELLS))
        self._is_closed = False
        self._pauses = 0

    @property
    def cursor(self) -> str | None:
        """Where another watch would go on after what this one gave; None when it has not begun."""
        return self._cursor

    async def begin(self) -> Self:
        """Fix where the watch begins: every change from now on is given. Raises StoreUnavailable."""
        if self._cursor is None:
            self._cursor = (await self._changes(None)).cursor
        return self

    async def __aenter__(self) -> Self:
        return await self.begin()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """End the watch: an `async for` over it ends, in whichever task. Safe to call twice."""
        self._is_closed = True
        self._unlisten()
        self._woken.set()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Change:
        """Give the next change, whenever it comes. Raises SyncError when changes were removed before they were given."""
        while not self._is_closed:
            if self._ready:
                row = self._ready.popleft()
                self._cursor = row.cursor if self._ready else self._page_end
                return change_of(row)
            await self._look()
        raise StopAsyncIteration

    async def _look(self) -> None:
        """Look once for what has changed, and wait for a sign when nothing has."""
        self._woken.clear()
        try:
            await self.begin()
            page = await self._changes(self._cursor)
            if page.is_cut:
                await self._refuse_cut()
        except errors.StoreUnavailable as error:
            telemetry.emit("memory.watch_away", space=self._space, pattern=self._pattern, error=error)
            await self._pause(_AWAY_SECONDS)
            return
        self._ready.extend(row for row in page.changes if self._matches(row.key))
        self._page_end = page.cursor
        if self._ready:
            self._pauses = 0
            return
        self._cursor = page.cursor
        if len(page.changes) == _PAGE:
            return
        if page.is_held:
            await self._pause(_HELD_SECONDS)
            return
        self._pauses = 0
        await self._wait(RESTING_SECONDS)

    async def _refuse_cut(self) -> None:
        """Raise SyncError; who goes on with this watch nevertheless gets what changes from now on."""
        self._cursor = (await self._changes(None)).cursor
        raise errors.SyncError(
            f"changes of {self._pattern!r} in the space {self._space!r} were removed before this watch had seen them: it "
            "began at a cursor of long ago, or the store was restored. Read what matters anew; watching goes on at "
            f"{self._cursor}",
            self._space,
            self._cursor,
        )

    async def _changes(self, after: str | None) -> Changes:
        return await self._store.cells.changes(self._namespace, self._space, after, _PAGE)

    async def _pause(self, seconds: tuple[float, ...]) -> None:
        pause = seconds[min(self._pauses, len(seconds) - 1)]
        self._pauses += 1
        await self._wait(pause)

    async def _wait(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._woken.wait()
