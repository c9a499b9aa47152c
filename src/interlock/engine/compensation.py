"""Rolling back: before a run that failed or is cancelled ends, it undoes what it finished, step by step.

    fault, cancel -> RollbackBegan   everything open is closed, except effects in flight that have an undo
                     Awaited         one of these has ended: done, then it is undone with the rest; or not, then it is left
    undo by undo  -> UndoBegan       in reverse order of completion, whatever branch the step was in
                     Undone          ... or
                     UndoFailed      its retries are used up: noted, and the rollback goes on
    the last one  -> Faulted, Cancelled

Each undo runs in the scope UNDO as steps do anywhere, so that it is durable, retried and shown like any step. What it needs
of the step is in the step's memo, outside of the state: `proceed` is given a page of them, or asks for one.

An effect in flight that was lost with its process is asked for again, under its key, since it may have taken effect: its
outcome decides whether there is something to undo. One that failed, or whose time is over, is left.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import Final

from interlock.engine import requesting
from interlock.engine import rollback as rolling
from interlock.engine.machine import Machine
from interlock.engine.state import ROOT, UNDO, Rollback, Scope
from interlock.flow.graph import EffectWork, Node
from interlock.model import event as events
from interlock.model.call import StepCall
from interlock.model.fault import Fault
from interlock.model.memo import Memo
from interlock.model.task import FailureClass

_FATE_UNKNOWN: Final = (FailureClass.LOST, FailureClass.PREEMPTED)


# -- before ----------------------------------------------------------------------------------------------------------


def undo_of(m: Machine, scope: Scope, node: Node) -> str | None:
    """Give the undo that a step which ends well now is remembered with; what an undo itself does has none."""
    return node.undo if m.state.head.rollback is None or awaits(m, scope) else None


def fault(m: Machine, scope: str, path: str, error: Fault, memo: int | None = None) -> None:
    """Let an error that nobody caught end the undo that runs, or the run: after its rollback, if there is one to do.

    `memo`: in a Python workflow, the memo that the error came from.
    """
    if m.state.head.rollback is not None:
        failed(m, error)
    elif not _begin(m, scope, path, error, None):
        m.emit(events.Faulted(at=m.now, scope=scope, path=path, fault=error, memo=memo))


def cancel(m: Machine, reason: str | None, *, rollback: bool) -> None:
    """Cancel the run, after its rollback if that is wished and there is one to do; one that has begun goes on."""
    if m.state.head.rollback is not None:
        return
    if not (rollback and _begin(m, ROOT, "", None, reason)):
        m.emit(events.Cancelled(at=m.now, reason=reason))


def _begin(m: Machine, scope: str, path: str, error: Fault | None, reason: str | None) -> bool:
    """Begin to roll back. False: there is nothing to undo, and nothing in flight that may have to be."""
    awaited = {
        each.id: each.frames[-1].path
        for each in m.state.scopes.values()
        if _is_in_flight(m, each) and (each.id, each.frames[-1].path) != (scope, path)
    }
    if not m.state.head.undos and not awaited:
        return False
    if error is None and m.state.head.suspended:
        m.emit(events.Resumed(at=m.now))  # who cancels a suspended run wants it ended
    m.emit(events.RollbackBegan(at=m.now, scope=scope, path=path, fault=error, reason=reason, awaited=awaited))
    return True


def _is_in_flight(m: Machine, scope: Scope) -> bool:
    """Say whether a scope waits for an effect that has an undo, or is about to ask again for one that got lost."""
    if not scope.frames:
        return False
    frame = scope.frames[-1]
    if frame.call is not None:
        undoable = isinstance(frame.call, StepCall) and frame.call.undo is not None
    else:
        node = m.graph.nodes[frame.path]
        undoable = node.undo is not None and isinstance(node.work, EffectWork)
    if not undoable:
        return False
    return frame.effect > 0 or frame.ticket is not None or (frame.until is not None and frame.until <= m.now)


# -- what is in flight -----------------------------------------------------------------------------------------------


def awaits(m: Machine, scope: Scope) -> bool:
    """Say whether the rollback waits for the effect of this scope."""
    rollback = m.state.head.rollback
    return rollback is not None and scope.id in rollback.awaited


def awaited(m: Machine, scope: Scope, path: str, error: Fault | None) -> None:
    """Note that an effect has ended that the rollback waited for; `error`: not well."""
    m.emit(events.Awaited(at=m.now, scope=scope.id, path=path, fault=error))


def leaves(m: Machine, scope: Scope, failure: FailureClass) -> bool:
    """Say whether an effect that failed is not tried again: the rollback waits for it, and it is known not to be done."""
    return awaits(m, scope) and failure not in _FATE_UNKNOWN


# -- undo by undo ----------------------------------------------------------------------------------------------------


def proceed(m: Machine, undos: Sequence[Memo]) -> bool:
    """Begin the next undo of a rollback, or end the run after the last. False: nothing began.

    `undos`: memos with an undo, in descending order and without a gap from the next one on. Asks for more in the decision
    when the next one is not among them.
    """
    rollback = m.state.head.rollback
    if rollback is None or rollback.awaited or UNDO in m.state.scopes:
        return False
    if not m.state.head.undos:
        end(m)
        return False
    memo = _next(m, rollback, undos)
    if memo is None:
        m.decision.wants_undos = True
        return False
    _open(m, memo)
    return True


def _next(m: Machine, rollback: Rollback, undos: Sequence[Memo]) -> Memo | None:
    """Give the last memo with an undo that was not begun. Those of this decision are newer than all that are stored."""
    before = m.state.head.memos + 1 if rollback.before is None else rollback.before
    fresh = m.state.memos
    for index in range(bisect_left(fresh, before, key=lambda memo: memo.number) - 1, -1, -1):
        if fresh[index].undo is not None:
            return fresh[index]
    return next((memo for memo in undos if memo.number < before), None)


def _open(m: Machine, memo: Memo) -> None:
    """Open the scope of an undo."""
    assert memo.undo is not None
    assert memo.output is not None
    m.emit(
        events.UndoBegan(
            at=m.now,
            number=memo.number,
            path=memo.undo.step,
            output=memo.output,
            input=memo.undo.input,
            node=memo.undo.node,
            call=memo.undo.call,
        )
    )
    if memo.undo.call is not None:
        frame = m.state.scopes[UNDO].frames[-1]
        requesting.call(m, m.state.scopes[UNDO], frame)


def settled(m: Machine) -> None:
    """End the undo that runs: it ended well."""
    rollback = rolling.of(m.state)
    assert rollback.before is not None
    m.emit(events.Undone(at=m.now, number=rollback.before, path=rollback.undoing))


def failed(m: Machine, error: Fault) -> None:
    """End the undo that runs: it failed for good."""
    rollback = rolling.of(m.state)
    assert rollback.before is not None
    m.emit(events.UndoFailed(at=m.now, number=rollback.before, path=rollback.undoing, fault=error))


def end(m: Machine) -> None:
    """End a run that is rolled back, with what began the rollback."""
    rollback = rolling.of(m.state)
    if rollback.fault is None:
        m.emit(events.Cancelled(at=m.now, reason=rollback.reason))
    else:
        m.emit(
            events.Faulted(at=m.now, scope=rollback.scope, path=rollback.path, fault=rollback.fault, rolled_back=True)
        )
