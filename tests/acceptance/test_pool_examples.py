"""The examples of `examples/pools` do what they say, in real processes, and leave nothing behind."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import engines
from pool.conftest import marked
from required import may_skip

EXAMPLES = Path(__file__).parents[2] / "examples" / "pools"


def example(name: str, folder: Path, **variables: str) -> list[str]:
    """Run an example with a folder for temporary files of its own, which must be empty afterwards."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("INTERLOCK_", "DOCKER_"))}
    environment |= {"PYTHONPATH": str(EXAMPLES.parents[1] / "src"), "TMPDIR": str(folder)} | variables
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / name / "run.py")],
        env=environment, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=110, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert [each.name for each in folder.iterdir()] == []
    assert marked(f"TMPDIR={folder}") == []
    return done.stdout.splitlines()


@pytest.mark.slow
def test_local_part_runs_and_the_other_is_left_out_where_no_engine_answers(tmp_path: Path) -> None:
    told = example("local_and_docker", tmp_path, DOCKER_HOST=f"unix://{tmp_path}/nowhere.sock")
    assert told[1] == "verify ran in the pool here: 6 of 6 came out of the archive as they were"
    assert told[2:] == [
        f"no Docker engine answers at unix://{tmp_path}/nowhere.sock: the part with containers is left out"
    ]


@pytest.mark.slow
def test_words_are_counted_in_containers_where_an_engine_answers(tmp_path: Path) -> None:
    if may_skip("docker", engines.present("docker")):
        pytest.skip("docker is not installed, or this is not root")
    engine = engines.shared("docker")
    told = example("local_and_docker", tmp_path, DOCKER_HOST=engine.host, EXAMPLE_IMAGE=engines.IMAGE)
    assert re.fullmatch(r"words ran in the pool containers: \d+ words in 6 texts", told[2])
    assert re.fullmatch(r"longest ran in the pool containers: texts/.*\.md \d+ lines", told[3])
    assert engine.containers() == []


@pytest.mark.slow
def test_policy_of_the_example_decides_the_order(tmp_path: Path) -> None:
    told = example("own_policy", tmp_path)
    sizes = [int(size) for size in re.findall(r": (\d+) bytes", "\n".join(told))]
    assert "(urgent: its priority counts first)" in told[0]
    assert sizes[1:] == sorted(sizes[1:], reverse=True)
    assert sizes[0] == min(sizes)
    assert told[-1] == "6 texts were compressed, the largest first"


@pytest.mark.slow
def test_tasks_fall_back_and_the_explanation_says_why(tmp_path: Path) -> None:
    told = [" ".join(line.split()) for line in example("fallback", tmp_path)]
    assert told[0] == "full: 6 checksums are right; spot made 2, on-demand 4"
    assert "spot 2 of 2 slots leased" in told
    assert "away: 6 checksums are right; spot made 0, on-demand 6" in told
    assert told[-1] == "spot is disabled"
