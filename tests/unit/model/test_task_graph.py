"""What follows an attempt of a graph's task that did not succeed: budgets, back-off, quarantine."""

from __future__ import annotations

import pytest

from interlock.model import fault, task_graph
from interlock.model.fault import Fault
from interlock.model.task import Failed, FailureClass, Snoozed
from interlock.model.task_graph import Again, Over, RetryTerms


def failed(failure: str, *, final: bool = False) -> Failed:
    return Failed(FailureClass(failure), Fault(type=fault.RUNTIME, status=500), final=final)


@pytest.mark.parametrize(
    ("backoff", "waits"),
    [
        ({}, [10, 20, 40, 80, 160, 300, 300]),
        ({"base": 3.0, "longest_seconds": 100.0}, [10, 30, 90, 100]),
        ({"backoff": "linear"}, [10, 20, 30]),
        ({"backoff": "fixed"}, [10, 10]),
    ],
)
def test_delay_is_that_of_the_formula(backoff: dict[str, object], waits: list[float]) -> None:
    """RT-01: min(initial x base^(n-1), max)."""
    terms = RetryTerms(**backoff)  # type: ignore[arg-type]  # the fields of this case
    assert [task_graph.delay_seconds(terms, retry) for retry in range(1, len(waits) + 1)] == waits
    assert task_graph.delay_seconds(RetryTerms(), 10_000) == 300


@pytest.mark.parametrize(
    ("failure", "executions"),
    [
        ("application", 3),
        ("timeout", 3),
        ("out_of_memory", 2),
        ("lost", 4),
        ("preempted", 11),
        ("launch", 4),
        ("invalid", 1),
    ],
)
def test_defaults_are_those_of_graphs(failure: str, executions: int) -> None:
    used: dict[str, int] = {}
    count = 1
    while isinstance(found := task_graph.after(RetryTerms(), used, failed(failure)), Again):
        used, count = found.used, count + 1
        assert found.counts
        assert (found.seconds == 0) is (failure in ("lost", "preempted"))
    assert count == executions
    assert not found.poisoned


def test_timeouts_share_the_budget_of_the_work_unless_they_have_their_own() -> None:
    assert task_graph.after(RetryTerms(), {"application": 2}, failed("timeout")) == Over(used={"application": 2})
    own = RetryTerms(budgets={"timeout": 1})
    assert task_graph.after(own, {"application": 2}, failed("timeout")) == Again(
        seconds=10, used={"application": 2, "timeout": 1}
    )
    assert task_graph.counted("timeout", RetryTerms()) == "application"
    assert task_graph.counted("timeout", own) == "timeout"
    assert task_graph.budget("lost") == 3
    assert (task_graph.executions(RetryTerms()), task_graph.executions(RetryTerms(budgets={"application": 0}))) == (
        3,
        1,
    )


def test_final_failure_is_final_and_a_place_given_up_costs_nothing() -> None:
    assert task_graph.after(RetryTerms(), {}, failed("application", final=True)) == Over(used={})
    assert task_graph.after(RetryTerms(), {"application": 1}, Snoozed(5.0)) == Again(
        seconds=5.0, used={"application": 1}, counts=False
    )


def test_third_dead_runner_is_one_too_many() -> None:
    used: dict[str, int] = {}
    for _ in range(2):
        found = task_graph.after(RetryTerms(), used, failed("lost"), killed=True)
        assert isinstance(found, Again)
        used = found.used
    assert task_graph.after(RetryTerms(), used, failed("lost"), killed=True) == Over(
        used={"lost": 2, "killed": 3}, poisoned=True
    )


def test_retries_are_counted_by_class_and_dead_runners_are_none() -> None:
    assert task_graph.retried({"lost": 2, "killed": 3, "application": 1}) == {"lost": 2, "application": 1}
