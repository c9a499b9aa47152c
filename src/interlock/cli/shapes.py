"""What a server tells of workers, locks, memory, keys and deliveries (--server), as the values that a store gives."""

from __future__ import annotations

from typing import Any

import msgspec

from interlock.app.deliveries import Delivery
from interlock.coord.cell import Cell
from interlock.coord.lock import Held
from interlock.handshake.answers import Alive, Reported, TokenView
from interlock.model import json
from interlock.model.access import Role
from interlock.model.worker import Capabilities, Device, Worker, WorkerStatus
from interlock.store.ports import DeliveryState, KeyRow, LockMode, LockRow, SlotRow
from interlock.wire import coordination, events, service, tokens


def worker(told: coordination.WorkerTold) -> Worker:
    """Give a worker. Its session and its fence are its own, and not told."""
    return Worker(
        id=told.worker,
        session="",
        status=WorkerStatus(told.status),
        host=told.host,
        pid=told.pid,
        capacity=told.capacity,
        active=told.active,
        capabilities=Capabilities(
            task_types=frozenset(told.task_types),
            skills=frozenset(told.skills),
            cpu_cores=told.cpu_cores,
            memory_mb=told.memory_mb,
            region=told.region,
        ),
        metadata=told.metadata,
        device=msgspec.convert(told.device, Device),
        registered_at=told.registered_at,
        ended_at=told.ended_at,
        heard_at=told.heard_at,
        silent_seconds=told.silent_seconds,
        may_be_silent_seconds=told.may_be_silent_seconds,
        assigned=told.assigned,
        succeeded=told.succeeded,
        failed=told.failed,
        busy_seconds=told.busy_seconds,
        since_failure_seconds=told.since_failure_seconds,
    )


def slot(told: coordination.SlotTold, worker: str) -> SlotRow:
    """Give a task that a worker was given, as far as it is told."""
    return SlotRow(
        task=told.task, worker=worker, session="", fence=0, started=told.started, reserved_at=told.since, detail=b"null"
    )


def held(told: coordination.HeldLock) -> Held:
    """Give a grant of a lock. Its namespace and its session are not told."""
    return Held(
        LockRow(
            namespace="",
            name=told.name,
            holder=told.holder,
            session="",
            mode=LockMode(told.mode),
            limit=told.limit,
            fence=told.fence,
            granted_at=told.acquired_at,
            expires_at=told.expires_at,
            ttl_seconds=told.ttl,
            metadata=json.encode(told.metadata),
        )
    )


def cell(told: coordination.CellTold) -> Cell:
    """Give a value of shared memory, with what there is to know of it."""
    return Cell(**msgspec.structs.asdict(told), is_deleted=False)


def key(told: service.KeyTold) -> KeyRow:
    """Give a key; of its secret nothing is told."""
    return KeyRow(
        id=told.id,
        name=told.name,
        digest="",
        role=Role(told.role),
        namespaces=told.namespaces,
        created_at=told.created_at,
        created_by=told.created_by,
        expires_at=told.expires_at,
        revoked_at=told.revoked_at,
    )


def delivery(told: events.DeliveryTold) -> Delivery:
    """Give a delivery without its sendings."""
    fields = {name: getattr(told, name) for name in events.DeliveryTold.__struct_fields__}
    return Delivery(**fields | {"state": DeliveryState(told.state)})


def view(told: tokens.TokenTold) -> TokenView:
    """Give how a token stands."""
    return TokenView(**_of_run(told) | {"operations": tuple(told.operations)})


def reported(told: tokens.Reported) -> Reported:
    """Give what became of a report."""
    return Reported(**_of_run(told))


def alive(told: tokens.Heard) -> Alive:
    """Give the answer to a sign of life."""
    return Alive(**_of_run(told))


def _of_run(told: tokens.TokenTold | tokens.Reported | tokens.Heard) -> dict[str, Any]:
    """Give fields with the names that they have in the store: `run` is a key there."""
    fields = msgspec.structs.asdict(told)
    return fields | {"run": fields.pop("key"), "run_id": fields["run"]}
