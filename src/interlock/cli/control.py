"""Commands that change a run: cancel, suspend."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Annotated, Final

import typer

from interlock import errors
from interlock.app.interlock import Interlock
from interlock.cli import context
from interlock.cli.context import note, options
from interlock.cli.run import RunArgument
from interlock.model.states import ENDED_RUN, RunStatus
from interlock.store.ports import RunRow

_PATIENCE_SECONDS: Final = 10.0


def cancel(
    run: RunArgument,
    reason: Annotated[str | None, typer.Option("--reason", help="Why, for the history.")] = None,
) -> None:
    """Cancel a run: what is in flight is stopped, nothing new starts."""

    async def command() -> int:
        async with context.opened() as app:
            row = await app.find(options.namespace, run)
            if not await app.cancel(row, reason):
                note(f"the run {row.id} has ended already ({row.status})")
                return 0
            await _see_to(app, row, ENDED_RUN)
            note(f"{(await app.find(row.namespace, row.id)).status} {row.id}")
        return 0

    context.execute(command)


def suspend(run: RunArgument) -> None:
    """Suspend a run: what is in flight ends and is kept, nothing new starts until `resume`."""

    async def command() -> int:
        async with context.opened() as app:
            row = await app.find(options.namespace, run)
            if not await app.suspend(row):
                raise errors.Conflict(f"the run {row.id} has ended ({row.status})")
            await _see_to(app, row, ENDED_RUN | {RunStatus.SUSPENDED})
            note(f"{(await app.find(row.namespace, row.id)).status} {row.id}; `interlock resume {row.id}` goes on")
        return 0

    context.execute(command)


async def _see_to(app: Interlock, row: RunRow, wanted: frozenset[RunStatus]) -> None:
    """Wait until the request was applied: by the run's node or, when no living process owns it, by this one."""
    rung = asyncio.Event()
    end = app.store.bell.listen(rung.set)
    until = app.clock.monotonic() + _PATIENCE_SECONDS
    try:
        while app.clock.monotonic() < until:
            rung.clear()
            now = await app.find(row.namespace, row.id)
            if now.status in wanted:
                return
            if now.owner is None or not await _is_live(app, now.owner):
                await app.take(now)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(rung.wait(), 0.2)
    finally:
        end()
    note(f"the run {row.id} has not answered yet; the request stays in the store")


async def _is_live(app: Interlock, owner: str) -> bool:
    await app.sweep()
    return any(node.node == owner for node in await app.store.nodes.live(app.clock.now()))
