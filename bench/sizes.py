"""How much each case does, in three scales: `full` for figures, `quick` to try something, `smoke` to see that it works."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Scale(StrEnum):
    FULL = "full"
    QUICK = "quick"
    SMOKE = "smoke"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """Counts of things, but for what is named otherwise."""

    warm_ups: int
    """Runs before the clock starts, so that no import or first connection is measured."""
    latency_runs: int
    throughput_runs: int
    short_steps: int
    long_steps: int
    sequential_repeats: int
    sleepers: int
    sleep_seconds: float
    branches: int
    branch_seconds: float


_SIZES: Final = {
    Scale.FULL: Sizes(
        warm_ups=20, latency_runs=500, throughput_runs=5_000, short_steps=10, long_steps=100, sequential_repeats=10,
        sleepers=1_000, sleep_seconds=1.0, branches=20, branch_seconds=0.1,
    ),
    Scale.QUICK: Sizes(
        warm_ups=10, latency_runs=100, throughput_runs=1_000, short_steps=10, long_steps=100, sequential_repeats=3,
        sleepers=200, sleep_seconds=1.0, branches=20, branch_seconds=0.1,
    ),
    Scale.SMOKE: Sizes(
        warm_ups=2, latency_runs=5, throughput_runs=20, short_steps=3, long_steps=10, sequential_repeats=1,
        sleepers=10, sleep_seconds=0.05, branches=4, branch_seconds=0.01,
    ),
}  # fmt: skip


def of(scale: Scale) -> Sizes:
    return _SIZES[scale]
