"""Durations: ISO 8601 (`PT1M30S`), short forms (`30s`, `5m`, `2h`, `2d`, `1h30m`), numbers of seconds, and OWS maps.

All become seconds. A month counts 30 days and a year 365, since a duration here is an amount of time, not a calendar
step.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

_ISO: Final = re.compile(
    r"^P(?!$)(?:(\d+(?:\.\d+)?)Y)?(?:(\d+(?:\.\d+)?)M)?(?:(\d+(?:\.\d+)?)W)?(?:(\d+(?:\.\d+)?)D)?"
    r"(?:T(?=\d)(?:(\d+(?:\.\d+)?)H)?(?:(\d+(?:\.\d+)?)M)?(?:(\d+(?:\.\d+)?)S)?)?$"
)
_ISO_SECONDS: Final = (365 * 86400.0, 30 * 86400.0, 7 * 86400.0, 86400.0, 3600.0, 60.0, 1.0)
_SHORT: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w)")
_UNIT_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 7 * 86400.0}
_MAP_SECONDS: Final = {"days": 86400.0, "hours": 3600.0, "minutes": 60.0, "seconds": 1.0, "milliseconds": 0.001}


def parse(value: object) -> float:
    """Give the seconds of a duration in any accepted form. Raises ValueError with the accepted forms otherwise."""
    if isinstance(value, bool):
        raise ValueError(_hint(value))
    if isinstance(value, int | float):
        return _not_negative(float(value), value)
    if isinstance(value, Mapping):
        return _not_negative(_of_map(value), value)
    if isinstance(value, str):
        return _of_text(value)
    raise ValueError(_hint(value))


def text(seconds: float) -> str:
    """Give a short human form: `250 ms`, `3.1 s`, `4 m 05 s`, `2 h 03 m`, `3 d 04 h`."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} m {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes:02d} m"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours:02d} h"


def _of_map(value: Mapping[str, object]) -> float:
    seconds = 0.0
    for unit, amount in value.items():
        if unit not in _MAP_SECONDS or isinstance(amount, bool) or not isinstance(amount, int | float):
            raise ValueError(_hint(value))
        seconds += _MAP_SECONDS[unit] * amount
    return seconds


def _of_text(value: str) -> float:
    stripped = value.strip()
    if match := _ISO.match(stripped):
        return sum(float(part) * seconds for part, seconds in zip(match.groups(), _ISO_SECONDS, strict=True) if part)
    parts = _SHORT.findall(stripped)
    if parts and "".join(amount + unit for amount, unit in parts) == stripped:
        return sum(float(amount) * _UNIT_SECONDS[unit] for amount, unit in parts)
    try:
        seconds = float(stripped)
    except ValueError:
        raise ValueError(_hint(value)) from None
    return _not_negative(seconds, value)


def _not_negative(seconds: float, value: object) -> float:
    if not 0 <= seconds < float("inf"):
        raise ValueError(_hint(value))
    return seconds


def _hint(value: object) -> str:
    return f"{value!r} is not a duration; write PT1M30S, 90s, 5m, 2h, 2d, a number of seconds or {{minutes: 5}}"
