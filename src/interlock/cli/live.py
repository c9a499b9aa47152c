"""Shows a run while it happens: a live tree on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Protocol

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from interlock.cli import context, glyphs
from interlock.model import duration
from interlock.model.event import Event
from interlock.model.states import StepStatus
from interlock.model.story import Step, Story, lifecycle

_BAR_CELLS = 16


class Display(Protocol):
    """Something that tells a person, or a program, what happens in a run."""

    def __enter__(self) -> Display: ...

    def __exit__(self, *exception: object) -> None: ...

    def tell(self, news: Sequence[Event]) -> None: ...


class Silent:
    """Shows nothing: the result is all that is wanted."""

    def __enter__(self) -> Silent:
        return self

    def __exit__(self, *exception: object) -> None:
        return

    def tell(self, news: Sequence[Event]) -> None:
        return


class Lines:
    """One line per thing that happened, for logs and pipes."""

    def __init__(self) -> None:
        self._story = Story()

    def __enter__(self) -> Lines:
        return self

    def __exit__(self, *exception: object) -> None:
        return

    def tell(self, news: Sequence[Event]) -> None:
        for event in news:
            self._story.tell([event])
            for name, _ in lifecycle([event]):
                line = self._line(name, event)
                if line:
                    context.note(line)

    def _line(self, name: str, event: Event) -> str:
        path = getattr(event, "path", None)
        step = self._story.steps.get(path) if path else None
        match name:
            case "step.completed" | "step.skipped" | "step.faulted" | "step.retry-scheduled" | "step.attempt-failed":
                if step is None:
                    return ""
                return f" {glyphs.glyph(step.status)} {step.name:<24} {glyphs.summary(step, event.at)}".rstrip()
            case "step.waiting":
                return "" if step is None else f" ◔ {step.name:<24} {glyphs.summary(step, event.at)}"
            case "workflow.suspended" | "workflow.resumed" | "workflow.recovered":
                return f" · {name.removeprefix('workflow.')}"
            case _:
                return ""


class Tree:
    """The steps of a run as a tree that moves."""

    def __init__(self, title: str, now: Callable[[], float]) -> None:
        self._title = title
        self._now = now
        self._story = Story()
        self._live = Live(
            get_renderable=self.render, console=Console(stderr=True), refresh_per_second=8, transient=False
        )

    def __enter__(self) -> Tree:
        self._live.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        self._live.__exit__(None, None, None)

    def tell(self, news: Sequence[Event]) -> None:
        self._story.tell(news)

    def render(self) -> Table:
        return tree(self._title, self._story, self._now())


def tree(title: str, story: Story, now: float) -> Table:
    """Give the steps of a run as a table with one line each, inner steps indented."""
    table = Table(box=None, show_header=False, padding=(0, 1), pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="ellipsis", ratio=1)
    table.add_column(justify="right", no_wrap=True)
    table.title = Text(title, style="bold")
    table.title_justify = "left"
    for step in story.ordered():
        table.add_row(_name(step), _what(step, now), Text(glyphs.took(step, now), style="bright_black"))
    return table


def _name(step: Step) -> Text:
    text = Text(" " * (1 + 2 * step.depth))
    text.append(glyphs.glyph(step.status), style=glyphs.colour(step.status))
    text.append(f" {step.name}")
    if step.visits > 1:
        text.append(f" ×{step.visits}", style="bright_black")
    return text


def _what(step: Step, now: float) -> Text:
    text = Text(glyphs.summary(step, now))
    if step.status is StepStatus.RUNNING and step.items and step.index is not None:
        done = _BAR_CELLS * step.index // step.items
        text.append("  " + "━" * done, style="blue")
        text.append("━" * (_BAR_CELLS - done), style="bright_black")
        text.append(f"  {100 * step.index // step.items} %")
    if step.attempts > 1:
        text.append(f"  attempt {step.attempts}", style="yellow")
    return text


def display(title: str, now: Callable[[], float], *, quiet: bool) -> Display:
    """Give the display that fits where standard error leads."""
    if quiet:
        return Silent()
    if sys.stderr.isatty():
        return Tree(title, now)
    context.note(title)
    return Lines()


def took(began: float | None, ended: float | None) -> str:
    return "" if began is None or ended is None else duration.text(ended - began)
