"""What is told of a task whose attempt failed."""

from __future__ import annotations

from typing import Any

import pytest

from interlock import telemetry
from interlock.dispatch import told
from interlock.model import fault
from interlock.model.fault import Fault
from interlock.model.states import TaskState
from interlock.model.task import CommandTarget, Failed, FailureClass
from interlock.model.task_graph import TaskSpec
from interlock.store.ports import ClaimedTask, GraphTaskRow

LOST = Failed(FailureClass.LOST, Fault(type=fault.RUNTIME, status=500, title="Lost"))


class Stored:
    """A store that has one task, as far as telling asks it."""

    def __init__(self, state: TaskState, used: dict[str, int]) -> None:
        self.tasks = self
        self._row = GraphTaskRow(
            task="default/g/a", graph="default/g", number=1, id="a", pool="p", state=state, fence=3, attempt=3, priority=0,
            rank=0.0, created_at=0.0, ready_at=None, ended_at=None, held_by=None, cancel=False, used=used,
            spec=TaskSpec(id="a", digest="d"), holder=None,
        )  # fmt: skip

    async def get(self, task: str) -> GraphTaskRow:
        return self._row


@pytest.mark.parametrize("state", [TaskState.QUARANTINED, TaskState.FAILED])
async def test_failed_task_is_told_of_with_its_retries_and_without_the_runners_that_died(state: TaskState) -> None:
    """RT-03."""
    heard: list[dict[str, Any]] = []
    detach = telemetry.attach(lambda name, fields: heard.append(fields) if name == "task.failed" else None)
    task = ClaimedTask(
        task="default/g/a", run="", effect=0, path="a", fence=3, target=CommandTarget(argv=("true",)), folder="",
        idempotency_key="", attempt=3, any_exit_code=False, namespace="default", run_id="", pool="p",
        spec=TaskSpec(id="a", digest="d"),
    )  # fmt: skip
    try:
        await told.settled(Stored(state, {"lost": 2, "killed": 3}), task, LOST)  # type: ignore[arg-type]  # all it asks
    finally:
        detach()
    assert [(each["retries"], each["failure"]) for each in heard] == [(2, "lost")]
