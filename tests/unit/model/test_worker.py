"""Workers as values: which state follows which, and what follows from what a worker holds."""

from __future__ import annotations

from typing import Any

import pytest

from interlock.model.worker import (
    PRESENT,
    WORKER_TRANSITIONS,
    Capabilities,
    Device,
    Health,
    Worker,
    WorkerState,
    WorkerStatus,
    status,
)

W = WorkerStatus


def worker(**more: Any) -> Worker:
    fields: dict[str, Any] = {
        "id": "w1", "session": "s1", "status": W.ACTIVE, "host": "h", "pid": 1, "capacity": 4, "active": 1,
    }  # fmt: skip
    return Worker(**fields | more)


LEGAL = {
    (W.NEW, W.ACTIVE),
    (W.ACTIVE, W.BUSY), (W.ACTIVE, W.DRAINING), (W.ACTIVE, W.STALE), (W.ACTIVE, W.REMOVED),
    (W.BUSY, W.ACTIVE), (W.BUSY, W.DRAINING), (W.BUSY, W.STALE), (W.BUSY, W.REMOVED),
    (W.DRAINING, W.ACTIVE), (W.DRAINING, W.BUSY), (W.DRAINING, W.STALE), (W.DRAINING, W.REMOVED),
    (W.STALE, W.ACTIVE), (W.STALE, W.BUSY), (W.STALE, W.DRAINING), (W.STALE, W.OFFLINE), (W.STALE, W.REMOVED),
    (W.OFFLINE, W.REMOVED),
}  # fmt: skip


@pytest.mark.parametrize("before", W)
@pytest.mark.parametrize("after", W)
def test_state_follows_only_where_the_table_says_so(before: W, after: W) -> None:
    """WR-03"""
    assert (after in WORKER_TRANSITIONS[before]) is ((before, after) in LEGAL)


@pytest.mark.parametrize(
    ("stored", "is_stale", "active", "seen"),
    [
        (WorkerState.REGISTERED, False, 0, W.ACTIVE),
        (WorkerState.REGISTERED, False, 1, W.ACTIVE),
        (WorkerState.REGISTERED, False, 2, W.BUSY),
        (WorkerState.REGISTERED, False, 3, W.BUSY),
        (WorkerState.REGISTERED, True, 2, W.STALE),
        (WorkerState.DRAINING, False, 2, W.DRAINING),
        (WorkerState.DRAINING, True, 0, W.STALE),
        (WorkerState.OFFLINE, True, 0, W.OFFLINE),
        (WorkerState.REMOVED, True, 0, W.REMOVED),
    ],
)
def test_seen_state_follows_from_what_is_stored_and_held(
    stored: WorkerState, is_stale: bool, active: int, seen: W
) -> None:
    """WR-04: busy while its slots are taken and active again after, stale while it is silent, draining as long as it is asked."""
    assert status(stored, is_stale=is_stale, active=active, capacity=2) is seen


def test_present_are_those_that_nobody_gave_up() -> None:
    assert set(W) - PRESENT == {W.NEW, W.OFFLINE, W.REMOVED}


@pytest.mark.parametrize(
    ("capacity", "active", "free", "utilisation"), [(4, 1, 3, 0.25), (4, 4, 0, 1.0), (2, 3, 0, 1.0), (0, 0, 0, 1.0)]
)
def test_free_is_what_is_not_taken(capacity: int, active: int, free: int, utilisation: float) -> None:
    """WR-02"""
    found = worker(capacity=capacity, active=active)
    assert (found.free, found.utilisation) == (free, utilisation)


@pytest.mark.parametrize(
    ("more", "takes"),
    [
        ({}, True),
        ({"active": 4}, False),
        ({"status": W.BUSY}, False),
        ({"status": W.DRAINING}, False),
        ({"status": W.STALE}, False),
        ({"device": Device(accepts=False)}, False),
        ({"device": Device(cpu=99.0)}, True),
    ],
)
def test_worker_takes_tasks_while_it_is_active_and_has_a_slot(more: dict[str, Any], takes: bool) -> None:
    """WR-04, LB-02"""
    assert worker(**more).has_capacity is takes


@pytest.mark.parametrize(
    ("device", "health"),
    [
        (Device(), Health.HEALTHY),
        (Device(cpu=70.0, memory=70.0), Health.HEALTHY),
        (Device(cpu=70.1), Health.DEGRADED),
        (Device(memory=90.0), Health.DEGRADED),
        (Device(memory=90.1), Health.UNHEALTHY),
        (Device(accepts=False), Health.UNHEALTHY),
    ],
)
def test_health_is_that_of_what_is_shortest(device: Device, health: Health) -> None:
    assert device.health is health


def test_history_is_none_before_there_is_one() -> None:
    assert (worker().success_rate, worker().average_seconds) == (None, None)
    found = worker(succeeded=3, failed=1, busy_seconds=10.0)
    assert (found.ended, found.success_rate, found.average_seconds) == (4, 0.75, 2.5)


def test_idle_cores_and_memory_follow_from_what_is_in_use() -> None:
    able = Capabilities(cpu_cores=8, memory_mb=1000)
    found = worker(capabilities=able, device=Device(cpu=25.0, memory=40.0))
    assert (found.free_cpu, found.free_memory_mb) == (6.0, pytest.approx(600.0))
    beyond = worker(capabilities=able, device=Device(cpu=130.0, memory=-5.0))
    assert (beyond.free_cpu, beyond.free_memory_mb) == (0.0, 1000.0)


def test_worker_without_types_takes_any() -> None:
    assert Capabilities().supports("build")
    assert Capabilities(task_types={"build"}).supports("build")
    assert not Capabilities(task_types={"build"}).supports("test")
