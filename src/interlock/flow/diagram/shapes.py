"""The shapes of a picture: what `layout` gives and `picture` writes. Lengths are pixels, y grows downwards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TypeAlias
from unicodedata import east_asian_width

from interlock.flow.diagram.outline import Caption

Point: TypeAlias = tuple[float, float]


class Line(StrEnum):
    FLOW = "flow"
    BACK = "back"
    CAUGHT = "caught"


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A task without lists within. `path`: of the step that it is."""

    x: float
    y: float
    width: float
    height: float
    caption: Caption
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """A light box around the lists of a task, or around one of them. `caption` None: that of a section, without `path`."""

    x: float
    y: float
    width: float
    height: float
    title: str
    caption: Caption | None = None
    path: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pill:
    """The start or an end of the workflow, `x` and `y` its top middle."""

    x: float
    y: float
    width: float
    height: float
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """Where branches part or meet."""

    x: float
    y: float
    width: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Path:
    """A way through points. Vertical pieces are straight, others curves; `side` draws straight pieces with round corners."""

    points: tuple[Point, ...]
    line: Line = Line.FLOW
    arrow: bool = True
    side: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """A text around the middle `x`, its baseline at `y`."""

    x: float
    y: float
    text: str


Shape: TypeAlias = Box | Frame | Pill | Bar | Path | Label


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Shapes that stay together, from (0, 0) to (width, height).

    Ways enter at the top and leave at the bottom at `anchor`; those after a caught error leave at `caught_anchor`.
    `is_left`: something leaves at the bottom at all.
    """

    width: float
    height: float
    anchor: float
    shapes: tuple[Shape, ...]
    caught_anchor: float = 0.0
    is_left: bool = True


def moved(shapes: Sequence[Shape], right: float, down: float) -> tuple[Shape, ...]:
    """Give the shapes at another place."""
    return tuple(_moved(shape, right, down) for shape in shapes)


def _moved(shape: Shape, right: float, down: float) -> Shape:
    if isinstance(shape, Path):
        return replace(shape, points=tuple((x + right, y + down) for x, y in shape.points))
    return replace(shape, x=shape.x + right, y=shape.y + down)


def text_width(text: str, size: float) -> float:
    """Estimate the width of a text: no font is at hand, so an average of the usual ones, rounded up."""
    ems = sum(1.05 if east_asian_width(letter) in "WF" else 0.64 if letter.isupper() else 0.57 for letter in text)
    return ems * size
