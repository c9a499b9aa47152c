"""The examples of how processes coordinate do what they say, on both stores."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from acceptance.shell import SOURCE

FLEETS = Path(__file__).parents[2] / "examples" / "fleets"
LINES = 100


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/fleet.db"
    found: str = request.getfixturevalue("postgres_url")
    return found


def told(name: str, folder: Path, *arguments: str) -> list[str]:
    """Run an example to its end and give what it prints."""
    done = subprocess.run(
        [sys.executable, str(FLEETS / f"{name}.py"), *arguments],
        cwd=folder,
        env={"PYTHONPATH": str(SOURCE), "PATH": "/usr/bin:/bin", "HOME": str(folder), "PYTHONUNBUFFERED": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    return done.stdout.splitlines()


@pytest.mark.slow
def test_coordinator_gives_every_task_to_a_worker(url: str, tmp_path: Path) -> None:
    first, *lines, last = told("coordinator_worker", tmp_path, url)

    assert first == "coordinating: True"
    found = [re.fullmatch(r"square-(\d+): (\d+), by (small-1|small-2|large)", line) for line in lines]
    assert all(found)
    assert sorted((int(each[1]), int(each[2])) for each in found if each) == [(n, n * n) for n in range(1, 13)]
    assert {each[3] for each in found if each} == {"small-1", "small-2", "large"}
    assert last == "12 tasks done, in sum 650; workers left: 0"


@pytest.mark.slow
def test_peers_do_everything_though_one_is_killed(url: str, tmp_path: Path) -> None:
    *lines, accident, last = told("peer_to_peer", tmp_path, url)

    found = [re.fullmatch(r"task (\d+): (\d+), by (\w+)", line) for line in lines]
    assert [(int(each[1]), int(each[2])) for each in found if each] == [(n, n * n) for n in range(1, 10)]
    killed = re.fullmatch(r"(\w+) was killed at task (\d+); (\w+) did it, 1 number later", accident)
    assert killed is not None
    assert {each[3] for each in found if each} <= {"ada", "bob", "cyd"} - {killed[1]}
    assert lines[int(killed[2]) - 1].endswith(f"by {killed[3]}")
    assert last == "9 tasks done, 2 peers left"


@pytest.mark.slow
def test_region_whose_lead_is_killed_is_led_by_another_one(url: str, tmp_path: Path) -> None:
    eu, us, last = told("hierarchical", tmp_path, url)

    leads = re.fullmatch(r"(eu-\d) was killed while it led eu; the sum of all squares is 385", last)
    assert leads is not None
    other = {"eu-1": "eu-2", "eu-2": "eu-1"}[leads[1]]
    assert eu == f"eu: 55, led by {other}"
    assert re.fullmatch(r"us: 330, led by us-[12]", us)


@pytest.mark.parametrize("name", ["coordinator_worker", "peer_to_peer", "hierarchical"])
def test_example_is_short_and_says_how_it_is_run(name: str) -> None:
    text = (FLEETS / f"{name}.py").read_text()

    assert len(text.splitlines()) < LINES
    assert f"python examples/fleets/{name}.py " in text


@pytest.mark.slow
def test_example_needs_no_store_of_its_own(tmp_path: Path) -> None:
    assert told("peer_to_peer", tmp_path)[-1] == "9 tasks done, 2 peers left"
    assert list(tmp_path.iterdir()) == []
