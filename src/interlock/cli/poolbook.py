"""Performs the commands about pools."""

from __future__ import annotations

import asyncio
from typing import Final
from urllib.parse import quote

from interlock import errors
from interlock.app import tasks_told
from interlock.app.opened import Opened
from interlock.app.steering import Steering
from interlock.cli import context, far, glyphs
from interlock.cli.options import options
from interlock.cli.output import answer, note
from interlock.model import json
from interlock.store.ports import PoolState
from interlock.wire import graphs as wire

_LOOK_SECONDS: Final = 0.5
_ACTIONS: Final = {PoolState.ENABLED: "enable", PoolState.DISABLED: "disable", PoolState.DRAINING: "drain"}


async def listed(*, as_json: bool) -> int:
    """List the pools with what is taken of each."""
    found = await _pools()
    if as_json:
        answer(json.encode(found.items).decode())
        return 0
    if found.capacity is not None:
        answer(f"all together  {found.running} of {found.capacity}")
    for pool in found.items:
        answer(f"{pool.pool:<16} {pool.type:<14} {pool.state:<9} {_taken(pool)}")
        for ill in pool.ills:
            answer(f"{'':<16} ill at {ill.node}: {ill.reason}")
        for warning in pool.warnings:
            answer(f"{'':<16} quota reached: {warning}")
    if not found.items:
        note("no node has declared a pool yet; `interlock node` or `interlock up` does")
    return 0


async def _pools() -> wire.Pools:
    if options.server is not None:
        async with far.opened() as server:
            return await server.ask(wire.Pools, "GET", "/pools")
    async with context.existing(Opened) as app:
        return tasks_told.pools(await app.store.pools.all())


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
    async with context.existing(Opened) as app:
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
