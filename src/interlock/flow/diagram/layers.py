"""Places the tasks of one list in layers: a way leads from its layer to a later one, ways back run at the side.

The method is that of Sugiyama, Tagawa and Toda (1981) in small: the ways back are found by a walk from the first task,
layers by the longest path, long ways get a vertex in each layer they cross, a few sweeps order the layers, and the
places within a layer are the nearest to their neighbours' that keep the order (least squares).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from itertools import pairwise
from typing import Final

from interlock.flow.diagram.shapes import text_width

LABEL_SIZE: Final = 11.0
_LABEL_HEIGHT: Final = 18.0
_APART: Final = 26.0  # between two boxes of a layer
_SWEEPS: Final = 4
_PASSES: Final = 4
_BOX_WEIGHT: Final = 1000.0  # how much more a task counts than a bend: the main way stays straight, others give way


@dataclass(slots=True, kw_only=True)
class Vertex:
    """Something in a layer. `left` and `right` are the extents beside `x`, where ways enter and leave."""

    left: float = 5.0
    right: float = 5.0
    height: float = 0.0
    layer: int = 0
    order: float = 0.0
    x: float = 0.0
    y: float = 0.0
    label: str = ""
    above: list[Vertex] = field(default_factory=list)
    below: list[Vertex] = field(default_factory=list)
    is_bend: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    source: int
    target: int
    label: str = ""
    caught: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """`layers` from top to bottom, each from left to right; `bends` of a way: the vertices between its ends."""

    layers: tuple[tuple[Vertex, ...], ...]
    bends: dict[Way, tuple[Vertex, ...]]
    back: tuple[Way, ...]


def place(vertices: Sequence[Vertex], ways: Sequence[Way], first: int, last: int, gap: float) -> Placed:
    """Set layer, x and y of every vertex. `first` and `last` get a layer of their own; `gap` is between layers.

    Some ways must lead from the first vertex to every other but the last, as they do in a checked document.
    """
    back = _ways_back(ways, first)
    forward = [way for way in ways if way not in back]
    _set_layers(vertices, forward, last)
    bends = {way: _bends(vertices[way.source], vertices[way.target], way.label) for way in forward}
    layers = _layers([*vertices, *(bend for chain in bends.values() for bend in chain)])
    for _ in range(_SWEEPS):
        for layer in layers[1:]:
            _sort(layer, upwards=True)
        for layer in reversed(layers[:-1]):
            _sort(layer, upwards=False)
    _set_x(layers)
    _set_y(layers, gap)
    return Placed(layers=tuple(map(tuple, layers)), bends=bends, back=tuple(back))


def _ways_back(ways: Sequence[Way], first: int) -> list[Way]:
    """Give the ways that close a circle in a walk from the first vertex; the walk meets every vertex."""
    leaving: dict[int, list[Way]] = {}
    for way in sorted(ways, key=lambda way: (way.source, way.target)):
        leaving.setdefault(way.source, []).append(way)
    back: list[Way] = []
    entered, open_ = {first}, {first}
    stack = [(first, iter(leaving.get(first, ())))]
    while stack:
        vertex, left = stack[-1]
        for way in left:
            if way.target in open_:
                back.append(way)
            elif way.target not in entered:
                entered.add(way.target)
                open_.add(way.target)
                stack.append((way.target, iter(leaving.get(way.target, ()))))
                break
        else:
            stack.pop()
            open_.discard(vertex)
    return back


def _set_layers(vertices: Sequence[Vertex], forward: Sequence[Way], last: int) -> None:
    """Set each layer to the longest path from the first vertex; a way with a label is two layers long."""
    arriving: dict[int, list[Way]] = {number: [] for number in range(len(vertices))}
    for way in forward:
        arriving[way.target].append(way)
    sources = {number: [way.source for way in ways] for number, ways in arriving.items()}
    for number in TopologicalSorter(sources).static_order():
        lengths = [vertices[way.source].layer + (2 if way.label else 1) for way in arriving[number]]
        vertices[number].layer = max(lengths, default=0)
        vertices[number].order = float(number)
    vertices[last].layer = max(vertex.layer for vertex in vertices if vertex is not vertices[last]) + 1


def _bends(source: Vertex, target: Vertex, label: str) -> tuple[Vertex, ...]:
    """Give the vertices of a way in the layers it crosses, joined to its ends; the first carries the label."""
    chain = tuple(
        Vertex(layer=layer, is_bend=True, order=target.order) for layer in range(source.layer + 1, target.layer)
    )
    if label and chain:
        half = text_width(label, LABEL_SIZE) / 2 + 4
        chain[0].label, chain[0].left, chain[0].right, chain[0].height = label, half, half, _LABEL_HEIGHT
    ends = [source, *chain, target]
    for upper, lower in pairwise(ends):
        upper.below.append(lower)
        lower.above.append(upper)
    return chain


def _layers(vertices: Sequence[Vertex]) -> list[list[Vertex]]:
    layers: list[list[Vertex]] = [[] for _ in range(max(vertex.layer for vertex in vertices) + 1)]
    for vertex in vertices:
        layers[vertex.layer].append(vertex)
    for layer in layers:
        layer.sort(key=lambda vertex: vertex.order)
        _number(layer)
    return layers


def _sort(layer: list[Vertex], *, upwards: bool) -> None:
    def middle(vertex: Vertex) -> float:
        near = vertex.above if upwards else vertex.below
        return sum(other.order for other in near) / len(near) if near else vertex.order

    layer.sort(key=middle)
    _number(layer)


def _number(layer: list[Vertex]) -> None:
    """Spread the orders evenly around 0, so that layers of different sizes compare."""
    for number, vertex in enumerate(layer):
        vertex.order = number - (len(layer) - 1) / 2


def _set_x(layers: Sequence[list[Vertex]]) -> None:
    """Move each layer under the one above, then over the one below, in turns; a list is left below where it is entered."""
    for layer in layers:
        _fit(layer, [0.0] * len(layer))
    for _ in range(_PASSES):
        for layer in layers:
            _fit(layer, [_middle(vertex.above, vertex.x) for vertex in layer])
        layers[-1][0].x = layers[0][0].x
        for layer in reversed(layers):
            _fit(layer, [_middle(vertex.below, vertex.x) for vertex in layer])
    layers[-1][0].x = layers[0][0].x


def _middle(near: Sequence[Vertex], otherwise: float) -> float:
    return sum(vertex.x for vertex in near) / len(near) if near else otherwise


def _fit(layer: list[Vertex], wanted: Sequence[float]) -> None:
    """Set x as near to the wanted places as order and distances allow: isotonic regression by pooling neighbours."""
    offsets = [0.0]
    for left, right in pairwise(layer):
        apart = _APART / 2 if left.is_bend and right.is_bend else _APART
        offsets.append(offsets[-1] + left.right + apart + right.left)
    pools: list[tuple[float, float, int]] = []  # (mean place, weight, number of vertices)
    for vertex, place_, offset in zip(layer, wanted, offsets, strict=True):
        mean, weight, count = place_ - offset, 1.0 if vertex.is_bend else _BOX_WEIGHT, 1
        while pools and pools[-1][0] > mean:
            other, other_weight, other_count = pools.pop()
            mean = (mean * weight + other * other_weight) / (weight + other_weight)
            weight, count = weight + other_weight, count + other_count
        pools.append((mean, weight, count))
    means = [mean for mean, _, count in pools for _ in range(count)]
    for vertex, mean, offset in zip(layer, means, offsets, strict=True):
        vertex.x = mean + offset


def _set_y(layers: Sequence[list[Vertex]], gap: float) -> None:
    y = height_above = 0.0
    for number, layer in enumerate(layers):
        height = max(vertex.height for vertex in layer)
        if number:
            is_label_near = any(vertex.label for vertex in [*layer, *layers[number - 1]])
            widest = max(abs(vertex.x - other.x) for vertex in layer for other in [*vertex.above, vertex])
            is_entry = number == 1 and height_above == 0.0  # inside a frame, below its title
            y += (gap * 0.55 if is_label_near or is_entry else gap) + min(widest / 16, 24.0)  # a flat curve reads badly
        for vertex in layer:
            vertex.y = y
        y += height
        height_above = height
