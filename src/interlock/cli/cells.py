"""Performs the commands about shared memory."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Final

from interlock import errors
from interlock.app.actor import actor
from interlock.app.session import Session
from interlock.cli import context, given
from interlock.cli.options import options
from interlock.cli.output import answer, note
from interlock.coord.cell import Change
from interlock.coord.memory import MemorySyncManager
from interlock.coord.watch import Watch
from interlock.model import duration, json

_DEFAULT_NAMESPACE: Final = "default"


async def get(key: str, space: str, *, as_json: bool) -> int:
    """Print a value. Raises NotFound where there is none."""
    async with context.existing() as app:
        cell = await _memory(app).cell(key, space)
    if cell is None or cell.is_deleted:
        raise errors.NotFound(
            f"there is no value {key!r} in the space {space}; `interlock memory list` shows what there is"
        )
    answer(json.encode(asdict(cell) if as_json else cell.value).decode())
    return 0


async def put(
    key: str, value: str, space: str, *, ttl: str | None, base: int | None, resolver: str | None, as_json: bool
) -> int:
    """Set a value. Raises Conflict when another version is there than the one that was named."""
    wanted = given.value(value, "VALUE")
    async with context.opened() as app:
        outcome = await _memory(app).set(key, wanted, space, ttl=ttl, base=base, resolver=resolver)
    cell = outcome.cell
    if not outcome.is_applied or cell is None:
        present = "there is no value" if cell is None or cell.is_deleted else f"{cell.writer} has set it meanwhile"
        version = 0 if cell is None else cell.version
        raise errors.Conflict(
            f"{key!r} in the space {space} has the version {version}, not {base}: {present}. Read it and decide anew, or "
            "name a --resolver"
        )
    if as_json:
        answer(json.encode(asdict(cell)).decode())
    else:
        note(f"set, version {cell.version}")
    return 0


async def delete(key: str, space: str, *, base: int | None, as_json: bool) -> int:
    """Delete a value. Raises Conflict when another version is there than the one that was named."""
    async with context.existing() as app:
        memory = _memory(app)
        is_deleted = await memory.delete(key, space, base=base)
        cell = None if is_deleted or base is None else await memory.cell(key, space)
    if cell is not None and not cell.is_deleted:
        raise errors.Conflict(
            f"{key!r} in the space {space} has the version {cell.version}, not {base}; nothing was deleted"
        )
    if as_json:
        answer(json.encode({"space": space, "key": key, "deleted": is_deleted}).decode())
    else:
        note("deleted" if is_deleted else f"there was no value {key!r} in the space {space}")
    return 0


async def listed(prefix: str, space: str, *, as_json: bool) -> int:
    """List keys, or with `as_json` cells."""
    async with context.existing() as app:
        cells = await _memory(app).cells(prefix, space)
    if as_json:
        answer(json.encode([asdict(cell) for cell in cells]).decode())
        return 0
    for cell in cells:
        answer(cell.key)
    if not cells:
        note(f"no values in the space {space}" + (f" for {prefix!r}" if prefix else ""))
    return 0


async def watch(
    pattern: str, space: str, *, after: str | None, count: int | None, lasting: str | None, as_json: bool
) -> int:
    """Print changes until there were enough, or the time is over."""
    seconds = None if lasting is None else _seconds(lasting)
    async with context.opened() as app:
        changes = _memory(app).watch(pattern, space, after=after)
        async with changes:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await _print(changes, count, as_json=as_json)
            if not as_json:
                note(f"to go on from here: --after {changes.cursor}")
    return 0


async def _print(changes: Watch, count: int | None, *, as_json: bool) -> None:
    printed = 0
    async for change in changes:
        answer(json.encode(asdict(change)).decode() if as_json else _told(change))
        printed += 1
        if printed == count:
            return


def _told(change: Change) -> str:
    at = datetime.fromtimestamp(change.at, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    what = "deleted" if change.is_deleted else json.encode(change.value).decode()
    return f"{at}  {change.key}  {what}  {change.writer}"


def _seconds(lasting: str) -> float:
    try:
        return duration.parse(lasting)
    except ValueError as error:
        raise errors.Invalid(f"--for: {error}") from None


def _memory(app: Session) -> MemorySyncManager:
    return MemorySyncManager(app.store, app.clock, options.namespace or _DEFAULT_NAMESPACE, actor())
