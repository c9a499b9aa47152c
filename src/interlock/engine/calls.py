"""How a Python workflow's calls begin and end: the pure half of what `engine.python` drives.

Where a definition has a graph, a Python workflow has a function; its state is its open calls, one scope each, whose frame
holds the call itself. What ends a call (an outcome, a moment, an event) is answered with `Returned`, which the run remembers
for ever; what the function does next comes back as the cause `Did`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, assert_never

import msgspec

from interlock.engine import compensation, faults, issuing, requesting
from interlock.engine.machine import Machine, StepFault
from interlock.engine.state import ROOT, UNDO, Frame, Scope
from interlock.flow import pointer
from interlock.model import event as events
from interlock.model import retry
from interlock.model.call import (
    Action,
    Ask,
    Call,
    ChildCall,
    EventCall,
    Keep,
    Leave,
    Note,
    Raise,
    Renew,
    Return,
    Show,
    SleepCall,
    StepCall,
    TokenCall,
)
from interlock.model.fault import Fault
from interlock.model.json import Json
from interlock.model.payload import NULL, Payload
from interlock.model.task import (
    Cancelled,
    Done,
    Failed,
    FailureClass,
    Outcome,
    Snoozed,
)

_BUDGETS: Final = retry.WORKFLOW_BUDGETS


def start(m: Machine) -> None:
    """Begin: the function is called once this is decided, and what it does joins the same commit."""
    m.emit(events.Started(at=m.now, value=NULL, first=None, deadline=_deadline(m)))


def _deadline(m: Machine) -> float | None:
    program = m.graph.program
    return None if program is None or program.timeout_seconds is None else m.now + program.timeout_seconds


def did(m: Machine, action: Action) -> None:
    """Apply what the function of a Python workflow did."""
    match action:
        case Ask():
            _ask(m, action)
        case Leave(identity=identity):
            if identity in m.state.scopes:
                m.emit(events.Left(at=m.now, scope=identity, path=path_of(identity)))
        case Note(identity=identity, value=value):
            m.emit(events.Noted(at=m.now, call=identity, value=value))
        case Keep(identity=identity, value=value):
            m.emit(events.Noted(at=m.now, call=identity, value=value))
        case Show():
            m.emit(events.Shown(at=m.now, shown=action))
        case Renew(input=given):
            m.emit(events.Renewed(at=m.now, input=given, deadline=_deadline(m)))
        case Return(output=output):
            m.emit(events.Ended(at=m.now, output=output))
        case Raise(fault=error, memo=memo):
            compensation.fault(m, ROOT, "", error.at("/"), memo)
        case _:
            assert_never(action)


def path_of(identity: str) -> str:
    """Give the path under which people see a call."""
    return pointer.child("", identity)


# -- beginning -------------------------------------------------------------------------------------------------------


def _ask(m: Machine, ask: Ask) -> None:
    call, path = ask.call, path_of(ask.identity)
    seconds = None if isinstance(call, SleepCall | ChildCall) else call.timeout_seconds
    deadline = None if seconds is None else m.now + seconds
    m.emit(
        events.Called(
            at=m.now,
            scope=ask.identity,
            path=path,
            call=call,
            arguments=ask.arguments,
            deadline=deadline,
        )
    )
    scope = m.state.scopes[ask.identity]
    match call:
        case SleepCall(seconds=length, until=until):
            moment = until if until is not None else m.now + (length or 0.0)
            m.emit(events.Waited(at=m.now, scope=scope.id, path=path, until=moment))
        case EventCall():
            m.emit(events.Listened(at=m.now, scope=scope.id, path=path, listener=m.state.head.serial + 1))
        case StepCall() | TokenCall() | ChildCall():
            requesting.call(m, scope, scope.frames[-1])
        case _:
            assert_never(call)


# -- ending ----------------------------------------------------------------------------------------------------------


def settle(m: Machine, scope: Scope, frame: Frame, outcome: Outcome) -> None:
    """Apply the outcome of a call's effect."""
    match outcome:
        case Done(value=value, memory=memory):
            try:
                _return(m, scope, output=m.payload(value))
                m.decision.memory.extend(memory)
            except StepFault as found:
                _fail(m, scope, Failed(FailureClass.INVALID, found.fault))
        case Snoozed(delay_seconds=delay):
            m.emit(events.Waited(at=m.now, scope=scope.id, path=frame.path, until=m.now + delay))
        case Cancelled():
            _fail(m, scope, Failed(FailureClass.APPLICATION, faults.cancelled_by_itself()))
        case Failed():
            if outcome.final or not _try_again(m, scope, frame, outcome.failure, outcome.fault):
                _fail(m, scope, outcome)
        case _:
            assert_never(outcome)


def expire(m: Machine, scope: Scope, frame: Frame, kind: str) -> None:
    """Apply a timer of a call: the end of a sleep or a back-off, or (`deadline`) of its patience."""
    if kind == "deadline":
        error = faults.timeout(f"`{frame.path[1:]}` took longer than its timeout")
        busy = frame.effect and not frame.waits
        if not (busy and _try_again(m, scope, frame, FailureClass.TIMEOUT, error)):
            _fail(m, scope, Failed(FailureClass.TIMEOUT, error))
        return
    if kind in ("expires", "silent"):
        _fail(m, scope, Failed(*issuing.unreported(frame.path[1:], frame, kind)))
    elif isinstance(frame.call, SleepCall):
        _return(m, scope, output=NULL)
    elif frame.retries.get(FailureClass.LOST, 0) > _budgets(frame.call)[FailureClass.LOST]:
        _fail(m, scope, Failed(FailureClass.LOST, faults.lost_too_often(frame.path[1:], frame)))
    else:
        requesting.call(m, scope, frame)


def hear(m: Machine, envelope: dict[str, Json]) -> None:
    """Give an event to the calls that wait for such a one; each takes the first that fits."""
    for scope in list(m.state.scopes.values()):
        call = scope.frames[-1].call if scope.frames else None
        if isinstance(call, EventCall) and _fits(call, envelope):
            try:
                _return(m, scope, output=m.payload(envelope))
            except StepFault as found:
                _fail(m, scope, Failed(FailureClass.INVALID, found.fault))


def _fits(call: EventCall, envelope: Mapping[str, Json]) -> bool:
    if call.kind not in ("", envelope["type"]) or call.source not in ("", envelope["source"]):
        return False
    data = envelope.get("data")
    if not call.data:
        return True
    return isinstance(data, dict) and all(key in data and data[key] == value for key, value in call.data.items())


def _return(m: Machine, scope: Scope, *, output: Payload) -> None:
    if scope.id == UNDO:
        compensation.settled(m)
        return
    awaited, path = compensation.awaits(m, scope), scope.frames[-1].path
    m.emit(events.Returned(at=m.now, scope=scope.id, path=path, output=output))
    if awaited:
        compensation.awaited(m, scope, path, None)


def _fail(m: Machine, scope: Scope, failed: Failed) -> None:
    path = scope.frames[-1].path
    if scope.id == UNDO:
        compensation.failed(m, failed.fault.at(path))
        return
    if compensation.awaits(m, scope):
        compensation.awaited(m, scope, path, failed.fault.at(path))
        return
    failed = msgspec.structs.replace(failed, fault=failed.fault.at(path))
    m.emit(events.Returned(at=m.now, scope=scope.id, path=path, failed=failed))


def _budgets(call: Call | None) -> Mapping[FailureClass, int]:
    return retry.budgets(call.retries) if isinstance(call, StepCall) else _BUDGETS


def _try_again(m: Machine, scope: Scope, frame: Frame, failure: FailureClass, error: Fault) -> bool:
    """Schedule one more attempt, if the budget of this class of failure allows it."""
    if not isinstance(frame.call, StepCall) or not retry.allows(_budgets(frame.call), frame.retries, failure):
        return False
    if compensation.leaves(m, scope, failure):
        return False
    number = frame.retries.get(failure, 0) + 1
    delay = retry.attempt_delay(failure, number)
    if frame.call.backoff is not None and delay:
        delay = retry.call_delay(frame.call.backoff, number, m.uniform)
    m.emit(
        events.AttemptFailed(
            at=m.now,
            scope=scope.id,
            path=frame.path,
            effect=frame.effect,
            failure=failure,
            fault=error.at(frame.path),
            until=m.now + delay,
        )
    )
    return True
