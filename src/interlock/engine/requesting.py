"""From a call of a Python workflow to the effect that it asks for."""

from __future__ import annotations

from typing import assert_never

from interlock.engine import issuing
from interlock.engine.machine import Machine
from interlock.engine.state import Frame, Scope
from interlock.model import event as events
from interlock.model.call import ChildCall, StepCall, TokenCall
from interlock.model.payload import Payload
from interlock.model.task import EffectRequest, PythonTarget, Target, WorkflowTarget


def call(m: Machine, scope: Scope, frame: Frame) -> None:
    """Ask for the effect of a call, once more if need be; its timeout is counted anew."""
    call = frame.call
    if isinstance(call, TokenCall):
        issuing.call(m, scope, frame, call)
        return
    assert isinstance(call, StepCall | ChildCall)  # the others wait for a moment or an event
    seconds = call.timeout_seconds if isinstance(call, StepCall) else None
    deadline = None if seconds is None else m.now + seconds
    waits = isinstance(call, ChildCall)
    step = call if isinstance(call, StepCall) else None
    request = EffectRequest(
        effect=m.state.head.serial + 1,
        path=frame.path,
        target=_target(call, frame.raw),
        idempotency_key=(step.idempotency_key if step else "") or f"{m.state.run}{frame.path}{_round(m)}",
        queued=waits or (step is not None and bool(step.pool)),
        attempt=1 + sum(frame.retries.values()),
        isolated=step is not None and step.isolated,
        pool=step.pool if step else "",
        priority=step.priority if step else 0,
        limits=step.limits if step else (),
        requires=step.requires if step else None,
    )
    m.emit(
        events.Requested(
            at=m.now,
            scope=scope.id,
            path=frame.path,
            effect=request.effect,
            queued=request.queued,
            waits=waits,
            deadline=deadline,
        )
    )
    m.decision.requests.append(request)


def _round(m: Machine) -> str:
    return f"?round={m.state.head.rounds}" if m.state.head.rounds else ""


def _target(call: StepCall | ChildCall, arguments: Payload) -> Target:
    match call:
        case StepCall(function=function, undoes=undoes):
            return PythonTarget(function=function, arguments=arguments.value, undoes=undoes)
        case ChildCall():
            return WorkflowTarget(
                namespace=call.namespace,
                name=call.name,
                version=call.version,
                definition=call.definition,
                input=arguments.value,
            )
        case _:
            assert_never(call)
