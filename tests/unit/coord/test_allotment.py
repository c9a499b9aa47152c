"""Which task is for which worker, as workers that look at the same time agree on it."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from interlock.coord.allotment import allot, in_order
from interlock.decisions.strategies import Strategy
from interlock.decisions.task import Task
from interlock.model.worker import Capabilities, Worker, WorkerStatus


def worker(id: str, **more: Any) -> Worker:
    fields: dict[str, Any] = {
        "session": f"of-{id}", "status": WorkerStatus.ACTIVE, "host": "h", "pid": 1, "capacity": 4, "active": 0,
    }  # fmt: skip
    return Worker(id=id, **fields | more)


def tasks(count: int, **more: Any) -> list[Task]:
    return [Task(id=f"t{number:02}", **more) for number in range(count)]


def plan(strategy: Strategy, waiting: list[Task], workers: list[Worker]) -> dict[str, str]:
    return {task: each.worker.id for task, each in allot(strategy, waiting, workers, now=1000.0).items()}


def test_each_gets_its_share() -> None:
    found = plan(Strategy.LEAST_LOADED, tasks(6), [worker("a"), worker("b"), worker("c")])
    assert Counter(found.values()) == {"a": 2, "b": 2, "c": 2}


def test_tasks_before_count_as_taken() -> None:
    found = plan(Strategy.LEAST_LOADED, tasks(5), [worker("a", active=3), worker("b")])
    assert Counter(found.values()) == {"a": 1, "b": 4}


def test_turns_are_taken_within_a_plan() -> None:
    found = plan(Strategy.ROUND_ROBIN, tasks(6), [worker("a"), worker("b"), worker("c")])
    assert list(found.values()) == ["a", "b", "c"] * 2


def test_nobody_gets_more_than_its_slots_and_the_rest_waits() -> None:
    found = plan(Strategy.LEAST_LOADED, tasks(9), [worker("a", capacity=2), worker("b", capacity=1)])
    assert Counter(found.values()) == {"a": 2, "b": 1}
    assert list(found) == ["t00", "t01", "t02"]


def test_task_that_nobody_can_do_is_left_out_and_holds_up_no_other() -> None:
    able = worker("a", capabilities=Capabilities(skills={"rust"}))
    waiting = [Task(id="none", skills=frozenset({"cuda"})), Task(id="rust", skills=frozenset({"rust"})), Task(id="any")]
    assert plan(Strategy.LEAST_LOADED, waiting, [able]) == {"rust": "a", "any": "a"}


@pytest.mark.parametrize("status", [WorkerStatus.STALE, WorkerStatus.DRAINING, WorkerStatus.BUSY])
def test_who_takes_no_tasks_gets_none(status: WorkerStatus) -> None:
    assert plan(Strategy.LEAST_LOADED, tasks(2), [worker("a", status=status)]) == {}


def test_reason_is_told_with_the_loads_that_were_assumed() -> None:
    found = allot(Strategy.LEAST_LOADED, tasks(3), [worker("a", active=1), worker("b")], now=1000.0)
    decision = found["t02"].decision()
    assert (decision.chosen, decision.strategy) == ("b", Strategy.LEAST_LOADED)
    assert {each.worker: each.score for each in decision.candidates} == {"a": 0.5, "b": 0.75}


@pytest.mark.parametrize("strategy", list(Strategy))
@given(order=some.permutations([worker("a", capacity=7), worker("b", active=2), worker("c", capacity=1)]))
def test_all_who_see_the_same_plan_the_same(strategy: Strategy, order: list[Worker]) -> None:
    """Also where lots are drawn, and in whatever order the workers are listed."""
    described = [
        replace(each, capabilities=Capabilities(cpu_cores=float(number + 1), memory_mb=1000.0))
        for number, each in enumerate(sorted(order, key=lambda each: each.id))
    ]
    by_id = {each.id: each for each in described}
    shuffled = [by_id[each.id] for each in order]
    assert plan(strategy, tasks(8), shuffled) == plan(strategy, tasks(8), described)


def test_urgent_and_old_tasks_are_first() -> None:
    waiting = [
        Task(id="new", created_at=1000.0),
        Task(id="old", created_at=100.0),
        Task(id="urgent", priority=1, created_at=1000.0),
    ]
    assert [task.id for task in in_order(waiting, 1000.0, 600.0)] == ["old", "urgent", "new"]
    assert [task.id for task in in_order(waiting, 1000.0, None)] == ["urgent", "old", "new"]
