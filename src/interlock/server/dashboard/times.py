"""Moments as people read them: how long ago, with the exact time beside."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from interlock.model import duration

_STEPS: Final = ((60.0, 1.0, "s"), (3600.0, 60.0, "m"), (2 * 86400.0, 3600.0, "h"), (float("inf"), 86400.0, "d"))
"""Up to how many seconds, the unit in seconds, its name. The script of the pages counts on with the same steps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """`relative`: as seen from when the page was made; `exact`: to the second; `iso`: for programs; `at`: UTC seconds."""

    relative: str
    exact: str
    iso: str
    at: float


def moment(at: float | None, now: float) -> Moment | None:
    """Give a moment, None for none."""
    if at is None:
        return None
    then = datetime.fromtimestamp(at, UTC)
    return Moment(
        relative=relative(now - at),
        exact=then.strftime("%Y-%m-%d %H:%M:%S UTC"),
        iso=then.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        at=at,
    )


def clock(at: float) -> str:
    """Give the time of the day to the millisecond."""
    return datetime.fromtimestamp(at, UTC).strftime("%H:%M:%S.%f")[:-3]


def relative(seconds: float) -> str:
    """Give how long ago something was, or (negative) how far ahead it is, in one unit."""
    for most, unit, name in _STEPS:
        if abs(seconds) < most:
            amount = f"{abs(seconds) / unit:.0f} {name}"
            break
    if abs(seconds) < 1:
        return "now"
    return f"{amount} ago" if seconds > 0 else f"in {amount}"


def took(seconds: float) -> str:
    """Give how long something took, in little room."""
    if seconds < 0.0005:
        return "< 1 ms"
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else duration.text(seconds)
