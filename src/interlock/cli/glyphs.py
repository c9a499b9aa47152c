"""How states look in a terminal: a glyph, a colour and a word, never colour alone."""

from __future__ import annotations

from typing import Final

from interlock.model import duration
from interlock.model.json import Json
from interlock.model.states import RunStatus, StepStatus
from interlock.model.story import Step

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
_UUID_CHARACTERS: Final = 36
_SUMMARY_CHARACTERS: Final = 46


def glyph(status: RunStatus | StepStatus) -> str:
    return GLYPHS[status][0]


def colour(status: RunStatus | StepStatus) -> str:
    return GLYPHS[status][1]


def short(id: str) -> str:
    """Give a run id as short as it stays telling: the time part of a UUID, anything else as it is."""
    return id[:_SHORT_ID] if len(id) == _UUID_CHARACTERS and id.count("-") == 4 else id


def summary(step: Step, now: float) -> str:
    """Say in a few words how a step stands: what it gave, why it failed, what it waits for."""
    if step.fault is not None and step.status in (StepStatus.FAULTED, StepStatus.WAITING):
        again = f"again in {duration.text(max(0.0, step.until - now))}: " if step.until is not None else ""
        return _clip(f"{again}{step.fault}")
    if step.status is StepStatus.WAITING and step.until is not None:
        return f"for {duration.text(max(0.0, step.until - now))} more"
    if step.status is StepStatus.RUNNING and step.items is not None and step.index is not None:
        return f"{step.index + 1} of {step.items}"
    if step.status is StepStatus.COMPLETED and step.items is not None:
        return f"{step.items} items"
    if step.output is not None:
        return value(step.output.value)
    return ""


def value(found: Json) -> str:
    """Give a JSON value in a few words."""
    match found:
        case None:
            return ""
        case dict():
            parts = [f"{key} {_scalar(item)}" for key, item in found.items() if _scalar(item)]
            return _clip(", ".join(parts)) if parts else f"{len(found)} fields"
        case list():
            return f"{len(found)} items"
        case str():
            return _clip(found.strip().splitlines()[0] if found.strip() else "")
        case _:
            return _clip(str(found))


def _scalar(item: Json) -> str:
    if isinstance(item, bool):
        return "yes" if item else "no"
    if isinstance(item, int | float):
        return f"{item:g}"
    return item if isinstance(item, str) and 0 < len(item) <= 24 and item.isprintable() else ""


def _clip(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= _SUMMARY_CHARACTERS else flat[: _SUMMARY_CHARACTERS - 1] + "…"


def took(step: Step, now: float) -> str:
    """Give how long a step has taken so far."""
    return duration.text((step.ended or now) - step.began)
