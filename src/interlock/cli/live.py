"""Shows a run while it happens: a live tree on a terminal, plain lines elsewhere."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from interlock.cli import glyphs, tree
from interlock.cli.output import note
from interlock.flow.graph import Graph
from interlock.model.event import Event
from interlock.model.lifecycle import lifecycle
from interlock.model.story import Story

_FRAME_SECONDS: Final = 0.125
_OF_STEPS: Final = (
    "step.completed", "step.skipped", "step.faulted", "step.attempt-failed", "step.retry-scheduled", "step.waiting",
    "step.compensated", "step.compensation-failed",
)  # fmt: skip
_OF_RUNS: Final = ("workflow.suspended", "workflow.resumed", "workflow.recovered", "workflow.compensating")


class Display(Protocol):
    """Tells a person, or a program, what happens in a run. Told on the event loop only."""

    def __enter__(self) -> Display: ...

    def __exit__(self, *exception: object) -> None: ...

    def tell(self, news: Sequence[Event]) -> None: ...


def display(title: str, graph: Graph, now: Callable[[], float], *, quiet: bool) -> Display:
    """Give the display that fits where standard error leads; `quiet`: one that shows nothing."""
    if quiet:
        return Silent()
    screen = _Screen(file=sys.stderr, highlight=False, markup=False, emoji=False)
    if screen.is_terminal and not screen.is_dumb_terminal:
        return Tree(title, graph, now, screen)
    return Lines(title, graph)


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

    def __init__(self, title: str, graph: Graph) -> None:
        self._title = title
        self._graph = graph
        self._story = Story()

    def __enter__(self) -> Lines:
        note(self._title)
        return self

    def __exit__(self, *exception: object) -> None:
        return

    def tell(self, news: Sequence[Event]) -> None:
        for event in news:
            self._story.tell([event])
            for name, _ in lifecycle([event]):
                self._tell(name, event)

    def _tell(self, name: str, event: Event) -> None:
        if name in _OF_RUNS:
            note(f" · {name.removeprefix('workflow.')}")
            return
        fault = getattr(event, "fault", None)
        path = fault.instance if name == "step.faulted" and fault is not None else getattr(event, "path", None)
        step = self._story.steps.get(path or "")
        if name in _OF_STEPS and step is not None:
            note(tree.step_line(step, self._graph, event.at).plain)


class Tree:
    """The steps of a run as a tree that moves. Drawn from the loop that changes it, never from another thread."""

    def __init__(self, title: str, graph: Graph, now: Callable[[], float], screen: Console) -> None:
        self._title = title
        self._graph = graph
        self._now = now
        self._screen = screen
        self._story = Story()
        self._closing = False
        self._live = Live(console=screen, get_renderable=self._frame, auto_refresh=False, vertical_overflow="visible")
        self._next: asyncio.TimerHandle | None = None

    def __enter__(self) -> Tree:
        self._live.start()
        self._draw()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._next is not None:
            self._next.cancel()
        self._closing = True
        self._live.stop()

    def tell(self, news: Sequence[Event]) -> None:
        self._story.tell(news)

    def _draw(self) -> None:
        self._next = asyncio.get_running_loop().call_later(_FRAME_SECONDS, self._draw)
        self._live.refresh()

    def _frame(self) -> Group:
        columns = glyphs.width(self._screen)
        ended = self._story.ended is not None
        found = tree.lines(self._story, self._graph, self._now(), columns, ended=ended)
        title = Text(self._title, style="bold")
        title.truncate(columns, overflow="ellipsis")
        return Group(title, *self._fitting(found))

    def _fitting(self, found: list[Text]) -> list[Text]:
        """Leave out the first lines that the terminal has no room for; the last frame, which stays, has all."""
        room = self._screen.height - 2
        if self._closing or len(found) <= room:
            return found
        hidden = len(found) - max(1, room - 1)
        return [Text(f"   … {hidden} lines above", style="bright_black"), *found[hidden:]]


class _Screen(Console):
    """A console whose cursor stays visible: a process that is killed must not leave a terminal without one."""

    def show_cursor(self, show: bool = True) -> bool:
        return False
