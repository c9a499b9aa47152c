"""Values of runs as people may see them: masked, in a bounded size, on as many lines as they need."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Final

from interlock.model.json import Json
from interlock.model.payload import Payload
from interlock.secrets.form import hidden

_LONGEST: Final = 20_000
"""Characters of a value on a page: more makes the page slow, and nobody reads it there."""
_SUMMARY: Final = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """`left_out`: how many characters there are more."""

    text: str
    left_out: int = 0


def shown(value: Json) -> Shown:
    """Give a value as indented JSON, a text as it is."""
    text = hidden(value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False))
    return Shown(text=text[:_LONGEST], left_out=max(0, len(text) - _LONGEST))


def payload(found: Payload | None) -> Shown | None:
    """Give a payload; None for none."""
    if found is None:
        return None
    if not found.is_loaded:
        return Shown(text=f"({found.size:,} bytes, stored apart)")
    return shown(found.value)


def summary(value: object) -> str:
    """Give a value on one line."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    line = " ".join(hidden(text).split())
    return line if len(line) <= _SUMMARY else f"{line[: _SUMMARY - 1]}…"
