"""The fleets of `examples` do what they say, in real processes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import sampled

EXAMPLES = Path(__file__).parents[2] / "examples"
FLEETS = ("homogeneous", "heterogeneous", "geographic")


def example(path: str) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("INTERLOCK_")}
    environment["PYTHONPATH"] = str(EXAMPLES.parent / "src")
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / path)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.mark.slow
def test_tasks_of_a_killed_worker_finish_on_the_others() -> None:
    told = example("worker_fleet/fleet.py")
    assert re.search(r"anna is killed, with [1-6] tasks?\b", told), told
    assert "all 6 tasks are done: 6 were begun, 6 ended" in told
    assert "is held" in told


@pytest.mark.slow
@pytest.mark.parametrize("name", sampled.one_of(len(FLEETS), FLEETS))
def test_fleet_is_short_and_does_what_it_says(name: str) -> None:
    assert len((EXAMPLES / f"fleets/{name}.py").read_text().splitlines()) < 100
    told = example(f"fleets/{name}.py").splitlines()
    expected = {
        "homogeneous": [f"worker-{number} did 2 of 6 tasks" for number in (1, 2, 3)],
        "heterogeneous": [
            "io-worker: 20 slots, did io0, io1, io2",
            "balanced-worker: 15 slots, did balanced0, balanced1, balanced2",
            "cpu-worker: 5 slots, did cpu0, cpu1, cpu2",
        ],
        "geographic": [f"invoice_{region} was done by worker-{region}" for region in ("eu", "us", "asia")],
    }[name]
    assert told[: len(expected)] == expected
