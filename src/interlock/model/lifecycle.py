"""The lifecycle events of the specification, and our own beside them: names for what happened in a run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from interlock.model import event as events
from interlock.model.event import EXTENDED, Event

LIFECYCLE: Final[dict[type[Event], str]] = {
    events.Started: "workflow.started",
    events.Ended: "workflow.completed",
    events.Faulted: "workflow.faulted",
    events.Cancelled: "workflow.cancelled",
    events.RollbackBegan: "workflow.compensating",
    events.Awaited: "step.awaited",
    events.UndoBegan: "step.compensating",
    events.Undone: "step.compensated",
    events.UndoFailed: "step.compensation-failed",
    events.Suspended: "workflow.suspended",
    events.Resumed: "workflow.resumed",
    events.Reopened: "workflow.resumed",
    events.Recovered: "workflow.recovered",
    events.Copied: "workflow.forked",
    events.Renewed: "workflow.renewed",
    events.Shown: "workflow.shown",
    events.Called: "step.started",
    events.Returned: "step.completed",
    events.Left: "step.cancelled",
    events.Noted: "step.noted",
    events.Entered: "step.started",
    events.Requested: "step.requested",
    events.Issued: "step.token-issued",
    events.HandedOver: "step.handed-over",
    events.Expiring: "step.token-expiring",
    events.Waited: "step.waiting",
    events.Looped: "step.iterated",
    events.Forked: "step.forked",
    events.BranchEnded: "step.branch-ended",
    events.Completed: "step.completed",
    events.Skipped: "step.skipped",
    events.Tolerated: "step.faulted",
    events.AttemptFailed: "step.attempt-failed",
    events.Caught: "step.caught",
    events.RetryScheduled: "step.retry-scheduled",
    events.Retried: "step.retried",
    events.Emitted: "step.emitted",
    events.Listened: "step.listening",
    events.Heard: "step.heard",
    events.Sealed: "step.sealed",
    events.Taken: "step.iterated",
    events.Processed: "step.processed",
    events.Extended: "step.extended",
}
"""The names under which people and other systems see our events."""

_FROM_FAULTS: Final = (
    events.Caught,
    events.RetryScheduled,
    events.Faulted,
    events.RollbackBegan,
    events.Awaited,
    events.UndoFailed,
)
_OF_STEPS: Final = (events.Entered, events.Completed, events.Skipped, events.Extended)


def lifecycle(history: Iterable[Event]) -> Iterator[tuple[str, Event]]:
    """Give the named events of a history in causal order; one that did two things is told as two.

    A step that was opened and completed in one go is told as started and completed; an error is told as the fault of its
    step before what was done about it. Round 0 of a `try` only sets its deadline and is not told.
    """
    for event in history:
        if is_hidden(event) or (isinstance(event, events.Retried) and not event.round):
            continue
        if isinstance(event, events.Completed) and event.since is not None:
            yield "step.started", event
        if _tells_fault(event):
            yield "step.faulted", event
        if isinstance(event, events.Returned) and event.failed is not None:
            yield "step.faulted", event
            continue
        yield LIFECYCLE[type(event)], event


def is_hidden(event: Event) -> bool:
    """Say whether an event is about the machinery around a step that extensions apply to, not about a step."""
    return isinstance(event, _OF_STEPS) and event.path.endswith(EXTENDED)


def _tells_fault(event: Event) -> bool:
    """Say whether an event follows from the fault of a step, which it holds."""
    if not isinstance(event, _FROM_FAULTS) or (isinstance(event, events.Faulted) and event.rolled_back):
        return False
    return event.fault is not None and event.fault.instance is not None and bool(event.fault.instance.strip("/"))
