"""How much a document may hold. Limits count what is written, never how often it runs."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Final

from interlock import config
from interlock.flow import pointer
from interlock.flow.findings import Findings, Role
from interlock.flow.grammar import patterns
from interlock.flow.grammar.shapes import label, quoted
from interlock.model import duration
from interlock.model.json import Json


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The limits of one document; requirements WF-04 and 2.3."""

    max_steps: int = 100
    """Tasks, those within other tasks and in reusable functions and extensions included."""
    max_branches: int = 20
    """Branches of one fork."""
    max_retries: int = 10
    """Retries of one budget, so one execution more than this."""
    max_name_length: int = 255
    """Characters of the name of a task."""
    max_summary_length: int = 1000
    """Characters of `document.summary`."""
    min_timeout_seconds: float = 0.001
    """Below a millisecond nothing can be done in time."""
    max_timeout_seconds: float = 366 * 86400.0
    """A year: runs are durable and may wait for people."""
    max_retry_delay_seconds: float = 86400.0
    """A day between two attempts."""
    max_duration_seconds: float = 100 * 366 * 86400.0
    """No amount of time may be longer: a century, which dates can still be computed with."""


ACCEPTED: Final = Limits(max_steps=sys.maxsize, max_branches=sys.maxsize, max_retries=sys.maxsize)
"""For a document that was accepted before: a setting that became smaller since may not strand its runs."""


def configured(settings: config.Limits) -> Limits:
    """Give the limits that the settings name; the others keep their defaults."""
    return Limits(
        max_steps=settings.max_steps,
        max_branches=settings.max_branches,
        max_retries=settings.max_retries,
    )


def check(value: Json, findings: Findings, limits: Limits) -> None:
    """Note what is too many, too long, too short or out of its range."""
    _check_steps(value, findings, limits)
    for path, task in findings.places[Role.TASK]:
        _check_task(path, task, findings, limits)
    for path, content in findings.places[Role.DURATION]:
        _check_duration(path, content, findings, limits)
    for path, content in findings.places[Role.TIMEOUT]:
        _check_timeout(f"{path}/after", content.get("after"), findings, limits)
    for path, policy in findings.places[Role.RETRY]:
        _check_retry(path, policy, findings, limits)
    _check_summary(value, findings, limits)


def seconds_of(written: Json) -> float | None:
    """Give the seconds of a literal duration, None for an expression or what is no duration."""
    if isinstance(written, str) and patterns.is_expression(written):
        return None
    try:
        return duration.parse(written)
    except (ValueError, OverflowError):
        return None


def _check_steps(value: Json, findings: Findings, limits: Limits) -> None:
    steps = findings.places[Role.TASK]
    if len(steps) > limits.max_steps:
        message = f"{len(steps)} tasks; a document may have {limits.max_steps}: move some into a workflow of their own"
        findings.add("too-many-steps", message, steps[limits.max_steps][0], at_key=True, found=str(len(steps)))
    if isinstance(value, dict) and value.get("do") == []:
        findings.add("no-steps", "`do` is empty; a workflow needs at least one task", "/do", at_key=True)
    for path, items in findings.places[Role.TASK_LIST]:
        if not items and path != "/do" and not path.endswith("/fork/branches"):
            findings.warn("empty-list", f"{label(path)} is empty", path, at_key=True)


def _check_task(path: str, task: dict[str, Json], findings: Findings, limits: Limits) -> None:
    name = pointer.last(path)
    if len(name) > limits.max_name_length:
        message = f"the name has {len(name)} characters; {limits.max_name_length} are allowed"
        findings.add("name-too-long", message, path, at_key=True)
    fork = task.get("fork")
    branches = fork.get("branches") if isinstance(fork, dict) else None
    if not isinstance(branches, list):
        return
    place = f"{path}/fork/branches"
    if not branches:
        findings.add("no-branches", "a fork needs at least one branch", place, at_key=True)
    elif len(branches) > limits.max_branches:
        message = f"{len(branches)} branches; a fork may have {limits.max_branches}"
        findings.add("too-many-branches", message, place, at_key=True, found=str(len(branches)))


def _check_duration(path: str, written: Json, findings: Findings, limits: Limits) -> None:
    if isinstance(written, dict) and any(_is_negative(amount) for amount in written.values()):
        findings.add("out-of-range", f"{label(path)} is negative; time does not run backwards", path, at_key=True)
    seconds = seconds_of(written)
    is_endless = isinstance(written, dict) and any(
        isinstance(amount, int) and amount > 10**15 for amount in written.values()
    )
    if is_endless or (seconds is not None and seconds > limits.max_duration_seconds):
        findings.add("out-of-range", f"{label(path)} is longer than a century", path, at_key=True)


def _is_negative(amount: Json) -> bool:
    return isinstance(amount, int | float) and amount < 0


def _check_timeout(path: str, written: Json, findings: Findings, limits: Limits) -> None:
    seconds = seconds_of(written)
    if seconds is None:
        return
    if seconds < limits.min_timeout_seconds:
        message = f"a timeout must be at least {duration.text(limits.min_timeout_seconds)}"
        findings.add("timeout-too-short", message, path, found=duration.text(seconds))
    elif seconds > limits.max_timeout_seconds:
        message = f"a timeout may be {duration.text(limits.max_timeout_seconds)} at most, not {duration.text(seconds)}"
        findings.add("timeout-too-long", message, path, found=duration.text(seconds))


def _check_retry(path: str, policy: dict[str, Json], findings: Findings, limits: Limits) -> None:
    limit = policy.get("limit")
    attempt = limit.get("attempt") if isinstance(limit, dict) else None
    count = attempt.get("count") if isinstance(attempt, dict) else None
    if isinstance(count, int | float) and not isinstance(count, bool):
        _check_count(f"{path}/limit/attempt/count", count, findings, limits)
    delay = seconds_of(policy.get("delay"))
    if delay is not None and delay > limits.max_retry_delay_seconds:
        message = f"a retry may wait {duration.text(limits.max_retry_delay_seconds)}, not {duration.text(delay)}"
        findings.add("retry-delay-too-long", message, f"{path}/delay", found=duration.text(delay))
    jitter = policy.get("jitter")
    bounds = jitter if isinstance(jitter, dict) else {}
    low, high = seconds_of(bounds.get("from")), seconds_of(bounds.get("to"))
    if low is not None and high is not None and low > high:
        findings.add("out-of-range", "`from` of `jitter` is longer than its `to`", f"{path}/jitter", at_key=True)


def _check_count(path: str, count: float, findings: Findings, limits: Limits) -> None:
    if count > limits.max_retries:
        message = f"{count} retries; {limits.max_retries} are allowed"
        findings.add("too-many-retries", message, path, found=str(count))
    elif count < 0:
        findings.add("out-of-range", "the number of retries cannot be negative", path, found=str(count))


def _check_summary(value: Json, findings: Findings, limits: Limits) -> None:
    header = value.get("document") if isinstance(value, dict) else None
    summary = header.get("summary") if isinstance(header, dict) else None
    if isinstance(summary, str) and len(summary) > limits.max_summary_length:
        message = f"the summary has {len(summary)} characters; {limits.max_summary_length} are allowed"
        findings.add("summary-too-long", message, "/document/summary", found=quoted(summary))
