"""The structure of a workflow with the state of each step. Where things lie follows from the definition alone, so that the
picture never jumps while the run goes on."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from interlock.app.session import Session
from interlock.flow import check
from interlock.flow.diagram import picture
from interlock.flow.diagram.layout import layout
from interlock.flow.diagram.shapes import Bar, Box, Frame, Label, Path, Pill, Shape, text_width
from interlock.flow.meaning import limits
from interlock.flow.python import workflow as programs
from interlock.model.story import Step

_MARGIN: Final = 16.0
_KEPT: Final = 64
_MOST_STEPS: Final = 500
"""A larger picture helps nobody, and takes long to lay out."""
_NAME_SIZE: Final = 13.0
_WORD_SIZE: Final = 11.0
_ROOM: Final = 44.0  # of a box that its padding and the glyph take


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """A laid-out definition. `left_out`: why there is no picture, empty where there is one."""

    width: float = 0.0
    height: float = 0.0
    shapes: tuple[Shape, ...] = ()
    left_out: str = ""

    @property
    def paths(self) -> frozenset[str]:
        """The steps that are drawn."""
        return frozenset(shape.path for shape in self.shapes if isinstance(shape, Box | Frame))


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A step. `state` is empty for one that was never reached; `word`: the state, where there is room for it."""

    path: str
    name: str
    kind: str
    detail: str
    condition: str
    family: str
    x: float
    y: float
    width: float
    height: float
    is_frame: bool
    state: str
    word: str
    visits: int
    href: str
    is_selected: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Anything else. `kind`: way, bar, pill, label or section."""

    kind: str
    line: str = ""
    steps: str = ""
    arrow: bool = False
    x: float = 0.0
    y: float = 0.0
    width: float = 0.0
    height: float = 0.0
    text: str = ""


Item: TypeAlias = Node | Part


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    width: float
    height: float
    margin: float
    items: tuple[Item, ...]
    left_out: str


class Drawings:
    """Laid-out definitions, those used last kept."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, Drawing] = OrderedDict()

    async def drawing(self, session: Session, digest: str) -> Drawing:
        found = self._kept.get(digest)
        if found is None:
            stored = await session.store.journal.definition(digest)
            if stored is None:
                return Drawing(left_out="Its definition is not in the store any more.")
            found = await asyncio.to_thread(_drawn, stored.source)
            self._kept[digest] = found
        self._kept.move_to_end(digest)
        while len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        return found


def _drawn(source: str) -> Drawing:
    if programs.is_program(source):
        return Drawing(
            left_out=f"A Python function, {programs.program(source).function}: its calls are in the timeline."
        )
    workflow = check.load(source, allowed=limits.ACCEPTED).workflow
    if workflow is None:
        return Drawing(left_out="Its definition cannot be read by this version.")
    block = layout(workflow)
    if sum(isinstance(shape, Box | Frame) for shape in block.shapes) > _MOST_STEPS:
        return Drawing(left_out="Too many steps for a picture: they are in the timeline.")
    shapes = tuple(sorted(block.shapes, key=picture.depth))
    return Drawing(width=block.width, height=block.height, shapes=shapes)


def graph(
    drawing: Drawing, steps: Mapping[str, Step], selected: str, href: Callable[[str], str], *, ended: bool
) -> Graph:
    """Put the states of steps into a drawing. `href`: gives the address that selects a step."""
    return Graph(
        width=drawing.width + 2 * _MARGIN,
        height=drawing.height + 2 * _MARGIN,
        margin=_MARGIN,
        items=tuple(_item(shape, steps, selected, href, ended=ended) for shape in drawing.shapes),
        left_out=drawing.left_out,
    )


def _item(shape: Shape, steps: Mapping[str, Step], selected: str, href: Callable[[str], str], *, ended: bool) -> Item:
    match shape:
        case Box():
            return _node(shape, steps, selected, href, ended=ended)
        case Frame(caption=None):
            return Part(kind="section", x=shape.x, y=shape.y, width=shape.width, height=shape.height, text=shape.title)
        case Frame():
            return _node(shape, steps, selected, href, ended=ended)
        case Pill():
            return Part(kind="pill", x=shape.x, y=shape.y, width=shape.width, height=shape.height, text=shape.text)
        case Bar():
            return Part(kind="bar", x=shape.x, y=shape.y, width=shape.width)
        case Label():
            return Part(kind="label", x=shape.x, y=shape.y, text=shape.text)
        case Path():
            return Part(kind="way", line=str(shape.line), steps=picture.steps(shape), arrow=shape.arrow)


def _node(
    shape: Box | Frame, steps: Mapping[str, Step], selected: str, href: Callable[[str], str], *, ended: bool
) -> Node:
    caption = shape.caption
    assert caption is not None
    step = steps.get(shape.path)
    state = str(step.status) if step is not None else "" if ended else "pending"
    beside = f"{caption.kind}  {caption.detail}" if isinstance(shape, Frame) else ""
    visits = 0 if step is None else step.visits
    marks = state if visits < 2 else f"×{visits}  {state}"
    taken = text_width(caption.name + beside, _NAME_SIZE) + text_width(marks, _WORD_SIZE)
    return Node(
        path=shape.path,
        name=caption.name,
        kind=caption.kind,
        detail=caption.detail,
        condition=caption.condition,
        family=str(caption.family),
        x=shape.x,
        y=shape.y,
        width=shape.width,
        height=shape.height,
        is_frame=isinstance(shape, Frame),
        state=state,
        word=state if taken + _ROOM < shape.width else "",
        visits=visits,
        href=href(shape.path),
        is_selected=shape.path == selected,
    )
