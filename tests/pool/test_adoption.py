"""Attempts that outlive their node are adopted by the next: while they run, and after they ended."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from interlock.model.task import Cancelled, Done, Failed, FailureClass, PythonTarget, ShellTarget
from interlock.pool.in_process import InProcessPool
from interlock.pool.launcher import Launch
from interlock.pool.local import LocalPool
from interlock.pool.supervised import TakenOver, report_of
from pool.conftest import until

NODE = """
import asyncio, sys
from interlock.model.task import ShellTarget
from interlock.pool.launcher import Launch
from interlock.pool.local import LocalPool

async def main():
    pool = LocalPool()
    await pool.start()
    launch = Launch(attempt="task.1", target=ShellTarget(command=sys.argv[2]), folder=sys.argv[1],
                    environment=dict([sys.argv[3].split("=", 1)]), orphan_grace_seconds=float(sys.argv[4]))
    running = await pool.launch(launch, lambda stream, text: print(text, end="", flush=True))
    await running.outcome()

asyncio.run(main())
"""
"""A node that runs one attempt, to be killed."""


@pytest.fixture(autouse=True)
def _temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setattr("tempfile.tempdir", None)


@pytest.fixture
async def pool() -> AsyncIterator[LocalPool]:
    pool = LocalPool()
    await pool.start()
    yield pool
    await pool.stop()


def launch(folder: Path, command: str = "", grace: float = 20) -> Launch:
    return Launch(attempt="task.1", target=ShellTarget(command=command), folder=str(folder), orphan_grace_seconds=grace)


def orphaned(folder: Path, mark: str, command: str, grace: float = 20) -> None:
    """Begin an attempt and kill its node as soon as the command has printed `on`."""
    with subprocess.Popen(
        [sys.executable, "-c", NODE, str(folder), command, mark, str(grace)], stdout=subprocess.PIPE, text=True
    ) as node:
        assert node.stdout is not None
        assert node.stdout.readline() == "on\n"
        node.kill()


async def test_running_orphan_is_adopted_with_all_of_its_output(pool: LocalPool, tmp_path: Path, mark: str) -> None:
    orphaned(tmp_path, mark, "echo on; while ! test -e go; do sleep 0.05; done; echo off; echo err >&2; exit 3")
    assert pool.is_left(launch(tmp_path))
    heard: list[tuple[str, str]] = []
    running = await pool.adopt(launch(tmp_path), lambda stream, text: heard.append((stream, text)))
    await until(lambda: heard == [("stdout", "on\n")], "the beginning was not heard")
    (tmp_path / "go").touch()
    outcome = await running.outcome()
    assert isinstance(outcome, Failed)
    assert (outcome.failure, outcome.fault.title) == (FailureClass.APPLICATION, "Exited with 3")
    assert "".join(text for stream, text in heard if stream == "stdout") == "on\noff\n"
    assert ("stderr", "err\n") in heard
    await running.forget()
    assert not pool.is_left(launch(tmp_path))


async def test_adopted_attempt_can_be_cancelled(pool: LocalPool, tmp_path: Path, mark: str) -> None:
    orphaned(tmp_path, mark, "echo on; sleep 600")
    running = await pool.adopt(launch(tmp_path), lambda stream, text: None)
    await until(lambda: running.supervisor is not None and running.supervisor._command, "it was not adopted")  # type: ignore[attr-defined]
    await running.cancel()
    assert await running.outcome() == Cancelled()


async def test_adopted_attempt_is_cancelled_before_its_supervisor_was_reached(
    pool: LocalPool, tmp_path: Path, mark: str
) -> None:
    """As when its worktree is not to be had. `_no_process_is_left` sees that it does not go on."""
    orphaned(tmp_path, mark, "echo on; sleep 600", grace=600)
    running = await pool.adopt(launch(tmp_path), lambda stream, text: None)
    await running.cancel()
    assert await running.outcome() == Cancelled()


async def test_attempt_that_the_node_before_ended_is_lost(pool: LocalPool, tmp_path: Path) -> None:
    """It finds its lease gone, and ends what runs, before the node that has the lease comes to the supervisor."""
    before = await pool.launch(launch(tmp_path, "echo on; sleep 600"), lambda stream, text: None)
    (spool,) = await _spools(tmp_path)
    await before.cancel()
    await until((spool / "outcome.json").exists, "it was not ended")
    running = await pool.adopt(launch(tmp_path), lambda stream, text: None)
    outcome = await running.outcome()
    assert isinstance(outcome, Failed)
    assert outcome.failure is FailureClass.LOST
    await running.forget()


async def _spools(folder: Path) -> list[Path]:
    await until(lambda: list((folder / "tmp").glob("*/socket")), "it did not begin")
    return list((folder / "tmp").iterdir())


async def test_outcome_of_an_orphan_that_ended_is_taken_from_its_spool(
    pool: LocalPool, tmp_path: Path, mark: str
) -> None:
    orphaned(tmp_path, mark, "echo on; sleep 0.1; echo off")
    (spool,) = (tmp_path / "tmp").iterdir()
    await until((spool / "outcome.json").exists, "the orphan did not end")
    heard: list[str] = []
    assert pool.is_left(launch(tmp_path))
    running = await pool.adopt(launch(tmp_path), lambda stream, text: heard.append(text))
    assert await running.outcome() == Done({"code": 0, "stdout": "on\noff\n", "stderr": ""})
    assert "".join(heard) == "on\noff\n"


async def test_orphan_that_nobody_adopted_in_time_is_lost(pool: LocalPool, tmp_path: Path, mark: str) -> None:
    orphaned(tmp_path, mark, "echo on; sleep 600", grace=0.1)
    (spool,) = (tmp_path / "tmp").iterdir()
    await until((spool / "outcome.json").exists, "the orphan was not ended")
    running = await pool.adopt(launch(tmp_path), lambda stream, text: None)
    outcome = await running.outcome()
    assert isinstance(outcome, Failed)
    assert outcome.failure is FailureClass.LOST


async def test_output_above_the_limit_is_known_to_be_more_after_adoption(tmp_path: Path, mark: str) -> None:
    pool = LocalPool(result_bytes=10)
    orphaned(tmp_path, mark, "echo on; echo 0123456789; sleep 0.1")
    (spool,) = (tmp_path / "tmp").iterdir()
    await until((spool / "outcome.json").exists, "the orphan did not end")
    outcome = await (await pool.adopt(launch(tmp_path), lambda stream, text: None)).outcome()
    assert isinstance(outcome, Failed)
    assert outcome.fault.code == "payload-too-large"


async def test_node_that_was_only_asleep_is_told_that_its_attempt_is_gone(tmp_path: Path, pool: LocalPool) -> None:
    """Two pools in one process: the first one's supervisor is taken over while it serves."""
    asleep = LocalPool()
    await asleep.start()
    heard: list[str] = []
    first = await asleep.launch(
        launch(tmp_path, "echo on; while ! test -e go; do sleep 0.05; done"), lambda stream, text: heard.append(text)
    )
    await until(lambda: heard == ["on\n"], "nothing was printed")
    second = await pool.adopt(launch(tmp_path), lambda stream, text: None)
    with pytest.raises(TakenOver):
        await first.outcome()
    await first.cancel()
    (tmp_path / "go").touch()
    assert await second.outcome() == Done({"code": 0, "stdout": "on\n", "stderr": ""})
    await asleep.stop()


async def test_detached_attempt_goes_on_and_is_adopted(tmp_path: Path, pool: LocalPool) -> None:
    old = LocalPool()
    await old.start()
    heard: list[str] = []
    first = await old.launch(
        launch(tmp_path, "echo on; while ! test -e go; do sleep 0.05; done"), lambda stream, text: heard.append(text)
    )
    await until(lambda: heard == ["on\n"], "nothing was printed")
    await first.detach()
    assert await first.outcome() == Cancelled()
    await first.detach()
    await old.stop()
    second = await pool.adopt(launch(tmp_path), lambda stream, text: None)
    (tmp_path / "go").touch()
    assert await second.outcome() == Done({"code": 0, "stdout": "on\n", "stderr": ""})


async def test_attempt_without_grace_ends_when_it_is_detached(tmp_path: Path, pool: LocalPool) -> None:
    running = await pool.launch(launch(tmp_path, "sleep 600", grace=0), lambda stream, text: None)
    await until(lambda: running.supervisor is not None, "it did not begin")  # type: ignore[attr-defined]
    await running.detach()
    assert await running.outcome() == Cancelled()


async def test_nothing_is_left_of_what_never_was_or_is_not_ours(
    pool: LocalPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not pool.is_left(launch(tmp_path))
    spool = pool._folder(launch(tmp_path))
    spool.mkdir()
    (spool / "outcome.json").write_text('{"ended_by": "exit", "code": 0}')
    assert pool.is_left(launch(tmp_path))
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    assert not pool.is_left(launch(tmp_path))


async def test_forgotten_spools_are_removed_when_a_pool_starts(tmp_path: Path, pool: LocalPool) -> None:
    spool = pool._folder(launch(tmp_path))
    spool.mkdir()
    await pool.start()
    assert spool.exists()
    os.utime(spool, (1, 1))
    await pool.start()
    assert not spool.exists()


async def test_call_in_the_node_cannot_be_adopted() -> None:
    in_process = InProcessPool()
    await in_process.start()
    job = Launch(attempt="a", target=PythonTarget(function="asyncio:sleep", arguments={"delay": 60}), folder="/")
    assert not in_process.is_left(job)
    with pytest.raises(Exception, match="nothing is left"):
        await in_process.adopt(job, lambda stream, text: None)
    running = await in_process.launch(job, lambda stream, text: None)
    await asyncio.sleep(0)
    await running.detach()
    await running.forget()
    assert isinstance(await running.outcome(), Cancelled)
    await in_process.stop()


def test_report_that_is_not_whole_is_none() -> None:
    assert report_of(b'{"ended_by": ') is None
