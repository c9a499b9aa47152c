"""Performs the commands about workers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from interlock import errors
from interlock.app.opened import Opened
from interlock.cli import context, far, glyphs, shapes
from interlock.cli.options import options
from interlock.cli.output import answer, note
from interlock.coord.workers import WorkerRegistry
from interlock.decisions import scores
from interlock.model import duration, json
from interlock.model.json import Json
from interlock.model.worker import Worker, WorkerStatus
from interlock.store.ports import SlotRow
from interlock.wire import coordination as wire


async def listed(
    statuses: Sequence[str], *, free: bool, type: str | None, skills: Sequence[str], region: str | None, as_json: bool
) -> int:
    """List workers that fit all that is asked. Raises Invalid."""
    wanted = [_status(status) for status in statuses] or None
    if options.server is not None:
        query: dict[str, Json] = {
            "status": [str(each) for each in wanted or ()] or None,
            "free": "true" if free else None,
            "type": type,
            "skill": [*skills] or None,
            "region": region,
        }
        async with far.opened() as server:
            told = await server.ask(wire.Workers, "GET", "/workers", query=query)
        found = [shapes.worker(each) for each in told.items]
    else:
        async with context.existing(Opened) as app:
            found = await WorkerRegistry(app.store, app.clock).list_workers(
                wanted,
                has_capacity=True if free else None,
                task_type=type,
                capabilities=frozenset(skills),
                region=region,
            )
    if as_json:
        answer(json.encode([_described(worker) for worker in found]).decode())
    elif found:
        _table(found)
    else:
        note("no worker fits" if wanted or free or type or skills or region else "no worker is registered")
    return 0


async def show(id: str, *, as_json: bool) -> int:
    """Show one worker. Raises NotFound."""
    worker, slots = await _whole(id)
    if as_json:
        tasks = [{"task": slot.task, "started": slot.started, "since": slot.reserved_at} for slot in slots]
        answer(json.encode(_described(worker) | {"tasks": tasks}).decode())
        return 0
    for name, text in _shown(worker, slots):
        answer(f"{name:<12} {text}")
    return 0


async def _whole(id: str) -> tuple[Worker, Sequence[SlotRow]]:
    """Give a worker and the tasks that it was given. Raises NotFound."""
    if options.server is not None:
        async with far.opened() as server:
            try:
                told = await server.ask(wire.WorkerWhole, "GET", f"/workers/{quote(id, safe='')}")
            except errors.NotFound:
                raise _unknown(id) from None
        return shapes.worker(told), [shapes.slot(each, id) for each in told.tasks]
    async with context.existing(Opened) as app:
        worker = await WorkerRegistry(app.store, app.clock).get_worker(id)
        slots = await app.store.workers.slots(id)
    if worker is None:
        raise _unknown(id)
    return worker, slots


async def _moved(id: str, *, undo: bool) -> Worker:
    """Let a worker drain, or take tasks again. Raises NotFound, WorkerError."""
    if options.server is not None:
        async with far.opened() as server:
            try:
                path = f"/workers/{quote(id, safe='')}/{'undrain' if undo else 'drain'}"
                return shapes.worker(await server.ask(wire.WorkerTold, "POST", path))
            except errors.NotFound:
                raise _unknown(id) from None
    async with context.existing(Opened) as app:
        registry = WorkerRegistry(app.store, app.clock)
        if await registry.get_worker(id) is None:
            raise _unknown(id)
        return await registry.update_status(id, WorkerStatus.ACTIVE if undo else WorkerStatus.DRAINING)


async def drain(id: str, *, undo: bool) -> int:
    """Let a worker take no new tasks, or take them again. Raises NotFound, WorkerError."""
    after = await _moved(id, undo=undo)
    if undo:
        note(f"the worker {id} takes tasks again")
    elif after.active:
        note(f"the worker {id} takes no new tasks; it still has {glyphs.counted(after.active, 'task')}")
    else:
        note(f"the worker {id} takes no new tasks, and has none")
    return 0


async def events(*, after: int, limit: int, as_json: bool) -> int:
    """List what became of workers."""
    found = await _happened(after, limit)
    if as_json:
        rows = [
            {"number": each.number, "at": each.at, "worker": each.worker, "kind": each.kind} | {"detail": each.detail}
            for each in found
        ]
        answer(json.encode(rows).decode())
        return 0
    for each in found:
        detail = glyphs.value(each.detail)
        answer(f"{each.number}  {_moment(each.at)}  {each.worker}  {each.kind}  {detail}".rstrip())
    if not found:
        note("nothing happened to workers in the last day")
    elif len(found) == limit:
        note(f"later ones: interlock workers events --after {found[-1].number}")
    return 0


async def _happened(after: int, limit: int) -> Sequence[wire.WorkerHappened]:
    """Give what became of workers."""
    if options.server is not None:
        async with far.opened() as server:
            query: dict[str, Json] = {"after": after, "limit": limit}
            return (await server.ask(wire.WorkerHistory, "GET", "/worker-events", query=query)).items
    async with context.existing(Opened) as app:
        found = await WorkerRegistry(app.store, app.clock).events(after, limit)
    return [
        wire.WorkerHappened(
            number=each.number,
            at=each.at,
            worker=each.worker,
            kind=each.kind,
            detail=json.decode(each.detail or b"null"),
        )
        for each in found
    ]


def _status(text: str) -> WorkerStatus:
    try:
        return WorkerStatus(text)
    except ValueError:
        raise errors.Invalid(f"{text!r} is no state of a worker; they are {', '.join(WorkerStatus)}") from None


def _unknown(id: str) -> errors.NotFound:
    return errors.NotFound(f"there is no worker {id!r}; `interlock workers list` shows those there are")


def _described(worker: Worker) -> dict[str, Any]:
    able, device = worker.capabilities, worker.device
    return {
        "worker": worker.id,
        "status": worker.status.value,
        "host": worker.host,
        "pid": worker.pid,
        "capacity": worker.capacity,
        "active": worker.active,
        "free": worker.free,
        "utilisation_percent": 100 * worker.utilisation,
        "task_types": sorted(able.task_types),
        "skills": sorted(able.skills),
        "region": able.region,
        "cpu_cores": able.cpu_cores,
        "memory_mb": able.memory_mb,
        "metadata": dict(worker.metadata),
        "health": device.health.value,
        "cpu_percent": device.cpu,
        "memory_percent": device.memory,
        "device_score": scores.device(device),
        "quality": scores.quality(scores.device(device)).value,
        "priority": scores.priority_of(worker),
        "registered": worker.registered_at,
        "heard": worker.heard_at,
        "silent_seconds": worker.silent_seconds,
        "may_be_silent_seconds": worker.may_be_silent_seconds,
        "ended": worker.ended_at,
        "succeeded": worker.succeeded,
        "failed": worker.failed,
        "average_seconds": worker.average_seconds,
    }


def _table(found: Sequence[Worker]) -> None:
    table = [("worker", "status", "tasks", "health", "cpu", "memory", "region", "host", "heard")]
    for worker in found:
        device = worker.device
        table.append(
            (
                worker.id,
                worker.status.value,
                f"{worker.active} of {worker.capacity}",
                device.health.value,
                f"{device.cpu:.0f} %",
                f"{device.memory:.0f} %",
                worker.capabilities.region or "-",
                worker.host,
                _ago(worker.silent_seconds),
            )
        )
    widths = [max(len(line[column]) for line in table) for column in range(len(table[0]))]
    for line in table:
        answer("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _shown(worker: Worker, slots: Sequence[SlotRow]) -> list[tuple[str, str]]:
    able, device = worker.capabilities, worker.device
    rows = [
        ("worker", worker.id),
        ("status", worker.status.value),
        ("process", f"{worker.pid} on {worker.host}, since {_moment(worker.registered_at)}"),
        ("heard", f"{_ago(worker.silent_seconds)}; stale after {duration.text(worker.may_be_silent_seconds)}"),
        ("slots", f"{worker.active} of {worker.capacity} taken"),
        ("takes", ", ".join(sorted(able.task_types)) or "any task"),
        ("skills", ", ".join(sorted(able.skills)) or "none"),
        ("machine", f"{able.cpu_cores:g} cores, {able.memory_mb:.0f} MB, region {able.region or '-'}"),
        ("load", f"cpu {device.cpu:.0f} %, memory {device.memory:.0f} %: {device.health}"),
        ("score", f"{scores.device(device):.1f} ({scores.quality(scores.device(device))})"),
        ("tasks", f"{worker.succeeded} succeeded, {worker.failed} failed"),
    ]
    return rows + [("holds", f"{slot.task} ({'started' if slot.started else 'reserved'})") for slot in slots]


def _ago(seconds: float | None) -> str:
    return "not any more" if seconds is None else f"{duration.text(max(0.0, seconds))} ago"


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
