"""Commands that look: list, show, history, logs."""

from __future__ import annotations

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
from interlock.app.stranded import Stranded
from interlock.cli import book, context, given, glyphs, reporting
from interlock.cli.options import options
from interlock.cli.output import answer, note
from interlock.cli.result import lines_of
from interlock.model import duration, json
from interlock.model.json import Json
from interlock.model.lifecycle import lifecycle
from interlock.model.payload import Payload
from interlock.model.states import ENDED_RUN, RunStatus
from interlock.model.story import Story
from interlock.store.open import is_there
from interlock.store.ports import LogLine, RunRow

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
    if options.server is None and not is_there(context.settings().store.url):
        answer("[]") if as_json else note("no runs here yet; `interlock run FILE` starts one")
        return 0
    async with book.opened() as source:
        older = None if before is None else (await source.find(options.namespace, before)).run
        stranded = {each.row.run: each for each in await source.stranded()}
        if status == [_STRANDED]:
            rows: Sequence[RunRow] = [each.row for each in stranded.values() if _fits(each.row, workflow, older)][
                :limit
            ]
        else:
            plain = [each for each in status if each != _STRANDED]
            rows = await source.runs(plain, workflow, older, limit, attributes)
        now = source.now()
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
    async with book.opened() as source:
        row = await source.find(options.namespace, run)
        value = await source.output(row)
        if output:
            if value is None:
                raise errors.Conflict(f"the run {row.id} is {row.status} and has no output")
            answer(json.encode(value.value).decode() if as_json else _text(value))
            return 0
        story = Story()
        story.tell(await source.history(row))
        if as_json:
            stranded = [each for each in await source.stranded() if each.row.run == row.run]
            waiting = [asdict(view) for view in await source.tokens(row)]
            told = {
                "tokens": waiting,
                "shown": await source.of_itself(row),
                "attributes": await source.attributes(row),
            }
            answer(json.encode(telling.whole(row, value, story) | told | _why(next(iter(stranded), None))).decode())
        else:
            await _print_run(source, row, value, story)
    return 0


def _text(value: Payload) -> str:
    return value.value.rstrip("\n") if isinstance(value.value, str) else context.pretty(value.value)


async def _print_run(source: book.Book, row: RunRow, value: Payload | None, story: Story) -> None:
    now = row.ended_at or source.now()
    partial = " (compensating)" if story.is_compensating else " (partial)" if row.partial else ""
    lines = [
        Text.assemble(
            (f"{glyphs.glyph(row.status)} {row.status}{partial}", glyphs.colour(row.status)),
            (f"  {row.namespace}/{row.workflow}:{row.version}", "bold"),
            f"  {row.id}",
        ),
        Text(_origin(row, now), style="bright_black"),
    ]
    own = [*(await source.of_itself(row)).items(), *(await source.attributes(row)).items()]
    if own:
        lines.append(Text(", ".join(f"{name} {glyphs.value(told)}" for name, told in own)))
    from interlock.cli import tree  # noqa: PLC0415 (start-up: lists draw no steps)

    graph = await source.graph(row)
    screen = glyphs.screen(sys.stdout)
    lines += tree.lines(story, graph, now, glyphs.width(screen), ended=row.status in ENDED_RUN, whole=True)
    for view in await source.tokens(row):
        lines.append(Text(f"token of {view.step}: {reporting.told(view, now)}"))
    fault = telling.fault_of(row)
    if fault is not None:
        lines.append(Text(f"{fault.instance or '/'}: {fault}", style="red"))
    if value is not None:
        lines.append(Text(f"output: {glyphs.value(value.value)}"))
    if story.rollback is not None:
        lines += [Text(line, style="red" if line.startswith("warning") else "") for line in lines_of(story.rollback)]
    hint = await _hint(source, row, story)
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


async def _hint(source: book.Book, row: RunRow, story: Story) -> str:
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
            found = await source.unattended(row)
            return "" if found is None else f"no process executes it ({found.reason}); {found.command}"


async def history(run: str, *, as_json: bool) -> int:
    """Print the events of a run by the names under which other systems see them."""
    async with book.opened() as source:
        row = await source.find(options.namespace, run)
        for number, (name, event) in enumerate(lifecycle(await source.history(row)), 1):
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
    async with book.opened() as source:
        row = await source.find(options.namespace, run)
        async for piece in source.logs(row, step, follow=follow):
            _print_piece(piece, as_json)
    return 0


def _print_piece(piece: LogLine, as_json: bool) -> None:
    if as_json:
        answer(json.encode(msgspec.to_builtins(piece)).decode())
    else:
        answer(piece.text, end="")
