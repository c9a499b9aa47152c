"""When to try again: budgets per failure class, and the back-off of the specification.

A budget counts retries, not executions. What the machine did to an attempt (lost, preempted, launch) has generous
budgets of its own; what the work did to itself is retried only where the author says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from interlock.model.call import Backoff
from interlock.model.task import FailureClass

WORKFLOW_BUDGETS: Final[dict[FailureClass, int]] = {
    FailureClass.APPLICATION: 0,
    FailureClass.TIMEOUT: 0,
    FailureClass.OUT_OF_MEMORY: 0,
    FailureClass.LOST: 3,
    FailureClass.PREEMPTED: 10,
    FailureClass.LAUNCH: 3,
    FailureClass.INVALID: 0,
}

UNDO_BUDGETS: Final[dict[FailureClass, int]] = WORKFLOW_BUDGETS | {
    FailureClass.APPLICATION: 5,
    FailureClass.TIMEOUT: 5,
    FailureClass.OUT_OF_MEMORY: 1,
}
"""Those of the steps of an undo: nobody catches its errors, and what it leaves behind somebody has to clean up by hand."""

_DELAY_SECONDS: Final = 1.0
_LONGEST_SECONDS: Final = 60.0


def budgets(
    author: Mapping[str, int], defaults: Mapping[FailureClass, int] = WORKFLOW_BUDGETS
) -> dict[FailureClass, int]:
    """Give the budgets of a step: the defaults with what the author named in `metadata.interlock.retry`."""
    return {**defaults} | {FailureClass(name): count for name, count in author.items()}


def allows(budget: Mapping[FailureClass, int], used: Mapping[str, int], failure: FailureClass) -> bool:
    """Say whether one more retry for this class of failure is left."""
    return used.get(failure, 0) < budget[failure]


def attempt_delay(failure: FailureClass, retry: int) -> float:
    """Give the seconds to wait before the `retry`-th retry (from 1) of an attempt.

    What the machine lost is tried again at once; the rest backs off from 1 s, doubling, to at most 60 s.
    """
    if failure in (FailureClass.LOST, FailureClass.PREEMPTED):
        return 0.0
    return min(_LONGEST_SECONDS, _DELAY_SECONDS * 2.0 ** (retry - 1))


def policy_delay(
    backoff: str | None, delay_seconds: float, retry: int, jitter: float = 0.0, longest_seconds: float | None = None
) -> float:
    """Give the seconds before the `retry`-th retry (from 1) of a `catch.retry` policy.

    constant = delay, linear = delay x n, exponential = delay x 2^(n-1), plus `jitter`, capped at `longest_seconds`.
    Source: OWS 1.0.3 names the kinds but no formula; ours is decision 4 of docs/explanation/ambiguities.md.
    """
    if backoff == "exponential":
        seconds = delay_seconds * 2.0 ** min(retry - 1, 64)
    elif backoff == "linear":
        seconds = delay_seconds * retry
    else:
        seconds = delay_seconds
    seconds += jitter
    return seconds if longest_seconds is None else min(seconds, longest_seconds)


def call_delay(backoff: Backoff, retry: int, uniform: Callable[[float, float], float]) -> float:
    """Give the seconds before the `retry`-th retry (from 1) of a call of a Python workflow.

    fixed = delay, linear = delay x n, exponential = delay x 2^(n-1), random = anything up to the exponential one; each
    capped, then lowered by up to its part `jitter`, so that many that failed together do not come back together.
    """
    grown = backoff.delay_seconds * 2.0 ** min(retry - 1, 64)
    if backoff.kind == "random":
        return uniform(0.0, min(grown, backoff.longest_seconds))
    kind = backoff.kind if backoff.kind != "fixed" else "constant"
    seconds = policy_delay(kind, backoff.delay_seconds, retry, longest_seconds=backoff.longest_seconds)
    return seconds * (1.0 - uniform(0.0, backoff.jitter)) if backoff.jitter else seconds
