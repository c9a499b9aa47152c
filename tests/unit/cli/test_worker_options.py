"""How a worker is to work, from its options and the variables of other systems."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import pytest

from interlock import errors
from interlock.cli.worker import Given, terms
from interlock.coord.timing import BALANCED, Timing
from interlock.decisions.strategies import Strategy

VARIABLES = {
    "WORKER_ID": "ann",
    "WORKER_MAX_TASKS": "7",
    "WORKER_REGION": "eu",
    "SUPPORTED_TASK_TYPES": "build, test",
    "LOAD_BALANCE_STRATEGY": "round-robin",
    "WORKER_HOSTNAME": "far",
    "HEARTBEAT_INTERVAL_MS": "10000",
    "STALE_WORKER_THRESHOLD_MS": "30000",
}


def of(variables: dict[str, str] | None = None, **given: Any) -> Any:
    return terms(Given(**given), variables or {}, default_slots=3)


def test_worker_has_a_name_and_the_machine_for_itself_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    found = of()
    assert found.post.worker == f"{socket.gethostname()}-{os.getpid()}"
    assert (found.post.pool, found.post.slots, found.post.strategy) == ("workers", 3, Strategy.LEAST_LOADED)
    assert (found.timing, found.host) == (BALANCED, None)
    able = found.post.capabilities
    assert (able.skills, able.task_types, able.region) == (frozenset(), frozenset(), None)
    assert able.cpu_cores >= 1
    assert found.post.folder == str(Path.cwd())


def test_variables_of_other_systems_mean_the_same() -> None:
    found = of(VARIABLES)
    assert (found.post.worker, found.post.slots, found.host) == ("ann", 7, "far")
    assert found.post.strategy is Strategy.ROUND_ROBIN
    assert (found.post.capabilities.region, found.post.capabilities.task_types) == ("eu", {"build", "test"})
    assert found.timing == Timing(beat_seconds=10.0, stale_seconds=30.0, scan_seconds=7.5, retry_seconds=5.0)


def test_options_win_over_variables() -> None:
    found = of(VARIABLES, id="bob", slots=2, region="us", types="", strategy="adaptive", cores=1.5, memory=64.0)
    assert (found.post.worker, found.post.slots, found.post.strategy) == ("bob", 2, Strategy.ADAPTIVE)
    able = found.post.capabilities
    assert (able.region, able.task_types, able.cpu_cores, able.memory_mb) == ("us", frozenset(), 1.5, 64.0)


def test_own_name_contains_the_host_that_others_are_shown() -> None:
    assert of({"WORKER_HOSTNAME": "far"}).post.worker == f"far-{os.getpid()}"


def test_one_of_the_two_times_is_enough() -> None:
    assert of({"HEARTBEAT_INTERVAL_MS": "1000"}).timing.stale_seconds == 120.0
    assert of({"STALE_WORKER_THRESHOLD_MS": "61000"}).timing.beat_seconds == 30.0
    with pytest.raises(errors.Invalid, match="at least twice HEARTBEAT_INTERVAL_MS"):
        of({"STALE_WORKER_THRESHOLD_MS": "59000"})
