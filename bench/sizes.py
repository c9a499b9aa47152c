"""How much each case does, in three scales: `full` for figures, `quick` to try something, `smoke` to see that it works."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final


class Scale(StrEnum):
    FULL = "full"
    QUICK = "quick"
    SMOKE = "smoke"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """Counts of things, but for what is named otherwise.

    `slow_...` is for products of a few hundred a second, so that a round stays short; rates are comparable all the same.
    """

    warm_ups: int
    """Runs before the clock starts, so that no import or first connection is measured."""
    latency_runs: int
    throughput_runs: int
    slow_throughput_runs: int
    short_steps: int
    long_steps: int
    repeats: int
    """How often W3, W5 and W7 are done within one measurement, of which the median counts."""
    sleepers: int
    sleep_seconds: float
    branches: int
    branch_seconds: float
    queue_tasks: int
    slow_queue_tasks: int
    large_bytes: int
    chunk_steps: int
    chunk_bytes: int
    crash_steps: int
    crash_step_seconds: float
    import_repeats: int
    rest_seconds: float
    rest_keys: int
    rest_waiters: int
    evaluations: int
    grown_runs: tuple[int, ...]
    list_queries: int
    asleep: int
    fan_outs: tuple[int, ...]
    local_tasks: int
    node_counts: tuple[int, ...]
    floor_tasks: int
    """What PF-01 says: enqueued, dequeued and scheduled in so many seconds."""
    floor_queued: int
    lock_rounds: int
    heartbeat_workers: int
    heartbeat_seconds: float
    """Between two heartbeats of one worker."""
    watch_changes: int
    token_reports: int
    token_rate: int
    """Reports by token in a second."""
    placed_tasks: int
    placed_queued: int
    beside_placed: int
    beside: tuple[int, ...]
    """Tasks that wait beside those which a round places."""
    containers: int


_SCALES: Final = (Scale.FULL, Scale.QUICK, Scale.SMOKE)
_SIZES: Final[dict[str, tuple[Any, Any, Any]]] = {
    "warm_ups": (20, 10, 2),
    "latency_runs": (500, 100, 4),
    "throughput_runs": (5_000, 1_000, 20),
    "slow_throughput_runs": (1_000, 300, 20),
    "short_steps": (10, 10, 3),
    "long_steps": (100, 100, 10),
    "repeats": (10, 3, 1),
    "sleepers": (1_000, 200, 10),
    "sleep_seconds": (1.0, 1.0, 0.05),
    "branches": (20, 20, 4),
    "branch_seconds": (0.1, 0.1, 0.01),
    "queue_tasks": (10_000, 1_000, 20),
    "slow_queue_tasks": (2_000, 300, 20),
    "large_bytes": (10_000_000, 10_000_000, 200_000),
    "chunk_steps": (1_000, 200, 5),
    "chunk_bytes": (10_000, 10_000, 10_000),
    "crash_steps": (20, 20, 6),
    "crash_step_seconds": (0.1, 0.1, 0.1),
    "import_repeats": (10, 3, 1),
    "rest_seconds": (10.0, 3.0, 0.5),
    "rest_keys": (1_000, 200, 5),
    "rest_waiters": (10_000, 500, 5),
    "evaluations": (20_000, 2_000, 20),
    "grown_runs": ((100_000, 1_000_000), (10_000,), (200,)),
    "list_queries": (50, 20, 2),
    "asleep": (100_000, 2_000, 20),
    "fan_outs": ((10_000, 100_000), (1_000, 10_000), (10, 100)),
    "local_tasks": (30, 10, 2),
    "node_counts": ((1, 2, 4), (1, 2), (1, 2)),
    "floor_tasks": (1_000, 1_000, 20),
    "floor_queued": (10_000, 2_000, 40),
    "lock_rounds": (1_000, 200, 4),
    "heartbeat_workers": (1_000, 200, 5),
    "heartbeat_seconds": (30.0, 6.0, 0.5),
    "watch_changes": (500, 100, 4),
    "token_reports": (5_000, 1_000, 10),
    "token_rate": (500, 500, 500),
    "placed_tasks": (1_000, 1_000, 20),
    "placed_queued": (10_000, 2_000, 40),
    "beside_placed": (100, 100, 8),
    "beside": ((10, 100, 1_000, 10_000, 100_000), (10, 1_000), (4, 16)),
    "containers": (20, 15, 3),
}


def of(scale: Scale) -> Sizes:
    column = _SCALES.index(scale)
    return Sizes(**{name: values[column] for name, values in _SIZES.items()})
