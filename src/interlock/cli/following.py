"""Commands that execute, at a server (--server): they start a run there, follow it, and leave it there."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Final

from interlock import errors
from interlock.app import loading
from interlock.cli import attend, context, control, far, given, glyphs, live, result
from interlock.cli.attend import INTERRUPTED, Attention
from interlock.cli.far_server import Server
from interlock.cli.options import options
from interlock.cli.output import answer, note, reserved
from interlock.flow import check
from interlock.flow.meaning import limits
from interlock.model import json
from interlock.model.states import ENDED_RUN, RunStatus
from interlock.store.ports import RunRow
from interlock.wire import definitions, runs

_PATIENCE_SECONDS: Final = 10.0
_LOOK_SECONDS: Final = 0.2


async def run(
    workflow: str, *, input: str | None, id: str | None, detach: bool, callback: str | None, as_json: bool
) -> int:
    """Start a run at the server and stay with it. Raises InvalidDefinition, Conflict, NotFound."""
    value, caller = given.input(input), given.callback(callback)
    if caller is not None and not isinstance(caller, dict):
        raise errors.Invalid("--callback must be a JSON object: whom to tell how the run ends")
    asked = runs.StartRun(input=value, id=id, namespace=options.namespace, callback=caller, **_workflow(workflow))
    async with _following() as (server, attention):
        started = await server.ask(runs.Started, "POST", "/runs", body=asked, safe=id is not None)
        if started.has_schedule:
            note("the document has a schedule; `run` runs it once, now")
        if detach:
            shown = {"id": started.id, "namespace": started.namespace, "fresh": started.fresh}
            answer(json.encode(shown).decode() if as_json else started.id)
            return 0
        if not started.fresh:
            note(f"the run {started.id} is there already; this is it")
        return await _attend(server, await server.find(started.namespace, started.id), attention, as_json=as_json)


def _workflow(name: str) -> dict[str, str]:
    """Give what the server is to run: the text of a file, which is checked here, or a name. Raises InvalidDefinition."""
    _refuse_python(name)
    if not given.is_file(name):
        return {"workflow": name}
    return {"document": _checked(name)}


def _refuse_python(name: str) -> None:
    if loading.is_reference(name):
        raise errors.Invalid(
            f"{name} is code of this machine, which a server cannot execute; publish it where the server's nodes have "
            "it, and name what was published"
        )


def _checked(file: str) -> str:
    text = context.read_text(file)
    check.load(text, file, allowed=limits.configured(context.settings().limits)).raise_for_problems()
    return text


async def publish(file: str) -> definitions.Published:
    """Publish a file at the server. Raises InvalidDefinition, Conflict when another text has its name and version."""
    _refuse_python(file)
    asked = definitions.Document(document=_checked(file))
    async with far.opened() as server:
        return await server.ask(definitions.Published, "POST", "/definitions", body=asked, safe=True)


async def resume(run: str | None, *, all: bool, as_json: bool) -> int:
    """Go on with one run. Raises Conflict when it has ended."""
    if (run is None) is not all:
        raise errors.Invalid("name one run, or write --all")
    if run is None:
        raise errors.Invalid(
            "--all is for a store; the nodes of a server's store claim what nobody executes: name one run"
        )
    async with _following() as (server, attention):
        row = await server.find(options.namespace, run)
        if row.status in ENDED_RUN:
            hint = f"; `interlock retry {row.id}` goes on from the failed step"
            goes_on = row.status is RunStatus.FAULTED and await server.rollback(row) is None
            raise errors.Conflict(f"the run {row.id} has ended ({row.status}){hint if goes_on else ''}")
        await _act(server, row, "resume")
        suspended = row.status is RunStatus.SUSPENDED
        return await _attend(server, row, attention, as_json=as_json, resuming=suspended)


async def retry(run: str, *, as_json: bool) -> int:
    """Go on with a faulted run. Raises Conflict when it is not faulted."""
    async with _following() as (server, attention):
        row = await server.find(options.namespace, run)
        if not (await _act(server, row, "retry")).applied:
            raise errors.Conflict(f"the run {row.id} is {row.status}; only a faulted run can be retried")
        return await _attend(server, row, attention, as_json=as_json)


async def fork(run: str, step: str, *, id: str | None, as_json: bool) -> int:
    """Start a run with another one's history before a step. Raises NotFound when it never came there."""
    async with _following() as (server, attention):
        row = await server.find(options.namespace, run)
        path, query = f"{far.of_run(row.id)}/fork", {"namespace": row.namespace}
        asked = runs.Fork(step=step, id=id)
        started = await server.ask(runs.Started, "POST", path, body=asked, query=query, safe=id is not None)
        forked = await server.find(started.namespace, started.id)
        return await _attend(server, forked, attention, as_json=as_json)


async def cancel(run: str, reason: str | None, *, rollback: bool) -> int:
    """Cancel a run and wait until it is. Raises Conflict when it ended."""
    async with far.opened() as server:
        row = await server.find(options.namespace, run)
        if (await _act(server, row, "cancel", runs.Cancel(reason=reason, rollback=rollback))).applied:
            row = await _see_to(server, row, ENDED_RUN, patient=rollback)
        return control.told_cancelled(row, await server.rollback(row))


async def suspend(run: str) -> int:
    """Suspend a run and wait until what is in flight has ended. Raises Conflict when it has ended."""
    async with far.opened() as server:
        row = await server.find(options.namespace, run)
        if (await _act(server, row, "suspend")).applied:
            row = await _see_to(server, row, ENDED_RUN | {RunStatus.SUSPENDED})
        return control.told_suspended(row)


async def _act(server: Server, row: RunRow, action: str, body: object = None) -> runs.Acted:
    path, query = f"{far.of_run(row.id)}/{action}", {"namespace": row.namespace}
    return await server.ask(runs.Acted, "POST", path, body=body, query=query, safe=True)


async def _see_to(server: Server, row: RunRow, wanted: frozenset[RunStatus], *, patient: bool = False) -> RunRow:
    """Wait until the run's node has applied a request; `patient`: as long as it undoes something."""
    loop = asyncio.get_running_loop()
    until = loop.time() + _PATIENCE_SECONDS
    while True:
        now = await server.find(row.namespace, row.id)
        if now.status in wanted:
            return now
        if loop.time() > until and not (
            patient and now.status is not RunStatus.SUSPENDED and await server.rollback(now) is not None
        ):
            return now
        await asyncio.sleep(_LOOK_SECONDS)


# -- staying ---------------------------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def _following() -> AsyncIterator[tuple[Server, Attention]]:
    with reserved(), Attention().paid() as attention:
        async with far.opened() as server:
            yield server, attention


async def _attend(server: Server, row: RunRow, attention: Attention, *, as_json: bool, resuming: bool = False) -> int:
    """Show a run until it has ended or is suspended, and give the exit code; a signal leaves it to the server."""
    title = f"{row.workflow} · {glyphs.short(row.id)} · {server.url}"
    display = live.display(title, await server.graph(row), server.now, quiet=as_json)
    showing = asyncio.create_task(_show(server, row, display, resuming))
    try:
        with display:
            await attend.either(showing, attention.heard)
        if not showing.done():
            note(f"the run {row.id} goes on at the server; `interlock show {row.id}` tells how it stands")
            return INTERRUPTED
        showing.result()
        now = await server.find(row.namespace, row.id)
        return result.show(now, await server.output(now), await server.rollback(now), as_json=as_json)
    finally:
        await attend.end(showing)


async def _show(server: Server, row: RunRow, display: live.Display, resuming: bool) -> None:
    async for news in server.follow(row, resuming=resuming):
        display.tell(news)
