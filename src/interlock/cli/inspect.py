"""Commands that look: list, show, history, logs."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Final

import msgspec
from rich.cells import cell_len, set_cell_size
from rich.text import Text

from interlock import errors
from interlock.app import telling
from interlock.app.session import Session
from interlock.app.stranded import Stranded
from interlock.app.tokens import Tokens
from interlock.cli import context, given, glyphs, reporting, tree
from interlock.cli.options import options
from interlock.cli.output import answer, note
from interlock.cli.result import lines_of
from interlock.model import duration, json
from interlock.model.json import Json
from interlock.model.payload import Payload
from interlock.model.states import ENDED_RUN, RunStatus
from interlock.model.story import Story, lifecycle
from interlock.store.open import is_there
from interlock.store.ports import LogLine, RunRow

_PAGE: Final = 1_000
_FOLLOW_SECONDS: Final = 0.5
_MOST_STRANDED: Final = 10_000
_STRANDED: Final = "stranded"


async def list_(
    status: list[str], workflow: str | None, where: list[str], *, limit: int, before: str | None, as_json: bool
) -> int:
    """List runs; a page that is full names the command for the next one."""
    attributes = given.attributes(where)
    if where and _STRANDED in status:
        raise errors.Invalid("--where and --status stranded cannot be combined; leave one of them out")
    known = [each.value for each in RunStatus] + [_STRANDED]
    for wanted in status:
        if wanted not in known:
            raise errors.Invalid(f"{wanted!r} is no status of a run; they are {', '.join(known)}")
    if not is_there(context.settings().store.url):
        answer("[]") if as_json else note("no runs here yet; `interlock run FILE` starts one")
        return 0
    async with context.opened() as app:
        older = None if before is None else (await app.find(options.namespace, before)).run
        stranded = {each.row.run: each for each in await app.stranded(_MOST_STRANDED)}
        if status == [_STRANDED]:
            rows = [each.row for each in stranded.values() if _fits(each.row, workflow, older)][:limit]
        else:
            plain = [each for each in status if each != _STRANDED]
            rows = await app.store.views.runs(options.namespace, plain, workflow, older, limit, attributes=attributes)
        now = app.clock.now()
    if as_json:
        answer(json.encode([telling.described(row, None) | _why(stranded.get(row.run)) for row in rows]).decode())
    elif rows:
        _print_runs(rows, now, stranded)
        if len(rows) == limit:
            note(f"older ones: add --before {rows[-1].id}")
    elif status or workflow or where or before or options.namespace:
        note("no run fits")
    else:
        note("no runs here yet; `interlock run FILE` starts one")
    return 0


def _fits(row: RunRow, workflow: str | None, older: str | None) -> bool:
    return (
        options.namespace in (None, row.namespace)
        and workflow in (None, row.workflow)
        and (older is None or row.run < older)
    )


def _why(stranded: Stranded | None) -> dict[str, Json]:
    """Give what JSON tells of a stranded run; nothing of others."""
    if stranded is None:
        return {}
    return {"stranded": {"since": stranded.since, "reason": stranded.reason, "command": stranded.command}}


def _print_runs(rows: Sequence[RunRow], now: float, stranded: Mapping[str, Stranded]) -> None:
    table = [("", "run", "workflow", "status", "started", "took", "")]
    for row in rows:
        fault = telling.fault_of(row)
        table.append(
            (
                glyphs.glyph(row.status),
                glyphs.short(row.id),
                f"{row.namespace}/{row.workflow}:{row.version}",
                f"{row.status}{' (partial)' if row.partial else ''}{' (stranded)' if row.run in stranded else ''}",
                f"{duration.text(max(0.0, now - row.created_at))} ago",
                glyphs.seconds((row.ended_at or now) - row.started_at) if row.started_at else "",
                stranded[row.run].reason
                if row.run in stranded
                else ("" if fault is None else f"{fault.instance or '/'}: {fault}"),
            )
        )
    widths = [max(cell_len(line[column]) for line in table) for column in range(6)]
    screen = glyphs.screen(sys.stdout)
    for number, line in enumerate(table):
        cells = [
            cell.rjust(width) if column == 5 else set_cell_size(cell, width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=False))
        ]
        text = Text("  ".join([*cells, " ".join(line[6].split())]).rstrip(), style="" if number else "bright_black")
        if number:
            text.stylize(glyphs.colour(rows[number - 1].status), 0, 2)
            text.stylize("bright_black", sum(widths) + 12)
        screen.print(text, no_wrap=True, overflow="ellipsis")


async def show(run: str, *, output: bool, as_json: bool) -> int:
    """Show a run. `output`: its output alone; raises Conflict when it has none."""
    async with context.existing() as app:
        row = await app.find(options.namespace, run)
        value = None if row.output is None else await app.rows.value(row.run, row.output, app.store.journal)
        if output:
            if value is None:
                raise errors.Conflict(f"the run {row.id} is {row.status} and has no output")
            answer(json.encode(value.value).decode() if as_json else _text(value))
            return 0
        story = Story()
        story.tell(await app.history(row.run))
        if as_json:
            stranded = [each for each in await app.stranded(_MOST_STRANDED) if each.row.run == row.run]
            waiting = [asdict(view) for view in await Tokens(app, row.namespace).of_run(row.run)]
            told = {
                "tokens": waiting,
                "shown": telling.of_itself(row),
                "attributes": await app.store.views.attributes(row.run),
            }
            answer(json.encode(telling.whole(row, value, story) | told | _why(next(iter(stranded), None))).decode())
        else:
            await _print_run(app, row, value, story)
    return 0


def _text(value: Payload) -> str:
    return value.value.rstrip("\n") if isinstance(value.value, str) else context.pretty(value.value)


async def _print_run(app: Session, row: RunRow, value: Payload | None, story: Story) -> None:
    now = row.ended_at or app.clock.now()
    partial = " (compensating)" if story.is_compensating else " (partial)" if row.partial else ""
    lines = [
        Text.assemble(
            (f"{glyphs.glyph(row.status)} {row.status}{partial}", glyphs.colour(row.status)),
            (f"  {row.namespace}/{row.workflow}:{row.version}", "bold"),
            f"  {row.id}",
        ),
        Text(_origin(row, now), style="bright_black"),
    ]
    own = [*telling.of_itself(row).items(), *(await app.store.views.attributes(row.run)).items()]
    if own:
        lines.append(Text(", ".join(f"{name} {glyphs.value(told)}" for name, told in own)))
    graph = await app.graphs.graph(row.definition)
    screen = glyphs.screen(sys.stdout)
    lines += tree.lines(story, graph, now, glyphs.width(screen), ended=row.status in ENDED_RUN, whole=True)
    for view in await Tokens(app, row.namespace).of_run(row.run):
        lines.append(Text(f"token of {view.step}: {reporting.told(view, now)}"))
    fault = telling.fault_of(row)
    if fault is not None:
        lines.append(Text(f"{fault.instance or '/'}: {fault}", style="red"))
    if value is not None:
        lines.append(Text(f"output: {glyphs.value(value.value)}"))
    if story.rollback is not None:
        lines += [Text(line, style="red" if line.startswith("warning") else "") for line in lines_of(story.rollback)]
    hint = await _hint(app, row, story)
    if hint:
        lines.append(Text(hint, style="bright_black"))
    for line in lines:
        screen.print(line, soft_wrap=True)


def _origin(row: RunRow, now: float) -> str:
    forked = f", forked from {row.origin}" if row.origin is not None else ""
    if row.started_at is None:
        return f"not started, in {row.folder}{forked}"
    started = datetime.fromtimestamp(row.started_at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    took = glyphs.seconds(now - row.started_at)
    return f"started {started}, {took}, {row.seq} commits, epoch {row.epoch}, in {row.folder}{forked}"


async def _hint(app: Session, row: RunRow, story: Story) -> str:
    """Name the command that fits how the run stands; empty where there is none."""
    match row.status:
        case RunStatus.COMPLETED:
            return f"`interlock show {row.id} --output` prints the whole output"
        case RunStatus.FAULTED if story.rollback is not None:
            return "what its steps did was undone, so that it cannot be retried; start it again"
        case RunStatus.FAULTED:
            return f"`interlock retry {row.id}` goes on from the step that failed"
        case RunStatus.SUSPENDED:
            return f"`interlock resume {row.id}` goes on"
        case RunStatus.CANCELLED:
            return ""
        case _:
            found = [each for each in await app.unattended(_MOST_STRANDED) if each.row.run == row.run]
            alive = {node.node for node in await app.store.nodes.live(app.clock.stamp())}
            if found and found[0].row.owner not in alive and await app.is_served(row):
                return ""  # a live node is about to claim it
            return "" if not found else f"no process executes it ({found[0].reason}); {found[0].command}"


async def history(run: str, *, as_json: bool) -> int:
    """Print the events of a run by the names under which other systems see them."""
    async with context.existing() as app:
        row = await app.find(options.namespace, run)
        for number, (name, event) in enumerate(lifecycle(await app.history(row.run)), 1):
            told = telling.happened(row, str(number), name, event)
            answer(json.encode(told).decode() if as_json else _event_line(name, told))
    return 0


def _event_line(name: str, told: dict[str, Json]) -> str:
    at = datetime.fromtimestamp(told["at"], UTC).isoformat(sep=" ", timespec="milliseconds")[:-6]
    extra = told.get("origin") or told.get("reason") or ""
    if "fault" in told:
        extra = told["fault"].get("detail") or told["fault"].get("title") or ""
    elif name.endswith("completed"):
        extra = glyphs.value(told["output"])
    elif "index" in told:
        extra = str(told["index"] + 1)
    return f"{at}  {name:<20} {told.get('path') or '':<32} {' '.join(extra.split())}".rstrip()


async def logs(run: str, step: str | None, *, follow: bool, as_json: bool) -> int:
    """Print the output of a run's steps as it came. Raises Invalid for a step that the workflow does not have."""
    async with context.existing() as app:
        row = await app.find(options.namespace, run)
        path = None if step is None else (await app.graphs.graph(row.definition)).named(step)
        await _print_logs(app, row, path, follow=follow, as_json=as_json)
    return 0


async def _print_logs(app: Session, row: RunRow, path: str | None, *, follow: bool, as_json: bool) -> None:
    rung = asyncio.Event()
    end = app.store.bell.listen(rung.set)
    cursor = 0
    try:
        while True:
            rung.clear()
            ended = (await app.find(row.namespace, row.id)).status in ENDED_RUN
            pieces = await app.store.views.logs(row.run, cursor, _PAGE, path)
            for piece in pieces:
                _print_piece(piece, as_json)
            if pieces:
                cursor = pieces[-1].number
            elif not follow or ended:
                return
            else:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_FOLLOW_SECONDS):
                        await rung.wait()
    finally:
        end()


def _print_piece(piece: LogLine, as_json: bool) -> None:
    if as_json:
        answer(json.encode(msgspec.to_builtins(piece)).decode())
    else:
        answer(piece.text, end="")
