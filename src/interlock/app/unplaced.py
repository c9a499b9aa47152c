"""Steps and tasks that wait for pools of a configuration which cannot have them as things are: which, why, and what helps."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from interlock.app.declared import Declared
from interlock.app.declarers import live_nodes, standing
from interlock.app.tasks import pool_view
from interlock.decisions import obstacles, steps
from interlock.decisions import pools as choosing
from interlock.dispatch.lanes import PREFIX
from interlock.model.task_graph import TaskSpec
from interlock.service import Clock
from interlock.store.ports import ALL, PoolRow, PoolState, QueuedStep, Store

_LANES: Final = 1000
"""Kinds of tasks that are looked at: those of one lane ask for the same."""
_HEADS: Final = 100
"""Steps of one lane that are looked at: one that can never run stands behind no more of its kind."""


@dataclass(frozen=True, slots=True)
class Unplaced:
    """A step that waits. `run_id`: its run, as people name it."""

    run_id: str
    reason: str
    command: str


async def find(
    store: Store, clock: Clock, lane: str, rows: Mapping[str, PoolRow], *, is_placing: bool
) -> list[Unplaced]:
    """Give the steps of a lane that no pool can have until somebody changes something; one for which there is only no room
    now is none. `is_placing`: some node places."""
    pools = {name: row for name, row in rows.items() if name != ALL}
    types = {name: row.type for name, row in pools.items()}
    declared = msgspec.json.decode(rows[ALL].settings, type=Declared) if ALL in rows else Declared(mapping={})
    live = await live_nodes(store, clock)
    there = {row.pool: row for row in standing(pools.values(), live)}
    found = []
    for step in await store.pools.steps(lane, _HEADS):
        spec = steps.spec(step.task, step.target, step.requires)
        asked = choosing.preferred(steps.asked(lane, spec, types, declared.mapping), failover=declared.failover)
        told = [_told(name, spec, there.get(name), clock.now(), live) for name in asked.pools]
        if all(told) and is_placing:
            found.append(_unplaced(step, [each for each in told if each], asked.warning))
        elif not is_placing:
            found.append(_nobody(step, asked))
    return found


async def tasks(store: Store, clock: Clock) -> list[tuple[str, str]]:
    """Give one task of each kind that no pool can have until somebody changes something, with that. None before a node has
    declared its pools: nobody knows then what there will be."""
    rows = {row.pool: row for row in await store.pools.all()}
    if ALL not in rows:
        return []
    declared = msgspec.json.decode(rows[ALL].settings, type=Declared)
    live = await live_nodes(store, clock)
    pools = {row.pool: pool_view(row, clock.now(), live) for row in standing(rows.values(), live) if row.pool != ALL}
    lanes = [each for each in await store.pools.lanes(PREFIX, _LANES) if each.startswith(PREFIX)]
    found = []
    for heads in (await store.pools.heads([each for each in lanes if not each.startswith(steps.PREFIX)], 1)).values():
        asked = choosing.preferred(choosing.asked(heads[0].spec, declared.mapping), failover=declared.failover)
        warning = obstacles.standing(heads[0].spec, asked, pools, ills=True)
        if warning is not None:
            found.append((heads[0].task, warning))
    return found


def _nobody(step: QueuedStep, asked: choosing.Asked) -> Unplaced:
    reason = f"its step {step.path} has no place ({asked.how}): no live node places steps in pools"
    return Unplaced(step.run_id, reason, "`interlock node` does, where agent-pools.yaml has such a pool")


def _unplaced(step: QueuedStep, told: Sequence[tuple[str, str]], warning: str | None) -> Unplaced:
    reasons = "; ".join(reason for reason, _ in told) or warning
    command = told[0][1] if told else "do that, and start the nodes again"
    return Unplaced(step.run_id, f"its step {step.path} has no place: {reasons}", command)


def _told(name: str, spec: TaskSpec, row: PoolRow | None, now: float, live: Collection[str]) -> tuple[str, str] | None:
    """Say why a pool cannot have a step, and what helps; None: it can, now or when there is room."""
    if row is None:
        reason = f"the pool {name} is not configured"
        return reason, f"add a pool {name} to agent-pools.yaml and start the nodes again"
    pool = pool_view(row, now, live)
    if (never := choosing.never(spec, pool)) is not None:
        return f"the pool {name} {never}", "name another pool, or change this one in agent-pools.yaml"
    if row.state is not PoolState.ENABLED:
        return f"the pool {name} is {row.state}", f"`interlock pools enable {name}` lets it have tasks again"
    if pool.ill is not None:
        return f"the pool {name} is ill: {pool.ill}", "`interlock pools list` shows when it is tried again"
    return None
