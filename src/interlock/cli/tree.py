"""Lays out the steps of a run as lines: what each one gave, what it waits for, how long it took.

     ✓ readLog            812 commits                          0.21 s
     ✓ measure            4 branches                           0.64 s
       ✓ churn            ✓ authors   ✓ size   ✓ tests
     ● inspect            7 of 12  ━━━━━━━━━━╸━━━━━━  58 %     3.1 s
       waiting: write

Branches stand side by side, and the steps inside a loop or a branch are told only while there is something to tell:
they fail, wait or take long. `whole` tells everything.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from rich.text import Text

from interlock.cli import glyphs
from interlock.flow.graph import Graph, SwitchWork
from interlock.model import duration
from interlock.model.event import LIST_END, RUN_END, UNDO
from interlock.model.states import StepStatus
from interlock.model.story import Step, Story, enclosing
from interlock.secrets.form import hidden

_DIM: Final = "bright_black"
_BAR_CELLS: Final = 16
_LONG_SECONDS: Final = 1.0  # a step inside a loop that is open for longer is worth a line
_INSTANT_SECONDS: Final = 0.005  # less is told as nothing
_NAME_COLUMNS: Final = 20  # at least, so that what comes later seldom moves what is there
_NAME_SHARE: Final = 0.4  # of the columns, at most
_GAP: Final = "  "
_OPEN: Final = (StepStatus.RUNNING, StepStatus.WAITING, StepStatus.FAULTED)
"""How a step stands while there is something to tell of it."""
_POSITIONS: Final = {LIST_END: "exit", RUN_END: "end"}


@dataclass(slots=True, kw_only=True)
class _Line:
    left: Text
    what: Text = field(default_factory=Text)
    took: str = ""


def lines(story: Story, graph: Graph, now: float, columns: int, *, ended: bool, whole: bool = False) -> list[Text]:
    """Give the lines, each at most `columns` wide. `ended`: nothing more will come."""
    children: dict[str, list[Step]] = {}
    for step in story.ordered():
        parent = next(enclosing(step.path), "")
        children.setdefault(parent, []).append(_closed(step, story) if ended else step)
    told = _Teller(children, graph, now, columns, whole)
    found = list(told.below("", 0))
    if story.is_compensating:
        found.append(_Line(left=Text(), what=_rolling_back(story)))
    elif not ended:
        found += _coming(story, graph)
    return _laid_out(found, columns)


def _closed(step: Step, story: Story) -> Step:
    """Give an open step of a run that has ended as people see it: failed with what failed inside, else stopped."""
    if step.ended is not None:
        return step
    failed = story.fault is not None and f"{story.fault.instance}/".startswith(f"{step.path}/")
    status = StepStatus.FAULTED if failed else StepStatus.CANCELLED
    return replace(step, status=status, ended=story.ended, fault=None)


def step_line(step: Step, graph: Graph, now: float) -> Text:
    """Give one step as a line of its own, for where no tree can be drawn."""
    what = _what(step, [], graph, now)
    text = Text.assemble(" ", (glyphs.glyph(step.status), glyphs.colour(step.status)), f" {step.name:<18}", _GAP, what)
    text.rstrip()
    return text


class _Teller:
    """Walks the steps of one moment."""

    def __init__(self, children: dict[str, list[Step]], graph: Graph, now: float, columns: int, whole: bool) -> None:
        self._children = children
        self._graph = graph
        self._now = now
        self._columns = columns
        self._whole = whole

    def below(self, path: str, depth: int) -> Iterator[_Line]:
        for step in self._children.get(path, ()):
            if self._whole or not step.path.endswith(UNDO) or step.status in _OPEN:
                yield from self._step(step, depth)

    def _step(self, step: Step, depth: int) -> Iterator[_Line]:
        children = self._children.get(step.path, [])
        inner = [child for child in children if not child.path.endswith(UNDO)]
        yield _Line(
            left=_left(step, depth), what=_what(step, inner, self._graph, self._now), took=_took(step, self._now)
        )
        if self._whole or not (_is_loop(step) or _is_fork(step, inner)):
            yield from self.below(step.path, depth + 1)
            return
        if _is_fork(step, inner):
            yield from self._side_by_side(inner, depth + 1)
        for child in children:
            if self._is_telling(child, of_loop=_is_loop(step)):
                yield from self._step(child, depth + 1)

    def _is_telling(self, step: Step, *, of_loop: bool) -> bool:
        match step.status:
            case StepStatus.FAULTED | StepStatus.WAITING:
                return True
            case StepStatus.RUNNING:
                has_more = _is_loop(step) or step.path in self._children or step.attempts > 1
                is_undo = step.path.endswith(UNDO)
                return has_more or is_undo or (of_loop and self._now - step.began > _LONG_SECONDS)
            case StepStatus.COMPLETED | StepStatus.COMPENSATED:
                children = self._children.get(step.path, ())
                is_open = any(child.path.endswith(UNDO) and child.status in _OPEN for child in children)
                return is_open or step.undo_fault is not None
            case _:
                return False

    def _side_by_side(self, branches: Sequence[Step], depth: int) -> Iterator[_Line]:
        cells = [_left(step, 0) for step in branches]
        indent = 2 * depth
        each = max(cell.cell_len for cell in cells) + 2
        per_line = max(1, (self._columns - indent) // each)
        for start in range(0, len(cells), per_line):
            text = Text(" " * indent)
            for cell in cells[start : start + per_line]:
                text.append_text(cell).append(" " * (each - cell.cell_len))
            text.rstrip()
            yield _Line(left=Text(), what=text)


def _left(step: Step, depth: int) -> Text:
    text = Text(" " * (1 + 2 * depth))
    text.append(glyphs.glyph(step.status), style=glyphs.colour(step.status))
    text.append(f" {step.name}")
    if step.visits > 1:
        text.append(f" ×{step.visits}", style=_DIM)
    return text


def _what(step: Step, inner: Sequence[Step], graph: Graph, now: float) -> Text:
    """Say in a few words how a step stands: what it gave, why it failed, what it waits for."""
    match step.status:
        case StepStatus.FAULTED:
            return Text(_flat(str(step.fault)) if step.fault is not None else "")
        case StepStatus.WAITING:
            return _waiting(step, now)
        case StepStatus.RUNNING:
            return _running(step, inner)
        case StepStatus.COMPLETED if step.undo_fault is not None:
            return Text(f"its undo failed: {_flat(str(step.undo_fault))}", style="red")
        case StepStatus.COMPLETED:
            return _given(step, inner, graph)
        case StepStatus.COMPENSATED:
            return Text("undone", style=_DIM)
        case StepStatus.SKIPPED:
            return Text("its `if` was false", style=_DIM)
        case _:
            return Text()


def _waiting(step: Step, now: float) -> Text:
    until = step.token.expires if step.token is not None and step.until is None else step.until
    left = "" if until is None else duration.text(max(0.0, until - now))
    if step.token is not None and step.until is None:
        since = duration.text(max(0.0, now - step.token.at))
        more = "" if until is None else f", {left} more"
        return Text(f"waits {since} for a report by its token{more}")
    if step.fault is None:
        return Text(f"waits {left} more")
    return Text.assemble((f"again in {left}", "yellow"), f": {_flat(str(step.fault))}")


def _running(step: Step, inner: Sequence[Step]) -> Text:
    text = Text()
    if step.items is not None and step.index is not None:
        full = _BAR_CELLS * step.index // max(1, step.items)
        text.append(f"{step.index} of {step.items}").append(_GAP)
        text.append("━" * full + "╸", style="blue").append("━" * (_BAR_CELLS - full), style=_DIM)
        text.append(f"{_GAP}{100 * step.index // max(1, step.items)} %")
    elif _is_fork(step, inner):
        done = sum(branch.ended is not None for branch in inner)
        text.append(f"{done} of {len(inner)} branches")
    if step.attempts > 1:
        text.append(f"{_GAP if text else ''}attempt {step.attempts}", style="yellow")
    return text


def _given(step: Step, inner: Sequence[Step], graph: Graph) -> Text:
    node = graph.nodes.get(step.path)
    if node is not None and isinstance(node.work, SwitchWork) and step.next is not None:
        target = graph.nodes.get(step.next)
        return Text(f"→ {target.name if target is not None else _POSITIONS[step.next]}")
    if step.items is not None:
        return Text(glyphs.counted(step.items, "item"))
    if _is_fork(step, inner):
        return Text(f"{len(inner)} branches")
    return Text("" if step.output is None else glyphs.value(step.output.value))


def _took(step: Step, now: float) -> str:
    took = (step.ended or now) - step.began
    return "" if took < _INSTANT_SECONDS or step.status is StepStatus.SKIPPED else glyphs.seconds(took)


def _is_loop(step: Step) -> bool:
    return step.items is not None


def _is_fork(step: Step, inner: Sequence[Step]) -> bool:
    return bool(inner) and inner[0].path.startswith(f"{step.path}/fork/branches/")


def _coming(story: Story, graph: Graph) -> Iterator[_Line]:
    """Name the steps of the outermost list that come after those that were entered."""
    listed = [(int(path.split("/")[2]), node.name) for path, node in graph.nodes.items() if _is_outermost(path)]
    reached = max((int(path.split("/")[2]) for path in story.steps if _is_outermost(path)), default=-1)
    names = [name for number, name in sorted(listed) if number > reached]
    if names:
        yield _Line(left=Text(), what=Text(f"   waiting: {', '.join(names)}", style=_DIM))


def _rolling_back(story: Story) -> Text:
    """Say how far a rollback came."""
    assert story.rollback is not None
    failed = len(story.rollback.failed)
    text = f"   {glyphs.glyph(StepStatus.COMPENSATED)} rolling back: {story.rollback.undone} undone"
    text += f", {failed} failed" if failed else ""
    return Text(text + f", {story.to_undo} to come" if story.to_undo else text, style="yellow")


def _is_outermost(path: str) -> bool:
    return path.startswith("/do/") and path.count("/") == 3


def _laid_out(found: Sequence[_Line], columns: int) -> list[Text]:
    """Put lines into columns: names, what happened, durations at the right edge. Lines without a name take all."""
    took = max((len(line.took) for line in found), default=0)
    left = max((line.left.cell_len for line in found), default=0)
    left = min(max(left, _NAME_COLUMNS), int(columns * _NAME_SHARE))
    what = max(0, columns - left - took - 2 * len(_GAP))
    return [_line(line, left, what, took, columns) for line in found]


def _line(line: _Line, left: int, what: int, took: int, columns: int) -> Text:
    if not line.left:
        line.what.truncate(columns, overflow="ellipsis")
        return line.what
    line.left.truncate(left, overflow="ellipsis", pad=True)
    line.what.truncate(what, overflow="ellipsis", pad=True)
    text = Text.assemble(line.left, _GAP, line.what, _GAP, (line.took.rjust(took), _DIM))
    text.rstrip()
    text.truncate(columns)  # where not even the gaps have room
    return text


def _flat(text: str) -> str:
    return " ".join(hidden(text).split())
