"""Cron expressions: that one has five fields, each in its range. When it fires is not decided here."""

from __future__ import annotations

import re
from typing import Final

_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS: Final = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_FIELDS: Final[tuple[tuple[str, int, int, tuple[str, ...]], ...]] = (
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day of the month", 1, 31, ()),
    ("month", 1, 12, _MONTHS),
    ("day of the week", 0, 7, _DAYS),
)
_PART: Final = re.compile(r"(?:\*|(?P<low>\w+)(?:-(?P<high>\w+))?)(?:/(?P<step>[0-9]+))?\Z")


def flaw(expression: str) -> str | None:
    """Give what is wrong with a cron expression, None when nothing is."""
    fields = expression.split()
    if len(fields) != len(_FIELDS):
        return f"a cron expression has 5 fields (minute, hour, day, month, weekday), not {len(fields)}"
    for text, (name, low, high, names) in zip(fields, _FIELDS, strict=True):
        if not all(_is_part(part.lower(), low, high, names) for part in text.split(",")):
            return f"`{text}` is no {name}; it takes {low}-{high}, `*`, lists, ranges and steps such as */5"
    return None


def _is_part(part: str, low: int, high: int, names: tuple[str, ...]) -> bool:
    match = _PART.match(part)
    if match is None or (match["step"] is not None and not int(match["step"][:9])):
        return False
    if match["low"] is None:
        return True
    first = _number(match["low"], low, names)
    last = first if match["high"] is None else _number(match["high"], low, names)
    return first is not None and last is not None and low <= first <= last <= high


def _number(text: str, low: int, names: tuple[str, ...]) -> int | None:
    if text.isascii() and text.isdigit() and len(text) <= 2:
        return int(text)
    return names.index(text) + low if text in names else None
