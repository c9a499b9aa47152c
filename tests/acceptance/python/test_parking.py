"""Sleeping Python runs cost next to nothing: many of them in one process, measured from outside."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from acceptance.shell import SOURCE

SLEEPERS = """
import asyncio
import gc
import sys

from interlock import Interlock, sleep, workflow


@workflow(name="parking-sleeper")
async def sleeper(number: int) -> int:
    await sleep("30d")
    return number


def resident() -> int:
    with open("/proc/self/status") as file:
        return int(next(line for line in file if line.startswith("VmRSS")).split()[1]) * 1024


async def main(count: int) -> None:
    async with Interlock("sqlite:///sleepers.db") as app:
        engine = app.session.node.engine
        for first in range(0, 10_000, 500):  # the heap grows to what a wave of starts needs
            await asyncio.gather(*[app.start(sleeper, -1 - first - number) for number in range(500)])
        while sum(live.state is not None for live in engine._runs.values()) > 2_000:
            await asyncio.sleep(0.1)
        gc.collect()
        before = resident()
        for first in range(0, count, 500):
            await asyncio.gather(*[app.start(sleeper, first + number) for number in range(500)])
        while any(live.state is not None for live in engine._runs.values()):
            await asyncio.sleep(0.2)
        gc.collect()
        print(engine.runs, before, resident())


asyncio.run(main(int(sys.argv[1])))
"""


def _sleep(folder: Path, count: int) -> tuple[int, int]:
    """Let so many runs sleep in a process of their own; give its memory before most of them came, and after, in bytes."""
    (folder / "sleepers.py").write_text(SLEEPERS)
    ended = subprocess.run(
        [sys.executable, "sleepers.py", str(count)],
        cwd=folder,
        env={"PYTHONPATH": str(SOURCE), "HOME": str(folder), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    runs, before, after = (int(word) for word in ended.stdout.split())
    assert runs == count + 10_000
    print(f"\n{runs} sleeping runs: {after / 1e6:.0f} MB, {(after - before) / count:.0f} bytes for each more")
    return before, after


@pytest.mark.chaos
@pytest.mark.timeout(900)
def test_parked_run_costs_less_than_two_kilobytes(tmp_path: Path) -> None:
    before, after = _sleep(tmp_path, 16_000)
    assert (after - before) / 16_000 < 2048


@pytest.mark.chaos
@pytest.mark.timeout(700)
def test_hundred_thousand_sleeping_runs_fit_in_300_megabytes(tmp_path: Path) -> None:
    _, after = _sleep(tmp_path, 97_500)
    assert after < 300e6
