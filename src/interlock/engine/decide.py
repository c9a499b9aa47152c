"""Which events follow from a cause: the one entry to the pure core.

`decide(graph, state, cause, ...)` applies the cause, then runs every step that needs nothing from outside, until all
scopes wait or the run ended. It does no I/O, reads no clock and starts nothing: the shell commits the decision's events
and only then performs its requests.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, assert_never

from interlock.engine import calls, compensation, extending, faults, listening, settling, steps, timing
from interlock.engine.bindings import Bindings
from interlock.engine.cause import (
    Cancel,
    Cause,
    Continue,
    Did,
    Drain,
    Occurred,
    Recover,
    Reopen,
    Resume,
    Settled,
    Start,
    Suspend,
    Tick,
)
from interlock.engine.machine import MAX_PAYLOAD_BYTES, TOKEN_SECONDS, Decision, Machine, StepFault
from interlock.engine.state import ROOT, UNDO, Frame, RunState, Scope
from interlock.expr.evaluation import Answer, Pending
from interlock.flow.graph import Graph
from interlock.model import event as events
from interlock.model.event import LIST_END, RUN_END, STEP_END
from interlock.model.memo import Memo
from interlock.model.payload import Payload
from interlock.model.states import RunStatus
from interlock.secrets.bound import Bound

INLINE_STEPS: Final = 10_000
"""A decision commits its position at least this often, so that an endless loop can be cancelled and loses little."""


def decide(
    graph: Graph,
    state: RunState,
    cause: Cause,
    *,
    now: float,
    uniform: Callable[[float, float], float],
    answers: Sequence[Answer] = (),
    pause: Callable[[], bool] = lambda: False,
    max_payload_bytes: int = MAX_PAYLOAD_BYTES,
    secrets: Bound | None = None,
    undos: Sequence[Memo] = (),
    token_seconds: float = TOKEN_SECONDS,
) -> Decision:
    """Give what follows from `cause`, applied to `state`.

    `answers` are the values of slow expressions asked for by the decision before this one (`pending`). `pause` is asked
    between steps and makes the decision end early with `more`. `secrets`: those that the graph declares. `undos`: the
    memos with an undo that a decision asked for (`wants_undos`), in descending order. `token_seconds`: how long a token may
    be used whose author does not say it.
    """
    m = Machine(graph, state, now, uniform, answers, max_payload_bytes, secrets, token_seconds)
    m.decision.consumed = False
    try:
        _apply(m, cause)
        m.decision.consumed = True
        if not isinstance(cause, Drain) and (not m.state.head.program or m.state.head.rollback is not None):
            _run(m, pause, undos)
    except Pending as pending:
        m.decision.pending = pending.request
    return m.decision


# -- causes ----------------------------------------------------------------------------------------------------------


def _apply(m: Machine, cause: Cause) -> None:
    if m.state.ended and not isinstance(cause, Reopen):
        return
    match cause:
        case Start():
            _start(m)
        case Settled(effect=effect, outcome=outcome):
            settling.settle(m, effect, outcome)
        case Tick(heard=heard):
            if heard is not None:
                m.state.heard, m.heard = dict(heard), True
            timing.tick(m)
        case Occurred(event=envelope):
            calls.hear(m, envelope) if m.state.head.program else listening.hear(m, envelope)
        case Cancel(reason=reason, rollback=rollback):
            compensation.cancel(m, reason, rollback=rollback)
        case Suspend():
            if not m.state.head.suspended:
                m.emit(events.Suspended(at=m.now))
        case Resume():
            if m.state.head.suspended:
                m.emit(events.Resumed(at=m.now))
            timing.tick(m)
        case Reopen():
            _reopen(m)
        case Recover():
            _recover(m)
        case Drain():
            _drain(m)
        case Did(actions=actions):
            for action in actions:
                calls.did(m, action)
        case Continue():
            return
        case _:
            assert_never(cause)


def _start(m: Machine) -> None:
    """Begin: check the input, transform it, open the root scope. A wrong input faults the run at once."""
    graph, raw = m.graph, m.state.input
    if graph.program is not None:
        calls.start(m)
        return
    bindings = Bindings(graph, m.state, None, None)
    value, deadline, problem = raw, None, None
    try:
        steps.check(graph.input_schema, raw, "input")
        if graph.input_from is not None:
            value = m.payload(m.evaluate(graph.input_from, raw.value, bindings))
        if graph.timeout is not None:
            deadline = m.now + m.seconds(graph.timeout, value.value, bindings)
    except StepFault as found:
        problem = found.fault
    m.emit(events.Started(at=m.now, value=value, first=graph.first, deadline=deadline))
    if problem is not None:
        m.emit(events.Faulted(at=m.now, scope=ROOT, path="", fault=problem.at("/")))


def _reopen(m: Machine) -> None:
    if m.state.status is not RunStatus.FAULTED:
        return
    if m.state.head.rollback is not None:
        compensation.end(m)  # what is undone cannot go on: the run ends again as it had
        return
    deadline = None
    if m.state.head.deadline is not None:
        deadline = m.now + (m.state.head.deadline - m.state.head.started_at)
    m.emit(events.Reopened(at=m.now, deadline=deadline))
    if m.state.head.suspended:  # it faulted while it was to rest: whoever has it tried again wants it to go on
        m.emit(events.Resumed(at=m.now))
    if m.state.head.program:
        return
    try:
        steps.check(m.graph.input_schema, m.state.input, "input")
    except StepFault as found:
        m.emit(events.Faulted(at=m.now, scope=ROOT, path="", fault=found.fault.at("/")))


def _recover(m: Machine) -> None:
    """Ask again for the effects that were in flight in the process that is gone, within the budget of `lost`."""
    if m.state.status is RunStatus.PENDING:
        _start(m)
        return
    lost = sorted(effect for effect in m.state.effects if _is_here(m, effect))
    m.emit(events.Recovered(at=m.now, lost=lost))
    # A tick asks again. Were it applied here, a slow expression in it would repeat this cause, and what was asked for a
    # moment ago would be lost once more.
    m.decision.more = True


def _drain(m: Machine) -> None:
    for effect in sorted(m.state.effects):
        if _is_here(m, effect):
            scope, frame = _frame(m, effect)
            m.emit(events.Waited(at=m.now, scope=scope.id, path=frame.path, until=m.now))
            m.decision.interrupts[effect] = False


def _is_here(m: Machine, effect: int) -> bool:
    """Say whether an effect is performed by the node itself: neither through the queue nor by the holder of a token."""
    frame = _frame(m, effect)[1]
    return frame.effect == effect and not frame.queued


def _frame(m: Machine, effect: int) -> tuple[Scope, Frame]:
    scope = m.state.scopes[m.state.effects[effect]]
    return scope, scope.frames[-1]


# -- steps -----------------------------------------------------------------------------------------------------------


def _run(m: Machine, pause: Callable[[], bool], undos: Sequence[Memo]) -> None:
    """Run what is ready, scope by scope and in a rollback undo by undo, until everything waits."""
    ready = [scope.id for scope in m.state.scopes.values() if _is_ready(m, scope)]
    count = 0
    while not m.state.ended and not m.state.head.suspended:
        if not ready:
            if not compensation.proceed(m, undos):
                return
            ready.append(UNDO)
        scope = m.state.scopes.get(ready[-1])
        if scope is None or not _is_ready(m, scope):
            ready.pop()
            continue
        before = len(m.decision.events)
        _step(m, scope)
        ready += _woken(m, m.decision.events[before:])
        count += 1
        if count >= INLINE_STEPS or (count % 16 == 0 and pause()):
            m.decision.more = True
            return


def _is_ready(m: Machine, scope: Scope) -> bool:
    return not scope.done and (scope.at is not None or steps.joins(m, scope) or listening.is_due(m, scope))


def _woken(m: Machine, news: Sequence[events.Event]) -> list[str]:
    """Give the scopes that these events may have made ready: new branches, last first, and joining or catching parents."""
    woken: list[str] = []
    for event in news:
        match event:
            case events.Forked(base=base, branches=branches):
                woken += [f"{base}.{number}" for number in reversed(range(len(branches)))]
            case events.BranchEnded(scope=scope):
                parent = m.state.scopes[scope].parent
                assert parent is not None
                woken.append(parent)
            case events.Caught(scope=scope) | events.Tolerated(scope=scope):
                woken.append(scope)
            case _:
                pass
    return woken


def _step(m: Machine, scope: Scope) -> None:
    path = _origin(scope)
    try:
        if scope.at is None and scope.frames[-1].listener:
            listening.proceed(m, scope)
        elif scope.at is None:
            steps.join(m, scope)
        elif scope.at == RUN_END and m.state.head.rollback is not None:
            compensation.settled(m)
        elif scope.at == RUN_END:
            _finish(m, scope.value)
        elif scope.at == STEP_END:
            extending.skip(m, scope)
        elif scope.at != LIST_END:
            steps.enter(m, scope, m.graph.nodes[scope.at])
        elif scope.frames:
            steps.leave(m, scope)
        elif scope.id == ROOT:
            _finish(m, scope.value)
        elif scope.id == UNDO:
            compensation.settled(m)
        else:
            m.emit(events.BranchEnded(at=m.now, scope=scope.id))
    except StepFault as found:
        faults.raise_fault(m, scope, path, found.fault)


def _origin(scope: Scope) -> str:
    """Give the step that an error belongs to: the one to enter, else the innermost open one, else the run itself."""
    if scope.at not in (None, LIST_END, RUN_END, STEP_END):
        assert scope.at is not None
        return scope.at
    return scope.frames[-1].path if scope.frames and scope.at != RUN_END else ""


def _finish(m: Machine, value: Payload) -> None:
    """End the run well: OWS 1.0.3, "Data Flow", steps 10 and 11."""
    output = value
    if m.graph.output_as is not None:
        bindings = Bindings(m.graph, m.state, m.state.scopes[ROOT], None)
        output = m.payload(m.evaluate(m.graph.output_as, value.value, bindings))
    steps.check(m.graph.output_schema, output, "output")
    m.emit(events.Ended(at=m.now, output=output))
