"""What happened in a run, under the names that other systems see, and what of it a line tells."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from interlock.model import event as events
from interlock.model.event import Event
from interlock.model.fault import Fault
from interlock.model.lifecycle import lifecycle
from interlock.model.payload import Payload
from interlock.model.states import RunStatus
from interlock.model.story import Story
from interlock.server.dashboard import times, values

LINES: Final = 200
"""Of the history on a page: the last ones."""

_STATES: Final = {
    "completed": "completed", "faulted": "faulted", "failed": "faulted", "cancelled": "cancelled", "skipped": "skipped",
    "waiting": "waiting", "listening": "waiting", "suspended": "suspended", "compensating": "compensating",
    "compensated": "compensated", "started": "running", "resumed": "running", "retried": "running",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """`state`: that the name tells of, empty for none."""

    number: int
    clock: str
    iso: str
    name: str
    path: str
    what: str
    state: str


class Told:
    """A run as its events told it so far: the story, the last lines, and what each step was given."""

    def __init__(self) -> None:
        self.story = Story()
        self._last: deque[tuple[int, str, Event]] = deque(maxlen=LINES)
        self.count = 0
        self.at = 0.0
        """When the last of it happened, in UTC seconds."""
        self.inputs: dict[str, Payload] = {}
        self.value: Payload | None = None
        """What the run was started with, after `input.from`."""

    def tell(self, news: Iterable[Event]) -> None:
        """Go on with what happened next."""
        news = list(news)
        self.story.tell(news)
        for event in news:
            self.at = event.at
            self._keep(event)
        for name, event in lifecycle(news):
            self.count += 1
            self._last.append((self.count, name, event))

    def lines(self) -> tuple[Line, ...]:
        """Give the last lines of the history."""
        return tuple(_line(*each) for each in self._last)

    @property
    def is_over(self) -> bool:
        return self.story.status in (RunStatus.COMPLETED, RunStatus.FAULTED, RunStatus.CANCELLED)

    def _keep(self, event: Event) -> None:
        match event:
            case events.Started():
                self.value = event.value
            case events.Entered(input=Payload() as given) | events.Completed(input=Payload() as given):
                self.inputs[event.path] = given
            case events.Called():
                self.inputs[event.path] = event.arguments
            case _:
                pass


def _line(number: int, name: str, event: Event) -> Line:
    at = event.at
    if isinstance(event, events.Completed) and name == "step.started":
        at = event.since or at
    fault: Fault | None = getattr(event, "fault", None)
    if isinstance(event, events.Returned) and event.failed is not None:
        fault = event.failed.fault
    path = getattr(event, "path", "") or ""
    if name == "step.faulted" and fault is not None and fault.instance is not None:
        path = fault.instance
    moment = times.moment(at, at)
    assert moment is not None
    return Line(
        number=number,
        clock=times.clock(at),
        iso=moment.iso,
        name=name,
        path=path,
        what=_what(name, event, fault),
        state=_STATES.get(name.rpartition(".")[2].rpartition("-")[2], ""),
    )


def _what(name: str, event: Event, fault: Fault | None) -> str:
    if fault is not None:
        return values.summary(str(fault))
    if name.endswith("completed"):
        output: Payload | None = getattr(event, "output", None)
        return "" if output is None or not output.is_loaded else values.summary(output.value)
    match event:
        case events.Cancelled(reason=str(reason)) | events.RollbackBegan(reason=str(reason)):
            return values.summary(reason)
        case events.Looped(index=index):
            return f"item {index + 1}"
        case events.Requested(effect=effect):
            return f"effect {effect}" + (", through the queue" if event.queued else "")
        case events.Copied(origin=origin):
            return f"from {origin}"
        case events.Retried(round=round_):
            return f"round {round_}"
        case _:
            return ""
