"""What a task asks of the worker that performs it, as authors write it: in YAML beside `pool`, in Python as `requires=`."""

from __future__ import annotations

import math
import re
from typing import Final, NamedTuple

from interlock.flow import nearest
from interlock.model.call import Requirements
from interlock.model.json import Json

KEYS: Final = ("skills", "region", "type", "cpu", "memory")
POOL: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
NO_POOL: Final = (
    "is asked of workers, and without a pool of theirs this goes to none; name one, such as `pool: workers`, and start "
    "`interlock worker --pool workers`"
)
_TEXTS: Final = "a text that is not empty"
_AMOUNT: Final = "a number, 0 or more"


class Mistake(NamedTuple):
    """What is wrong with the requirements; `key` None: with all of them. `near`: the key that may be meant."""

    key: str | None
    message: str
    near: str | None = None


def mistakes(value: Json) -> list[Mistake]:
    """Give what is wrong, in the order in which it stands."""
    if not isinstance(value, dict):
        return [Mistake(None, f"`requires` must be a map of {', '.join(KEYS)}")]
    return [found for key, given in value.items() if (found := _mistake(key, given)) is not None]


def _mistake(key: str, given: Json) -> Mistake | None:
    match key:
        case "skills":
            fits, wanted = isinstance(given, list | tuple) and all(_is_text(each) for each in given), "a list of texts"
        case "region" | "type":
            fits, wanted = _is_text(given), _TEXTS
        case "cpu" | "memory":
            fits, wanted = _is_amount(given), _AMOUNT
        case _:
            near = nearest.name(key, KEYS)
            advice = f"did you mean `{near}`?" if near else f"it knows {', '.join(KEYS)}"
            return Mistake(key, f"`requires` has no `{key}`; {advice}", near)
    return None if fits else Mistake(key, f"`requires.{key}` must be {wanted}, not {given!r}")


def of(value: Json) -> Requirements | None:
    """Give requirements without mistakes; None where nothing is asked."""
    if not value:
        return None
    return Requirements(
        skills=tuple(value.get("skills", ())),
        region=value.get("region"),
        type=value.get("type", ""),
        cpu=float(value.get("cpu", 0.0)),
        memory=float(value.get("memory", 0.0)),
    )


def _is_text(value: Json) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_amount(value: Json) -> bool:
    return not isinstance(value, bool) and isinstance(value, int | float) and math.isfinite(value) and value >= 0
