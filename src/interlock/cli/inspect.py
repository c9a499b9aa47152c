"""Commands that look: list, show, history, logs."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Final

import msgspec
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from interlock import errors
from interlock.app.interlock import Interlock
from interlock.cli import context, glyphs, live
from interlock.cli.context import answer, note, options
from interlock.cli.run import JsonOption, RunArgument, described
from interlock.model import duration, json
from interlock.model.event import Event
from interlock.model.fault import Fault
from interlock.model.json import Json
from interlock.model.payload import Payload
from interlock.model.states import ENDED_RUN, RunStatus
from interlock.model.story import Story, lifecycle
from interlock.store.ports import LogLine, RunRow

_PAGE: Final = 1_000
_FOLLOW_SECONDS: Final = 0.5


def list_(
    status: Annotated[list[str] | None, typer.Option("--status", help="Only runs of this status; repeatable.")] = None,
    workflow: Annotated[str | None, typer.Option("--workflow", help="Only runs of this workflow.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, help="How many at most.")] = 50,
    before: Annotated[str | None, typer.Option("--before", help="The next page: those older than this run.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List runs, newest first."""

    async def command() -> int:
        known = [each.value for each in RunStatus]
        for wanted in status or ():
            if wanted not in known:
                raise errors.Invalid(f"{wanted!r} is no status of a run; they are {', '.join(known)}")
        async with context.opened() as app:
            older = None if before is None else (await app.find(options.namespace, before)).run
            rows = await app.store.views.runs(options.namespace, status or [], workflow, older, limit)
            if as_json:
                answer(json.encode([described(row, None, _fault(row)) for row in rows]).decode())
            elif rows:
                _print_runs(rows, app.clock.now())
                if len(rows) == limit:
                    note(f"more with `interlock list --before {rows[-1].id}`")
            else:
                note("no runs here yet; `interlock run FILE` starts one")
        return 0

    context.execute(command)


def _print_runs(rows: Sequence[RunRow], now: float) -> None:
    table = Table(box=None, pad_edge=False, header_style="bright_black")
    for title in ("", "run", "workflow", "status", "started", "took", ""):
        table.add_column(title, justify="right" if title == "took" else "left", no_wrap=title != "")
    for row in rows:
        fault = _fault(row)
        table.add_row(
            Text(glyphs.glyph(row.status), style=glyphs.colour(row.status)),
            glyphs.short(row.id),
            f"{row.namespace}/{row.workflow}:{row.version}",
            f"{row.status}{' (partial)' if row.partial else ''}",
            f"{duration.text(max(0.0, now - row.created_at))} ago",
            live.took(row.started_at, row.ended_at or now),
            Text("" if fault is None else f"{fault.instance}: {fault}", style="bright_black", overflow="ellipsis"),
        )
    Console().print(table)


def show(
    run: RunArgument,
    output: Annotated[bool, typer.Option("--output", help="Print the output and nothing else.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show a run: how it stands, its steps, its output or error."""

    async def command() -> int:
        async with context.opened() as app:
            row = await app.find(options.namespace, run)
            value = None if row.output is None else await app.rows.value(row.run, row.output, app.store.journal)
            if output:
                if value is None:
                    raise errors.Conflict(f"the run {row.id} is {row.status} and has no output")
                answer(value.value if isinstance(value.value, str) else context.pretty(value.value))
                return 0
            story = Story()
            story.tell(await app.history(row.run))
            if as_json:
                answer(json.encode(_shown(row, value, story)).decode())
            else:
                await _print_run(app, row, value, story)
        return 0

    context.execute(command)


def _shown(row: RunRow, value: Payload | None, story: Story) -> Json:
    steps = [
        {
            "path": step.path,
            "name": step.name,
            "status": step.status,
            "began": step.began,
            "ended": step.ended,
            "visits": step.visits,
            "attempts": step.attempts,
            "error": None if step.fault is None else step.fault.described(),
        }
        for step in story.ordered()
    ]
    return described(row, None if value is None else value.value, _fault(row)) | {
        "folder": row.folder,
        "epoch": row.epoch,
        "commits": row.seq,
        "forked_from": row.origin,
        "steps": steps,
    }


async def _print_run(app: Interlock, row: RunRow, value: Payload | None, story: Story) -> None:
    now = app.clock.now()
    console = Console()
    partial = " (partial)" if row.partial else ""
    console.print(
        Text(f"{glyphs.glyph(row.status)} {row.status}{partial}", style=glyphs.colour(row.status)),
        Text(f"  {row.namespace}/{row.workflow}:{row.version}", style="bold"),
        Text(f"  {row.id}"),
        sep="",
    )
    console.print(
        f"started {_moment(row.started_at)}, {live.took(row.started_at, row.ended_at or now)}, "
        f"{row.seq} commits, epoch {row.epoch}, in {row.folder}",
        style="bright_black",
        soft_wrap=True,
    )
    if row.origin is not None:
        console.print(f"forked from {row.origin}", style="bright_black")
    console.print(live.tree("", story, row.ended_at or now))
    fault = _fault(row)
    if fault is not None:
        console.print(Text(f"{fault.instance or '/'}: {fault}", style="red"))
        console.print(f"go on from there with `interlock retry {row.id}`", style="bright_black")
    if row.status not in ENDED_RUN:
        await _print_hint(app, row, console)
    if value is not None:
        console.print(Text(glyphs.value(value.value)))
        console.print(f"the whole output: `interlock show {glyphs.short(row.id)} --output`", style="bright_black")


async def _print_hint(app: Interlock, row: RunRow, console: Console) -> None:
    if row.status is RunStatus.SUSPENDED:
        console.print(f"suspended; `interlock resume {row.id}` goes on", style="bright_black")
        return
    live_nodes = {node.node for node in await app.store.nodes.live(app.clock.now())}
    if row.owner not in live_nodes:
        console.print(f"no process executes it; `interlock resume {row.id}` does", style="bright_black")


def history(run: RunArgument, as_json: JsonOption = False) -> None:
    """Print every event of a run, in causal order."""

    async def command() -> int:
        async with context.opened() as app:
            row = await app.find(options.namespace, run)
            for name, event in lifecycle(await app.history(row.run)):
                if as_json:
                    answer(json.encode(_event(row, name, event)).decode())
                else:
                    answer(_event_line(name, event))
        return 0

    context.execute(command)


def _event(row: RunRow, name: str, event: Event) -> Json:
    """Give an event as the flat object that programs read."""
    fields = {key: getattr(event, key) for key in event.__struct_fields__}
    plain = {key: _plain(value) for key, value in fields.items() if value is not None}
    return {"type": name, "run": row.id, "namespace": row.namespace} | plain


def _plain(value: object) -> Json:
    match value:
        case Payload():
            return value.value
        case Fault():
            return value.described()
        case _:
            return value


def _event_line(name: str, event: Event) -> str:
    at = datetime.fromtimestamp(event.at, UTC).strftime("%H:%M:%S.%f")[:-3]
    path = getattr(event, "path", "") or ""
    fault = getattr(event, "fault", None)
    extra = str(fault) if fault is not None else ""
    output = getattr(event, "output", None)
    if isinstance(output, Payload) and name.endswith("completed"):
        extra = glyphs.value(output.value)
    return f"{at}  {name:<24} {path:<32} {extra}".rstrip()


def logs(
    run: RunArgument,
    step: Annotated[str | None, typer.Argument(help="Only the output of this step: its path or its name.")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the run has ended.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Print what the processes of a run wrote."""

    async def command() -> int:
        async with context.opened() as app:
            row = await app.find(options.namespace, run)
            path = None if step is None else await _log_path(app, row, step)
            await _print_logs(app, row, path, follow=follow, as_json=as_json)
        return 0

    context.execute(command)


async def _log_path(app: Interlock, row: RunRow, step: str) -> str:
    if step.startswith("/"):
        return step
    graph = await app.graphs.graph(row.definition)
    found = [path for path, node in graph.nodes.items() if node.name == step]
    if len(found) != 1:
        raise errors.Invalid(
            f"{'no step is' if not found else 'several steps are'} called {step!r}: {', '.join(found or graph.nodes)}"
        )
    return found[0]


async def _print_logs(app: Interlock, row: RunRow, path: str | None, *, follow: bool, as_json: bool) -> None:
    rung = asyncio.Event()
    end = app.store.bell.listen(rung.set)
    cursor, fresh = 0, True
    try:
        while True:
            rung.clear()
            ended = (await app.find(row.namespace, row.id)).status in ENDED_RUN
            lines = await app.store.views.logs(row.run, cursor, _PAGE, path)
            for line in lines:
                fresh = _print_log(line, as_json, fresh=fresh)
            if lines:
                cursor = lines[-1].number
            elif not follow or ended:
                return
            else:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(rung.wait(), _FOLLOW_SECONDS)
    finally:
        end()


def _print_log(line: LogLine, as_json: bool, *, fresh: bool) -> bool:
    """Print a piece of output as it came; gives whether it ended a line."""
    if as_json:
        answer(json.encode(msgspec.to_builtins(line)).decode())
        return True
    print(line.text, end="", flush=True)  # noqa: T201
    return line.text.endswith("\n")


def _fault(row: RunRow) -> Fault | None:
    return None if row.fault is None else msgspec.json.decode(row.fault, type=Fault)


def _moment(seconds: float | None) -> str:
    return "never" if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
