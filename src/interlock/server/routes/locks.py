"""Locks over HTTP: a client acquires, renews and releases by itself, under a name of its own; the fence proves the grant."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from interlock.app.session import Session
from interlock.coord.lock import Held
from interlock.coord.locks import LockManager
from interlock.coord.remote import RemoteLocks
from interlock.model.access import Right
from interlock.server.access import Sender, actor, chosen, refuse_unless
from interlock.server.bodies import answer, read
from interlock.server.documented import documented
from interlock.server.routes.asking import NamespaceQuery, Server
from interlock.wire import coordination as wire

router = APIRouter(prefix="/api/v1/locks", tags=["locks"])

NameQuery = Annotated[str, Query(min_length=1, max_length=200, description="The lock, such as deploy/eu.")]


def _manager(session: Session, space: str) -> LockManager:
    return LockManager(session.store, session.clock, "http", namespace=space)  # it acquires nothing itself


def _remote(session: Session, space: str) -> RemoteLocks:
    return RemoteLocks(session.store, session.clock, space)


@router.get("", **documented(wire.Locks))
async def list_locks(
    sender: Sender,
    server: Server,
    namespace: NamespaceQuery = None,
    holder: Annotated[str | None, Query(max_length=200, description="Only what this one holds.")] = None,
    expired: Annotated[bool, Query(description="Also those whose time is over and that nobody took since.")] = False,
) -> Response:
    """List the locks that are held."""
    space = chosen(sender, namespace)
    refuse_unless(sender, Right.READ, space)
    held = await _manager(server.session, space).list_locks(worker=holder, include_expired=expired)
    return answer(wire.Locks(items=[_held(each) for each in held]))


@router.get("/standing", **documented(wire.LockStanding))
async def show_lock(sender: Sender, server: Server, name: NameQuery, namespace: NamespaceQuery = None) -> Response:
    """Say who holds a lock, and who waits for it."""
    space = chosen(sender, namespace)
    refuse_unless(sender, Right.READ, space)
    session = server.session
    held = await _manager(session, space).holders(name)
    waits = await session.store.locks.waits(space, session.clock.stamp())
    waiting = [who for _, who in sorted({(wait.ticket, wait.session) for wait in waits if wait.name == name})]
    return answer(wire.LockStanding(name=name, holders=[_held(each) for each in held], waiting=waiting))


@router.post(
    "/acquire",
    **documented(
        wire.HeldLock, takes=wire.AcquireLock, example={"holder": "deployer-1", "ttl": 60}, problems=(409, 415)
    ),
)
async def acquire_lock(
    request: Request, sender: Sender, server: Server, name: NameQuery, namespace: NamespaceQuery = None
) -> Response:
    """Acquire a lock if it is free; 409 names who holds it. It is the caller's for `ttl` seconds, unless it is renewed."""
    asked = await read(request, wire.AcquireLock)
    space = chosen(sender, namespace)
    refuse_unless(sender, Right.OPERATE, space)
    held = await _remote(server.session, space).acquire(
        name,
        asked.holder,
        ttl_seconds=asked.ttl,
        mode=asked.mode,
        limit=asked.limit,
        nonce=asked.nonce,
        metadata=asked.metadata | {"by": actor(sender)},
    )
    return answer(_held(held))


@router.post("/renew", **documented(wire.Renewal, takes=wire.GrantNumber, problems=(415,)))
async def renew_lock(
    request: Request, sender: Sender, server: Server, name: NameQuery, namespace: NamespaceQuery = None
) -> Response:
    """Keep a lock for its time from now on. `held` false: it is lost; stop at once."""
    asked = await read(request, wire.GrantNumber)
    space = chosen(sender, namespace)
    refuse_unless(sender, Right.OPERATE, space)
    return answer(wire.Renewal(held=await _remote(server.session, space).renew(name, asked.holder, asked.fence)))


@router.post("/release", **documented(wire.Renewal, takes=wire.GrantNumber, problems=(404, 409, 415)))
async def release_lock(
    request: Request, sender: Sender, server: Server, name: NameQuery, namespace: NamespaceQuery = None
) -> Response:
    """Free a lock that `holder` has under `fence`."""
    asked = await read(request, wire.GrantNumber)
    space = chosen(sender, namespace)
    refuse_unless(sender, Right.OPERATE, space)
    await _remote(server.session, space).release(name, asked.holder, asked.fence)
    return answer(wire.Renewal(held=False))


@router.post("/release-all", **documented(wire.Freed))
async def release_locks(
    sender: Sender,
    server: Server,
    holder: Annotated[str, Query(min_length=1, max_length=200, description="Whose locks.")],
    namespace: NamespaceQuery = None,
) -> Response:
    """Free every lock of a holder, who learns it at the next renewal."""
    space = chosen(sender, namespace)
    refuse_unless(sender, Right.OPERATE, space)
    return answer(wire.Freed(count=await _manager(server.session, space).release_worker_locks(holder)))


@router.post("/clear", **documented(wire.Freed))
async def clear_locks(sender: Sender, server: Server, namespace: NamespaceQuery = None) -> Response:
    """Forget the grants whose time is over. They are free already: this only tidies the list."""
    space = chosen(sender, namespace)
    refuse_unless(sender, Right.OPERATE, space)
    return answer(wire.Freed(count=await _manager(server.session, space).cleanup_stale_locks()))


def _held(held: Held) -> wire.HeldLock:
    return wire.HeldLock(
        name=held.name,
        holder=held.holder,
        fence=held.fence,
        mode=str(held.mode),
        limit=held.limit,
        acquired_at=held.acquired_at,
        expires_at=held.expires_at,
        ttl=held.ttl_seconds,
        metadata=dict(held.metadata),
    )
