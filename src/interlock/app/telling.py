"""Runs and what happened to them as JSON: the same shapes for the command line, the HTTP API and its clients."""

from __future__ import annotations

import msgspec

from interlock.model import json
from interlock.model.event import Completed, Event, Returned, Tolerated
from interlock.model.fault import Fault
from interlock.model.json import Json
from interlock.model.payload import Payload
from interlock.model.story import Rollback, Story
from interlock.secrets.form import hidden
from interlock.store.ports import RunRow


def described(row: RunRow, output: Payload | None) -> dict[str, Json]:
    """Give a run as the JSON object that programs read. Times are UTC seconds."""
    fault = fault_of(row)
    return {
        "id": row.id,
        "namespace": row.namespace,
        "workflow": row.workflow,
        "version": row.version,
        "status": row.status,
        "partial": row.partial,
        "started_at": row.started_at,
        "ended_at": row.ended_at,
        "output": None if output is None else output.value,
        "error": None if fault is None else fault.described() | ({"code": fault.code} if fault.code else {}),
    }


def rolled_back(rollback: Rollback | None) -> dict[str, Json]:
    """Give what JSON tells of a rollback; null for a run that undid nothing."""
    if rollback is None:
        return {"rollback": None}
    failed = [{"path": path, "error": fault.described()} for path, fault in rollback.failed]
    return {"rollback": {"undone": rollback.undone, "failed": failed}}


def fault_of(row: RunRow) -> Fault | None:
    """Give the error that a run faulted with, with `***` for secrets."""
    return None if row.fault is None else msgspec.json.decode(hidden(row.fault.decode()), type=Fault)


def whole(row: RunRow, value: Payload | None, story: Story) -> dict[str, Json]:
    """Give a run with its steps as the JSON object that programs read."""
    steps: list[Json] = [
        {
            "path": step.path,
            "name": step.name,
            "status": step.status,
            "began": step.began,
            "ended": step.ended,
            "visits": step.visits,
            "attempts": step.attempts,
            "error": None if step.fault is None else step.fault.described(),
            "undo_error": None if step.undo_fault is None else step.undo_fault.described(),
        }
        for step in story.ordered()
    ]
    return (
        described(row, value)
        | rolled_back(story.rollback)
        | {
            "folder": row.folder,
            "epoch": row.epoch,
            "commits": row.seq,
            "forked_from": row.origin,
            "steps": steps,
        }
    )


def of_itself(row: RunRow) -> dict[str, Json]:
    """Give what a run shows: progress from 0 to 1, a message, a status of its own."""
    told = json.decode(row.shown) if row.shown else {}
    return {name: told[name] for name in ("progress", "message", "status") if told.get(name) is not None}


def happened(row: RunRow, place: str, name: str, event: Event) -> dict[str, Json]:
    """Give an event of a run under one of the names that other systems know it by. `place`: its own, in this run."""
    return {"id": f"{row.run}/{place}", "type": name, "run": row.id, "namespace": row.namespace} | _told(name, event)


def _told(name: str, event: Event) -> dict[str, Json]:
    """Give what is told about an event under one of its names."""
    if isinstance(event, Completed) and name == "step.started":
        return {"at": event.since, "scope": event.scope, "path": event.path}
    if name == "step.faulted" and isinstance(event, Returned):
        assert event.failed is not None
        fault = event.failed.fault.described()
        return {"at": event.at, "path": event.path, "fault": fault, "failure": str(event.failed.failure)}
    if name == "step.faulted" and not isinstance(event, Tolerated):
        error = getattr(event, "fault", None)  # of what was done about it: caught, retried, the end of the run
        assert isinstance(error, Fault)
        return {"at": event.at, "path": error.instance, "fault": error.described()}
    fields = {key: getattr(event, key) for key in event.__struct_fields__}
    return {key: _plain(value) for key, value in fields.items() if value is not None}


def _plain(value: object) -> Json:
    match value:
        case Payload():
            return value.value
        case Fault():
            return value.described()
        case _:
            return value
