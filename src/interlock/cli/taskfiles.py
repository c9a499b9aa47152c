"""Performs the commands about what the attempts of a task left: their output, and the files that they kept."""

from __future__ import annotations

from pathlib import Path

import msgspec

from interlock.cli import graphbook, keeping
from interlock.cli.output import answer, note
from interlock.model import json


async def logs(task: str, *, as_json: bool) -> int:
    """Print the output of a task as it came. Raises NotFound, Conflict."""
    async with graphbook.opened() as book:
        found = await book.task(task)
        after: int | None = 0
        is_empty = True
        while after is not None:
            pieces, after = await book.logs(found, after)
            for piece in pieces:
                is_empty = False
                if as_json:
                    answer(json.encode(msgspec.to_builtins(piece)).decode())
                else:
                    answer(piece.text, end="")
    if is_empty and not as_json:
        note(f"the task {found.task} has printed nothing")
    return 0


async def artifacts(task: str, attempt: int | None, *, as_json: bool) -> int:
    """List the files of a task. Raises NotFound, Conflict."""
    async with graphbook.opened() as book:
        found = await book.task(task)
        kept = [each for each in await book.artifacts(found) if attempt in (None, each.attempt)]
    return keeping.print_list(kept, f"the task {found.task} kept no files", as_json=as_json)


async def fetch(task: str, name: str, attempt: int | None, out: Path | None) -> int:
    """Write a file of a task, which is there whole or not at all. Raises NotFound, Conflict, Invalid, Environment."""
    async with graphbook.opened() as book:
        found = await book.task(task)
        return await keeping.put(book.artifact(found, name, attempt), out or Path(name))
