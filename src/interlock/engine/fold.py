"""What each event does to the state of a run. The only code that changes it.

Pure and total: no graph, no clock, no decision. `fold` of the first n events therefore gives the state after them, which
fork-from-step and the test suite rely on.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, assert_never

from interlock.engine import rollback, tickets
from interlock.engine import state as states
from interlock.engine.state import Frame, RunState, Scope
from interlock.model import event as events
from interlock.model.call import Show, StepCall
from interlock.model.event import Event
from interlock.model.memo import Memo, Undo
from interlock.model.payload import NULL, Payload
from interlock.model.states import RunStatus
from interlock.model.task import FailureClass

_LEFT: Final = "the step does not wait for it any more"


def fold(state: RunState, history: Iterable[Event]) -> RunState:
    """Apply events in order; returns the same state for chaining."""
    for event in history:
        apply(state, event)
    return state


def apply(state: RunState, event: Event) -> None:
    """Change `state` by one event. Raises KeyError when the event does not fit the state: a damaged history."""
    match event:  # what happens most stands first
        case events.Called():
            frame = Frame(
                path=event.path, since=event.at, raw=event.arguments, deadline=event.deadline, call=event.call
            )
            state.scopes[event.scope] = Scope(id=event.scope, value=NULL, context=states.EMPTY, frames=[frame])
            state.touched.add(event.scope)
        case events.Requested():
            scope = _touch(state, event.scope)
            frame = scope.frames[-1]
            frame.effect, frame.queued, frame.until = event.effect, event.queued, None
            frame.waits = event.waits
            frame.deadline = event.deadline
            state.effects[event.effect] = scope.id
            state.head.serial = max(state.head.serial, event.effect)
        case events.Returned():
            _return(state, event)
        case events.Issued() | events.HandedOver() | events.Expiring():
            tickets.apply(state, _touch(state, event.scope), event)
        case events.Started():
            state.status = RunStatus.RUNNING
            state.head.program = event.first is None
            state.head.started_at, state.head.deadline = event.at, event.deadline
            state.scopes[states.ROOT] = states.root_scope(event.value, event.first)
            state.touched.add(states.ROOT)
        case events.Ended():
            state.status, state.output = RunStatus.COMPLETED, event.output
            _clear(state)
        case events.Completed():
            _complete(state, event)
        case events.Entered():
            scope = _touch(state, event.scope)
            frame = Frame(path=event.path, since=event.at, raw=scope.value, input_=event.input, deadline=event.deadline)
            scope.frames.append(frame)
            scope.value = frame.input
            scope.at = event.first
        case events.Skipped():
            scope = _touch(state, event.scope)
            scope.at = event.next
            scope.laps += event.back
        case events.Waited():
            scope = _touch(state, event.scope)
            frame = scope.frames[-1]
            state.effects.pop(frame.effect, None)
            frame.effect, frame.until = 0, event.until
        case events.Looped():
            _loop(state, event)
        case events.Listened():
            _touch(state, event.scope).frames[-1].listener = event.listener
            state.head.serial = event.listener
        case events.Heard() | events.Sealed() | events.Taken() | events.Processed():
            _listen(state, event)
        case events.Extended():
            _extend(state, event)
        case events.Emitted():
            return
        case events.Forked():
            _fork(state, event)
        case events.BranchEnded():
            scope = _touch(state, event.scope)
            scope.at, scope.done = None, True
        case events.Tolerated():
            scope = _close(state, event.scope, event.path)
            scope.value, scope.at = NULL, event.next
            scope.laps += event.back
            state.head.partial = True
        case events.AttemptFailed():
            scope = _touch(state, event.scope)
            frame = scope.frames[-1]
            state.effects.pop(frame.effect, None)
            tickets.supersede(state, frame, event)
            frame.effect, frame.until, frame.deadline = 0, event.until, None
            frame.retries = frame.retries | {event.failure: frame.retries.get(event.failure, 0) + 1}
        case events.Caught():
            scope, frame = _unwind(state, event.scope, event.path)
            frame.phase, frame.error, frame.until, frame.round_deadline = "catch", event.fault, None, None
            scope.value, scope.at = frame.input, event.first
        case events.RetryScheduled():
            scope, frame = _unwind(state, event.scope, event.path)
            frame.phase, frame.error, frame.until, frame.round_deadline = "backoff", event.fault, event.until, None
            scope.value, scope.at = frame.input, None
        case events.Retried():
            scope, frame = _unwind(state, event.scope, event.path)
            frame.phase, frame.until, frame.round = "", None, event.round
            frame.round_deadline = event.deadline
            scope.value, scope.at = frame.input, event.first
        case events.Noted():
            _remember(state, event.call, event.at, event.value)
        case events.Left():
            _remove(state, event.scope)
        case events.Shown():
            _show(state, event.shown)
        case events.Renewed():
            _renew(state, event)
        case events.Faulted():
            state.status, state.fault = RunStatus.FAULTED, event.fault
            state.head.failed_scope, state.head.failed_path, state.head.failed_at = event.scope, event.path, event.at
            if state.head.program:  # a retry runs the function again, which makes its calls anew
                _close_calls(state)
                if event.memo is not None:
                    state.head.dropped = [*state.head.dropped, event.memo]
            state.effects.clear()
            if state.head.rollback is None:
                _touch(state, event.scope)
            else:
                _clear(state)  # nothing is left to go on with
        case events.Cancelled():
            state.status = RunStatus.CANCELLED
            _clear(state)
        case events.RollbackBegan():
            rollback.begin(state, event)
        case events.Awaited():
            rollback.awaited(state, event)
        case events.UndoBegan():
            rollback.begin_undo(state, event)
        case events.Undone() | events.UndoFailed():
            rollback.end_undo(state, event)
        case events.Suspended():
            state.head.suspended = True
        case events.Resumed():
            state.head.suspended = False
        case events.Reopened():
            _reopen(state, event)
        case events.Recovered():
            for effect in event.lost:
                scope, frame = _waiting(state, effect)
                del state.effects[effect]
                frame.retries = frame.retries | {FailureClass.LOST: frame.retries.get(FailureClass.LOST, 0) + 1}
                frame.effect, frame.until, frame.deadline = 0, event.at, None
                state.touched.add(scope.id)
        case events.Copied():
            _copy(state, event)
        case _:
            assert_never(event)


def _touch(state: RunState, scope: str) -> Scope:
    state.touched.add(scope)
    return state.scopes[scope]


def _complete(state: RunState, event: events.Completed) -> None:
    if event.undo:
        rollback.remember(state, event)
    tickets.settle(state, state.scopes[event.scope], event.path)
    scope = _close(state, event.scope, event.path)
    scope.value, scope.at = event.output, event.next
    scope.laps += event.back
    if event.context is not None:
        scope.context = event.context


def _close(state: RunState, scope_id: str, path: str) -> Scope:
    """Close the step `path`, and all that is open inside it, if it was opened at all."""
    scope = _touch(state, scope_id)
    depth = next((i for i, frame in enumerate(scope.frames) if frame.path == path), None)
    if depth is not None:
        _drop(state, scope, depth)
    return scope


def _unwind(state: RunState, scope_id: str, path: str) -> tuple[Scope, Frame]:
    """Close all that is open inside the open step `path`, but not the step itself."""
    scope = _touch(state, scope_id)
    depth = next(i for i, frame in enumerate(scope.frames) if frame.path == path)
    _drop(state, scope, depth + 1)
    return scope, scope.frames[depth]


def _drop(state: RunState, scope: Scope, depth: int) -> None:
    for frame in scope.frames[depth:]:
        state.effects.pop(frame.effect, None)
        state.give_up(frame, _LEFT)
        for branch in range(frame.branches):
            _remove(state, f"{frame.base}.{branch}")
    del scope.frames[depth:]


def _remove(state: RunState, scope_id: str) -> None:
    scope = state.scopes.pop(scope_id)
    tickets.leave_call(state, scope, _LEFT)
    _drop(state, scope, 0)
    state.touched.discard(scope_id)
    state.removed.add(scope_id)


def _clear(state: RunState) -> None:
    for scope_id in list(state.scopes):
        state.removed.add(scope_id)
    state.scopes.clear()
    state.effects.clear()
    state.touched.clear()


def _close_calls(state: RunState) -> None:
    for scope_id in [scope for scope in state.scopes if scope != states.ROOT]:
        _remove(state, scope_id)


def _return(state: RunState, event: events.Returned) -> None:
    frame = state.scopes[event.scope].frames[-1]
    if event.failed is None:
        tickets.settle(state, state.scopes[event.scope], event.path)
    else:
        state.give_up(frame, f"the wait for it ended: {event.failed.fault}")
    _remove(state, event.scope)
    state.head.memos += 1
    undo = None
    if event.output is not None and isinstance(frame.call, StepCall) and frame.call.undo:
        undo = Undo(step=event.path, input=frame.raw, call=frame.call.undo)
        state.head.undos += 1
    memo = Memo(
        number=state.head.memos, call=event.scope, at=event.at, output=event.output, failed=event.failed, undo=undo
    )
    state.memos.append(memo)
    state.touched.add(states.ROOT)
    if event.output is not None and isinstance(frame.call, StepCall) and frame.call.cache is not None:
        name, key, seconds = frame.call.cache
        state.cached.append(states.Kept(name, key, event.output, event.at + seconds))


def _remember(state: RunState, call: str, at: float, value: Payload) -> None:
    state.head.memos += 1
    state.memos.append(Memo(number=state.head.memos, call=call, at=at, output=value))
    state.touched.add(states.ROOT)


def _show(state: RunState, shown: Show) -> None:
    state.attributes |= shown.attributes
    told = Show(progress=shown.progress, message=shown.message, status=shown.status)
    if told != Show():
        state.head.shown = (state.head.shown or Show()).then(told)
        state.shows = True
        state.touched.add(states.ROOT)


def _renew(state: RunState, event: events.Renewed) -> None:
    """Begin a Python workflow anew. Its undos are forgotten too: a round that is closed is settled."""
    _close_calls(state)
    state.memos.clear()
    state.renewed = True
    state.head.input, state.head.deadline = event.input, event.deadline
    state.head.rounds += 1
    state.head.undos, state.head.dropped = 0, []
    state.touched.add(states.ROOT)


def _loop(state: RunState, event: events.Looped) -> None:
    scope = _touch(state, event.scope)
    frame = scope.frames[-1]
    if event.items is not None:
        frame.items = event.items
    frame.index = event.index
    scope.at = event.first


def _listen(state: RunState, event: events.Heard | events.Sealed | events.Taken | events.Processed) -> None:
    scope = _touch(state, event.scope)
    frame = next(frame for frame in scope.frames if frame.path == event.path)
    match event:
        case events.Heard():
            if event.until:
                frame.ended_by = [*frame.ended_by, event.filter]
            else:
                frame.heard = [*frame.heard, event.event]
                if event.filter >= 0:
                    frame.fitted = [*frame.fitted, event.filter]
            if event.correlation is not None:
                frame.correlation = event.correlation
        case events.Sealed():
            frame.sealed = True
        case events.Taken():
            frame.item, frame.heard = event.value, frame.heard[1:]
            scope.value, scope.at = event.value, event.first
        case _:
            if frame.item is None:
                frame.heard = frame.heard[1:]
            frame.item, frame.processed = None, frame.processed + 1
            if event.output is not None:
                frame.outputs = [*frame.outputs, event.output]
            if event.context is not None:
                scope.context = event.context
            scope.value, scope.at = frame.input, None


def _extend(state: RunState, event: events.Extended) -> None:
    scope = _touch(state, event.scope)
    frame = scope.frames[-1]
    frame.part, frame.active, frame.then, frame.output = event.part, event.active, event.then, event.output
    scope.value, scope.at = event.value, event.first


def _fork(state: RunState, event: events.Forked) -> None:
    scope = _touch(state, event.scope)
    frame = scope.frames[-1]
    frame.base, frame.branches = event.base, len(event.branches)
    scope.at = None
    state.head.serial = event.base
    for number, path in enumerate(event.branches):
        child = f"{event.base}.{number}"
        state.scopes[child] = Scope(
            id=child, value=frame.input, context=scope.context, at=path, parent=scope.id, frames=[]
        )
        state.touched.add(child)


def _reopen(state: RunState, event: events.Reopened) -> None:
    """Put the failed step back to where it is entered, and every effect that was stopped to where it is asked for."""
    scope_id, path = state.head.failed_scope, state.head.failed_path
    assert scope_id is not None
    assert path is not None
    failed = _touch(state, scope_id)
    depth = next((i for i, frame in enumerate(failed.frames) if frame.path == path), None)
    if depth is not None:
        _reenter(state, failed, depth)
    for scope in state.scopes.values():
        if scope.frames and (scope.frames[-1].effect or scope.frames[-1].ticket is not None):
            _reenter(state, scope, len(scope.frames) - 1)
        for frame in scope.frames:
            frame.deadline = None if frame.deadline is None else event.at + (frame.deadline - frame.since)
            if frame.round_deadline is not None and state.head.failed_at is not None:
                frame.round_deadline += event.at - state.head.failed_at
            state.touched.add(scope.id)
    state.tokens.clear()  # they were revoked when the run faulted, and are asked for again
    state.status, state.fault = RunStatus.RUNNING, None
    state.head.failed_scope = state.head.failed_path = state.head.failed_at = None
    state.head.deadline = event.deadline


def _copy(state: RunState, event: events.Copied) -> None:
    """Go on where another run stood at `since`: time did not pass meanwhile, and nobody performs its effects for us."""
    passed = 0.0 if event.since is None else event.at - event.since
    if state.head.deadline is not None:
        state.head.deadline += passed
    for scope in state.scopes.values():
        for frame in scope.frames:
            frame.deadline = None if frame.deadline is None else frame.deadline + passed
            frame.round_deadline = None if frame.round_deadline is None else frame.round_deadline + passed
            frame.until = None if frame.until is None else frame.until + passed
            if frame.effect or frame.ticket is not None:
                frame.effect, frame.ticket, frame.until = 0, None, event.at
    state.effects.clear()
    state.touched |= state.scopes.keys()


def _reenter(state: RunState, scope: Scope, depth: int) -> None:
    frame = scope.frames[depth]
    raw, path = frame.raw, frame.path
    _drop(state, scope, depth)
    scope.value, scope.at = raw, path
    state.touched.add(scope.id)


def _waiting(state: RunState, effect: int) -> tuple[Scope, Frame]:
    scope = state.scopes[state.effects[effect]]
    return scope, scope.frames[-1]
