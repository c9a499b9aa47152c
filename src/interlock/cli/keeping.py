"""Performs the commands about artifacts."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import quote

from interlock import errors
from interlock.app.artifacts import artifacts, told
from interlock.app.opened import Opened
from interlock.cli import context, far
from interlock.cli.options import options
from interlock.cli.output import answer, note, results
from interlock.model import json
from interlock.model.json import Json
from interlock.wire import artifacts as wire

_PRINTED: Final = Path("-")
_PAGE: Final = 1_000


async def listed(run: str, *, as_json: bool) -> int:
    """List the artifacts of a run. Raises NotFound."""
    found = await (_listed_far(run) if options.server is not None else _listed(run))
    return print_list(found, "the steps of this run kept no files", as_json=as_json)


def print_list(found: Sequence[wire.ArtifactTold], none: str, *, as_json: bool) -> int:
    """Print artifacts; `none`: what is said where there are none."""
    if as_json:
        answer(json.encode(found).decode())
        return 0
    for each in found:
        answer(f"{each.name}  {each.size} bytes  {each.media_type}  {each.step}, attempt {each.attempt}")
    if not found:
        note(none)
    return 0


async def fetched(run: str, name: str, step: str | None, attempt: int | None, out: Path | None) -> int:
    """Write an artifact to a file, which is there whole or not at all. Raises NotFound, Invalid, Environment."""
    async with _pieces(run, name, step, attempt) as pieces:
        return await put(pieces, out or Path(name))


async def put(pieces: AsyncIterator[bytes], place: Path) -> int:
    """Write pieces to a file, or print them where `place` is `-`. Raises what they raise, Invalid, Environment."""
    first = await anext(pieces, b"")  # what is not there leaves no file
    if place == _PRINTED:
        await _print(first, pieces)
        return 0
    size = await _write(place, first, pieces)
    note(f"wrote {place}, {size} bytes")
    return 0


async def _listed(run: str) -> list[wire.ArtifactTold]:
    async with context.existing(Opened) as app:
        row = await app.find(options.namespace, run)
        return [told(each) for each in await artifacts(app.settings, app.store).list(row.run)]


async def _listed_far(run: str) -> list[wire.ArtifactTold]:
    found: list[wire.ArtifactTold] = []
    after: str | None = None
    async with far.opened() as server:
        while True:
            query: dict[str, Json] = {"after": after, "limit": _PAGE}
            page = await server.ask(wire.ArtifactPage, "GET", f"{far.of_run(run)}/artifacts", query=query)
            found += page.items
            after = page.next
            if after is None:
                return found


@contextlib.asynccontextmanager
async def _pieces(run: str, name: str, step: str | None, attempt: int | None) -> AsyncIterator[AsyncIterator[bytes]]:
    """Open an artifact, at the server or in the store."""
    if options.server is not None:
        query: dict[str, Json] = {"step": step, "attempt": attempt}
        async with far.opened() as server:
            yield server.download(f"{far.of_run(run)}/artifacts/{quote(name, safe='')}", query)
        return
    async with context.existing(Opened) as app:
        row = await app.find(options.namespace, run)
        kept = artifacts(app.settings, app.store)
        yield kept.read(await kept.find(row.run, name, step=step, attempt=attempt))


async def _print(first: bytes, rest: AsyncIterator[bytes]) -> None:
    stream = results().buffer
    stream.write(first)
    async for piece in rest:
        stream.write(piece)
    stream.flush()


async def _write(place: Path, first: bytes, rest: AsyncIterator[bytes]) -> int:
    draft = place.with_name(f".{place.name}.{secrets.token_hex(4)}")
    size = len(first)
    try:
        with draft.open("xb") as file:
            file.write(first)
            async for piece in rest:
                await asyncio.to_thread(file.write, piece)
                size += len(piece)
        os.replace(draft, place)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError, PermissionError) as error:
        raise errors.Invalid(f"cannot write {place}: {error.strerror}") from None
    except OSError as error:
        raise errors.Environment(f"cannot write {place}: {error.strerror}") from None
    finally:
        with contextlib.suppress(OSError):  # the draft is the file by now, or was never there
            draft.unlink()
    return size
