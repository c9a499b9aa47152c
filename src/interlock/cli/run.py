"""Commands that execute: run, resume, retry, fork."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Final

from interlock import errors
from interlock.app import loading
from interlock.app.session import Session, Started
from interlock.app.stranded import serves
from interlock.cli import context, given
from interlock.cli.attend import INTERRUPTED, Attention, attend
from interlock.cli.options import options
from interlock.cli.output import answer, note, reserved
from interlock.model import json
from interlock.model.states import ENDED_RUN, RunStatus
from interlock.store.ports import RunRow

_PAGE: Final = 500


async def run(
    workflow: str, *, input: str | None, id: str | None, detach: bool, callback: str | None = None, as_json: bool
) -> int:
    """Start a run, or find the one that has the id, and stay with it; `detach`: leave it to others.

    `callback`: the file that says whom to tell how it ends.
    """
    value, caller = given.input(input), given.callback(callback)
    async with _executing(making=True) as (app, attention):
        folder = context.folder()
        python = loading.workflow(workflow, folder) if loading.is_reference(workflow) else None
        text, file = ("", None) if python is not None else await given.workflow(app, workflow)
        # Live nodes execute it, and this process follows; they must be able to do all of it.
        elsewhere = detach or (await app.has_engine() and await app.has_dispatcher())
        if not elsewhere:
            await app.bring_node()
        space = options.namespace
        if python is not None:
            started = await app.start_program(
                python, value, id=id, namespace=space, folder=folder, detach=elsewhere, callback=caller
            )
        else:
            started = await app.start(
                text,
                file=file,
                input=value,
                id=id,
                namespace=space,
                folder=folder,
                detach=elsewhere,
                callback=caller,
            )
        if started.has_schedule:
            note("the document has a schedule; `run` runs it once, now")
        if detach:
            return await _detached(app, started, as_json)
        if not started.fresh:
            note(f"the run {started.id} is there already; this is it")
        return await attend(app, await app.find(started.namespace, started.id), attention, as_json=as_json)


async def resume(run: str | None, *, all: bool, as_json: bool) -> int:
    """Go on with one run, or with all that nobody executes. Raises Conflict when the run has ended."""
    if (run is None) is not all:
        raise errors.Invalid("name one run, or write --all")
    async with _executing() as (app, attention):
        if run is None:
            return await _resume_all(app, attention, as_json)
        row = await app.find(options.namespace, run)
        if row.status in ENDED_RUN:
            hint = f"; `interlock retry {row.id}` goes on from the failed step"
            goes_on = row.status is RunStatus.FAULTED and not await app.rolls_back(row)
            raise errors.Conflict(f"the run {row.id} has ended ({row.status}){hint if goes_on else ''}")
        await app.resume(row)
        if not await app.is_served(row):
            await app.take(row)
        suspended = row.status is RunStatus.SUSPENDED
        return await attend(app, row, attention, as_json=as_json, resuming=suspended)


async def retry(run: str, *, as_json: bool) -> int:
    """Go on with a faulted run. Raises Conflict when it is not faulted."""
    async with _executing() as (app, attention):
        row = await app.find(options.namespace, run)
        if not await app.retry(row):
            raise errors.Conflict(f"the run {row.id} is {row.status}; only a faulted run can be retried")
        return await attend(app, row, attention, as_json=as_json)


async def fork(run: str, step: str, *, id: str | None, as_json: bool) -> int:
    """Start a run with another one's history before a step. Raises NotFound when it never came there."""
    async with _executing() as (app, attention):
        row = await app.find(options.namespace, run)
        started = await app.fork(row, step, id)
        forked = await app.find(started.namespace, started.id)
        if not await app.is_served(forked):
            await app.take(forked)
        return await attend(app, forked, attention, as_json=as_json)


@contextlib.asynccontextmanager
async def _executing(*, making: bool = False) -> AsyncIterator[tuple[Session, Attention]]:
    """Open the store for a command that executes; signals are heard from before the run begins until all is closed."""
    with reserved(), Attention().paid() as attention:
        async with context.opened(Session) if making else context.existing(Session) as app:
            yield app, attention


async def _detached(app: Session, started: Started, as_json: bool) -> int:
    if as_json:
        answer(json.encode({"id": started.id, "namespace": started.namespace, "fresh": started.fresh}).decode())
    else:
        answer(started.id)
    if not await app.has_engine():
        note(f"no node executes runs of others now; `interlock resume {started.id}` executes this one")
    return 0


async def _resume_all(app: Session, attention: Attention, as_json: bool) -> int:
    """Go on with everything that nobody executes, all at once, shown one after the other; the worst code counts."""
    nodes = await app.servers()
    claimed = [row for row in await _unfinished(app) if not serves(nodes, row) and await app.take(row)]
    if not claimed:
        note("no run waits to be resumed")
    codes = []
    for row in claimed:
        codes.append(await attend(app, row, attention, as_json=as_json))
        if attention.interrupted:
            left = len(claimed) - len(codes)
            if left:
                note(f"so do {left} more; `interlock resume --all` goes on with all of them")
            return INTERRUPTED
    return max(codes, default=0)


async def _unfinished(app: Session) -> list[RunRow]:
    found: list[RunRow] = []
    for status in (RunStatus.PENDING, RunStatus.RUNNING, RunStatus.WAITING):
        before: str | None = None
        while page := await app.store.views.runs(options.namespace, [status], None, before, _PAGE):
            found += page
            before = page[-1].run
    return found
