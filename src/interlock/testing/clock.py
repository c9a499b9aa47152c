"""A clock that stands still until it is moved, and gives the same ids and chances again from the same seed."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from typing import Final

from interlock import errors
from interlock.service import uuid7

START: Final = datetime(2030, 1, 1, tzinfo=UTC)
_ENTROPY_BITS: Final = 80  # of a UUIDv7


class VirtualClock:
    """Time as a test sees it. `seed`: of the ids, and of what workflows take for chance."""

    def __init__(self, start: datetime = START, seed: int | str = 0) -> None:
        if start.tzinfo is None:
            raise errors.Invalid(
                f"VirtualClock: {start.isoformat()} has no time zone; give it one, such as datetime.UTC"
            )
        self._began = start.timestamp()
        self._now = self._began
        self._random = random.Random(seed)  # noqa: S311 (repeatable on purpose)

    def now(self) -> float:
        return self._now

    def stamp(self) -> float | None:
        return self._now

    def monotonic(self) -> float:
        return self._now - self._began

    def uuid(self) -> str:
        entropy = self._random.getrandbits(_ENTROPY_BITS).to_bytes(_ENTROPY_BITS // 8, "big")
        return uuid7(int(self._now * 1000), entropy)

    def uniform(self, low: float, high: float) -> float:
        return self._random.uniform(low, high)

    def move_to(self, moment: float) -> None:
        """Set the time, in UTC seconds. Raises Invalid for the past: what happened stays."""
        if moment < self._now:
            then = datetime.fromtimestamp(moment, UTC).isoformat()
            raise errors.Invalid(f"the clock cannot go back to {then}; it is {self.datetime.isoformat()}")
        self._now = moment

    @property
    def datetime(self) -> datetime:
        """The time, in UTC."""
        return datetime.fromtimestamp(self._now, UTC)
