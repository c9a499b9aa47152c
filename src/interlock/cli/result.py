"""How a run ended, told to people and to programs, and the exit code that says so."""

from __future__ import annotations

from typing import Final

from interlock.app.records import Records
from interlock.app.telling import described, fault_of, rolled_back
from interlock.cli import context, glyphs
from interlock.cli.output import answer, discard, note, results
from interlock.model import json
from interlock.model.json import Json
from interlock.model.payload import Payload
from interlock.model.states import RunStatus
from interlock.model.story import Rollback
from interlock.store.ports import RunRow

EXIT: Final = {
    RunStatus.COMPLETED: 0,
    RunStatus.FAULTED: 1,
    RunStatus.CANCELLED: 3,
    RunStatus.SUSPENDED: 5,
}
"""The exit code of a command that followed a run to here."""

_SHOWN_CHARACTERS: Final = 4_000  # a terminal's worth; more is printed when it is asked for


async def told(app: Records, row: RunRow, *, as_json: bool) -> int:
    """Print how a run stands at its end, and give the exit code."""
    now = await app.find(row.namespace, row.id)
    rollback = await app.rollback(now)
    output = None if now.output is None else await app.rows.value(now.run, now.output, app.store.journal)
    return show(now, output, rollback, as_json=as_json)


def show(now: RunRow, output: Payload | None, rollback: Rollback | None, *, as_json: bool) -> int:
    """Print what is known of the end of a run, and give the exit code."""
    try:
        if as_json:
            answer(json.encode(described(now, output) | rolled_back(rollback)).decode())
        else:
            _print(now, output, rollback)
    except BrokenPipeError:  # the exit code is about the run, also when nobody reads on
        discard(results())
    return EXIT.get(now.status, 0)


def _print(row: RunRow, output: Payload | None, rollback: Rollback | None) -> None:
    took = glyphs.seconds((row.ended_at or 0.0) - row.started_at) if row.started_at and row.ended_at else ""
    note(f"{glyphs.glyph(row.status)} {row.status}{f' in {took}' if took else ''}")
    if row.partial:
        note("warning: partial: a step failed and the workflow went on (on_error: continue)")
    fault = fault_of(row)
    if fault is not None:
        note(f"{fault.instance or '/'}: {fault}")
        if rollback is None:
            note(f"`interlock retry {row.id}` goes on from there")
    if rollback is not None:
        for line in lines_of(rollback):
            note(line)
    if row.status is RunStatus.SUSPENDED:
        note(f"`interlock resume {row.id}` goes on")
    if row.status is RunStatus.COMPLETED and output is not None:
        _print_output(row, output.value)


def _print_output(row: RunRow, output: Json) -> None:
    text = output.rstrip("\n") if isinstance(output, str) else context.pretty(output)
    if results().isatty() and len(text) > _SHOWN_CHARACTERS:
        note(f"the output has {len(text)} characters; `interlock show {row.id} --output` prints it")
    else:
        answer(text)


def lines_of(rollback: Rollback) -> list[str]:
    """Say what a run undid and, one by one, what it could not undo."""
    failed = len(rollback.failed)
    found = [f"rollback: {rollback.undone} undone" + (f", {failed} failed" if failed else "")]
    found += [f"warning: {path} was not undone: {fault}" for path, fault in rollback.failed]
    return found
