"""What the events of a rollback do to the state: the part of `fold` that `compensation` relies on.

While effects are awaited, the scopes that wait for them stay with those around them. After that there is the root, which
keeps the context, and the scope of the undo that runs, with the scopes of its branches.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from interlock.engine.state import ROOT, UNDO, Frame, Rollback, RunState, Scope
from interlock.model import event as events
from interlock.model.call import StepCall
from interlock.model.memo import Memo, Undo
from interlock.model.payload import NULL, Payload

_STOPPED: Final = "the run is being rolled back"


def remember(state: RunState, event: events.Completed) -> None:
    """Keep what the undo of a step needs, outside of the state: see `model.memo`."""
    given = event.input
    if given is None:
        given = next(frame.input for frame in state.scopes[event.scope].frames if frame.path == event.path)
    state.head.memos += 1
    state.head.undos += 1
    undo = Undo(step=event.path, input=given, node=event.undo)
    state.memos.append(Memo(number=state.head.memos, call=event.path, at=event.at, output=event.output, undo=undo))


def begin(state: RunState, event: events.RollbackBegan) -> None:
    """Close all scopes but those whose effect is awaited, and what these need to end it: the scopes around them."""
    kept = {ROOT}
    for scope_id in event.awaited:
        kept |= {scope.id for scope in state.lineage(state.scopes[scope_id])}
    _close(state, state.scopes.keys() - kept)
    for scope in state.scopes.values():
        scope.at = None
        is_awaited = scope.id in event.awaited
        if not is_awaited:
            state.effects = {effect: other for effect, other in state.effects.items() if other != scope.id}
        for frame in scope.frames[:-1] if is_awaited else scope.frames:
            frame.deadline = frame.until = frame.round_deadline = None
            frame.effect, frame.branches, frame.sealed = 0, 0, frame.listener > 0
            state.give_up(frame, _STOPPED)
        state.touched.add(scope.id)
    state.head.deadline = None
    state.head.rollback = Rollback(
        scope=event.scope, path=event.path, fault=event.fault, reason=event.reason, awaited=list(event.awaited)
    )
    if not event.awaited:
        _close_all(state)


def awaited(state: RunState, event: events.Awaited) -> None:
    """Close a scope whose effect has ended."""
    rollback = of(state)
    rollback.awaited = [scope for scope in rollback.awaited if scope != event.scope]
    _close(state, ({event.scope} & state.scopes.keys()) - {ROOT})  # a call that ended well is closed by then
    if not rollback.awaited:
        _close_all(state)


def begin_undo(state: RunState, event: events.UndoBegan) -> None:
    """Open the scope of an undo."""
    rollback = of(state)
    rollback.before, rollback.undoing = event.number, event.path
    state.head.undos -= 1
    state.scopes[UNDO] = Scope(
        id=UNDO,
        value=event.output,
        context=state.scopes[ROOT].context,
        at=event.node or None,
        parent=ROOT,
        frames=[] if event.call is None else [_call(event, event.call)],
        given=event.input,
    )
    state.touched.add(UNDO)


def _call(event: events.UndoBegan, call: StepCall) -> Frame:
    """Give the call that undoes a step of a Python workflow: of what undoes it, with what the step gave and was given."""
    given = Payload({"output": event.output.value, "arguments": event.input.value})
    return Frame(path=event.path + events.UNDO, since=event.at, raw=given, call=call)


def end_undo(state: RunState, event: events.Undone | events.UndoFailed) -> None:
    """Close the scope of an undo, and those of its branches."""
    _close_all(state)
    if isinstance(event, events.UndoFailed):
        of(state).failed += 1


def of(state: RunState) -> Rollback:
    """Give the rollback that has begun."""
    assert state.head.rollback is not None
    return state.head.rollback


def _close_all(state: RunState) -> None:
    """Leave of the scopes only the root, for its context."""
    _close(state, state.scopes.keys() - {ROOT})
    root = state.scopes[ROOT]
    root.frames, root.value, root.at = [], NULL, None
    state.effects.clear()
    state.touched.add(ROOT)


def _close(state: RunState, scopes: Collection[str]) -> None:
    for scope_id in scopes:
        for frame in state.scopes[scope_id].frames:
            state.give_up(frame, _STOPPED)
        del state.scopes[scope_id]
    state.effects = {effect: scope for effect, scope in state.effects.items() if scope not in scopes}
    state.touched -= set(scopes)
    state.removed |= set(scopes)
