"""Performs the commands about pools."""

from __future__ import annotations

import asyncio
from typing import Final

from interlock import errors
from interlock.cli import context, glyphs
from interlock.cli.output import answer, note
from interlock.flow import nearest
from interlock.model import json
from interlock.model.json import Json
from interlock.store.ports import ALL, PoolRow, PoolState, Store

_LOOK_SECONDS: Final = 0.5


async def listed(*, as_json: bool) -> int:
    """List the pools with what is taken of each."""
    async with context.existing() as app:
        rows = await app.store.pools.all()
    if as_json:
        answer(json.encode([_described(row) for row in rows if row.pool != ALL]).decode())
        return 0
    for row in rows:
        if row.pool == ALL:
            if row.capacity is not None:
                answer(f"all together  {row.running} of {row.capacity}")
            continue
        answer(f"{row.pool:<16} {row.type:<14} {row.state:<9} {_taken(row)}")
        for ill in row.ills:
            answer(f"{'':<16} ill at {ill.node}: {ill.reason}")
    if not rows:
        note("no node has declared a pool yet; `interlock node` or `interlock up` does")
    return 0


def _taken(row: PoolRow) -> str:
    parts = [f"{row.running} running" if row.capacity is None else f"{row.running} of {row.capacity} slots"]
    if row.cpu is not None:
        parts.append(f"{row.cpu_taken:g} of {row.cpu:g} cores")
    if row.memory is not None:
        parts.append(f"{row.memory_taken:g} of {row.memory:g} MB")
    if row.gpus:
        parts.append(f"{len(row.devices_taken)} of {row.gpus} graphics processors")
    if row.routed:
        parts.append(f"{glyphs.counted(row.routed, 'task')} left to its workers")
    return ", ".join(parts)


def _described(row: PoolRow) -> dict[str, Json]:
    return {
        "pool": row.pool,
        "type": row.type,
        "state": str(row.state),
        "running": row.running,
        "capacity": row.capacity,
        "cpu": row.cpu,
        "cpu_taken": row.cpu_taken,
        "memory": row.memory,
        "memory_taken": row.memory_taken,
        "gpus": row.gpus,
        "devices_taken": list(row.devices_taken),
        "placed": row.turn,
        "ills": [{"node": ill.node, "reason": ill.reason, "again_at": ill.again_at} for ill in row.ills],
    }


async def enable(pool: str) -> int:
    """Let a pool have tasks again. Raises NotFound."""
    return await _set(pool, PoolState.ENABLED, "takes tasks")


async def disable(pool: str) -> int:
    """Give a pool no new tasks. Raises NotFound."""
    return await _set(pool, PoolState.DISABLED, "takes no new tasks")


async def _set(pool: str, state: PoolState, words: str) -> int:
    async with context.existing() as app:
        await _there(app.store, pool)
        changed = await app.store.pools.set_state(pool, state)
    note(f"the pool {pool} {words}{'' if changed else ', as before'}")
    return 0


async def _there(store: Store, pool: str) -> PoolRow:
    rows = {row.pool: row for row in await store.pools.all() if row.pool != ALL}
    if pool not in rows:
        near = nearest.name(pool, list(rows))
        advice = f"; did you mean {near!r}?" if near else "; `interlock pools list` shows those there are"
        raise errors.NotFound(f"there is no pool {pool!r}{advice}")
    return rows[pool]


async def drain(pool: str, *, wait: bool) -> int:
    """Give a pool no new tasks, and wait until it is empty. Raises NotFound."""
    async with context.existing() as app:
        row = await _there(app.store, pool)
        await app.store.pools.set_state(pool, PoolState.DRAINING)
        while wait and row.running:
            await asyncio.sleep(_LOOK_SECONDS)
            row = await _there(app.store, pool)
    note(f"the pool {pool} takes no new tasks; {glyphs.counted(row.running, 'task')} still run there")
    return 0
