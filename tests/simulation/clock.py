"""The clock of the simulated world, and its ids and chances, all from the seed."""

from __future__ import annotations

import random
import uuid
from typing import Final

from interlock.service import uuid7
from simulation.loop import SimulatedLoop

EPOCH: Final = 1_900_000_000.0  # UTC seconds at which every world begins
_ENTROPY_BITS: Final = 80


class SimulatedClock:
    """Time as the loop has it. One for each actor, so that what one draws changes nothing for the others."""

    def __init__(self, loop: SimulatedLoop, seed: str) -> None:
        self._loop = loop
        self._random = random.Random(seed)

    def now(self) -> float:
        return EPOCH + self._loop.time()

    def stamp(self) -> float | None:
        return self.now()

    def monotonic(self) -> float:
        return self._loop.time()

    def uuid(self) -> str:
        return uuid7(int(self.now() * 1000), self._entropy(_ENTROPY_BITS))

    def uuid4(self) -> uuid.UUID:
        return uuid.UUID(bytes=self._entropy(128), version=4)

    def uniform(self, low: float, high: float) -> float:
        return self._random.uniform(low, high)

    def _entropy(self, bits: int) -> bytes:
        return self._random.getrandbits(bits).to_bytes(bits // 8, "big")
