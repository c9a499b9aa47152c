"""How each kind of step begins and ends.

`enter` opens the step at a scope's position; `leave` ends the innermost open step whose list is done; `complete` does what
every step does at its end (OWS 1.0.3, "Data Flow", steps 5 to 9). All of them compute first and emit then.
"""

from __future__ import annotations

import hashlib
from typing import assert_never

import msgspec

from interlock.engine import extending, listening, requests
from interlock.engine.bindings import Bindings
from interlock.engine.ending import check, complete, truthy
from interlock.engine.machine import Machine, StepFault
from interlock.engine.state import Frame, Scope
from interlock.flow.graph import (
    ApprovalWork,
    ChildWork,
    DoWork,
    EmitWork,
    ExtendedWork,
    ForkWork,
    ForWork,
    FunctionWork,
    HttpWork,
    ListenWork,
    Node,
    OpenApiWork,
    ProcessWork,
    PythonWork,
    RaiseWork,
    SetWork,
    SwitchWork,
    TasksWork,
    TryWork,
    WaitWork,
)
from interlock.model import cloud_event, fault
from interlock.model import event as events
from interlock.model.event import LIST_END
from interlock.model.fault import Fault
from interlock.model.json import Json
from interlock.model.payload import NULL, Payload
from interlock.secrets.bound import SecretInData


def enter(m: Machine, scope: Scope, node: Node) -> None:
    """Open the step at the scope's position, or do the whole of it when it has no effect. Raises StepFault, Pending."""
    raw = scope.value
    before = Bindings(m.graph, m.state, scope, node, raw=raw, since=m.now)
    if node.if_ is not None and not truthy(m.evaluate(node.if_, raw.value, before)):
        back = m.graph.leads_back(node, node.follow)
        m.emit(events.Skipped(at=m.now, scope=scope.id, path=node.path, next=node.follow, back=back))
        return
    check(node.input_schema, raw, "input")
    frame = Frame(path=node.path, since=m.now, raw=raw)
    if node.input_from is not None:
        frame.input_ = m.payload(m.evaluate(node.input_from, raw.value, before))
    if node.timeout is not None:
        frame.deadline = m.now + m.seconds(node.timeout, frame.input.value, m.bindings(scope, node, frame))
    _begin(m, scope, node, frame)


def _begin(m: Machine, scope: Scope, node: Node, frame: Frame) -> None:
    match node.work:
        case SetWork(value=value):
            output = m.evaluate(value, frame.input.value, m.bindings(scope, node, frame))
            complete(m, scope, node, frame, m.payload(output))
        case SwitchWork():
            _switch(m, scope, node, frame, node.work)
        case RaiseWork():
            raise StepFault(_raised(m, scope, node, frame, node.work))
        case WaitWork(duration=wait):
            until = m.now + m.seconds(wait, frame.input.value, m.bindings(scope, node, frame))
            _open(m, scope, frame, None)
            m.emit(events.Waited(at=m.now, scope=scope.id, path=node.path, until=until))
        case DoWork(first=first):
            _open(m, scope, frame, first)
        case FunctionWork(arguments=arguments, first=first):
            bindings = m.bindings(scope, node, frame)
            given = m.payload(m.evaluate(arguments, frame.input.value, bindings, goes_out=True))
            frame.input_ = given
            _open(m, scope, frame, first)
        case ForWork():
            _for(m, scope, node, frame, node.work)
        case ForkWork(branches=branches):
            _fork(m, scope, node, frame, branches)
        case TryWork(first=first):
            deadline = _round_deadline(m, scope, node, frame, node.work)
            _open(m, scope, frame, first)
            if deadline is not None:
                m.emit(
                    events.Retried(at=m.now, scope=scope.id, path=node.path, round=0, first=first, deadline=deadline)
                )
        case EmitWork():
            _emit(m, scope, node, frame, node.work)
        case ListenWork():
            _open(m, scope, frame, None)
            m.emit(events.Listened(at=m.now, scope=scope.id, path=node.path, listener=m.state.head.serial + 1))
        case ExtendedWork(parts=parts):
            bindings = m.bindings(scope, node, frame)
            active = [
                number
                for number, part in enumerate(parts)
                if part.when is None or truthy(m.evaluate(part.when, frame.raw.value, bindings))
            ]
            extending.begin(m, scope, node, frame, active)
        case HttpWork() | OpenApiWork() | PythonWork() | ProcessWork() | ChildWork() | ApprovalWork() | TasksWork():
            requests.begin(m, scope, node, frame, frame.deadline, lambda: _open(m, scope, frame, None))
        case _:
            assert_never(node.work)


def _open(m: Machine, scope: Scope, frame: Frame, first: str | None) -> None:
    m.emit(
        events.Entered(
            at=m.now, scope=scope.id, path=frame.path, input=frame.input_, deadline=frame.deadline, first=first
        )
    )


def _switch(m: Machine, scope: Scope, node: Node, frame: Frame, work: SwitchWork) -> None:
    bindings = m.bindings(scope, node, frame)
    default = node.next
    for case in work.cases:
        if case.when is None:
            default = case.next
        elif truthy(m.evaluate(case.when, frame.input.value, bindings)):
            complete(m, scope, node, frame, frame.input, next_=case.next)
            return
    complete(m, scope, node, frame, frame.input, next_=default)


def _raised(m: Machine, scope: Scope, node: Node, frame: Frame, work: RaiseWork) -> Fault:
    fields = m.evaluate(work.error, frame.input.value, m.bindings(scope, node, frame))
    text = {key: value if isinstance(value, str) else str(value) for key, value in fields.items() if key != "status"}
    return msgspec.convert({**text, "status": fields["status"]}, Fault)


def _for(m: Machine, scope: Scope, node: Node, frame: Frame, work: ForWork) -> None:
    items = m.evaluate(work.items, frame.input.value, m.bindings(scope, node, frame))
    if items is None:
        items = []
    if not isinstance(items, list):
        raise StepFault(_expression_fault(f"`for.in` gave {_kind(items)}, an array is needed"))
    if not items or not _goes_on(m, scope, node, frame, work, items, 0):
        complete(m, scope, node, frame, frame.input)
        return
    kept = m.payload(items)
    _open(m, scope, frame, None)
    m.emit(events.Looped(at=m.now, scope=scope.id, path=node.path, index=0, first=work.first, items=kept))


def _goes_on(m: Machine, scope: Scope, node: Node, frame: Frame, work: ForWork, items: list[Json], index: int) -> bool:
    """Say whether the `while` of a loop lets the iteration `index` begin."""
    if work.while_ is None:
        return True
    bindings = m.bindings(scope, node, frame, extra={work.each: items[index], work.at: index})
    return truthy(m.evaluate(work.while_, scope.value.value, bindings))


def _fork(m: Machine, scope: Scope, node: Node, frame: Frame, branches: tuple[str, ...]) -> None:
    _open(m, scope, frame, None)
    base = m.state.head.serial + 1
    m.emit(events.Forked(at=m.now, scope=scope.id, path=node.path, base=base, branches=list(branches)))


def _emit(m: Machine, scope: Scope, node: Node, frame: Frame, work: EmitWork) -> None:
    """Send an event in the commit of this decision; the step's output is its envelope (OWS 1.0.3, "Emit")."""
    bindings = m.bindings(scope, node, frame)
    given = m.evaluate(work.event, frame.input.value, bindings)
    key = requests.idempotency_key(m, scope, node, frame, bindings)
    source = f"urn:interlock:{m.state.namespace}:{m.state.id}"
    try:
        envelope = cloud_event.envelope(given, id=_name_of(key), source=source, now=m.now)
    except ValueError as error:
        raise StepFault(Fault(type=fault.VALIDATION, status=400, title="No event", detail=str(error))) from None
    payload = m.payload(envelope)
    _check_leaves(m, payload)
    complete(m, scope, node, frame, payload)
    m.emit(
        events.Emitted(
            at=m.now,
            scope=scope.id,
            path=node.path,
            id=envelope["id"],
            source=envelope["source"],
            kind=envelope["type"],
        )
    )
    m.decision.emitted.append(envelope)


def _check_leaves(m: Machine, envelope: Payload) -> None:
    """Check that an event holds no secret: it leaves the run, and its markers mean nothing to who hears it."""
    found = [] if m.secrets is None else m.secrets.markers.found(envelope.text.decode())
    if found:
        detail = f"the event holds the secret {str(found[0])!r}, and would leave the run with it; leave it out"
        raise StepFault(
            Fault(type=fault.EXPRESSION, status=400, title="Secret in an event", detail=detail, code=SecretInData.code)
        )


def _name_of(key: str) -> str:
    """Give the id of an event: the same for the same visit of a step, whoever performs it and how often."""
    return hashlib.sha256(key.encode()).hexdigest()[:32]


def _round_deadline(m: Machine, scope: Scope, node: Node, frame: Frame, work: TryWork) -> float | None:
    """Give the end of one round of a `try`: `limit.attempt.duration` bounds each attempt (decision 5)."""
    if work.retry is None or work.retry.attempt_duration is None:
        return None
    return m.now + m.seconds(work.retry.attempt_duration, frame.input.value, m.bindings(scope, node, frame))


def retry_round(m: Machine, scope: Scope, node: Node, frame: Frame, work: TryWork) -> None:
    """Begin the list of a `try` again."""
    deadline = _round_deadline(m, scope, node, frame, work)
    m.emit(
        events.Retried(
            at=m.now, scope=scope.id, path=node.path, round=frame.round + 1, first=work.first, deadline=deadline
        )
    )


# -- ends ------------------------------------------------------------------------------------------------------------


def leave(m: Machine, scope: Scope) -> None:
    """End the innermost open step of a scope whose list is done. Raises StepFault, Pending."""
    frame = scope.frames[-1]
    node = m.graph.nodes[frame.path]
    match node.work:
        case ForWork():
            _next_iteration(m, scope, node, frame, node.work)
        case ListenWork():
            listening.leave(m, scope, node, frame, node.work)
        case ExtendedWork():
            extending.leave(m, scope, node, frame)
        case TryWork(catch_next=catch_next) if frame.phase == "catch" and catch_next is not None:
            complete(m, scope, node, frame, scope.value, next_=catch_next)
        case _:
            complete(m, scope, node, frame, scope.value)


def _next_iteration(m: Machine, scope: Scope, node: Node, frame: Frame, work: ForWork) -> None:
    items: list[Json] = NULL.value if frame.items is None else frame.items.value
    index = frame.index + 1
    if index < len(items) and _goes_on(m, scope, node, frame, work, items, index):
        m.emit(events.Looped(at=m.now, scope=scope.id, path=node.path, index=index, first=work.first))
        return
    complete(m, scope, node, frame, scope.value)


def joins(m: Machine, scope: Scope) -> bool:
    """Say whether the fork that a scope waits in has all, or in a race any, of its branches done."""
    if not scope.frames or not scope.frames[-1].branches:
        return False
    frame = scope.frames[-1]
    done = (m.state.scopes[f"{frame.base}.{number}"].done for number in range(frame.branches))
    return any(done) if _compete(m, frame) else all(done)


def join(m: Machine, scope: Scope) -> None:
    """Complete a fork: the winner's output, or the outputs of all branches in declaration order."""
    frame = scope.frames[-1]
    node = m.graph.nodes[frame.path]
    branches = [m.state.scopes[f"{frame.base}.{number}"] for number in range(frame.branches)]
    if _compete(m, frame):
        winner = next(branch for branch in branches if branch.done)
        complete(m, scope, node, frame, winner.value, context=winner.context)
        return
    merged = scope.context
    for branch in branches:
        merged = _merged(merged, branch.context, scope.context)
    outputs = m.payload([branch.value.value for branch in branches])
    complete(m, scope, node, frame, outputs, context=merged)


def _compete(m: Machine, frame: Frame) -> bool:
    work = m.graph.nodes[frame.path].work
    return isinstance(work, ForkWork) and work.compete


def _merged(merged: Payload, branch: Payload, before: Payload) -> Payload:
    """Merge a branch's context over the others', if the branch changed it (decision 7)."""
    if branch is before or branch == before:
        return merged
    if isinstance(merged.value, dict) and isinstance(branch.value, dict):
        return Payload(merged.value | branch.value)
    return branch


def _expression_fault(detail: str) -> Fault:
    return Fault(type=fault.EXPRESSION, status=400, title="Expression failed", detail=detail)


def _kind(value: Json) -> str:
    match value:
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case str():
            return "a string"
        case _:
            return "an object"


__all__ = ["LIST_END", "check", "complete", "enter", "join", "joins", "leave", "retry_round", "truthy"]
