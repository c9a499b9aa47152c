"""How often a worker is heard, after which silence it is stale, and how often that is looked for.

A worker that dies is found when it was silent for longer than it may be and somebody looks: after its last heartbeat

    stale_seconds < t <= stale_seconds + scan_seconds

whatever the phase of the looks. So with 30 s, 120 s and 60 s a worker whose last heartbeat was at 60 s is not found at 120
s or 150 s, but in (180 s, 240 s]; with looks at 0 s, 60 s, 120 s, ... exactly at 240 s, since 120.0 s is not longer than
120 s.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from interlock import errors


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """The times of heartbeats, in seconds. Raises Invalid when they cannot go together.

    A heartbeat that fails is sent again `retries` times, `retry_seconds` apart. A worker that may be silent for less than two
    heartbeats would be given up for a single one that was lost.
    """

    beat_seconds: float = 30.0
    stale_seconds: float = 120.0
    scan_seconds: float = 30.0
    retries: int = 3
    retry_seconds: float = 5.0

    def __post_init__(self) -> None:
        if min(self.beat_seconds, self.stale_seconds, self.scan_seconds, self.retry_seconds) <= 0 or self.retries < 0:
            raise errors.Invalid(f"heartbeats: every time must be above 0, and retries at least 0; found {self}")
        if self.stale_seconds < 2 * self.beat_seconds:
            raise errors.Invalid(
                f"heartbeats: a worker that is heard every {self.beat_seconds:g} s must be allowed to be silent for at least "
                f"{2 * self.beat_seconds:g} s, not {self.stale_seconds:g} s"
            )
        if self.beat_seconds + self.retries * self.retry_seconds >= self.stale_seconds:
            raise errors.Invalid(
                f"heartbeats: {self.retries} retries, {self.retry_seconds:g} s apart, would take a worker beyond the "
                f"{self.stale_seconds:g} s that it may be silent; lower one of them"
            )

    @property
    def detection(self) -> tuple[float, float]:
        """The bound of detection, in seconds after the last heartbeat: later than the first, at the second at the latest."""
        return self.stale_seconds, self.stale_seconds + self.scan_seconds


FAST: Final = Timing(beat_seconds=10.0, stale_seconds=30.0, scan_seconds=10.0)
BALANCED: Final = Timing()
SLOW: Final = Timing(beat_seconds=60.0, stale_seconds=300.0, scan_seconds=60.0)
GUIDE: Final = Timing(beat_seconds=30.0, stale_seconds=120.0, scan_seconds=60.0, retry_seconds=1.0)
"""As the guide of the system before has it."""
PROTOCOL: Final = Timing(beat_seconds=300.0, stale_seconds=600.0, scan_seconds=60.0)
PROTOCOL_FAST: Final = Timing(beat_seconds=120.0, stale_seconds=300.0, scan_seconds=30.0)
PROTOCOL_LONG: Final = Timing(beat_seconds=600.0, stale_seconds=1800.0, scan_seconds=300.0)

PRESETS: Final[Mapping[str, Timing]] = {
    "fast": FAST,
    "balanced": BALANCED,
    "slow": SLOW,
    "guide": GUIDE,
    "protocol": PROTOCOL,
    "protocol-fast": PROTOCOL_FAST,
    "protocol-long": PROTOCOL_LONG,
}


def preset(name: str) -> Timing:
    """Give the times of a name. Raises Invalid."""
    if name not in PRESETS:
        raise errors.Invalid(f"there is no preset of heartbeats {name!r}; there are {', '.join(PRESETS)}")
    return PRESETS[name]
