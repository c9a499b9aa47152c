"""Pools over HTTP: what is taken of each, and whether it takes tasks."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request
from starlette.responses import Response

from interlock.app import tasks_told
from interlock.app.declarers import live_nodes
from interlock.app.steering import Steering
from interlock.model.access import Right
from interlock.server.access import Sender, refuse_unless
from interlock.server.bodies import answer, read
from interlock.server.documented import documented
from interlock.server.routes.asking import Server
from interlock.store.ports import PoolState
from interlock.wire import graphs as wire

router = APIRouter(prefix="/api/v1/pools", tags=["pools"])

PoolPath = Annotated[str, Path(min_length=1, max_length=200, description="The pool's name.")]


@router.get("", **documented(wire.Pools))
async def list_pools(sender: Sender, server: Server) -> Response:
    """List the pools: what is taken of each, and what is wrong with it."""
    refuse_unless(sender, Right.READ, None)
    session = server.session
    return answer(tasks_told.pools(await session.store.pools.all(), await live_nodes(session.store, session.clock)))


@router.post("/policy", **documented(wire.PolicyChosen, takes=wire.ChoosePolicy, problems=(400, 409)))
async def choose_policy(sender: Sender, server: Server, request: Request) -> Response:
    """Order all tasks by another scheduling policy, those that wait already too; null: by the configured one."""
    refuse_unless(sender, Right.ADMINISTER, None)
    asked = await read(request, wire.ChoosePolicy)
    session = server.session
    return answer(tasks_told.chosen(await Steering(session.store, session.clock).order(asked.policy)))


@router.post("/{pool}/enable", **documented(wire.PoolMoved, problems=(404,)))
async def enable_pool(sender: Sender, server: Server, pool: PoolPath) -> Response:
    """Let a pool have tasks again."""
    return await _moved(sender, server, pool, PoolState.ENABLED)


@router.post("/{pool}/disable", **documented(wire.PoolMoved, problems=(404,)))
async def disable_pool(sender: Sender, server: Server, pool: PoolPath) -> Response:
    """Give a pool no new tasks; what runs there goes on."""
    return await _moved(sender, server, pool, PoolState.DISABLED)


@router.post("/{pool}/drain", **documented(wire.PoolMoved, problems=(404,)))
async def drain_pool(sender: Sender, server: Server, pool: PoolPath) -> Response:
    """Give a pool no new tasks, since it is about to go."""
    return await _moved(sender, server, pool, PoolState.DRAINING)


async def _moved(sender: Sender, server: Server, pool: str, state: PoolState) -> Response:
    refuse_unless(sender, Right.ADMINISTER, None)
    session = server.session
    row, changed = await Steering(session.store, session.clock).move(pool, state)
    return answer(tasks_told.moved(row, changed=changed))
