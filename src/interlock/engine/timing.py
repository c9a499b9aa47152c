"""What the time does to a run: the moments that are due, one after the other.

A step may have several: the end of its timeout, of a round of its `try`, of a wait or a back-off, and those of its token.
"""

from __future__ import annotations

from interlock.engine import calls, compensation, faults, issuing, requests, steps
from interlock.engine.machine import Machine, StepFault
from interlock.engine.state import ROOT, Frame, Scope
from interlock.flow.graph import TryWork, WaitWork
from interlock.model import fault
from interlock.model.fault import Fault
from interlock.model.states import RunStatus
from interlock.model.task import FailureClass


def tick(m: Machine) -> None:
    """Apply every timer that is due, deadlines of outer steps before those of inner ones."""
    if m.state.head.suspended or m.state.status is RunStatus.PENDING:
        return
    if m.state.head.deadline is not None and m.state.head.deadline <= m.now:
        error = faults.timeout("the workflow ran longer than its timeout").at("/")
        compensation.fault(m, ROOT, "", error)
        return
    while (due := _first_due(m)) is not None:
        scope, frame, kind = due
        _expire(m, scope, frame, kind)
        if m.state.ended:
            return


def _first_due(m: Machine) -> tuple[Scope, Frame, str] | None:
    for scope in m.state.scopes.values():
        if scope.done:
            continue
        for frame in scope.frames:
            if frame.deadline is not None and frame.deadline <= m.now:
                return scope, frame, "deadline"
            if frame.round_deadline is not None and frame.round_deadline <= m.now:
                return scope, frame, "round"
            if frame.until is not None and frame.until <= m.now:
                return scope, frame, "until"
            if frame.ticket is not None and (kind := issuing.due(m, frame.ticket)) is not None:
                return scope, frame, kind
    return None


def _expire(m: Machine, scope: Scope, frame: Frame, kind: str) -> None:
    if kind == "warns":
        issuing.warn(m, scope, frame)
        return
    if frame.call is not None:
        calls.expire(m, scope, frame, kind)
        return
    node = m.graph.nodes[frame.path]
    effect = frame.effect if frame.ticket is None else frame.ticket.number
    if kind in ("expires", "silent"):
        failure, error = issuing.unreported(node.name, frame, kind)
        if not faults.try_again(m, scope, frame, failure, error, effect):
            faults.raise_fault(m, scope, frame.path, error)
        return
    if kind == "deadline":
        error = faults.timeout(f"`{node.name}` ran longer than its timeout")
        if not (effect and faults.try_again(m, scope, frame, FailureClass.TIMEOUT, error, effect)):
            faults.raise_fault(m, scope, frame.path, error)
        return
    if kind == "round":
        error = faults.timeout(f"one attempt of `{node.name}` ran longer than its limit")
        faults.raise_fault(m, scope, frame.path, error, inside=True)
        return
    try:
        match node.work:
            case WaitWork():
                steps.complete(m, scope, node, frame, frame.input)
            case TryWork():
                steps.retry_round(m, scope, node, frame, node.work)
            case _ if frame.retries.get(FailureClass.LOST, 0) > node.budgets[FailureClass.LOST]:
                faults.raise_fault(m, scope, frame.path, _lost_too_often(node.name, frame))
            case _:
                requests.again(m, scope, node, frame)
    except StepFault as found:
        faults.raise_fault(m, scope, frame.path, found.fault)


def _lost_too_often(name: str, frame: Frame) -> Fault:
    detail = f"{frame.retries[FailureClass.LOST]} processes died while they performed `{name}`"
    return Fault(type=fault.RUNTIME, status=500, title="Lost", detail=detail, code="lost")
