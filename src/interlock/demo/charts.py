"""Charts as inline SVG: text of the page's font, colours from its style sheet, a tooltip on every mark.

All take plain numbers and labels and return one `<svg>` element with a `viewBox`, which the page scales to its column.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape
from typing import Final

_CHARACTER: Final = 6.3  # width of a character at 12 px, on average; only to decide what fits


def columns(
    values: Sequence[int], titles: Sequence[str], labels: Sequence[str], *, width: int, height: int, name: str
) -> str:
    """Draw one column per value. `titles` are the tooltips; a label stands under its column, where it is not empty."""
    left, top, bottom = 36, 8, 22
    ticks = _ticks(max(values, default=0))
    scale = (height - top - bottom) / ticks[-1]
    step = (width - left) / max(len(values), 1)
    parts = [_grid(tick, left, width, height - bottom - tick * scale) for tick in ticks]
    for index, value in enumerate(values):
        x, tall = left + index * step, value * scale
        body = _rect(x + step * 0.12, height - bottom - tall, step * 0.76, tall, "mark") if value else ""
        hit = _rect(x, top, step, height - top - bottom, "hit")
        parts.append(_group(titles[index], body + hit))
        if labels[index]:
            parts.append(_text(x + step / 2, height - 6, labels[index], "label", anchor="middle"))
    return _svg(width, height, name, parts)


def pairs(rows: Sequence[tuple[str, int, int]], *, width: int, name: str, sides: tuple[str, str]) -> str:
    """Draw a row per (label, first, second): two bars that lie end to end, in two colours, with their sum."""
    line, label_width, value_width = 26, 170, 62
    scale = (width - label_width - value_width) / max(1, *(first + second for _, first, second in rows), 1)
    parts = []
    for index, (label, first, second) in enumerate(rows):
        y = index * line
        bars = _rect(label_width, y + 6, first * scale, 12, "mark")
        bars += _rect(label_width + first * scale, y + 6, second * scale, 12, "mark second")
        bars += _text(label_width - 10, y + 16, _end(label, label_width - 14), "label strong", anchor="end")
        bars += _text(label_width + (first + second) * scale + 8, y + 16, _short(first + second), "label")
        parts.append(_group(f"{label}: {first:,} {sides[0]}, {second:,} {sides[1]}", bars))
    return _svg(width, max(len(rows), 1) * line, name, parts)


def shares(rows: Sequence[tuple[str, float, str]], *, width: int, name: str) -> str:
    """Draw one bar cut into (label, share of 1, tooltip), and a legend of the parts below it."""
    line, bar = 24, 18
    parts, x = [], 0.0
    for index, (label, share, title) in enumerate(rows):
        wide = share * width
        parts.append(_group(title, _rect(x, 0, max(wide - 1.5, 0.5), bar, f"part p{index}")))
        y = bar + 26 + index * line
        legend = _rect(0, y - 9, 10, 10, f"part p{index}")
        legend += _text(18, y, _end(label, width - 90), "label strong")
        legend += _text(width, y, f"{share:.0%}" if share >= 0.01 else "< 1%", "label", anchor="end")
        parts.append(_group(title, legend))
        x += wide
    return _svg(width, bar + 14 + len(rows) * line, name, parts)


def scatter(
    points: Sequence[tuple[str, int, int]], *, width: int, height: int, name: str, axes: tuple[str, str], named: int
) -> str:
    """Draw (label, x, y) as dots, x on a square root scale, y on a logarithmic one, since most are small and few large.

    The first `named` points show the end of their label, where it fits.
    """
    left, top, bottom, right = 44, 20, 34, 14
    across = _ticks(max((x for _, x, _ in points), default=0))
    low = math.floor(math.log10(max(min((y for _, _, y in points), default=1), 1)))
    high = max(math.ceil(math.log10(max((y for _, _, y in points), default=10) + 1)), low + 1)

    def place(x: int, y: int) -> tuple[float, float]:
        return (
            left + math.sqrt(x / across[-1]) * (width - left - right),
            height - bottom - (math.log10(max(y, 1)) - low) / (high - low) * (height - top - bottom),
        )

    parts = [_grid(10**power, left, width, place(0, 10**power)[1]) for power in range(low, high + 1)]
    parts += [_text(place(tick, 1)[0], height - bottom + 15, f"{tick:,}", "label", anchor="middle") for tick in across]
    parts.append(_text(width - right, height - 3, f"{axes[0]} →", "label", anchor="end"))
    parts.append(_text(0, 9, f"↑ {axes[1]}", "label"))
    taken: list[tuple[float, float, float, float]] = []
    texts = []
    for index, (label, x, y) in enumerate(points):
        at_x, at_y = place(x, y)
        dot = f'<circle cx="{at_x:.1f}" cy="{at_y:.1f}" r="{5 if index < named else 3.5}" class="dot"/>'
        parts.append(_group(f"{label}: {x:,} {axes[0]}, {y:,} {axes[1]}", dot))
        if index < named:
            texts.append(_beside("/".join(label.rsplit("/", 2)[-2:]), at_x, at_y, width - right, taken))
    return _svg(width, height, name, parts + texts)


def _beside(label: str, x: float, y: float, width: float, taken: list[tuple[float, float, float, float]]) -> str:
    """Write a label right or left of its dot, where it covers no earlier label; empty where neither side is free."""
    wide = len(label) * _CHARACTER
    for start, anchor in ((x + 9, "start"), (x - 9 - wide, "end")):
        box = (start, y - 7, start + wide, y + 7)
        inside = start >= 40 and start + wide <= width
        if inside and all(box[2] < t[0] or box[0] > t[2] or box[3] < t[1] or box[1] > t[3] for t in taken):
            taken.append(box)
            return _text(x + 9 if anchor == "start" else x - 9, y + 4, label, "label strong", anchor=anchor)
    return ""


def _ticks(highest: int) -> list[int]:
    """Give round marks from 0 to at least `highest`, four at most above 0."""
    rough = max(highest, 1) / 4
    power = 10 ** math.floor(math.log10(rough)) if rough >= 1 else 1
    step = next(step for factor in (1, 2, 5, 10) if (step := factor * power) >= rough)
    return [step * index for index in range(math.ceil(max(highest, 1) / step) + 1)]


def _short(number: int) -> str:
    if number < 10_000:
        return f"{number:,}"
    return f"{number / 1000:.0f}k" if number < 1_000_000 else f"{number / 1e6:.1f}M"


def _end(label: str, width: float) -> str:
    """Give the end of a label that is too long: of a path it tells more than the beginning."""
    fits = int(width / _CHARACTER)
    return label if len(label) <= fits else "…" + label[-(fits - 1) :]


def _grid(tick: int, left: float, width: float, y: float) -> str:
    line = f'<line x1="{left}" x2="{width}" y1="{y:.1f}" y2="{y:.1f}" class="grid"/>'
    return line + _text(left - 8, y + 4, _short(tick), "label", anchor="end")


def _rect(x: float, y: float, width: float, height: float, style: str) -> str:
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" class="{style}"/>'


def _text(x: float, y: float, text: str, style: str, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{style}" text-anchor="{anchor}">{escape(text)}</text>'


def _group(title: str, content: str) -> str:
    return f"<g><title>{escape(title)}</title>{content}</g>"


def _svg(width: float, height: float, name: str, parts: Iterable[str]) -> str:
    return f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(name)}">{"".join(parts)}</svg>'
