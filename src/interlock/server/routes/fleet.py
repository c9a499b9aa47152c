"""Workers and nodes over HTTP."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import msgspec
from fastapi import APIRouter, Path, Query
from starlette.responses import Response

from interlock import errors
from interlock.app.standing import standing
from interlock.coord.workers import WorkerRegistry
from interlock.model import json
from interlock.model.access import Right
from interlock.model.worker import Worker, WorkerStatus
from interlock.server.access import Sender, refuse_unless
from interlock.server.bodies import answer
from interlock.server.documented import documented
from interlock.server.routes.asking import NumberQuery, Server
from interlock.store.ports import NodeState
from interlock.wire import coordination as wire

router = APIRouter(prefix="/api/v1", tags=["fleet"])

IdPath = Annotated[str, Path(min_length=1, max_length=200)]


@router.get("/workers", **documented(wire.Workers))
async def list_workers(
    sender: Sender,
    server: Server,
    status: Annotated[list[WorkerStatus] | None, Query(description="Only those that stand so.")] = None,
    free: Annotated[bool, Query(description="Only those that take a task now.")] = False,
    type: Annotated[str | None, Query(max_length=200, description="Only those that take such tasks.")] = None,
    skill: Annotated[list[str] | None, Query(max_length=100, description="Only those that have all of these.")] = None,
    region: Annotated[str | None, Query(max_length=200)] = None,
) -> Response:
    """List the workers of the store: how they stand, what they can do."""
    refuse_unless(sender, Right.READ, None)
    session = server.session
    found = await WorkerRegistry(session.store, session.clock).list_workers(
        status or None,
        has_capacity=True if free else None,
        task_type=type,
        capabilities=frozenset(skill or ()),
        region=region,
    )
    return answer(wire.Workers(items=[_worker(each) for each in found]))


@router.get("/worker-events", **documented(wire.WorkerHistory))
async def worker_events(
    sender: Sender, server: Server, after: NumberQuery = 0, limit: Annotated[int, Query(ge=1, le=10_000)] = 100
) -> Response:
    """List what became of workers in the last day, the oldest first."""
    refuse_unless(sender, Right.READ, None)
    session = server.session
    found = await WorkerRegistry(session.store, session.clock).events(after, limit)
    items = [
        wire.WorkerHappened(
            number=each.number,
            at=each.at,
            worker=each.worker,
            kind=each.kind,
            detail=json.decode(each.detail or b"null"),
        )
        for each in found
    ]
    return answer(wire.WorkerHistory(items=items))


@router.get("/workers/{worker}", **documented(wire.WorkerWhole, problems=(404,)))
async def get_worker(sender: Sender, server: Server, worker: IdPath) -> Response:
    """Show a worker."""
    refuse_unless(sender, Right.READ, None)
    session = server.session
    found = await WorkerRegistry(session.store, session.clock).get_worker(worker)
    if found is None:
        raise errors.NotFound(f"there is no worker {worker!r}; GET /api/v1/workers lists those there are")
    slots = await session.store.workers.slots(worker)
    tasks = [wire.SlotTold(task=each.task, started=each.started, since=each.reserved_at) for each in slots]
    return answer(wire.WorkerWhole(**msgspec.structs.asdict(_worker(found)), tasks=tasks))


@router.post("/workers/{worker}/drain", **documented(wire.WorkerTold, problems=(404, 409)))
async def drain_worker(sender: Sender, server: Server, worker: IdPath) -> Response:
    """Let a worker take no new tasks."""
    return await _moved(sender, server, worker, WorkerStatus.DRAINING)


@router.post("/workers/{worker}/undrain", **documented(wire.WorkerTold, problems=(404, 409)))
async def undrain_worker(sender: Sender, server: Server, worker: IdPath) -> Response:
    """Let a worker that drains take tasks again."""
    return await _moved(sender, server, worker, WorkerStatus.ACTIVE)


async def _moved(sender: Sender, server: Server, worker: str, wanted: WorkerStatus) -> Response:
    refuse_unless(sender, Right.ADMINISTER, None)
    session = server.session
    registry = WorkerRegistry(session.store, session.clock)
    if await registry.get_worker(worker) is None:
        raise errors.NotFound(f"there is no worker {worker!r}; GET /api/v1/workers lists those there are")
    return answer(_worker(await registry.update_status(worker, wanted)))


def _worker(worker: Worker) -> wire.WorkerTold:
    able = worker.capabilities
    return wire.WorkerTold(
        worker=worker.id,
        status=str(worker.status),
        host=worker.host,
        pid=worker.pid,
        capacity=worker.capacity,
        active=worker.active,
        free=worker.free,
        task_types=sorted(able.task_types),
        skills=sorted(able.skills),
        region=able.region,
        heard_at=worker.heard_at,
        registered_at=worker.registered_at,
        metadata=dict(worker.metadata),
        cpu_cores=able.cpu_cores,
        memory_mb=able.memory_mb,
        device=asdict(worker.device),
        silent_seconds=worker.silent_seconds,
        may_be_silent_seconds=worker.may_be_silent_seconds,
        ended_at=worker.ended_at,
        succeeded=worker.succeeded,
        failed=worker.failed,
        busy_seconds=worker.busy_seconds,
        assigned=worker.assigned,
        since_failure_seconds=worker.since_failure_seconds,
    )


@router.get("/nodes", **documented(wire.Nodes))
async def list_nodes(sender: Sender, server: Server) -> Response:
    """List the processes that share the store, those that left today too."""
    refuse_unless(sender, Right.READ, None)
    session = server.session
    await session.sweep()
    states = await session.store.nodes.states(session.clock.stamp())
    return answer(wire.Nodes(items=[_node(each) for each in states]))


@router.post("/nodes/{node}/drain", **documented(wire.Nodes, problems=(404,)))
async def drain_node(sender: Sender, server: Server, node: IdPath) -> Response:
    """Ask a node to claim nothing more, finish what it does, and leave."""
    refuse_unless(sender, Right.ADMINISTER, None)
    session = server.session
    states = [
        each
        for each in await session.store.nodes.states(session.clock.stamp())
        if each.node.node == node and each.left_at is None
    ]
    if not states:
        raise errors.NotFound(f"no live node is {node!r}; GET /api/v1/nodes lists them")
    await session.store.nodes.drain(node, session.clock.now())
    return answer(wire.Nodes(items=[_node(each) for each in states]))


def _node(state: NodeState) -> wire.NodeTold:
    row = state.node
    return wire.NodeTold(
        node=row.node,
        host=row.host,
        pid=row.pid,
        roles=row.roles.split(","),
        version=row.version,
        state=standing(state),
        runs=state.runs,
        attempts=state.attempts,
        since=row.joined_at,
        pinned=row.pinned,
        unready=list(state.unready),
        refusals=dict(state.refusals),
        left=state.left_at,
    )
