"""Budgets and back-off. WF-15"""

from __future__ import annotations

import pytest

from interlock.model import retry
from interlock.model.call import Backoff
from interlock.model.task import FailureClass


def test_author_changes_only_the_budgets_that_are_named() -> None:
    budgets = retry.budgets({"application": 2, "lost": 0})
    assert budgets == retry.WORKFLOW_BUDGETS | {FailureClass.APPLICATION: 2, FailureClass.LOST: 0}
    assert retry.WORKFLOW_BUDGETS[FailureClass.APPLICATION] == 0


def test_every_class_has_a_budget() -> None:
    assert set(retry.WORKFLOW_BUDGETS) == set(FailureClass)


@pytest.mark.parametrize(
    ("used", "allowed"), [({}, True), ({"lost": 2}, True), ({"lost": 3}, False), ({"launch": 9}, True)]
)
def test_budget_counts_the_retries_of_its_own_class(used: dict[str, int], allowed: bool) -> None:
    assert retry.allows(retry.WORKFLOW_BUDGETS, used, FailureClass.LOST) is allowed


@pytest.mark.parametrize(
    ("failure", "delays"),
    [
        (FailureClass.LOST, [0.0, 0.0, 0.0]),
        (FailureClass.PREEMPTED, [0.0, 0.0, 0.0]),
        (FailureClass.APPLICATION, [1.0, 2.0, 4.0]),
        (FailureClass.LAUNCH, [1.0, 2.0, 4.0]),
    ],
)
def test_attempt_backs_off_unless_the_machine_was_to_blame(failure: FailureClass, delays: list[float]) -> None:
    assert [retry.attempt_delay(failure, number) for number in (1, 2, 3)] == delays


def test_attempt_waits_a_minute_at_most() -> None:
    assert retry.attempt_delay(FailureClass.TIMEOUT, 1000) == 60.0


@pytest.mark.parametrize(
    ("backoff", "delays"),
    [(None, [3, 3, 3]), ("constant", [3, 3, 3]), ("linear", [3, 6, 9]), ("exponential", [3, 6, 12])],
)
def test_policy_follows_its_formula(backoff: str | None, delays: list[float]) -> None:
    assert [retry.policy_delay(backoff, 3.0, number) for number in (1, 2, 3)] == delays


def test_policy_adds_jitter_and_is_capped() -> None:
    assert retry.policy_delay("linear", 3.0, 2, jitter=0.5) == 6.5
    assert retry.policy_delay("exponential", 3.0, 10_000, jitter=0.5, longest_seconds=90.0) == 90.0


# -- calls of Python workflows ---------------------------------------------------------------------------------------


def highest(low: float, high: float) -> float:
    return high


@pytest.mark.parametrize(
    ("kind", "delays"),
    [("fixed", [3, 3, 3]), ("linear", [3, 6, 8]), ("exponential", [3, 6, 8]), ("random", [3, 6, 8])],
)
def test_pauses_of_a_call_grow_by_their_kind_up_to_the_longest(kind: str, delays: list[float]) -> None:
    backoff = Backoff(kind=kind, delay_seconds=3.0, longest_seconds=8.0, jitter=0.0)
    assert [retry.call_delay(backoff, number, highest) for number in (1, 2, 3)] == delays


def test_jitter_lowers_the_pause_of_a_call() -> None:
    backoff = Backoff(kind="fixed", delay_seconds=4.0, longest_seconds=60.0, jitter=0.25)
    assert retry.call_delay(backoff, 1, highest) == 3.0
