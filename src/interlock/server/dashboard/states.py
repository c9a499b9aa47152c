"""How states look: a glyph, a word and a colour, never a colour alone. The colours stand in `static/style.css`."""

from __future__ import annotations

from typing import Final

GLYPHS: Final[dict[str, str]] = {
    "pending": "○",
    "running": "●",
    "waiting": "◔",
    "suspended": "❚❚",
    "completed": "✓",
    "faulted": "✕",
    "cancelled": "⊘",
    "skipped": "⊘",
    "compensating": "↶",
    "compensated": "↶",
    "stranded": "△",
    "stale": "△",
}

_ICON_COLOURS: Final[dict[str, str]] = {
    "pending": "#6b7280",
    "running": "#2563eb",
    "waiting": "#7c3aed",
    "suspended": "#92610a",
    "completed": "#15803d",
    "faulted": "#b91c1c",
    "cancelled": "#6b7280",
    "compensating": "#c2410c",
    "stranded": "#c2410c",
}
"""A tab has no stylesheet: one colour for light and dark."""

_ICON: Final = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="8" fill="{colour}"/>'
    '<text x="16" y="22.5" font-family="system-ui,sans-serif" font-size="18" font-weight="700" fill="#fff" '
    'text-anchor="middle">{glyph}</text></svg>'
)


def icon(state: str) -> str:
    """Give the icon of a tab as SVG: of a run's state, or (any other word) of the program."""
    colour = _ICON_COLOURS.get(state)
    return _ICON.format(colour=colour or "#3f4754", glyph=GLYPHS[state] if colour else "i")
