"""The local pool: everything a launcher of processes must do, warm and cold, and what concerns supervisors."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from interlock.model.task import Cancelled, Done, Failed, FailureClass, HttpTarget, ScriptTarget, ShellTarget, Snoozed
from interlock.pool.launcher import Launch
from interlock.pool.local import LocalPool
from interlock.pool.supervised import Supervisor
from pool.conformance import (
    ESCAPED,
    SURVIVOR,
    Attempts,
    EndingConformance,
    FunctionConformance,
    ProcessConformance,
    ScriptConformance,
    ShellConformance,
    attempts,
)
from pool.conftest import marked, until

__all__ = ["attempts"]


@pytest.fixture(params=[0, 2], ids=["cold", "warm"])
async def launcher(request: pytest.FixtureRequest) -> AsyncIterator[LocalPool]:
    pool = LocalPool(warm=request.param)
    await pool.start()
    yield pool
    await pool.stop()


class TestLocalPool(ShellConformance, ScriptConformance, ProcessConformance, EndingConformance, FunctionConformance):
    """The whole suite."""

    async def test_isolated_function_prints_into_the_log(self, attempts: Attempts) -> None:
        assert await attempts.run(self.call("speak")) == Done(1)
        assert (attempts.printed(), attempts.printed("stderr")) == ("spoken\n", "aside\n")

    async def test_isolated_function_runs_in_the_folder_of_the_run(self, attempts: Attempts) -> None:
        folder = str(attempts.folder)
        assert await attempts.run(self.call("where")) == Done([folder, folder])

    async def test_isolated_sync_function_is_killed(self, attempts: Attempts) -> None:
        running = await attempts.start(self.call("sleep", seconds=600))
        await running.cancel()
        assert await running.outcome() == Cancelled()
        assert marked(attempts.mark) == []

    async def test_function_process_that_dies_is_a_failure(self, attempts: Attempts) -> None:
        (attempts.folder / "deadly.py").write_text(
            "import os, sys\n"
            "def killed(): os.kill(os.getpid(), 9)\n"
            "def gone(): os._exit(4)\n"
            "def leaves(): sys.exit(5)\n"
        )
        for name in ("killed", "gone", "leaves"):
            outcome = await attempts.run(ScriptTarget(language="python", code=f"import deadly; deadly.{name}()"))
            assert isinstance(outcome, Failed)
            assert outcome.failure is FailureClass.APPLICATION

    async def test_too_much_output_fails_a_result_that_would_hold_it(self, attempts: Attempts) -> None:
        pool = LocalPool(result_bytes=1000)
        await pool.start()
        attempts.launcher = pool
        outcome = await attempts.run(ShellTarget(command="head -c 1001 /dev/zero | tr '\\0' x"))
        assert isinstance(outcome, Failed)
        assert (outcome.failure, outcome.fault.code) == (FailureClass.INVALID, "payload-too-large")
        assert len(attempts.printed()) == 1001
        assert len((await attempts.shell("head -c 1000 /dev/zero | tr '\\0' x"))["stdout"]) == 1000
        outcome = await attempts.run(self.call("large", size=2000))
        assert isinstance(outcome, Failed)
        assert (outcome.failure, outcome.fault.code) == (FailureClass.INVALID, "payload-too-large")
        await pool.stop()

    async def test_http_request_is_no_process(self, attempts: Attempts) -> None:
        outcome = await attempts.run(HttpTarget(method="GET", uri="http://127.0.0.1/"))
        assert isinstance(outcome, Failed)
        assert outcome.failure is FailureClass.INVALID

    async def test_text_that_is_no_unicode_is_refused(self, attempts: Attempts) -> None:
        outcome = await attempts.run(ShellTarget(command="echo $1", arguments=("\ud800",)))
        assert isinstance(outcome, Failed)
        assert outcome.failure is FailureClass.INVALID

    async def test_argument_that_is_too_long_for_the_system_is_refused(self, attempts: Attempts) -> None:
        outcome = await attempts.run(ShellTarget(command="true", arguments=("x" * 3_000_000,)))
        assert isinstance(outcome, Failed)
        assert outcome.failure is FailureClass.INVALID


async def test_supervisor_that_dies_loses_the_attempt(attempts: Attempts, launcher: LocalPool) -> None:
    running = await attempts.start(ShellTarget(command="echo on; " + SURVIVOR))
    await attempts.has_printed("on")
    os.kill(supervisors(launcher)[0], signal.SIGKILL)
    outcome = await running.outcome()
    assert isinstance(outcome, Failed)
    assert (outcome.failure, outcome.fault.code) == (FailureClass.LOST, "lost")


async def test_supervisor_that_does_not_answer_is_killed(
    attempts: Attempts, launcher: LocalPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("interlock.pool.local._CANCEL_SECONDS", 0.2)
    running = await attempts.start(ShellTarget(command="echo on; " + SURVIVOR))
    await attempts.has_printed("on")
    os.kill(supervisors(launcher)[0], signal.SIGSTOP)
    await running.cancel()
    outcome = await running.outcome()
    assert isinstance(outcome, Failed)
    assert outcome.failure is FailureClass.LOST


async def test_terminated_supervisor_ends_its_attempt(attempts: Attempts, launcher: LocalPool) -> None:
    running = await attempts.start(ShellTarget(command="echo on; " + SURVIVOR))
    await attempts.has_printed("on")
    os.kill(supervisors(launcher)[0], signal.SIGTERM)
    assert await running.outcome() == Cancelled()


async def test_dead_warm_supervisor_is_passed_over(attempts: Attempts) -> None:
    pool = LocalPool(warm=2)
    await pool.start()
    attempts.launcher = pool
    await attempts.shell("true")
    await until(lambda: len(pool._ready[False]) == 2, "nothing is warmed")
    for supervisor in pool._ready[False]:
        supervisor._process.kill()
        supervisor._process.wait(60)
    assert (await attempts.shell("echo alive"))["stdout"] == "alive\n"
    await pool.stop()


async def test_attempts_wait_for_a_slot(attempts: Attempts) -> None:
    pool = LocalPool(slots=1)
    await pool.start()
    attempts.launcher = pool
    first = await attempts.start(ShellTarget(command="echo first; sleep 600"))
    second = await attempts.start(ShellTarget(command="echo second; sleep 600"))
    third = await attempts.start(ShellTarget(command="echo third"))
    await attempts.has_printed("first")
    await second.cancel()
    assert await second.outcome() == Cancelled()
    await first.cancel()
    assert isinstance(await third.outcome(), Done)
    assert attempts.printed() == "first\nthird\n"
    await pool.stop()


async def test_stop_ends_everything_and_removes_the_spool(attempts: Attempts, mark: str) -> None:
    pool = LocalPool(spool=attempts.folder / "spool")
    await pool.start()
    attempts.launcher = pool
    running = [await attempts.start(ShellTarget(command="echo on; " + SURVIVOR)) for _ in range(3)]
    await attempts.has_printed("on\non\non\n")
    await asyncio.gather(pool.stop(), pool.stop())
    assert [await attempt.outcome() for attempt in running] == [Cancelled()] * 3
    assert list((attempts.folder / "spool").iterdir()) == []
    assert marked(mark) == []


async def test_pool_that_is_stopped_at_once_leaves_nothing(attempts: Attempts) -> None:
    pool = LocalPool()
    await pool.start()
    attempts.launcher = pool
    running = await attempts.start(ShellTarget(command="sleep 600"))
    await pool.stop()
    assert await running.outcome() == Cancelled()


async def test_no_supervisor_can_be_started(attempts: Attempts, monkeypatch: pytest.MonkeyPatch) -> None:
    pool = LocalPool()
    await pool.start()
    attempts.launcher = pool
    monkeypatch.setattr(sys, "executable", str(attempts.folder / "no-python"))
    outcome = await attempts.run(ShellTarget(command="true"))
    assert isinstance(outcome, Failed)
    assert outcome.failure is FailureClass.LAUNCH
    await pool.stop()


NODE = """
import asyncio, pathlib, sys
from interlock.model.task import ShellTarget, ScriptTarget
from interlock.pool.launcher import Launch
from interlock.pool.local import LocalPool
from interlock.pool.launcher import Launch
from interlock.pool.supervised import Supervisor

async def main():
    pool = LocalPool(spool=pathlib.Path(sys.argv[5], "spool"))
    await pool.start()
    name, value = sys.argv[1].split("=", 1)
    targets = [ShellTarget(command="echo on; " + sys.argv[3]), ScriptTarget(language="python", code=sys.argv[4])]
    for number, target in enumerate(targets):
        await pool.launch(
            Launch(attempt=str(number), target=target, folder=sys.argv[5], environment={name: value},
                   orphan_grace_seconds=float(sys.argv[2])),
            lambda stream, text: print(text, end="", flush=True),
        )
    await asyncio.sleep(60)

asyncio.run(main())
"""


def node(mark: str, grace_seconds: float, command: str, folder: Path) -> subprocess.Popen[str]:
    """Start a node that runs a command and a script whose grandchild escapes; its spool is `spool` in `folder`."""
    arguments = [mark, str(grace_seconds), command, ESCAPED, str(folder)]
    process = subprocess.Popen([sys.executable, "-c", NODE, *arguments], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert {process.stdout.readline().strip() for _ in range(2)} == {"on", "escaped"}
    return process


async def test_no_process_outlives_a_killed_node_for_a_second(mark: str, tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    process = node(mark, 0.0, SURVIVOR, tmp_path)
    assert len(marked(mark)) >= 4
    process.kill()
    with process:
        started = time.monotonic()
        await until(lambda: not marked(mark), "a process outlived its node")
    assert time.monotonic() - started < 30.0  # a second, as a rule; left to itself it would go on for minutes
    await until(lambda: not list(spool.iterdir()), "the spool was left behind")


async def test_orphan_may_go_on_for_its_grace_and_keeps_its_outcome(mark: str, tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    process = node(mark, 1.0, "sleep 0.3; echo late; touch finished; exit 4", tmp_path)
    process.kill()
    with process:
        await until((tmp_path / "finished").exists, "the orphan did not go on")
        await until(lambda: list(spool.glob("*/outcome.json")), "no outcome was kept")
        await until(lambda: not marked(mark), "a process outlived its grace")
    outcomes = [path.read_text() for path in spool.glob("*/outcome.json")]
    assert any('"code": 4' in text for text in outcomes)
    assert any(path.read_text() == "on\nlate\n" for path in spool.glob("*/stdout"))


async def test_command_waits_for_a_node_that_does_not_read(attempts: Attempts, launcher: LocalPool) -> None:
    """Timeouts hold even when the node is deaf: output waits in the pipe, the supervisor does not."""
    started = time.monotonic()
    running = await attempts.start(ShellTarget(command="yes"), timeout_seconds=0.5)
    await attempts.has_printed("y\n")
    time.sleep(1.0)  # the node's loop does not turn
    outcome = await running.outcome()
    assert (
        time.monotonic() - started < 30
    )  # for ever without a deadline of its own; what the machine does besides must not decide
    assert isinstance(outcome, Failed)
    assert outcome.failure is FailureClass.TIMEOUT


def supervisors(pool: LocalPool) -> list[int]:
    """Give the pids of the supervisors at work."""
    return [attempt.supervisor._process.pid for attempt in pool._attempts if attempt.supervisor is not None]


async def test_warm_supervisor_that_does_not_leave_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("interlock.pool.supervised._LEAVE_SECONDS", 0.1)
    supervisor = await Supervisor.start(for_functions=False)
    os.kill(supervisor._process.pid, signal.SIGSTOP)
    await supervisor.leave()
    assert not supervisor.is_alive


async def test_attempt_for_which_the_node_has_no_descriptor_is_put_off(attempts: Attempts) -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, before[1]))
    try:
        outcome = await attempts.run(ShellTarget(command="true"))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert isinstance(outcome, Snoozed)


async def test_pool_removes_what_nobody_came_for_in_a_day(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a node left that was killed before it could, and nothing of today, nor of others."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    yesterday = time.time() - 86_500
    for name, changed in (("interlock-attempt-old", yesterday), ("interlock-attempt-new", None), ("other", yesterday)):
        spool = tmp_path / name
        spool.mkdir()
        (spool / "stdout").write_text("x")
        if changed is not None:
            os.utime(spool, (changed, changed))
    pool = LocalPool()
    await pool.start()
    await pool.stop()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["interlock-attempt-new", "other"]


@pytest.mark.parametrize("left", ["over", "of today", "at work", "not over", "of another"])
async def test_spool_of_an_attempt_that_is_over_goes_after_a_minute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mark: str, left: str
) -> None:
    """Its node was killed between telling the store and removing it. What may be needed still stays."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    pool = LocalPool(warm=0)
    name, _, value = mark.partition("=")
    command = ShellTarget(command="test ! -e on || sleep 600", environment={name: value})
    if left == "at work":
        (tmp_path / "on").touch()
    launch = Launch(attempt="g/a.1@s", target=command, folder=str(tmp_path), orphan_grace_seconds=60.0)
    running = await pool.launch(launch, lambda stream, text: None)
    (folder,) = await spools(tmp_path)
    if left == "at work":
        await until(lambda: pool.is_left(launch), "it does not listen")
    else:
        await running.outcome()
    if left != "of today":
        os.utime(folder, (time.time() - 61,) * 2)
    if left == "of another":
        folder = folder.rename(tmp_path / "interlock-attempt-0123456789abcdef")
    asked: list[str] = []

    async def is_over(attempt: str) -> bool:
        asked.append(attempt)
        return left != "not over"

    assert await pool.sweep(is_over) == (["g/a.1@s"] if left == "over" else [])
    assert folder.exists() == (left != "over")
    assert asked == (["g/a.1@s"] if left in ("over", "not over") else [])
    await running.cancel()
    await pool.stop()


async def spools(folder: Path) -> list[Path]:
    await until(lambda: list(folder.glob("interlock-attempt-*")), "no spool is made")
    return list(folder.glob("interlock-attempt-*"))


async def test_spool_that_is_empty_is_swept_when_it_is_old(tmp_path: Path) -> None:
    """Its supervisor was ended before it wrote anything there, not even whose it is."""
    spools = tmp_path / "spools"
    old, new = spools / ("a" * 32), spools / ("b" * 32)
    for each in (old, new):
        each.mkdir(parents=True)
    os.utime(old, (time.time() - 120,) * 2)

    async def is_over(attempt: str) -> bool:
        raise AssertionError(attempt)

    assert await LocalPool(spool=spools).sweep(is_over) == []
    assert list(spools.iterdir()) == [new]
