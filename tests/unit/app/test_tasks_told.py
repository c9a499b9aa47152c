"""What is told of tasks, as JSON has it."""

from __future__ import annotations

import pytest

from interlock.app import tasks_told
from interlock.app.tasks import Explanation
from interlock.decisions.pools import Asked
from interlock.model.states import TaskState
from interlock.model.task_graph import RetryTerms, TaskSpec
from interlock.store.ports import GraphTaskRow, TryRow

TIMED_OUT = TryRow(
    task="default/g/a", fence=1, attempt=1, pool="p", holder="n", placed_at=1.0, started_at=1.0, ended_at=2.0,
    outcome="failed", failure="timeout", detail=None,
)  # fmt: skip


def failed(spec: TaskSpec, used: dict[str, int]) -> GraphTaskRow:
    return GraphTaskRow(
        task="default/g/a", graph="default/g", number=1, id="a", pool="p", state=TaskState.FAILED, fence=1, attempt=1,
        priority=0, rank=0.0, created_at=0.0, ready_at=None, ended_at=2.0, held_by=None, cancel=False, used=used, spec=spec,
        holder=None,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("budgets", "used", "told"),
    [
        ({"application": 0}, {}, (0, 0)),
        ({"application": 5}, {"application": 1}, (1, 5)),
        ({"application": 0, "timeout": 4}, {"timeout": 1}, (1, 4)),
        ({}, {"application": 1}, (1, 2)),
    ],
)
def test_budget_of_a_timeout_is_the_one_that_it_counts_against(
    budgets: dict[str, int], used: dict[str, int], told: tuple[int, int]
) -> None:
    """RT-03: "0 of 2 retries used" was told of a task that had none, since `max_attempts` was 1."""
    row = failed(TaskSpec(id="a", digest="d", retry=RetryTerms(budgets=budgets)), used)
    found = Explanation(
        task=row, policy="", asked=Asked((), ""), now={}, waits_for={}, placements=(), tries=[TIMED_OUT]
    )
    budget = tasks_told.explained(found).budgets["timeout"]
    assert (budget.used, budget.of) == told


def test_runners_that_died_over_a_task_are_no_retries_of_it() -> None:
    """RT-03: two retries were made before the third runner died; five were told of, and `3 killed` among the classes."""
    row = failed(TaskSpec(id="a", digest="d"), {"lost": 2, "killed": 3})
    told = tasks_told.whole_task(row, [TIMED_OUT])
    assert told.retries == {"lost": 2}
    assert (told.events[-1].type, told.events[-1].retries) == ("task.failed", 2)
