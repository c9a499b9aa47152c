"""What happens when a step fails: who catches it, whether it is tried again, or whether the run faults.

The innermost open `try` whose filter and conditions fit the error wins. A step with `on_error: continue` between it and
the error absorbs the error first. When nobody does, the run faults and everything stays open as it was, so that `retry`
goes on from the step that failed; or the run undoes what it finished (`compensation`).
"""

from __future__ import annotations

import msgspec

from interlock.engine import compensation
from interlock.engine.bindings import Bindings
from interlock.engine.ending import tolerate, truthy
from interlock.engine.machine import Machine, StepFault
from interlock.engine.state import Frame, Scope
from interlock.flow.graph import Node, RetryPlan, TryWork
from interlock.model import event as events
from interlock.model import fault, retry
from interlock.model.event import EXTENDED, LIST_END
from interlock.model.fault import Fault, same_type
from interlock.model.json import Json
from interlock.model.task import FailureClass


def raise_fault(m: Machine, scope: Scope, path: str, error: Fault, *, inside: bool = False) -> None:
    """Let the step `path` of `scope` fail with `error`.

    A step does not catch its own error; `inside` says that the error happened within the open step `path` instead (the
    limit of one round of a `try`). Raises Pending when a condition is slow.
    """
    error = error.at(path.removesuffix(EXTENDED) or "/")
    if compensation.awaits(m, scope):
        compensation.awaited(m, scope, path, error)
        return
    if not path:  # the run's own input, output or timeout: no step encloses it
        compensation.fault(m, scope.id, path, error)
        return
    node = m.graph.nodes[path]
    if node.tolerates and not inside:
        tolerate(m, scope, node, error)
        return
    for current in m.state.lineage(scope):
        for frame in reversed(_above(current, path, inside)):
            catcher = m.graph.nodes[frame.path]
            if isinstance(catcher.work, TryWork) and _catch(m, current, catcher, catcher.work, frame, error):
                return
            if catcher.tolerates:
                tolerate(m, current, catcher, error)
                return
    compensation.fault(m, scope.id, path, error)


def _above(scope: Scope, path: str, inside: bool) -> list[Frame]:
    """Give the open steps that enclose the failing one, outermost first."""
    depth = next((i for i, frame in enumerate(scope.frames) if frame.path == path), len(scope.frames))
    return scope.frames[: depth + 1 if inside else depth]


def _catch(m: Machine, scope: Scope, node: Node, work: TryWork, frame: Frame, error: Fault) -> bool:
    """Let a `try` handle the error: again, by its handlers, or by going on. False when it is not its business."""
    if frame.phase == "catch" or not _fits(work, error):
        return False
    try:
        bindings = m.bindings(scope, node, frame, extra={work.as_: error.described()})
        if work.when is not None and not truthy(m.evaluate(work.when, frame.input.value, bindings)):
            return False
        if work.except_when is not None and truthy(m.evaluate(work.except_when, frame.input.value, bindings)):
            return False
        if work.retry is not None:
            until = _retry_at(m, work.retry, frame, bindings)
            if until is not None:
                m.emit(events.RetryScheduled(at=m.now, scope=scope.id, path=node.path, fault=error, until=until))
                return True
            if work.catch_first == LIST_END:
                return False  # out of retries and nobody to handle it: the error goes on
    except StepFault:
        return False  # a broken condition catches nothing; the first error is the one to report
    m.emit(events.Caught(at=m.now, scope=scope.id, path=node.path, fault=error, first=work.catch_first))
    return True


def _fits(work: TryWork, error: Fault) -> bool:
    """Say whether the error has every property of `errors.with`; one that no error has fits none."""
    properties = msgspec.structs.asdict(error)
    return all(
        same_type(wanted, error.type) if key == "type" else wanted == properties.get(key)
        for key, wanted in work.filter.items()
    )


def _retry_at(m: Machine, plan: RetryPlan, frame: Frame, bindings: Bindings) -> float | None:
    """Give the moment of the next round of a `try`, None when its policy allows no more."""
    data: Json = frame.input.value
    number = frame.round + 1
    if plan.count is not None and number > plan.count:
        return None
    if plan.when is not None and not truthy(m.evaluate(plan.when, data, bindings)):
        return None
    if plan.except_when is not None and truthy(m.evaluate(plan.except_when, data, bindings)):
        return None
    delay = 0.0 if plan.delay is None else m.seconds(plan.delay, data, bindings)
    jitter = 0.0
    if plan.jitter is not None:
        low, high = (m.seconds(bound, data, bindings) for bound in plan.jitter)
        jitter = m.uniform(low, high)
    until = m.now + retry.policy_delay(plan.backoff, delay, number, jitter, plan.longest_seconds)
    if plan.total_duration is not None and until > frame.since + m.seconds(plan.total_duration, data, bindings):
        return None
    return until


def try_again(m: Machine, scope: Scope, frame: Frame, failure: FailureClass, error: Fault, effect: int) -> bool:
    """Schedule one more attempt, if the budget of this class of failure allows it.

    `effect`: what failed. Is it the report that the step waits for, then its token is given up; else that stays good.
    """
    node = m.graph.nodes[frame.path]
    if not retry.allows(node.budgets, frame.retries, failure) or compensation.leaves(m, scope, failure):
        return False
    number = frame.retries.get(failure, 0) + 1
    m.emit(
        events.AttemptFailed(
            at=m.now,
            scope=scope.id,
            path=node.path,
            effect=effect,
            failure=failure,
            fault=error.at(node.path),
            until=m.now + retry.attempt_delay(failure, number),
        )
    )
    return True


def timeout(detail: str) -> Fault:
    """Give the standard error of a timeout."""
    return Fault(type=fault.TIMEOUT, status=408, title="Timeout", detail=detail)
