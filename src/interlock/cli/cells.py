"""Performs the commands about shared memory."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Final, Protocol
from urllib.parse import quote

from interlock import errors
from interlock.app.actor import actor
from interlock.app.opened import Opened
from interlock.cli import context, far, given, shapes
from interlock.cli.options import options
from interlock.cli.output import answer, note
from interlock.coord.cell import Cell, Change, not_deleted, not_set
from interlock.coord.memory import MemorySyncManager
from interlock.model import duration, json
from interlock.model.json import Json
from interlock.wire import coordination as wire

_DEFAULT_NAMESPACE: Final = "default"


async def get(key: str, space: str, *, as_json: bool) -> int:
    """Print a value. Raises NotFound where there is none."""
    cell = await _cell(key, space)
    if cell is None or cell.is_deleted:
        raise errors.NotFound(
            f"there is no value {key!r} in the space {space}; `interlock memory list` shows what there is"
        )
    answer(json.encode(asdict(cell) if as_json else cell.value).decode())
    return 0


async def _cell(key: str, space: str) -> Cell | None:
    if options.server is None:
        async with context.existing(Opened) as app:
            return await _memory(app).cell(key, space)
    async with far.opened() as server:
        try:
            return shapes.cell(await server.ask(wire.CellTold, "GET", f"{_of(space)}/value", query={"key": key}))
        except errors.NotFound:
            return None


async def put(
    key: str, value: str, space: str, *, ttl: str | None, base: int | None, resolver: str | None, as_json: bool
) -> int:
    """Set a value. Raises Conflict when another version is there than the one that was named."""
    wanted = given.value(value, "VALUE")
    if options.server is not None:
        cell: Cell | None = await _put_far(key, wanted, space, ttl=ttl, base=base, resolver=resolver)
        is_applied = True
    else:
        async with context.opened(Opened) as app:
            outcome = await _memory(app).set(key, wanted, space, ttl=ttl, base=base, resolver=resolver)
        cell, is_applied = outcome.cell, outcome.is_applied
    if not is_applied or cell is None:
        raise not_set(key, space, cell, base)
    if as_json:
        answer(json.encode(asdict(cell)).decode())
    else:
        note(f"set, version {cell.version}")
    return 0


async def _put_far(
    key: str, value: Json, space: str, *, ttl: str | None, base: int | None, resolver: str | None
) -> Cell:
    """Set a value through the server. Raises Conflict."""
    asked = wire.SetCell(value=value, ttl=None if ttl is None else _seconds(ttl, "--ttl"), base=base, resolver=resolver)
    async with far.opened() as server:
        return shapes.cell(
            await server.ask(wire.CellTold, "PUT", f"{_of(space)}/value", body=asked, query={"key": key})
        )


async def delete(key: str, space: str, *, base: int | None, as_json: bool) -> int:
    """Delete a value. Raises Conflict when another version is there than the one that was named."""
    cell = None
    if options.server is not None:
        async with far.opened() as server:
            query: dict[str, Json] = {"key": key, "base": base}
            told = await server.ask(wire.DeletedCell, "DELETE", f"{_of(space)}/value", query=query)
        is_deleted = told.deleted
    else:
        async with context.existing(Opened) as app:
            memory = _memory(app)
            is_deleted = await memory.delete(key, space, base=base)
            cell = None if is_deleted or base is None else await memory.cell(key, space)
    if cell is not None and not cell.is_deleted:
        raise not_deleted(key, space, cell, base)
    if as_json:
        answer(json.encode({"space": space, "key": key, "deleted": is_deleted}).decode())
    else:
        note("deleted" if is_deleted else f"there was no value {key!r} in the space {space}")
    return 0


async def listed(prefix: str, space: str, *, as_json: bool) -> int:
    """List keys, or with `as_json` cells."""
    if options.server is not None:
        async with far.opened() as server:
            found = await server.ask(wire.Cells, "GET", _of(space), query={"pattern": prefix})
        cells: Sequence[Cell] = [shapes.cell(each) for each in found.items]
    else:
        async with context.existing(Opened) as app:
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
    seconds = None if lasting is None else _seconds(lasting, "--for")
    if options.server is not None:
        return await _watch_far(pattern, space, after=after, count=count, seconds=seconds, as_json=as_json)
    async with context.opened(Opened) as app:
        changes = _memory(app).watch(pattern, space, after=after)
        async with changes:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await _print(changes, count, as_json=as_json)
            if not as_json:
                note(f"to go on from here: --after {changes.cursor}")
    return 0


async def _watch_far(
    pattern: str, space: str, *, after: str | None, count: int | None, seconds: float | None, as_json: bool
) -> int:
    async with far.opened() as server:
        changes = server.changes(_of(space), pattern, after)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await _print(changes, count, as_json=as_json)
        if not as_json:
            note(f"to go on from here: --after {changes.cursor}")
    return 0


class _Changes(Protocol):
    """Changes as they come."""

    def __aiter__(self) -> AsyncIterator[Change]: ...


async def _print(changes: _Changes, count: int | None, *, as_json: bool) -> None:
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


def _seconds(text: str, option: str) -> float:
    try:
        return duration.parse(text)
    except ValueError as error:
        raise errors.Invalid(f"{option}: {error}") from None


def _of(space: str) -> str:
    return f"/memory/{quote(space, safe='')}"


def _memory(app: Opened) -> MemorySyncManager:
    return MemorySyncManager(app.store, app.clock, options.namespace or _DEFAULT_NAMESPACE, actor())
