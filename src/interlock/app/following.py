"""What happened in a run: all of it, or its commits as they happen."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Final

from interlock.model import event as events
from interlock.model.event import Event
from interlock.model.states import ENDED_RUN, RunStatus
from interlock.store.ports import RunRow, Store

if TYPE_CHECKING:
    from interlock.engine.rows import Rows

_PAGE: Final = 500
_FOLLOW_SECONDS: Final = 1.0  # the net under the bell


async def history(store: Store, rows: Rows, run: str, after: int = 0) -> list[Event]:
    """Give the events of a run, from the commit `after` on."""
    found: list[Event] = []
    while page := await store.journal.history(run, after, _PAGE):
        found += await rows.events(run, page, store.journal)
        after = page[-1].seq
    return found


async def follow(
    store: Store,
    rows: Rows,
    find: Callable[[str, str], Awaitable[RunRow]],
    row: RunRow,
    after: int = 0,
    *,
    resuming: bool = False,
) -> AsyncIterator[tuple[int, list[Event]]]:
    """Give the commits of a run as they happen, with their seq, until it has ended or is suspended.

    `find`: gives how a run stands. `resuming`: it is suspended now, and a request to resume it is on its way.
    """
    resting = ENDED_RUN | {RunStatus.SUSPENDED}
    rung = asyncio.Event()
    end = store.bell.listen(rung.set)
    try:
        while True:
            rung.clear()
            now = await find(row.namespace, row.id)  # before its history: what it says now is in there
            found = await store.journal.history(row.run, after, _PAGE)
            for item in found:
                after = item.seq
                news = await rows.events(row.run, [item], store.journal)
                resuming = resuming and not (
                    item.seq > row.seq and any(isinstance(event, events.Resumed) for event in news)
                )
                yield item.seq, news
            if found:
                continue
            if now.status in (ENDED_RUN if resuming else resting):
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_FOLLOW_SECONDS):
                    await rung.wait()
    finally:
        end()
