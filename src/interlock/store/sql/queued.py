"""Rows of ready tasks as a round of placement sees them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from interlock.model import task_graph
from interlock.model.call import Requirements
from interlock.model.task import Target
from interlock.store.ports import QueuedStep, QueuedTask
from interlock.store.sql.transaction import Row

_target = msgspec.json.Decoder(Target)
_requirements = msgspec.json.Decoder(Requirements)


def heads(lane: str, rows: Sequence[Row], spec: bytes) -> list[QueuedTask]:
    """Give the ready tasks of a lane, all with the spec of the first one: what is placed gets its own with its lease."""
    known = task_graph.decode(spec)
    return [
        QueuedTask(task=task, lane=lane, priority=priority, rank=rank, spec=known) for _, task, priority, rank in rows
    ]


def step(row: Row) -> QueuedStep:
    """Give a ready step of a workflow."""
    task, run_id, path, priority, rank, target, needs = row
    parsed: Any = _target.decode(target)
    return QueuedStep(
        task=task,
        run_id=run_id,
        path=path,
        priority=priority,
        rank=rank,
        target=parsed,
        requires=None if needs is None else _requirements.decode(needs),
    )
