"""Commands that change a run: cancel, suspend."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

from interlock import errors
from interlock.app.session import Session
from interlock.cli import context
from interlock.cli.options import options
from interlock.cli.output import note
from interlock.cli.result import lines_of
from interlock.model.states import ENDED_RUN, RunStatus
from interlock.model.story import Rollback
from interlock.store.ports import RunRow

_PATIENCE_SECONDS: Final = 10.0
_LOOK_SECONDS: Final = 0.2


async def cancel(run: str, reason: str | None, *, rollback: bool = False) -> int:
    """Cancel a run and wait until it is; one that is cancelled already stays so. Raises Conflict when it ended.

    `rollback`: after it has undone what it finished, for as long as that takes.
    """
    async with context.existing(Session) as app:
        row = await app.find(options.namespace, run)
        if await app.cancel(row, reason, rollback=rollback):
            row = await _see_to(app, row, ENDED_RUN, patient=rollback)
        return told_cancelled(row, await app.rollback(row))


def told_cancelled(row: RunRow, undone: Rollback | None) -> int:
    """Say what became of a request to cancel. Raises Conflict when the run had ended otherwise."""
    for line in [] if undone is None else lines_of(undone):
        note(line)
    if undone is not None and row.status not in ENDED_RUN:
        note(f"the run {row.id} undoes what it finished, and then ends; `interlock resume {row.id}` stays with it")
        return 0
    return _told(row, RunStatus.CANCELLED)


async def suspend(run: str) -> int:
    """Suspend a run and wait until what is in flight has ended. Raises Conflict when the run has ended."""
    async with context.existing(Session) as app:
        row = await app.find(options.namespace, run)
        if await app.suspend(row):
            row = await _see_to(app, row, ENDED_RUN | {RunStatus.SUSPENDED})
        return told_suspended(row)


def told_suspended(row: RunRow) -> int:
    """Say what became of a request to suspend. Raises Conflict when the run has ended."""
    return _told(row, RunStatus.SUSPENDED, f"; `interlock resume {row.id}` goes on")


def _told(row: RunRow, wanted: RunStatus, hint: str = "") -> int:
    if row.status is wanted:
        note(f"{row.status} {row.id}{hint}")
    elif row.status in ENDED_RUN:
        raise errors.Conflict(f"the run {row.id} has ended already ({row.status})")
    else:
        note(f"the run {row.id} has not answered yet ({row.status}); the request stays in the store")
    return 0


async def _see_to(app: Session, row: RunRow, wanted: frozenset[RunStatus], *, patient: bool = False) -> RunRow:
    """Wait until the request was applied: by the run's node or, when no living process owns it, by this one.

    `patient`: as long as the run is at work, and not only for a while.
    """
    rung = asyncio.Event()
    end = app.store.bell.listen(rung.set)
    until = app.clock.monotonic() + _PATIENCE_SECONDS
    try:
        while True:
            rung.clear()
            now = await app.find(row.namespace, row.id)
            if now.status in wanted or (
                app.clock.monotonic() > until and not (patient and await _is_at_work(app, now))
            ):
                return now
            if not await app.is_served(now):
                await app.take(now)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_SECONDS):
                    await rung.wait()
    finally:
        end()


async def _is_at_work(app: Session, row: RunRow) -> bool:
    """Say whether a run undoes what it finished, here or in another process."""
    return row.status is not RunStatus.SUSPENDED and await app.rolls_back(row)
