"""What a process has done with locks, in numbers."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Final

_REMEMBERED: Final = 100


@dataclass
class LockMetrics:
    """Counts since the process began. `average_seconds`: of the last 100 acquisitions, with their waiting."""

    acquisitions: int = 0
    releases: int = 0
    conflicts: int = 0
    """Times that somebody else had the lock."""
    retries: int = 0
    failures: int = 0
    """Requests that were given up."""
    stale_recovered: int = 0
    """Locks that were taken, or cleared, whose holder had not released them."""
    lost: int = 0
    deadlocks: int = 0
    _seconds: deque[float] = field(default_factory=lambda: deque(maxlen=_REMEMBERED), repr=False)

    def acquired(self, seconds: float) -> None:
        self.acquisitions += 1
        self._seconds.append(seconds)

    @property
    def average_seconds(self) -> float | None:
        return sum(self._seconds) / len(self._seconds) if self._seconds else None
