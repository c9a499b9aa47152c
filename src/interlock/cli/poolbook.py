"""Performs the commands about pools."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote

from interlock import errors
from interlock.app import tasks_told
from interlock.app.declarers import live_nodes
from interlock.app.opened import Opened
from interlock.app.steering import Steering
from interlock.cli import context, far, glyphs
from interlock.cli.options import options
from interlock.cli.output import answer, note
from interlock.model import json
from interlock.store.ports import PoolState
from interlock.wire import graphs as wire

CONFIGURED: Final = "configured"
"""Names the policy of the configuration."""
_LOOK_SECONDS: Final = 0.5
_LONG_SECONDS: Final = 600.0  # of a request about every task there is
_ACTIONS: Final = {PoolState.ENABLED: "enable", PoolState.DISABLED: "disable", PoolState.DRAINING: "drain"}
_MADE_BY: Final = "interlock node"
"""What makes the store that a command about pools does not find."""


async def listed(*, as_json: bool) -> int:
    """List the pools with what is taken of each."""
    found = await _pools()
    if as_json:
        answer(json.encode(found.items).decode())
        return 0
    if found.items:
        answer(f"policy        {_order(found.policy, found.configured)}")
    if found.capacity is not None:
        answer(f"all together  {found.running} of {found.capacity}")
    for pool in found.items:
        answer(f"{pool.pool:<16} {pool.type:<14} {pool.state:<9} {_taken(pool)}")
        if not pool.served:
            answer(f"{'':<16} no live node has it in its agent-pools.yaml")
        for ill in pool.ills:
            again = datetime.fromtimestamp(ill.again_at, UTC).strftime("%Y-%m-%d %H:%M:%S")
            answer(f"{'':<16} ill at {ill.node}: {ill.reason}; tried again by {again}")
        for warning in pool.warnings:
            answer(f"{'':<16} quota reached: {warning}")
    if not found.items:
        note("no node has declared a pool yet; `interlock node` or `interlock up` does")
    return 0


async def _pools() -> wire.Pools:
    if options.server is not None:
        async with far.opened() as server:
            return await server.ask(wire.Pools, "GET", "/pools")
    async with context.existing(Opened, made_by=_MADE_BY) as app:
        return tasks_told.pools(await app.store.pools.all(), await live_nodes(app.store, app.clock))


def _taken(pool: wire.PoolTold) -> str:
    parts = [f"{pool.running} running" if pool.capacity is None else f"{pool.running} of {pool.capacity} slots"]
    if pool.cpu is not None:
        parts.append(f"{pool.cpu_taken:g} of {pool.cpu:g} cores")
    if pool.memory is not None:
        parts.append(f"{pool.memory_taken:g} of {pool.memory:g} MB")
    if pool.gpus:
        parts.append(f"{len(pool.devices_taken)} of {pool.gpus} graphics processors")
    if pool.routed:
        parts.append(f"{glyphs.counted(pool.routed, 'task')} left to its workers")
    return ", ".join(parts)


def _order(policy: str, configured: str) -> str:
    return policy if policy == configured else f"{policy}, chosen at run time; the configuration says {configured}"


async def policy(name: str | None, *, as_json: bool) -> int:
    """Order all tasks by a policy, or say which one is in force. Raises Invalid, Conflict before there are pools."""
    if name is None:
        found = await _pools()
        told = {"policy": found.policy, "configured": found.configured}
        answer(json.encode(told).decode() if as_json else _order(found.policy, found.configured))
        return 0
    done = await _chosen(None if name == CONFIGURED else name)
    if as_json:
        answer(json.encode(done).decode())
        return 0
    more = f"; {glyphs.counted(done.stamped, 'task')} got a new place" if done.changed else ", as before"
    note(f"tasks are ordered by {done.policy}{more}")
    return 0


async def _chosen(name: str | None) -> wire.PolicyChosen:
    if options.server is not None:
        body = wire.ChoosePolicy(policy=name)
        async with far.opened() as server:
            return await server.ask(
                wire.PolicyChosen, "POST", "/pools/policy", body=body, safe=True, timeout=_LONG_SECONDS
            )
    async with context.existing(Opened, made_by=_MADE_BY) as app:
        return tasks_told.chosen(await Steering(app.store, app.clock).order(name))


async def enable(pool: str) -> int:
    """Let a pool have tasks again. Raises NotFound."""
    return await _set(pool, PoolState.ENABLED, "takes tasks")


async def disable(pool: str) -> int:
    """Give a pool no new tasks. Raises NotFound."""
    return await _set(pool, PoolState.DISABLED, "takes no new tasks")


async def _set(pool: str, state: PoolState, words: str) -> int:
    moved = await _moved(pool, state)
    note(f"the pool {pool} {words}{'' if moved.changed else ', as before'}")
    return 0


async def _moved(pool: str, state: PoolState) -> wire.PoolMoved:
    if options.server is not None:
        path = f"/pools/{quote(pool, safe='')}/{_ACTIONS[state]}"
        async with far.opened() as server:
            return await server.ask(wire.PoolMoved, "POST", path, safe=True)
    async with context.existing(Opened, made_by=_MADE_BY) as app:
        row, changed = await Steering(app.store, app.clock).move(pool, state)
        return tasks_told.moved(row, changed=changed)


async def drain(pool: str, *, wait: bool) -> int:
    """Give a pool no new tasks, and wait until it is empty. Raises NotFound."""
    running = (await _moved(pool, PoolState.DRAINING)).running
    while wait and running:
        await asyncio.sleep(_LOOK_SECONDS)
        running = await _running(pool)
    note(f"the pool {pool} takes no new tasks; {glyphs.counted(running, 'task')} still run there")
    return 0


async def _running(pool: str) -> int:
    """Give how many tasks run in a pool. Raises NotFound for one that was forgotten meanwhile."""
    for each in (await _pools()).items:
        if each.pool == pool:
            return each.running
    raise errors.NotFound(f"there is no pool {pool!r} any more")
