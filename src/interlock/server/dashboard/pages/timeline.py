"""When each step of a run was at work, as bars over one axis."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from interlock.model.states import StepStatus
from interlock.model.story import Step, Story
from interlock.secrets.form import hidden
from interlock.server.dashboard import times, values

UNITS: Final = 1000.0
"""The width of the axis, as the pictures count it."""
_THINNEST: Final = 3.0
_MOST_ROWS: Final = 200
_DEEPEST: Final = 6
_INSTANT_SECONDS: Final = 0.001


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One step. `x` and `width` in `UNITS`; `what`: what it gave or why it failed, on one line."""

    path: str
    name: str
    depth: int
    state: str
    visits: int
    attempts: int
    x: float
    width: float
    is_open: bool
    took: str
    what: str
    href: str
    is_selected: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """`ticks`: what the beginning, the middle and the end of the axis are. `left_out`: how many steps there are more."""

    bars: tuple[Bar, ...]
    ticks: tuple[str, ...]
    left_out: int


def timeline(story: Story, steps: Sequence[Step], now: float, selected: str, href: Callable[[str], str]) -> Timeline:
    """Lay out the steps of a run over its time until now."""
    began = min([step.began for step in steps], default=now)
    end = max([story.ended or now, *(step.ended or step.began for step in steps)])
    span = max(end - began, _INSTANT_SECONDS)
    bars = tuple(_bar(step, began, span, end, selected, href) for step in steps[:_MOST_ROWS])
    return Timeline(
        bars=bars,
        ticks=("0", times.took(span / 2), times.took(span)) if bars else (),
        left_out=max(0, len(steps) - _MOST_ROWS),
    )


def settled(story: Story, *, ended: bool) -> list[Step]:
    """Give the steps in order, as they stand: those that a run left open when it ended failed with it or were stopped."""
    return [_closed(step, story) if ended and step.ended is None else step for step in story.ordered()]


def _closed(step: Step, story: Story) -> Step:
    failed = story.fault is not None and f"{story.fault.instance}/".startswith(f"{step.path}/")
    status = StepStatus.FAULTED if failed else StepStatus.CANCELLED
    return replace(step, status=status, ended=story.ended)


def _bar(step: Step, began: float, span: float, end: float, selected: str, href: Callable[[str], str]) -> Bar:
    until = end if step.ended is None else step.ended
    x = min((step.began - began) / span * UNITS, UNITS - _THINNEST)
    return Bar(
        path=step.path,
        name=step.name,
        depth=min(step.depth, _DEEPEST),
        state=str(step.status),
        visits=step.visits,
        attempts=step.attempts,
        x=x,
        width=min(max((until - step.began) / span * UNITS, _THINNEST), UNITS - x),
        is_open=step.ended is None,
        took="" if step.status is StepStatus.SKIPPED else times.took(until - step.began),
        what=_what(step),
        href=href(step.path),
        is_selected=step.path == selected,
    )


def _what(step: Step) -> str:
    if step.fault is not None:
        return values.summary(hidden(str(step.fault)))
    if step.undo_fault is not None:
        return values.summary(f"its undo failed: {step.undo_fault}")
    if step.items is not None and step.index is not None and step.ended is None:
        return f"{step.index} of {step.items}"
    if step.output is not None and step.output.is_loaded and step.output.value not in (None, {}, []):
        return values.summary(step.output.value)
    return ""
