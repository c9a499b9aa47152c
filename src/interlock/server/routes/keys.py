"""API keys and the audit log over HTTP: an administrator's."""

from __future__ import annotations

from typing import Annotated

import msgspec
from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from interlock.model.access import Right, Role
from interlock.server.access import Access, Sender, refuse_unless
from interlock.server.bodies import answer, read
from interlock.server.documented import documented
from interlock.server.routes.asking import Server
from interlock.store.ports import KeyRow
from interlock.wire import service as wire

router = APIRouter(prefix="/api/v1", tags=["keys"])


@router.get("/me", **documented(wire.Who))
async def who(sender: Sender) -> Response:
    """Say who sends this request, and what role that one has."""
    namespaces = None if sender.namespaces is None else list(sender.namespaces)
    return answer(wire.Who(name=sender.name, role=str(sender.role), namespaces=namespaces))


@router.get("/keys", **documented(wire.KeyList))
async def list_keys(
    request: Request,
    sender: Sender,
    after: Annotated[str | None, Query(max_length=100)] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> Response:
    """List the keys of the store, revoked ones too. None is told whole."""
    refuse_unless(sender, Right.ADMINISTER, None)
    access: Access = request.app.state.access
    rows = await access.keys().list(after=after, limit=limit)
    return answer(wire.KeyList(items=[_told(row) for row in rows], next=rows[-1].id if len(rows) == limit else None))


@router.post("/keys", **documented(wire.CreatedKey, takes=wire.NewKey, status=201, problems=(409, 415)))
async def create_key(request: Request, sender: Sender) -> Response:
    """Make a key. The answer is the only place where it is told."""
    refuse_unless(sender, Right.ADMINISTER, None)
    asked = await read(request, wire.NewKey)
    access: Access = request.app.state.access
    row, text = await access.keys().create(
        asked.name, Role(asked.role), namespaces=asked.namespaces, expires_seconds=asked.expires
    )
    access.key_was_made()
    told = _told(row)
    fields = {name: getattr(told, name) for name in told.__struct_fields__}
    return answer(wire.CreatedKey(**fields, key=text), 201)


@router.post("/keys/{key}/revoke", **documented(wire.KeyTold, problems=(404, 409)))
async def revoke_key(
    request: Request, sender: Sender, key: Annotated[str, Path(min_length=1, max_length=100)]
) -> Response:
    """Revoke a key by its id or name, for good; it counts on all servers within 5 s."""
    refuse_unless(sender, Right.ADMINISTER, None)
    access: Access = request.app.state.access
    return answer(_told(await access.keys().revoke(key)))


@router.get("/audit", **documented(wire.AuditPage))
async def list_audit(
    sender: Sender,
    server: Server,
    before: Annotated[int | None, Query(ge=1, le=2**62)] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> Response:
    """List what people and keys have changed, newest first."""
    refuse_unless(sender, Right.ADMINISTER, None)
    rows = await server.session.store.views.audit(before, limit)
    items = [msgspec.convert(msgspec.to_builtins(row), wire.AuditEntry) for row in rows]
    return answer(wire.AuditPage(items=items, next=rows[-1].number if len(rows) == limit else None))


def _told(row: KeyRow) -> wire.KeyTold:
    return wire.KeyTold(
        id=row.id,
        name=row.name,
        role=str(row.role),
        namespaces=None if row.namespaces is None else list(row.namespaces),
        created_at=row.created_at,
        created_by=row.created_by,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
    )
