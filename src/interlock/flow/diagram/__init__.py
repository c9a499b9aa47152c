"""Draws a workflow: as a Mermaid flowchart and as an SVG picture of its own.

`outline` says what a drawing shows (captions, sections, where each task leads); `flowchart` writes it as Mermaid,
`layout` finds the places and `picture` writes them as SVG. Nothing here decides what a workflow does: see `flow.compile`.
"""

from __future__ import annotations

from interlock.flow.diagram.flowchart import mermaid
from interlock.flow.diagram.picture import svg

__all__ = ["mermaid", "svg"]
