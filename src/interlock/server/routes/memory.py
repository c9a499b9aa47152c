"""Shared memory over HTTP: read, write, list, watch."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import asdict
from typing import Annotated

import msgspec
from fastapi import APIRouter, Header, Path, Query, Request
from starlette.responses import Response

from interlock import errors
from interlock.coord.cell import Cell, not_deleted, not_set
from interlock.coord.memory import MemorySyncManager
from interlock.coord.watch import Watch
from interlock.model.access import Principal, Right
from interlock.server import streams
from interlock.server.access import Sender, actor, chosen, refuse_unless
from interlock.server.bodies import answer, is_known, read
from interlock.server.documented import documented
from interlock.server.gateway import Gateway
from interlock.server.problems import Refused
from interlock.server.routes.asking import NamespaceQuery, Server
from interlock.server.streams import Item
from interlock.wire import coordination as wire

router = APIRouter(prefix="/api/v1/memory/{space}", tags=["memory"])

SpacePath = Annotated[
    str, Path(min_length=1, max_length=64, description="swarm, tasks, workers, global, or another one.")
]
MatchHeader = Annotated[
    str | None, Header(alias="If-Match", pattern='^"[0-9]{1,18}"$', description="The ETag that the value is to have.")
]
NoneHeader = Annotated[
    str | None, Header(alias="If-None-Match", pattern=r"^\*$", description="`*`: there is to be no value.")
]
KeyQuery = Annotated[str, Query(min_length=1, max_length=512, description="The key, such as tasks/7/state.")]


def _memory(server: Gateway, sender: Principal, right: Right, namespace: str | None) -> MemorySyncManager:
    """Give the memory of a namespace in which the sender has a right. Raises Refused."""
    within = chosen(sender, namespace)
    refuse_unless(sender, right, within)
    session = server.session
    return MemorySyncManager(session.store, session.clock, within, actor(sender))


@router.get("", **documented(wire.Cells))
async def list_cells(
    sender: Sender,
    server: Server,
    space: SpacePath,
    namespace: NamespaceQuery = None,
    pattern: Annotated[str, Query(max_length=512, description="A beginning, or a pattern: tasks/*/state.")] = "",
) -> Response:
    """List the values of a space."""
    cells = await _memory(server, sender, Right.READ, namespace).cells(pattern, space)
    return answer(wire.Cells(items=[_told(cell) for cell in cells]))


@router.get("/value", **documented(wire.CellTold, also={304: "As you have it."}, problems=(404,)))
async def get_cell(
    request: Request, sender: Sender, server: Server, space: SpacePath, key: KeyQuery, namespace: NamespaceQuery = None
) -> Response:
    """Give a value with its version, which is its ETag too."""
    cell = await _memory(server, sender, Right.READ, namespace).cell(key, space)
    if cell is None or cell.is_deleted:
        raise errors.NotFound(f"there is no value {key!r} in the space {space}")
    headers = {"ETag": _etag(cell), "Cache-Control": "no-cache"}
    if is_known(request, headers["ETag"]):
        return Response(status_code=304, headers=headers)
    return answer(_told(cell), headers=headers)


@router.put(
    "/value", **documented(wire.CellTold, takes=wire.SetCell, example={"value": {"phase": 2}}, problems=(409, 412, 415))
)
async def set_cell(
    request: Request,
    sender: Sender,
    server: Server,
    space: SpacePath,
    key: KeyQuery,
    namespace: NamespaceQuery = None,
    match: MatchHeader = None,
    none_match: NoneHeader = None,
) -> Response:
    """Set a value. With `base` only where that version is there, 409 otherwise; with If-Match, the ETag of one, or
    If-None-Match, `*` for none at all, likewise, and 412 otherwise."""
    asked = await read(request, wire.SetCell)
    base = _base(asked.base, match, none_match)
    memory = _memory(server, sender, Right.OPERATE, namespace)
    outcome = await memory.set(key, asked.value, space, ttl=asked.ttl, base=base, resolver=asked.resolver)
    cell = outcome.cell
    if not outcome.is_applied or cell is None:
        raise _unmet(not_set(key, space, cell, base), match, none_match)
    return answer(_told(cell), headers={"ETag": _etag(cell)})


@router.delete("/value", **documented(wire.DeletedCell, problems=(409, 412)))
async def delete_cell(
    sender: Sender,
    server: Server,
    space: SpacePath,
    key: KeyQuery,
    namespace: NamespaceQuery = None,
    base: Annotated[int | None, Query(ge=0, le=2**62)] = None,
    match: MatchHeader = None,
) -> Response:
    """Delete a value; `deleted` says whether there was one. `base` and If-Match: as for setting one."""
    base = _base(base, match, None)
    memory = _memory(server, sender, Right.OPERATE, namespace)
    deleted = await memory.delete(key, space, base=base)
    cell = None if deleted or base is None else await memory.cell(key, space)
    if cell is not None and not cell.is_deleted:
        raise _unmet(not_deleted(key, space, cell, base), match, None)
    return answer(wire.DeletedCell(space=space, key=key, deleted=deleted))


@router.get("/watch", **documented(media_type=streams.MEDIA_TYPE, problems=(409,)))
async def watch_cells(
    request: Request,
    sender: Sender,
    server: Server,
    space: SpacePath,
    pattern: Annotated[str, Query(min_length=1, max_length=512)],
    namespace: NamespaceQuery = None,
    after: Annotated[str | None, Query(max_length=200, description="The cursor to go on after.")] = None,
) -> Response:
    """Follow the changes of a space as server-sent events `change`; `id` is the cursor, after which a reconnect goes on."""
    memory = _memory(server, sender, Right.READ, namespace)
    changes = memory.watch(pattern, space, after=request.headers.get("last-event-id") or after)
    await changes.begin()  # before the answer begins: a change that the caller makes from now on is told
    return streams.stream(server, _changes(changes), request)


async def _changes(changes: Watch) -> AsyncIterator[Item]:
    async with changes:
        yield Item("began", {"cursor": changes.cursor}, changes.cursor)
        async for change in changes:
            yield Item("change", asdict(change), change.cursor)


def _etag(cell: Cell) -> str:
    return f'"{cell.version}"'


def _base(base: int | None, match: str | None, none_match: str | None) -> int | None:
    """Give the version that has to be there; None for whatever is, 0 for none. Raises Refused for several."""
    said = [] if base is None else [base]
    said += [] if match is None else [int(match.strip('"'))]
    said += [] if none_match is None else [0]
    if len(said) > 1:
        raise Refused(
            400, "invalid", "say by one of `base`, If-Match and If-None-Match what has to be there; nothing was done"
        )
    return said[0] if said else None


def _unmet(error: errors.Conflict, match: str | None, none_match: str | None) -> Exception:
    """Give the refusal of a write whose condition is not met, as who set the condition expects it."""
    return error if match is None and none_match is None else Refused(412, "precondition-failed", str(error))


def _told(cell: Cell) -> wire.CellTold:
    told = asdict(cell)
    return msgspec.convert({name: told[name] for name in wire.CellTold.__struct_fields__}, wire.CellTold)
