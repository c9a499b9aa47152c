"""The documented scores, as pure functions of numbers. Source: requirements 1.3, 1.5 and 2.6 of the systems this replaces."""

from __future__ import annotations

from collections.abc import Sequence, Set
from enum import StrEnum
from typing import Final

from interlock.model.worker import Device, Health, Worker

OVERLOADED: Final = 0.8
UNDERUSED: Final = 0.3
IMBALANCE_POINTS: Final = 30.0
"""Percentage points between the most and the least used worker, above which tasks ought to move."""
_MIGRATION_VARIANCE: Final = 0.1
_MIGRATION_GAP: Final = 0.2
_REPLACEMENT: Final = 1.2  # a device has to be a fifth better than the one that it takes the place of
_FORGIVING_SECONDS: Final = 60.0  # until a failure counts no more


def priority(free: int, most: int, success_rate: float | None, average_seconds: float | None) -> float:
    """Rank a worker in the registry: 0.5 free share + 0.3 success rate + 0.2 speed; without a history it has the best of
    each.

    Half free, 9 of 10 done, 2 s each: 0.5 x 0.5 + 0.3 x 0.9 + 0.2 x 0.5 = 0.62.
    """
    share = free / most if most else 0.0
    rate = 1.0 if success_rate is None else success_rate
    return 0.5 * share + 0.3 * rate + 0.2 * _speed(average_seconds)


def _speed(average_seconds: float | None) -> float:
    return 1.0 if not average_seconds else min(1 / average_seconds, 1.0)


def device(state: Device) -> float:
    """Score a device: (100 - 0.4 cpu - 0.3 memory) x network - min(50, ms / 100) + min(20, throughput / 1000), and less on
    battery.

    cpu 50, memory 40, network 0.9, 500 ms, 10,000/s, mains: (100 - 20 - 12) x 0.9 - 5 + 10 = 66.2. Never below 0.
    """
    free = 100 - 0.4 * state.cpu - 0.3 * state.memory
    score = free * state.network - min(50.0, state.response_ms / 100) + min(20.0, state.throughput / 1000)
    if state.battery is not None and state.battery < 20:
        score *= 0.5
    elif state.battery is not None and state.battery < 50:
        score *= 0.8
    return max(0.0, score)


class Quality(StrEnum):
    EXCELLENT = "excellent"
    GOOD = "good"
    FAIR = "fair"
    POOR = "poor"
    CRITICAL = "critical"


_BANDS: Final = ((80.0, Quality.EXCELLENT), (60.0, Quality.GOOD), (40.0, Quality.FAIR), (20.0, Quality.POOR))


def quality(score: float) -> Quality:
    """Give the band of a device score."""
    return next((band for least, band in _BANDS if score >= least), Quality.CRITICAL)


def replaces(candidate: float, present: float) -> bool:
    """Say whether a device is so much better than the present one that it takes its place."""
    return candidate > present * _REPLACEMENT


def capability(required: Set[str], owned: Set[str], load: float, *, is_overloaded: bool) -> float:
    """Score how narrowly a worker fits, so that specialists are used before generalists: required of owned, times what is
    free.

    An overloaded worker counts half at most. (The source gives it 0.5 *instead* of its free share, which puts one that is
    90 % busy before one that is 60 % busy.) Nothing required: all fit alike.
    """
    fit = len(required & owned) / len(owned) if required and owned else float(not required)
    free = 1 - load
    return fit * (min(0.5, free) if is_overloaded else free)


def performance(
    success_rate: float | None, average_seconds: float | None, since_failure_seconds: float | None, load: float
) -> float:
    """Score by 0.35 success rate + 0.25 / (1 + seconds) + 0.25 reliability + 0.15 free share; no history counts as the
    best.
    """
    rate = 1.0 if success_rate is None else success_rate
    quick = 1 / (1 + (average_seconds or 0.0))
    return 0.35 * rate + 0.25 * quick + 0.25 * steadiness(since_failure_seconds) + 0.15 * (1 - load)


def steadiness(since_failure_seconds: float | None) -> float:
    """Give 1 when nothing failed for a minute, and 0.7 just after a failure."""
    if since_failure_seconds is None:
        return 1.0
    return 1 - 0.3 * max(0.0, 1 - since_failure_seconds / _FORGIVING_SECONDS)


def comprehensive(free_share: float, success_rate: float, affinity: float, reliability: float) -> float:
    """Score by 0.4 capacity + 0.3 success rate + 0.2 affinity + 0.1 reliability."""
    return 0.4 * free_share + 0.3 * success_rate + 0.2 * affinity + 0.1 * reliability


def affinity(*, is_preferred: bool, is_avoided: bool) -> float:
    """Give 0.5 for a stranger, 0.3 more for who is preferred, 0.5 less for who is avoided; 0 to 1."""
    return min(1.0, max(0.0, 0.5 + 0.3 * is_preferred - 0.5 * is_avoided))


def reliability(average_ms: float, failure_rate: float) -> float:
    """Give 1 / (1 + ms / 10000) - 0.5 failure rate, never below 0."""
    return max(0.0, 1 / (1 + average_ms / 10_000) - 0.5 * failure_rate)


# -- of workers ------------------------------------------------------------------------------------------------------


def priority_of(worker: Worker) -> float:
    return priority(worker.free, worker.capacity, worker.success_rate, worker.average_seconds)


def performance_of(worker: Worker) -> float:
    seconds = worker.average_seconds
    return performance(worker.success_rate, seconds, worker.since_failure_seconds, worker.utilisation)


def capability_of(worker: Worker, required: Set[str]) -> float:
    return capability(required, worker.capabilities.skills, worker.utilisation, is_overloaded=is_overloaded(worker))


def comprehensive_of(worker: Worker, *, is_preferred: bool, is_avoided: bool) -> float:
    """Score a worker for a task; one without a history counts as one that never failed."""
    rate = 1.0 if worker.success_rate is None else worker.success_rate
    steady = reliability((worker.average_seconds or 0.0) * 1000, 1 - rate)
    liked = affinity(is_preferred=is_preferred, is_avoided=is_avoided)
    return comprehensive(1 - worker.utilisation, rate, liked, steady)


def is_overloaded(worker: Worker) -> bool:
    return worker.device.health is Health.UNHEALTHY or worker.utilisation > OVERLOADED


def is_underused(worker: Worker) -> bool:
    return worker.utilisation < UNDERUSED


def spread_points(loads: Sequence[float]) -> float:
    """Give the percentage points between the most and the least used of some workers."""
    return (max(loads) - min(loads)) * 100 if loads else 0.0


def suggests_migration(loads: Sequence[float]) -> bool:
    """Say whether loads differ so much, all in all and at the ends, that tasks ought to move."""
    if not loads:
        return False
    mean = sum(loads) / len(loads)
    variance = sum((load - mean) ** 2 for load in loads) / len(loads)
    return variance > _MIGRATION_VARIANCE and max(loads) - min(loads) > _MIGRATION_GAP
