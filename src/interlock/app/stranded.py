"""Runs that nobody executes: since when, why, and the command that helps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from interlock.app.roles import DISPATCHER, ENGINE
from interlock.coord.workers import WorkerRegistry
from interlock.decisions import steps
from interlock.dispatch.lanes import PREFIX as OF_GRAPHS
from interlock.dispatch.lanes import SERVES
from interlock.engine import identity
from interlock.model.worker import WorkerStatus
from interlock.service import Clock
from interlock.store.ports import NodeState, PoolRow, RunRow, Store

SECONDS: Final = 60.0
"""A run that nobody executes for longer is stranded: a live node would have claimed it long ago."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stranded:
    """`since`: when it was freed, or its node was heard of last."""

    row: RunRow
    since: float
    reason: str
    command: str


async def find(store: Store, clock: Clock, limit: int) -> list[Stranded]:
    """Give the stranded runs, newest first."""
    return [each for each in await unattended(store, clock, limit) if clock.now() - each.since >= SECONDS]


async def unattended(store: Store, clock: Clock, limit: int) -> list[Stranded]:
    """Give the live runs that no node executes at this moment, newest first: nobody owns them, or serves their tasks."""
    now = clock.now()
    rows = await store.views.unattended(clock.stamp(), limit)
    nodes = await servers(store, clock) if rows else []
    found = [explained(row, now - idle_seconds, nodes) for row, idle_seconds in rows]
    found += await _undispatched(store, clock, limit)
    found += await _without_workers(store, clock, limit)
    return sorted(found, key=lambda each: each.row.run, reverse=True)[:limit]


async def _undispatched(store: Store, clock: Clock, limit: int) -> list[Stranded]:
    """Give the live runs whose commands and scripts nobody performs; a node that serves its own runs performs theirs."""
    alive = await _alive(store, clock)
    serving = [state for state in alive if DISPATCHER in state.node.roles.split(",")]
    if any(not state.node.pinned for state in serving):
        return []
    left_alone = {state.node.node for state in alive} - {state.node.node for state in serving}
    return [
        Stranded(
            row=row,
            since=clock.now() - idle_seconds,
            reason=f"its commands and scripts wait: no live node has the role {DISPATCHER}",
            command=f"`interlock node --roles {DISPATCHER}` performs them",
        )
        for row, idle_seconds in await store.views.undispatched(steps.LOCAL, clock.stamp(), limit)
        if row.owner in left_alone
    ]


async def _without_workers(store: Store, clock: Clock, limit: int) -> list[Stranded]:
    """Give the live runs with a task for a pool that nobody serves, or that cannot have it."""
    lanes = [pool for pool in await store.views.waiting_pools() if pool not in steps.NODE_POOLS]
    lanes = [lane for lane in lanes if lane.startswith(steps.PREFIX) or not lane.startswith(OF_GRAPHS)]
    if not lanes:
        return []
    present = await WorkerRegistry(store, clock).list_workers({WorkerStatus.ACTIVE, WorkerStatus.BUSY})
    served = {worker.metadata.get(SERVES) for worker in present}
    rows = {row.pool: row for row in await store.pools.all()}
    is_placing = bool(await servers(store, clock, DISPATCHER))
    found: list[Stranded] = []
    for lane in lanes:
        if lane in served:
            continue
        told: dict[str, tuple[str, str]] = {}
        if is_configured(lane, rows):
            from interlock.app import unplaced  # noqa: PLC0415 (start-up: seldom does a step wait for such a pool)

            for each in await unplaced.find(store, clock, lane, rows, is_placing=is_placing):
                told.setdefault(each.run_id, (each.reason, each.command))
            if not told:
                continue
        reason = f"its tasks wait for the pool {lane}: no live worker takes the tasks of that"
        command = f"`interlock worker --pool {lane}` does, or a node whose agent-pools.yaml has a pool {lane}"
        for row, idle_seconds in await store.views.undispatched(lane, clock.stamp(), limit):
            if told and row.id not in told:
                continue
            because, helps = told.get(row.id, (reason, command))
            found.append(Stranded(row=row, since=clock.now() - idle_seconds, reason=because, command=helps))
    return found


def is_configured(lane: str, rows: Mapping[str, PoolRow]) -> bool:
    """Say whether a lane is one that nodes with a configuration serve, other than workers. `rows`: the pools, by name."""
    row = rows.get(lane)
    return lane.startswith(steps.PREFIX) or (row is not None and row.type != "worker")


async def servers(store: Store, clock: Clock, role: str = ENGINE) -> list[NodeState]:
    """Give the nodes that are alive, do not drain, and have a role for the runs of others."""
    return [
        state for state in await _alive(store, clock) if not state.node.pinned and role in state.node.roles.split(",")
    ]


async def _alive(store: Store, clock: Clock) -> list[NodeState]:
    return [
        state
        for state in await store.nodes.states(clock.stamp())
        if state.lease_seconds is not None
        and state.lease_seconds > 0
        and state.drain_at is None
        and not identity.is_dead(state.node)
    ]


def serves(nodes: Sequence[NodeState], row: RunRow) -> bool:
    """Say whether one of these nodes owns a run or can be expected to claim it."""
    if row.owner is not None:
        return any(state.node.node == row.owner for state in nodes)
    return any(row.definition not in state.refusals for state in nodes)


def explained(row: RunRow, since: float, nodes: Sequence[NodeState]) -> Stranded:
    """Say why none of the live nodes executes a run, and what helps."""
    here = f"`interlock resume {row.id}` goes on with it here"
    if not nodes:
        reason, command = f"no live node has the role {ENGINE}", f"{here}, `interlock node` with every run"
    elif all(row.definition in state.refusals for state in nodes):
        reason = "; ".join(
            f"node {state.node.node[:13]} on {state.node.host} refused it: {state.refusals[row.definition]}"
            for state in nodes
        )
        command = f"{_cure(reason)}, or {here}"
    else:
        reason = "the live nodes have as many runs as engine.max_runs allows"
        command = "start another `interlock node`, or raise engine.max_runs"
    return Stranded(row=row, since=since, reason=reason, command=command)


def _cure(reason: str) -> str:
    if "python.allow" in reason:
        return "name the module in python.allow and start the node again"
    if "python.functions" in reason:
        return "name the function in python.functions and start the node again"
    if "import" in reason or "function" in reason:
        return "install what the node lacks and start it again"
    return "upgrade the nodes to the version that stored the definition"
