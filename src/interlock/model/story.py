"""The story of a run, told from its events: which steps there were, how each stands, what it gave.

One projection serves the live tree, `show` and the dashboard. It keeps one line per step of the definition; a step that is
visited again (in a loop, by a backward jump, in another round of a `try`) counts its visits.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, assert_never

from interlock.model import event as events
from interlock.model.call import Show, StepCall
from interlock.model.event import UNDO, Event, Issued
from interlock.model.fault import Fault
from interlock.model.lifecycle import is_hidden
from interlock.model.payload import Payload
from interlock.model.states import RunStatus, StepStatus


@dataclass(slots=True, kw_only=True)
class Step:
    """One step as it stands after its latest visit. Times are UTC seconds."""

    path: str
    status: StepStatus = StepStatus.RUNNING
    began: float = 0.0
    ended: float | None = None
    visits: int = 0
    attempts: int = 0
    output: Payload | None = None
    fault: Fault | None = None
    until: float | None = None
    index: int | None = None
    items: int | None = None
    next: str | None = None
    queued: bool = False
    token: Issued | None = None
    """The token that it waits for."""
    has_undo: bool = False
    """Of a Python step: it names what undoes it."""
    undo_fault: Fault | None = None
    """What its undo failed with; the step itself stays completed."""

    @property
    def name(self) -> str:
        if self.path.endswith(UNDO):
            return f"undo {_short(self.path.removesuffix(UNDO))}"
        return _short(self.path)

    @property
    def depth(self) -> int:
        """How many steps enclose this one."""
        return sum(1 for _ in enclosing(self.path))


@dataclass(slots=True)
class Rollback:
    """How far the undoing of what a run had finished came. `failed`: the paths of steps, and what their undo failed with."""

    undone: int = 0
    failed: list[tuple[str, Fault]] = field(default_factory=list)


@dataclass(slots=True)
class Story:
    """A run as told by its events; feed them in order with `tell`."""

    status: RunStatus = RunStatus.PENDING
    began: float | None = None
    ended: float | None = None
    partial: bool = False
    output: Payload | None = None
    fault: Fault | None = None
    steps: dict[str, Step] = field(default_factory=dict)
    rollback: Rollback | None = None
    to_undo: int = 0
    """How many visits of steps have an undo that was not begun."""
    shown: Show | None = None
    rounds: int = 0
    """How often the run continued as new; the steps are those since then."""

    @property
    def is_compensating(self) -> bool:
        """Whether the run undoes now what it had finished."""
        return self.rollback is not None and self.ended is None

    def tell(self, news: Iterable[Event]) -> None:
        for event in news:
            self._tell(event)

    def _tell(self, event: Event) -> None:
        if is_hidden(event):
            return
        match event:
            case events.Entered():
                step = self._visit(event.path, event.at)
                step.status = StepStatus.RUNNING
            case events.Completed():
                self.to_undo += bool(event.undo)
                if event.since is not None:
                    self._visit(event.path, event.since)
                self._end(event.path, StepStatus.COMPLETED, event.at)
                step = self.steps[event.path]
                step.output, step.next = event.output, event.next
            case events.Called():
                step = self._visit(event.path, event.at)
                step.has_undo = isinstance(event.call, StepCall) and event.call.undo is not None
            case events.Returned():
                self._end(event.path, StepStatus.COMPLETED if event.failed is None else StepStatus.FAULTED, event.at)
                step = self.steps[event.path]
                step.output, step.fault = event.output, None if event.failed is None else event.failed.fault
                self.to_undo += step.has_undo and event.failed is None
            case events.Left():
                self._end(event.path, StepStatus.CANCELLED, event.at)
            case events.Renewed():
                self.steps.clear()
                self.rounds += 1
            case events.Skipped():
                self._visit(event.path, event.at)
                self._end(event.path, StepStatus.SKIPPED, event.at)
            case events.Requested():
                step = self.steps[event.path]
                step.attempts += 1
                step.status, step.until, step.queued = StepStatus.RUNNING, None, event.queued
                if event.waits:
                    step.status = StepStatus.WAITING
            case events.Waited():
                step = self.steps[event.path]
                step.status, step.until = StepStatus.WAITING, event.until
            case events.Issued():
                step = self.steps[event.path]
                step.token = event
                if event.waits:
                    step.attempts += 1
                    step.status, step.until = StepStatus.WAITING, None
            case events.HandedOver():
                self.steps[event.path].status = StepStatus.WAITING
            case events.Expiring():
                return
            case events.Listened() | events.Processed():
                step = self.steps[event.path]
                step.status = StepStatus.WAITING
                step.index = 0 if step.index is None else step.index + 1
            case events.Taken():
                self.steps[event.path].status = StepStatus.RUNNING
            case events.Looped():
                step = self.steps[event.path]
                step.index = event.index
                if event.items is not None:
                    step.items = len(event.items.value)
            case events.AttemptFailed():
                step = self.steps[event.path]
                step.status, step.until, step.fault = StepStatus.WAITING, event.until, event.fault
                if step.token is not None and step.token.effect == event.effect:
                    step.token = None
            case events.Tolerated():
                if event.path not in self.steps:
                    self._visit(event.path, event.at)
                self._end(event.path, StepStatus.FAULTED, event.at)
                self.steps[event.path].fault = event.fault
                self.partial = True
            case events.Caught() | events.RetryScheduled():
                if event.fault.instance is not None and event.fault.instance.startswith(event.path + "/"):
                    self._blame(event.fault.instance, event.fault, event.at)
                self._close_inside(event.path, event.at)
                step = self.steps[event.path]
                step.fault = event.fault
                if isinstance(event, events.RetryScheduled):
                    step.status, step.until = StepStatus.WAITING, event.until
            case events.Retried():
                step = self.steps[event.path]
                step.status, step.until = StepStatus.RUNNING, None
            case events.Started():
                self.status, self.began = RunStatus.RUNNING, event.at
            case events.Faulted():
                self.status, self.ended, self.fault = RunStatus.FAULTED, event.at, event.fault
                if event.path and self.rollback is None:
                    self._blame(event.path, event.fault, event.at)
            case events.RollbackBegan() | events.Awaited() | events.UndoBegan() | events.Undone() | events.UndoFailed():
                self._roll_back(event)
            case events.Ended():
                self.status, self.ended, self.output = RunStatus.COMPLETED, event.at, event.output
            case events.Cancelled():
                self.status, self.ended = RunStatus.CANCELLED, event.at
                self._close_inside("", event.at)
            case events.Suspended():
                self.status = RunStatus.SUSPENDED
            case events.Resumed():
                self.status = RunStatus.RUNNING
            case events.Reopened():
                self.status, self.ended, self.fault = RunStatus.RUNNING, None, None
            case events.Recovered() | events.Forked() | events.BranchEnded() | events.Copied():
                return
            case events.Emitted() | events.Heard() | events.Sealed() | events.Extended():
                return
            case events.Shown():
                self.shown = event.shown if self.shown is None else self.shown.then(event.shown)
            case events.Noted():
                return
            case _:
                assert_never(event)

    def _roll_back(
        self, event: events.RollbackBegan | events.Awaited | events.UndoBegan | events.Undone | events.UndoFailed
    ) -> None:
        if isinstance(event, events.RollbackBegan):
            if event.path and event.fault is not None:
                self._blame(event.path, event.fault, event.at)
            self._stop(event)
            self.rollback = Rollback()
            return
        assert self.rollback is not None
        match event:
            case events.Awaited() if event.fault is not None:
                self._blame(event.path, event.fault, event.at)
            case events.UndoBegan():
                self.to_undo -= 1
                if event.call is not None:
                    self._visit(event.path + UNDO, event.at)
            case events.Undone():
                self.rollback.undone += 1
                step = self.steps[event.path]
                step.status = StepStatus.COMPENSATED if step.undo_fault is None else step.status
                if (undo := self.steps.get(event.path + UNDO)) is not None and undo.ended is None:
                    undo.status, undo.ended = StepStatus.COMPLETED, event.at
                self._close_inside(event.path, event.at)
            case events.UndoFailed():
                self.rollback.failed.append((event.path, event.fault))
                step = self.steps[event.path]
                step.status, step.undo_fault = StepStatus.COMPLETED, event.fault
                self._blame(event.fault.instance or event.path + UNDO, event.fault, event.at)
                self._close_inside(event.path, event.at)
            case _:
                pass

    def _stop(self, event: events.RollbackBegan) -> None:
        """Close what is open when a rollback begins, but for what it waits for."""
        failed = "" if event.fault is None else f"{event.fault.instance}/"
        for step in self.steps.values():
            if step.ended is None and step.path not in event.awaited.values():
                is_around = failed.startswith(f"{step.path}/")
                step.status = StepStatus.FAULTED if is_around else StepStatus.CANCELLED
                step.ended, step.until = event.at, None

    def _visit(self, path: str, at: float) -> Step:
        step = self.steps.get(path)
        if step is None:
            step = self.steps[path] = Step(path=path)
        step.began, step.ended, step.until, step.fault, step.output, step.token = at, None, None, None, None, None
        step.visits += 1
        step.attempts = 0
        step.index = step.items = None
        return step

    def _end(self, path: str, status: StepStatus, at: float) -> None:
        step = self.steps[path]
        step.status, step.ended, step.until = status, at, None
        self._close_inside(path, at)

    def _close_inside(self, path: str, at: float) -> None:
        """Mark what was still open inside a step that is left."""
        for step in self.steps.values():
            if step.ended is None and step.path != path and step.path.startswith(path + "/"):
                step.status, step.ended, step.until = StepStatus.CANCELLED, at, None

    def _blame(self, path: str, fault: Fault, at: float) -> None:
        """Mark the step that an error came from, which may never have been opened."""
        if path not in self.steps:
            self._visit(path, at)
        step = self.steps[path]
        step.status, step.ended, step.fault, step.until = StepStatus.FAULTED, at, fault, None

    def ordered(self) -> list[Step]:
        """Give the steps with each one's inner steps behind it, in the order of their first visit."""
        children: dict[str, list[Step]] = {}
        for step in self.steps.values():
            parent = next(enclosing(step.path), "")
            children.setdefault(parent, []).append(step)

        def below(path: str) -> Iterator[Step]:
            for child in children.get(path, ()):
                yield child
                yield from below(child.path)

        return list(below(""))


def enclosing(path: str) -> Iterator[str]:
    """Give the paths of the steps around a step, innermost first."""
    parts = path.split("/")[1:]
    # A step's name follows its index in a list; what stands between two steps are the words of the construct.
    ends: list[int] = []
    for number in range(1, len(parts)):
        is_undo = number > 1 and parts[number - 2 : number + 1] == _UNDO
        if is_undo or (parts[number - 1].isdigit() and (not ends or ends[-1] != number - 1)):
            ends.append(number)
    for end in reversed(ends[:-1]):
        yield "/" + "/".join(parts[: end + 1])


def _short(path: str) -> str:
    return _DIGEST.sub(r"(\1)", _last(path))


def _last(path: str) -> str:
    return path.rsplit("/", 1)[-1].replace("~1", "/").replace("~0", "~")


_DIGEST: Final = re.compile(r"\(([0-9a-f]{8})[0-9a-f]{8}\)")
"""The digest of the arguments of a Python step, of which people need no more than the beginning."""

_UNDO: Final = UNDO.split("/")[1:]
