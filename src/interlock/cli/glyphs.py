"""How states look in a terminal: a glyph, a colour and a word, never colour alone."""

from __future__ import annotations

from typing import Final, TextIO

from rich.console import Console

from interlock.model import duration
from interlock.model.json import Json
from interlock.model.states import RunStatus, StepStatus
from interlock.secrets.form import hidden

GLYPHS: Final[dict[str, tuple[str, str]]] = {
    "pending": ("○", "bright_black"),
    "running": ("●", "blue"),
    "waiting": ("◔", "magenta"),
    "suspended": ("❚❚", "yellow"),
    "completed": ("✓", "green"),
    "faulted": ("✕", "red"),
    "cancelled": ("⊘", "bright_black"),
    "skipped": ("⊘", "bright_black"),
    "compensated": ("↶", "yellow"),
}

_SHORT_ID: Final = 13
_WHOLE: Final = 100_000
_READABLE_COLUMNS: Final = 100
_UUID_CHARACTERS: Final = 36
_SUMMARY_CHARACTERS: Final = 46


def glyph(status: RunStatus | StepStatus) -> str:
    return GLYPHS[status][0]


def colour(status: RunStatus | StepStatus) -> str:
    return GLYPHS[status][1]


def short(id: str) -> str:
    """Give a run id as short as it stays telling: the time part of a UUID, anything else as it is."""
    return id[:_SHORT_ID] if len(id) == _UUID_CHARACTERS and id.count("-") == 4 else id


def value(found: Json) -> str:
    """Give a JSON value in a few words, with `***` for secrets."""
    match found:
        case None:
            return ""
        case dict():
            parts = [f"{key} {_scalar(item)}" for key, item in found.items() if _scalar(item)]
            return _clip(", ".join(parts)) if parts or not found else counted(len(found), "field")
        case list():
            return counted(len(found), "item")
        case str():
            text = hidden(found).strip()
            return _clip(text.splitlines()[0] if text else "")
        case _:
            return _clip(str(found))


def lines(found: Json) -> list[str]:
    """Give all of a text by its lines, with `***` for secrets; of any other value a few words.

    Control characters are told by their numbers: what a program wrote may not steer the terminal.
    """
    if not isinstance(found, str):
        return [value(found)] if value(found) else []
    told = (_harmless(line.expandtabs()).rstrip() for line in hidden(found).strip().splitlines())
    return [line for line in told if line]


def clipped(text: str, stream: TextIO) -> str:
    """Give a text on one line, cut at the width of a terminal; anything else gets all of it."""
    flat, columns = _harmless(" ".join(text.split())), screen(stream).width
    return flat if len(flat) <= columns else flat[: columns - 1] + "…"


def counted(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def _scalar(item: Json) -> str:
    if isinstance(item, bool):
        return "yes" if item else "no"
    if isinstance(item, int | float):
        return f"{item:g}"
    text = hidden(item) if isinstance(item, str) else ""
    return text if 0 < len(text) <= 24 and text.isprintable() else ""


def _harmless(line: str) -> str:
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in line)


def _clip(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= _SUMMARY_CHARACTERS else flat[: _SUMMARY_CHARACTERS - 1] + "…"


def seconds(duration_seconds: float) -> str:
    """Give how long something took, in little room: `0.21 s`, `3.1 s`, `4 m 05 s`."""
    return f"{duration_seconds:.2f} s" if duration_seconds < 1 else duration.text(duration_seconds)


def screen(stream: TextIO) -> Console:
    """Give the console of a stream: a terminal clips what is too wide, anything else gets whole lines."""
    return Console(file=stream, highlight=False, markup=False, emoji=False, width=None if stream.isatty() else _WHOLE)


def width(console: Console) -> int:
    """Give the columns to lay out in: those of the terminal, but no more than the eye can follow along a line."""
    return min(console.width, _READABLE_COLUMNS)
