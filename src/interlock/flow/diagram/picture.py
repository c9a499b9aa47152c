"""A workflow as an SVG picture: one file, system fonts, light and dark, nothing fetched."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Final, assert_never
from xml.sax.saxutils import escape, quoteattr

from interlock.flow import document as doc
from interlock.flow.diagram.layout import LINE_HEIGHT, layout
from interlock.flow.diagram.outline import Caption
from interlock.flow.diagram.shapes import Bar, Box, Frame, Label, Path, Pill, Point, Shape

_MARGIN: Final = 20.0
_CORNER: Final = 8.0
_FORBIDDEN: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # XML 1.0, section 2.2

_STYLE: Final = """
svg { --paper: #ffffff; --card: #ffffff; --frame: #f6f7f9; --ink: #1f2328; --soft: #59636e; --edge: #c4cad1; --way: #6e7781;
  --data: #0969da; --choice: #9a6700; --call: #8250df; --process: #1a7f37; --event: #0f7b8a; --pause: #6e7781;
  --failure: #cf222e; --group: #6e7781; color-scheme: light dark; background: var(--paper); }
@media (prefers-color-scheme: dark) { svg { --paper: #0d1117; --card: #161b22; --frame: #11161d; --ink: #e6edf3;
  --soft: #9198a1; --edge: #3d444d; --way: #8b949e; --data: #4493f8; --choice: #d29922; --call: #ab7df8;
  --process: #3fb950; --event: #39c5cf; --pause: #8b949e; --failure: #f85149; --group: #8b949e; } }
text { font-family: system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "DejaVu Sans", sans-serif;
  fill: var(--ink); }
.name { font-size: 13px; font-weight: 600; }
.soft, .label { font-size: 11px; fill: var(--soft); }
.label { text-anchor: middle; paint-order: stroke; stroke: var(--paper); stroke-width: 4px; stroke-linejoin: round; }
.card { fill: var(--card); stroke: var(--edge); }
.frame { fill: var(--frame); stroke: var(--edge); }
.part { fill: none; stroke: var(--edge); stroke-dasharray: 2 3; }
.pill { fill: var(--ink); }
.pilltext { font-size: 13px; font-weight: 600; fill: var(--paper); text-anchor: middle; }
.bar { fill: var(--way); }
.way { fill: none; stroke: var(--way); stroke-width: 1.4; }
.caught { stroke: var(--failure); stroke-dasharray: 5 4; }
.back { stroke-dasharray: 1.5 3.5; stroke-linecap: round; stroke-width: 1.8; }
.head { fill: var(--way); }
.headcaught { fill: var(--failure); }
"""


def svg(workflow: doc.Workflow) -> str:
    """Give an SVG picture of a workflow as well-formed XML, with its title for screen readers."""
    block = layout(workflow)
    header = workflow.document
    width, height = block.width + 2 * _MARGIN, block.height + 2 * _MARGIN
    title = header.title or f"{header.namespace}/{header.name}:{header.version}"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" role="img" aria-labelledby="title">',
        f'<title id="title">{_text(title)}</title>',
        f"<style>{_STYLE}</style>",
        "<defs>",
        *(_head(name) for name in ("head", "headcaught")),
        "</defs>",
        f'<g transform="translate({_MARGIN:.0f} {_MARGIN:.0f})">',
        *(_drawn(shape) for shape in sorted(block.shapes, key=depth)),
        "</g>",
        "</svg>",
        "",
    ]
    return "\n".join(parts)


def _head(name: str) -> str:
    return (
        f'<marker id="{name}" viewBox="0 0 8 8" refX="7.2" refY="4" markerWidth="7" markerHeight="7" '
        f'markerUnits="userSpaceOnUse" orient="auto"><path class="{name}" d="M0 0.6 8 4 0 7.4z"/></marker>'
    )


def depth(shape: Shape) -> int:
    """Frames lie below ways, ways below boxes, labels above all; frames keep their order, outer before inner."""
    match shape:
        case Frame():
            return 0
        case Path():
            return 1
        case Label():
            return 3
        case _:
            return 2


def _drawn(shape: Shape) -> str:
    match shape:
        case Box():
            return _box(shape)
        case Frame():
            return _frame(shape)
        case Pill():
            middle = shape.x + shape.width / 2
            return _rectangle("pill", shape, shape.height / 2) + (
                f'<text class="pilltext" x="{middle:.1f}" y="{shape.y + 17.5:.1f}">{_text(shape.text)}</text>'
            )
        case Bar():
            return f'<rect class="bar" x="{shape.x:.1f}" y="{shape.y - 2:.1f}" width="{shape.width:.1f}" height="4" rx="2"/>'
        case Label():
            return f'<text class="label" x="{shape.x:.1f}" y="{shape.y:.1f}">{_text(shape.text)}</text>'
        case Path():
            return _path(shape)
        case _:
            assert_never(shape)


def _box(box: Box) -> str:
    x, y = box.x + 14, box.y + 20
    stripe = (
        f'<rect x="{box.x:.1f}" y="{box.y + 6:.1f}" width="3" height="{box.height - 12:.1f}" rx="1.5" '
        f'fill="var(--{box.caption.family})"/>'
    )
    lines = [_line("name", x, y, box.caption.name), _kind_line(x, y + LINE_HEIGHT, box.caption)]
    if box.caption.condition:
        lines.append(_line("soft", x, y + 2 * LINE_HEIGHT, f"if {box.caption.condition}"))
    return _rectangle("card", box, 6) + stripe + "".join(lines)


def _kind_line(x: float, y: float, caption: Caption) -> str:
    """Write the kind in the family's colour and what is special in grey, one after the other."""
    kind = f'<tspan fill="var(--{caption.family})">{_text(caption.kind)}</tspan>'
    detail = f'<tspan dx="6">{_text(caption.detail)}</tspan>' if caption.detail else ""
    return f'<text class="soft" x="{x:.1f}" y="{y:.1f}">{kind}{detail}</text>'


def _frame(frame: Frame) -> str:
    x, y = frame.x + 12, frame.y + 17
    if frame.caption is None:
        return _rectangle("part", frame, 6) + _line("soft", x, y, frame.title)
    caption = frame.caption
    rest = f"{caption.kind}  {caption.detail}".strip()
    title = (
        f'<text x="{x:.1f}" y="{y:.1f}"><tspan class="name">{_text(caption.name)}</tspan>'
        f'<tspan class="soft" dx="7">{_text(rest)}</tspan></text>'
    )
    condition = _line("soft", x, y + LINE_HEIGHT, f"if {caption.condition}") if caption.condition else ""
    return _rectangle("frame", frame, 8) + title + condition


def _rectangle(name: str, shape: Box | Frame | Pill, radius: float) -> str:
    return (
        f'<rect class={quoteattr(name)} x="{shape.x:.1f}" y="{shape.y:.1f}" width="{shape.width:.1f}" '
        f'height="{shape.height:.1f}" rx="{radius:g}"/>'
    )


def _line(name: str, x: float, y: float, text: str) -> str:
    return f'<text class="{name}" x="{x:.1f}" y="{y:.1f}">{_text(text)}</text>'


def _path(path: Path) -> str:
    head = "headcaught" if path.line == "caught" else "head"
    marker = f' marker-end="url(#{head})"' if path.arrow else ""
    return f'<path class="way {path.line}" d="{steps(path)}"{marker}/>'


def steps(path: Path) -> str:
    """Give the steps of a way, as the `d` of an SVG path."""
    return _cornered(path.points) if path.side else _curved(path.points)


def _curved(points: tuple[Point, ...]) -> str:
    """Give path steps that leave and arrive vertically."""
    found = [f"M{points[0][0]:.1f} {points[0][1]:.1f}"]
    for (x0, y0), (x, y) in pairwise(points):
        middle = (y0 + y) / 2
        if abs(x - x0) < 0.5:
            found.append(f"V{y:.1f}")
        else:
            found.append(f"C{x0:.1f} {middle:.1f} {x:.1f} {middle:.1f} {x:.1f} {y:.1f}")
    return "".join(found)


def _cornered(points: tuple[Point, ...]) -> str:
    """Give path steps along straight pieces with round corners."""
    found = [f"M{points[0][0]:.1f} {points[0][1]:.1f}"]
    for before, corner, after in zip(points, points[1:], points[2:], strict=False):
        into, out = _towards(corner, before), _towards(corner, after)
        found.append(f"L{into[0]:.1f} {into[1]:.1f}Q{corner[0]:.1f} {corner[1]:.1f} {out[0]:.1f} {out[1]:.1f}")
    found.append(f"L{points[-1][0]:.1f} {points[-1][1]:.1f}")
    return "".join(found)


def _towards(corner: Point, other: Point) -> Point:
    """Give the point at most one corner radius from a corner towards another point."""
    right, down = other[0] - corner[0], other[1] - corner[1]
    length = max(abs(right), abs(down)) or 1.0
    part = min(_CORNER, length / 2) / length
    return corner[0] + right * part, corner[1] + down * part


def _text(text: str) -> str:
    return escape(_FORBIDDEN.sub("�", text))
