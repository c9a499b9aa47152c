"""The documented formulas, each with worked examples to 1e-9 (LB-09)."""

from __future__ import annotations

from typing import Any

import pytest

from interlock.decisions import scores
from interlock.decisions.scores import Quality
from interlock.model.worker import Capabilities, Device, Worker, WorkerStatus

EXACT = 1e-9


def worker(**more: Any) -> Worker:
    fields: dict[str, Any] = {
        "id": "w1", "session": "s1", "status": WorkerStatus.ACTIVE, "host": "h", "pid": 1, "capacity": 10, "active": 4,
    }  # fmt: skip
    return Worker(**fields | more)


@pytest.mark.parametrize(
    ("free", "most", "rate", "seconds", "score"),
    [
        (2, 4, 0.9, 2.0, 0.5 * 0.5 + 0.3 * 0.9 + 0.2 * 0.5),
        (2, 4, 0.9, 2.0, 0.62),
        (4, 4, None, None, 1.0),
        (0, 4, None, None, 0.5),
        (3, 5, 0.8, 0.5, 0.5 * 0.6 + 0.3 * 0.8 + 0.2),
        (1, 3, 0.0, 30.0, 0.5 / 3 + 0.2 / 30),
        (0, 0, 1.0, 1.0, 0.5),
        (1, 1, 1.0, 0.0, 1.0),
    ],
)
def test_priority_in_the_registry(
    free: int, most: int, rate: float | None, seconds: float | None, score: float
) -> None:
    """LB-09: 0.5 / 0.3 / 0.2"""
    assert scores.priority(free, most, rate, seconds) == pytest.approx(score, abs=EXACT)


@pytest.mark.parametrize(
    ("state", "score"),
    [
        (Device(), 100.0),
        (Device(cpu=50, memory=40, network=0.9, response_ms=500, throughput=10_000), 66.2),
        (Device(cpu=50, memory=40, network=0.9, response_ms=500, throughput=10_000, battery=49), 66.2 * 0.8),
        (Device(cpu=50, memory=40, network=0.9, response_ms=500, throughput=10_000, battery=50), 66.2),
        (Device(cpu=50, memory=40, network=0.9, response_ms=500, throughput=10_000, battery=20), 66.2 * 0.8),
        (Device(cpu=50, memory=40, network=0.9, response_ms=500, throughput=10_000, battery=19), 66.2 * 0.5),
        (Device(response_ms=9_999_999), 50.0),
        (Device(throughput=9_999_999), 120.0),
        (Device(cpu=100, memory=100, network=0.5, response_ms=5000), 0.0),
        (Device(cpu=100, memory=100, network=0.0, response_ms=5000, throughput=1000), 0.0),
    ],
)
def test_device_score(state: Device, score: float) -> None:
    """LB-09, requirements 2.6"""
    assert scores.device(state) == pytest.approx(score, abs=EXACT)


@pytest.mark.parametrize(
    ("score", "band"),
    [
        (120.0, Quality.EXCELLENT), (80.0, Quality.EXCELLENT), (79.9, Quality.GOOD), (60.0, Quality.GOOD),
        (59.9, Quality.FAIR), (40.0, Quality.FAIR), (39.9, Quality.POOR), (20.0, Quality.POOR), (19.9, Quality.CRITICAL),
    ],
)  # fmt: skip
def test_quality_bands(score: float, band: Quality) -> None:
    assert scores.quality(score) is band


def test_device_takes_the_place_of_another_when_it_is_a_fifth_better() -> None:
    assert not scores.replaces(60.0, 50.0)
    assert scores.replaces(60.1, 50.0)


@pytest.mark.parametrize(
    ("required", "owned", "load", "overloaded", "score"),
    [
        ({"a"}, {"a", "b"}, 0.5, False, 0.25),
        ({"a", "b"}, {"a", "b", "c"}, 0.4, False, 2 / 3 * 0.6),
        ({"a"}, {"a"}, 0.1, True, 0.5),
        ({"a"}, {"a"}, 0.9, True, 0.1),
        ({"a"}, set(), 0.1, False, 0.0),
        (set(), {"a"}, 0.25, False, 0.75),
    ],
)
def test_capability_score(required: set[str], owned: set[str], load: float, overloaded: bool, score: float) -> None:
    assert scores.capability(required, owned, load, is_overloaded=overloaded) == pytest.approx(score, abs=EXACT)


@pytest.mark.parametrize(
    ("rate", "seconds", "since", "load", "score"),
    [
        (0.9, 3.0, 30.0, 0.5, 0.35 * 0.9 + 0.25 * 0.25 + 0.25 * 0.85 + 0.15 * 0.5),
        (0.9, 3.0, 30.0, 0.5, 0.665),
        (None, None, None, 0.0, 1.0),
        (0.0, 9.0, 0.0, 1.0, 0.25 * 0.1 + 0.25 * 0.7),
        (1.0, 1.0, 60.0, 0.2, 0.35 + 0.125 + 0.25 + 0.12),
        (1.0, 1.0, 600.0, 0.2, 0.35 + 0.125 + 0.25 + 0.12),
    ],
)
def test_performance_score(
    rate: float | None, seconds: float | None, since: float | None, load: float, score: float
) -> None:
    """LB-09: 0.35 / 0.25 / 0.25 / 0.15"""
    assert scores.performance(rate, seconds, since, load) == pytest.approx(score, abs=EXACT)


def test_comprehensive_score() -> None:
    """LB-09: 0.4 / 0.3 / 0.2 / 0.1"""
    assert scores.comprehensive(0.6, 0.9, 0.8, 0.5) == pytest.approx(0.4 * 0.6 + 0.27 + 0.16 + 0.05, abs=EXACT)
    assert scores.comprehensive(0.6, 0.9, 0.8, 0.5) == pytest.approx(0.72, abs=EXACT)


def test_affinity_and_reliability() -> None:
    """LB-09"""
    assert scores.affinity(is_preferred=False, is_avoided=False) == 0.5
    assert scores.affinity(is_preferred=True, is_avoided=False) == pytest.approx(0.8, abs=EXACT)
    assert scores.affinity(is_preferred=False, is_avoided=True) == 0.0
    assert scores.affinity(is_preferred=True, is_avoided=True) == pytest.approx(0.3, abs=EXACT)
    assert scores.reliability(10_000, 0.2) == pytest.approx(0.4, abs=EXACT)
    assert scores.reliability(0, 0) == 1.0
    assert scores.reliability(90_000, 1.0) == 0.0


def test_scores_of_workers_are_those_of_their_numbers() -> None:
    found = worker(succeeded=9, failed=1, busy_seconds=30.0, since_failure_seconds=30.0)
    assert scores.priority_of(found) == pytest.approx(0.5 * 0.6 + 0.27 + 0.2 / 3, abs=EXACT)
    assert scores.performance_of(found) == pytest.approx(0.315 + 0.0625 + 0.2125 + 0.09, abs=EXACT)
    liked = scores.comprehensive_of(found, is_preferred=True, is_avoided=False)
    assert liked == pytest.approx(0.24 + 0.27 + 0.16 + 0.1 * (1 / 1.3 - 0.05), abs=EXACT)
    fresh = scores.comprehensive_of(worker(), is_preferred=False, is_avoided=False)
    assert fresh == pytest.approx(0.24 + 0.3 + 0.1 + 0.1, abs=EXACT)
    skilled = worker(capabilities=Capabilities(skills={"a", "b"}))
    assert scores.capability_of(skilled, {"a"}) == pytest.approx(0.3, abs=EXACT)


def test_overload_and_underuse_have_their_bounds() -> None:
    assert not scores.is_overloaded(worker(active=8))
    assert scores.is_overloaded(worker(active=9))
    assert scores.is_overloaded(worker(active=0, device=Device(cpu=91.0)))
    assert scores.is_underused(worker(active=2))
    assert not scores.is_underused(worker(active=3))


def test_migration_is_suggested_when_loads_differ_much() -> None:
    assert scores.spread_points([0.9, 0.2, 0.5]) == pytest.approx(70.0)
    assert scores.spread_points([]) == 0.0
    assert scores.suggests_migration([1.0, 0.0])
    assert not scores.suggests_migration([0.9, 0.4])
    assert not scores.suggests_migration([])
