"""Finds the places of a drawing: sequence downwards, branches side by side, tasks with lists as frames around them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from interlock.flow import document as doc
from interlock.flow import pointer
from interlock.flow.diagram import layers, outline
from interlock.flow.diagram.layers import LABEL_SIZE, Placed, Vertex, Way
from interlock.flow.diagram.outline import Caption, Place, Role, Section
from interlock.flow.diagram.shapes import (
    Bar,
    Block,
    Box,
    Frame,
    Label,
    Line,
    Path,
    Pill,
    Point,
    Shape,
    moved,
    text_width,
)

NAME_SIZE: Final = 13.0
DETAIL_SIZE: Final = 11.0
LINE_HEIGHT: Final = 16.0
FRAME_TITLE_HEIGHT: Final = 26.0
_BOX_PADDING: Final = 14.0
_NARROWEST: Final = 152.0  # beside a short name there is room for the state of the step
_GAP: Final = 30.0
_FRAME_PADDING: Final = 16.0
_PILL_HEIGHT: Final = 26.0
_LANE: Final = 16.0  # between two ways back at the side
_BRANCH_GAP: Final = 22.0
_POINT: Final = Block(width=0.0, height=0.0, anchor=0.0, shapes=())


def layout(workflow: doc.Workflow) -> Block:
    """Give the whole drawing."""
    header = workflow.document
    start = _pill(f"{header.name} {header.version}")
    is_finished = any(isinstance(flow.target, Place) for flow in outline.flows(workflow.do))
    return _list(workflow.do, "/do", start=start, finish=_pill("end") if is_finished else _POINT)


# -- lists -----------------------------------------------------------------------------------------------------------


def _list(
    tasks: doc.TaskList, path: str, *, first: int = 0, start: Block | None = None, finish: Block | None = None
) -> Block:
    """Place the tasks of a list between its entry and its exit: pills for the whole workflow, else bare points."""
    numbered = enumerate(tasks, first)
    blocks = [start or _POINT, *(_task(named, pointer.child(f"{path}/{n}", named.name)) for n, named in numbered)]
    flows = outline.flows(tasks)
    ends = [Place.END] if finish is None and any(flow.target is Place.END for flow in flows) else []
    blocks += [_pill("end") for _ in ends]
    blocks.append(finish or _POINT)
    exit_, end = len(blocks) - 1, len(tasks) + 1
    ways = [Way(source=0, target=1)]
    for flow in flows:
        match flow.target:
            case Place.EXIT:
                target = exit_
            case Place.END:
                target = end
            case number:
                target = number + 1
        ways.append(Way(source=flow.source + 1, target=target, label=flow.label, caught=flow.caught))
    vertices = [Vertex(left=block.anchor, right=block.width - block.anchor, height=block.height) for block in blocks]
    placed = layers.place(vertices, ways, 0, exit_, _GAP)
    return _drawn(blocks, vertices, placed, is_arrow_last=finish is not None)


def _drawn(blocks: list[Block], vertices: list[Vertex], placed: Placed, *, is_arrow_last: bool) -> Block:
    shapes: list[Shape] = []
    for way, bends in placed.bends.items():
        points = _points(blocks, vertices, way, bends, placed)
        is_arrow = is_arrow_last or way.target != len(blocks) - 1
        shapes.append(Path(points=points, line=Line.CAUGHT if way.caught else Line.FLOW, arrow=is_arrow))
        shapes += [Label(x=bend.x, y=bend.y + 13, text=bend.label) for bend in bends if bend.label]
    everything = [vertex for layer in placed.layers for vertex in layer]
    left = min(vertex.x - vertex.left for vertex in everything)
    right = max(vertex.x + vertex.right for vertex in everything)
    sides = _Sides(left=left, right=right)
    for way in placed.back:
        shapes += _way_back(blocks, vertices, way, placed, sides)
    for block, vertex in zip(blocks, vertices, strict=True):
        shapes += moved(block.shapes, vertex.x - block.anchor, vertex.y)
    height = max(vertex.y + vertex.height for vertex in vertices)
    return Block(
        width=sides.right - sides.left,
        height=height,
        anchor=vertices[0].x - sides.left,
        shapes=moved(shapes, -sides.left, 0.0),
        is_left=bool(vertices[-1].above),
    )


def _points(
    blocks: list[Block], vertices: list[Vertex], way: Way, bends: tuple[Vertex, ...], placed: Placed
) -> tuple[Point, ...]:
    source, target = vertices[way.source], vertices[way.target]
    x = source.x + (blocks[way.source].caught_anchor - blocks[way.source].anchor if way.caught else 0.0)
    points = [(x, source.y + source.height), (x, _bottom(placed, source))]
    for bend in bends:
        points += [(bend.x, bend.y), (bend.x, _bottom(placed, bend))]
    return (*points, (target.x, target.y))


def _bottom(placed: Placed, vertex: Vertex) -> float:
    return max(other.y + other.height for other in placed.layers[vertex.layer])


@dataclass(slots=True, kw_only=True)
class _Sides:
    """How far the drawing reaches; each way back takes a lane further out."""

    left: float
    right: float

    def take(self, label: str, *, is_right: bool) -> tuple[float, float]:
        """Give the x of a new lane and that of the middle of its label."""
        reach = text_width(label, LABEL_SIZE) + 6 if label else 0.0
        if is_right:
            lane = self.right + _LANE
            self.right = lane + reach
            return lane, lane + 5 + reach / 2
        lane = self.left - _LANE
        self.left = lane - reach
        return lane, lane - 5 - reach / 2


def _way_back(blocks: list[Block], vertices: list[Vertex], way: Way, placed: Placed, sides: _Sides) -> list[Shape]:
    """Draw a way back at the nearer side; where other boxes lie between, it runs through the gaps of the layers."""
    source, target = vertices[way.source], vertices[way.target]
    layer = placed.layers[source.layer]
    caught_at = blocks[way.source].caught_anchor - blocks[way.source].anchor if way.caught else None
    is_right = caught_at is not None or (source is layer[-1] and source is not layer[0])
    lane, text_x = sides.take(way.label, is_right=is_right)
    if caught_at is None:
        leaving = _side_points(source, placed, lane, is_right=is_right, is_end=True)
    else:
        leaving = _gap_points(source, source.x + caught_at, _bottom(placed, source), lane)
    arriving = _side_points(target, placed, lane, is_right=is_right, is_end=False)
    line = Line.CAUGHT if way.caught else Line.BACK
    shapes: list[Shape] = [Path(points=(*leaving, *reversed(arriving)), line=line, side=True)]
    if way.label:
        middle = (leaving[-1][1] + arriving[-1][1]) / 2
        shapes.append(Label(x=text_x, y=middle + 4, text=way.label))
    return shapes


def _side_points(vertex: Vertex, placed: Placed, lane: float, *, is_right: bool, is_end: bool) -> list[Point]:
    """Give the points from a vertex, near its end or its beginning, out to the lane."""
    if vertex is not placed.layers[vertex.layer][-1 if is_right else 0]:
        x = vertex.x + (10 if is_right else -10)
        if is_end:
            return _gap_points(vertex, x, _bottom(placed, vertex), lane)
        return [(x, vertex.y), (x, vertex.y - 12), (lane, vertex.y - 12)]
    edge = vertex.x + vertex.right if is_right else vertex.x - vertex.left
    y = vertex.y + (vertex.height - 12 if is_end else 12)
    return [(edge, y), (lane, y)]


def _gap_points(vertex: Vertex, x: float, bottom: float, lane: float) -> list[Point]:
    """Give the points from the bottom of a vertex through the gap below its layer out to the lane."""
    return [(x, vertex.y + vertex.height), (x, bottom + 10), (lane, bottom + 10)]


# -- tasks -----------------------------------------------------------------------------------------------------------


def _task(named: doc.NamedTask, path: str) -> Block:
    caption = outline.caption(named)
    sections = outline.sections(named.task)
    match [section.role for section in sections]:
        case []:
            return _box(caption, path)
        case [Role.BODY]:
            return _framed(caption, path, _within(sections[0], path))
        case [Role.LOOP]:
            return _framed(caption, path, _looped(_within(sections[0], path), sections[0].title))
        case [Role.TRY, Role.CATCH]:
            is_going_on = isinstance(named.task, doc.Try) and named.task.catch_then is None
            return _framed(caption, path, _guarded(sections[0], sections[1], path, is_going_on=is_going_on))
        case _:
            return _framed(caption, path, _parted([_within(section, path) for section in sections]))


def _within(section: Section, path: str) -> Block:
    return _list(section.tasks, path + section.pointer, first=section.first)


def _box(caption: Caption, path: str) -> Block:
    width = max(
        text_width(caption.name, NAME_SIZE),
        text_width(f"{caption.kind}  {caption.detail}", DETAIL_SIZE),
        text_width(f"if {caption.condition}", DETAIL_SIZE),
        _NARROWEST - 2 * _BOX_PADDING,
    )
    width += 2 * _BOX_PADDING
    height = 2 * LINE_HEIGHT + 12 + (LINE_HEIGHT if caption.condition else 0.0)
    box = Box(x=0.0, y=0.0, width=width, height=height, caption=caption, path=path)
    return Block(width=width, height=height, anchor=width / 2, shapes=(box,))


def _pill(text: str) -> Block:
    width = text_width(text, NAME_SIZE) + 32
    pill = Pill(x=0.0, y=0.0, width=width, height=_PILL_HEIGHT, text=text)
    return Block(width=width, height=_PILL_HEIGHT, anchor=width / 2, shapes=(pill,))


def _framed(caption: Caption, path: str, inner: Block) -> Block:
    """Put a frame with a title around what is in a task."""
    titles = [f"{caption.name}  {caption.kind}  {caption.detail}", f"if {caption.condition}"]
    head = FRAME_TITLE_HEIGHT + (LINE_HEIGHT if caption.condition else 0.0)
    width = max(inner.width + 2 * _FRAME_PADDING, max(text_width(title, NAME_SIZE) for title in titles) + 24)
    left = (width - inner.width) / 2
    height = head + inner.height
    frame = Frame(x=0.0, y=0.0, width=width, height=height, title="", caption=caption, path=path)
    return Block(
        width=width,
        height=height,
        anchor=left + inner.anchor,
        shapes=(frame, *moved(inner.shapes, left, head)),
        caught_anchor=left + inner.caught_anchor,
    )


def _looped(inner: Block, label: str) -> Block:
    """Add the way from the end of a list back to its beginning."""
    reach = text_width(label, LABEL_SIZE) + 12
    left = reach + _LANE
    bottom = inner.height - 10
    x = left + inner.anchor
    lane = left - 8
    back = Path(
        points=((x, bottom), (lane, bottom), (lane, 10.0), (x, 10.0)),
        line=Line.BACK,
        side=True,
    )
    label_shape = Label(x=lane - 5 - (reach - 6) / 2, y=inner.height / 2, text=label)
    shapes = (*moved(inner.shapes, left, 0.0), back, label_shape)
    return Block(width=left + inner.width, height=inner.height, anchor=x, shapes=shapes)


def _parted(branches: list[Block]) -> Block:
    """Put branches side by side between two bars."""
    height = max(branch.height for branch in branches)
    shapes: list[Shape] = []
    anchors = []
    x = 0.0
    top = 12.0
    for branch in branches:
        shapes += moved(branch.shapes, x, top)
        anchors.append(x + branch.anchor)
        if branch.is_left and branch.height < height:
            shapes.append(Path(points=((anchors[-1], top + branch.height), (anchors[-1], top + height)), arrow=False))
        x += branch.width + _BRANCH_GAP
    width = x - _BRANCH_GAP
    left, right = anchors[0] - 14, anchors[-1] + 14
    middle = (left + right) / 2
    bottom = top + height
    shapes += [
        Bar(x=left, y=top, width=right - left),
        Bar(x=left, y=bottom, width=right - left),
        Path(points=((middle, 0.0), (middle, top)), arrow=False),
        Path(points=((middle, bottom), (middle, bottom + 12)), arrow=False),
    ]
    return Block(width=width, height=bottom + 12, anchor=middle, shapes=tuple(shapes))


def _guarded(try_: Section, catch: Section, path: str, *, is_going_on: bool) -> Block:
    """Put what is tried beside what catches its errors."""
    attempt = _section(try_, path)
    handler = _section(catch, path)
    top = 10.0
    apart = 44.0
    right = attempt.width + apart
    y = top + FRAME_TITLE_HEIGHT / 2
    bottom = top + max(attempt.height, handler.height) + 22
    caught = right + handler.anchor
    shapes: list[Shape] = [
        *moved(attempt.shapes, 0.0, top),
        *moved(handler.shapes, right, top),
        Path(points=((attempt.anchor, 0.0), (attempt.anchor, top)), arrow=False),
        Path(points=((attempt.width, y), (right, y)), line=Line.CAUGHT, side=True),
        Label(x=attempt.width + apart / 2 - 3, y=y - 5, text="error"),
    ]
    if attempt.is_left:
        shapes.append(Path(points=((attempt.anchor, top + attempt.height), (attempt.anchor, bottom)), arrow=False))
    if handler.is_left:
        points: list[Point] = [(caught, top + handler.height), (caught, bottom)]
        if is_going_on:
            level = bottom - 12
            points[1:] = [(caught, level), (attempt.anchor, level)]
            points += [] if attempt.is_left else [(attempt.anchor, bottom)]
        shapes.append(Path(points=tuple(points), line=Line.CAUGHT, arrow=False, side=True))
    width = right + handler.width
    return Block(width=width, height=bottom, anchor=attempt.anchor, shapes=tuple(shapes), caught_anchor=caught)


def _section(section: Section, path: str) -> Block:
    """Put a frame with a title around one list of a task; an empty list gives the title only."""
    title_width = text_width(section.title, DETAIL_SIZE) + 24
    inner = _within(section, path) if section.tasks else _POINT
    width = max(inner.width + 2 * _FRAME_PADDING, title_width)
    left = (width - inner.width) / 2
    height = FRAME_TITLE_HEIGHT + inner.height
    frame = Frame(x=0.0, y=0.0, width=width, height=height, title=section.title)
    shapes = (frame, *moved(inner.shapes, left, FRAME_TITLE_HEIGHT))
    return Block(width=width, height=height, anchor=left + inner.anchor, shapes=shapes, is_left=inner.is_left)
