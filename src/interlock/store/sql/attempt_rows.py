"""Rows of attempts as the model has them."""

from __future__ import annotations

from typing import Any

import msgspec

from interlock.model import task_graph
from interlock.model.task import Target
from interlock.store.ports import AttemptRow, ClaimedTask
from interlock.store.sql.transaction import Row

_target = msgspec.json.Decoder(Target)
_devices = msgspec.json.Decoder(tuple[int, ...])


def claimed(row: Row) -> ClaimedTask:
    """Give a task that was just taken."""
    task, run, effect, path, fence, target, folder, key, attempt, any_exit_code, namespace, run_id, spec, pool, *_ = row
    parsed: Any = _target.decode(target)
    return ClaimedTask(
        task=task,
        run=run,
        effect=effect,
        path=path,
        fence=fence,
        target=parsed,
        folder=folder,
        idempotency_key=key,
        attempt=attempt,
        any_exit_code=bool(any_exit_code),
        namespace=namespace or "",
        run_id=run_id or "",
        spec=None if spec is None else task_graph.decode(spec),
        pool=pool,
    )


def leased(row: Row) -> ClaimedTask:
    """Give a task that has its lease already, with the devices that it holds by that."""
    devices = row[14]
    task = claimed(row)
    return task if devices is None else msgspec.structs.replace(task, devices=_devices.decode(devices))


def in_flight(row: Row) -> AttemptRow:
    """Give an attempt as who reports about it finds it."""
    task, run, path, pool, fence, attempt, cancel, report, namespace, run_id = row
    return AttemptRow(
        task=task,
        run=run,
        path=path,
        pool=pool,
        fence=fence,
        attempt=attempt,
        cancel=bool(cancel),
        report=report,
        namespace=namespace or "",
        run_id=run_id or "",
    )
