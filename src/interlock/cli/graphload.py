"""Performs the commands that read a task graph: validate, load."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from interlock import errors
from interlock.cli import context, glyphs, graphbook
from interlock.cli.options import options
from interlock.cli.output import answer, note
from interlock.cli.taskbook import unserved
from interlock.flow import report
from interlock.flow.taskgraph import reading
from interlock.model import json


async def validate(file: str, *, as_json: bool) -> int:
    """Print every problem of a graph. Exit code 2 when it has errors."""
    found = reading.read(context.read_text(file), file)
    if as_json:
        answer(report.json(found.problems).decode())
    elif found.problems:
        answer(report.text(found.problems), end="")
    else:
        tasks = 0 if found.graph is None else len(found.graph.tasks)
        answer(f"{file}: {glyphs.counted(tasks, 'task')}, no problems")
    return 0 if found.graph is not None else errors.Invalid.exit_code


async def load(file: str, *, as_json: bool) -> int:
    """Store a graph. Raises InvalidDefinition with every problem, Conflict while another process loads it."""
    text = context.read_text(file)
    folder = context.folder() if file == "-" else Path(os.path.abspath(file)).parent
    document = reading.read(text, file).required()
    async with graphbook.opened(makes=True) as book:
        loaded = await book.load(text, document, folder)
    if as_json:
        answer(json.encode(loaded).decode())
        return 0
    parts = [
        f"{len(names)} {word}"
        for names, word in ((loaded.added, "added"), ([*loaded.changed, *loaded.corrected], "changed"))
        if names
    ]
    if loaded.same:
        parts.append(f"{loaded.same} as before")
    answer(f"{document.name}: {', '.join(parts) or 'nothing to do'}")
    if loaded.corrected:
        note(f"changed, and over without success: {_some(loaded.corrected)}; `interlock tasks retry` tries one again")
    if loaded.kept:
        note(f"they run or are done, so left as they are: {_some(loaded.kept)}")
    if loaded.absent:
        note(f"no longer in {file}, and still in the store: {_some(loaded.absent)}; `interlock tasks cancel` ends one")
    if options.server is not None:
        note(f"its tasks start in {loaded.folder}, at the server")
    if not loaded.served:
        note(unserved(document.name))
    return 0


def _some(names: Sequence[str], most: int = 5) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
