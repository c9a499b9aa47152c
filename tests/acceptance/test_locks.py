"""Locks between processes: one winner, one holder at a time, everybody has a turn."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest

from acceptance.shell import SOURCE
from interlock.coord.coordination import Coordination

FIGHT = Path(__file__).with_name("lock_fight.py")
START_SECONDS = 120.0


def begin(url: str, folder: Path, count: int, what: str, locks: int) -> list[subprocess.Popen[bytes]]:
    """Start processes, and let them all go at the same moment."""
    made = [
        subprocess.Popen(
            [sys.executable, str(FIGHT), url, str(folder), f"w{number}", what, str(locks)],
            env={"PYTHONPATH": str(SOURCE), "PATH": "/usr/bin:/bin", "HOME": str(folder)},
            stderr=subprocess.PIPE,
        )
        for number in range(count)
    ]
    end = time.monotonic() + START_SECONDS
    while len(list(folder.glob("*.ready"))) < count:
        assert time.monotonic() < end, "the processes do not start"
        assert all(each.poll() is None for each in made), made
        time.sleep(0.02)
    (folder / "go").touch()
    return made


def ended(processes: list[subprocess.Popen[bytes]], seconds: float) -> None:
    for each in processes:
        _, complaint = each.communicate(timeout=seconds)
        assert (each.returncode, complaint.decode()) == (0, "")


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/locks.db"
    found: str = request.getfixturevalue("postgres_url")
    return found


@pytest.mark.slow
async def test_of_many_processes_one_wins_each_time(url: str, tmp_path: Path) -> None:
    """LK-02"""
    async with Coordination(url):
        pass  # the schema is there
    await asyncio.to_thread(race, url, tmp_path, 10, 20)


def race(url: str, folder: Path, processes: int, locks: int) -> None:
    made = begin(url, folder, processes, "race", locks)
    end = time.monotonic() + START_SECONDS
    while len(list(folder.glob("*.won"))) < processes:
        assert time.monotonic() < end
        assert all(each.poll() is None for each in made)
        time.sleep(0.02)
    won = Counter(number for file in folder.glob("*.won") for number in file.read_text().split())
    (folder / "over").touch()
    ended(made, 60)
    assert won == dict.fromkeys(map(str, range(locks)), 1)


@pytest.mark.slow
async def test_of_many_processes_one_holds_it_at_a_time(url: str, tmp_path: Path) -> None:
    """LK-02, LK-09"""
    async with Coordination(url):
        pass
    print(await asyncio.to_thread(fight, url, tmp_path, 8, 120))


def fight(url: str, folder: Path, processes: int, count: int) -> dict[str, int | float]:
    """The fences grow in the order in which the lock was had, nobody was in there with another one, nobody was left out.

    Gives how the grants were spread. Of times, those that the ledger has: it begins when all processes are there.
    """
    ended(begin(url, folder, processes, "fight", count), 500)
    lines = [line.split() for line in (folder / "ledger").read_text().splitlines()]
    assert not [line for line in lines if "beside" in line]
    fences = [int(line[0]) for line in lines]
    assert len(fences) == count
    assert fences == sorted(set(fences))
    had = Counter(line[1] for line in lines)
    assert len(had) == processes
    assert min(had.values()) >= count // processes // 2, had  # whose start took longer has fewer turns, never none
    moments = [float(line[2]) for line in lines]
    waits = []
    for name in had:
        own = [moment for moment, line in zip(moments, lines, strict=True) if line[1] == name]
        waits += [later - earlier for earlier, later in pairwise([moments[0], *own])]
    return {
        "processes": processes,
        "grants": count,
        "seconds": round(moments[-1] - moments[0], 2),
        "fewest": min(had.values()),
        "most": max(had.values()),
        "longest_wait_seconds": round(max(waits), 3),
    }
