"""Containers that outlive their node, what an attempt costs while it runs, and engines that go away; on a real Docker.

The same on Podman is the marker `engines`.
"""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

import engines
from interlock import errors, telemetry
from interlock.model.task import (
    Cancelled,
    Done,
    Failed,
    FailureClass,
    ShellTarget,
    Target,
)
from interlock.pool.docker.pool import DockerPool
from interlock.pool.launcher import Launch
from pool.conftest import marked, until
from pool.containers import STORE, Home, engine, failed, home, settings
from required import may_skip

__all__ = ["engine", "home", "settings"]

NODE = """
import asyncio, sys
import msgspec
from interlock.pool.docker.pool import DockerPool
from interlock.pool.docker.settings import DockerSettings
from interlock.pool.launcher import Launch

async def main():
    pool = DockerPool(msgspec.json.decode(sys.argv[1], type=DockerSettings), store=sys.argv[2])
    await pool.start()
    running = await pool.launch(msgspec.json.decode(sys.argv[3], type=Launch), lambda stream, text: print(text, end="", flush=True))
    await running.outcome()

asyncio.run(main())
"""
"""A node that runs one attempt, to be killed."""


class TestLeftBehind:
    """SH-02: a node that is gone leaves containers, and the next one finds each of them."""

    def killed(self, home: Home, target: Target, **fields: Any) -> Launch:
        """Begin an attempt in a node of its own, and kill that as soon as the work has printed `on`."""
        launch = home.launch(target, **fields)
        texts = [msgspec.json.encode(each).decode() for each in (home.settings, launch)]
        with subprocess.Popen(
            [sys.executable, "-c", NODE, texts[0], STORE, texts[1]], stdout=subprocess.PIPE, text=True
        ) as node:
            assert node.stdout is not None
            assert node.stdout.readline() == "on\n"
            node.kill()
        return launch

    async def test_running_container_is_adopted_with_all_of_its_output(self, home: Home) -> None:
        command = "echo on; while ! test -e go; do sleep 0.05; done; printf 'o\\303\\251ff'; echo err >&2; exit 3"
        launch = self.killed(home, ShellTarget(command=command))
        assert await asyncio.to_thread(home.pool.is_left, launch)
        running = await home.pool.adopt(launch, home.hear)
        await until(lambda: home.heard == [("stdout", "on\n")], "the beginning was not heard")
        (home.folder / "go").touch()
        outcome = await running.outcome()
        assert "Exited with 3" in failed(outcome, FailureClass.APPLICATION)
        assert (home.printed(), home.printed("stderr")) == ("on\noéff", "err\n")
        await running.forget()
        assert home.containers() == []
        assert not await asyncio.to_thread(home.pool.is_left, launch)

    async def test_container_that_ended_meanwhile_gives_its_outcome(self, home: Home) -> None:
        launch = self.killed(home, ShellTarget(command="echo on; sleep 0.3; echo off"))
        await until(lambda: not marked(home.mark), "it runs still", 60)
        running = await home.pool.adopt(launch, home.hear)
        assert await running.outcome() == Done({"code": 0, "stdout": "on\noff\n", "stderr": ""})
        await running.forget()

    async def test_adopted_container_has_the_time_that_is_left(self, home: Home) -> None:
        """RU-07: its time does not begin anew."""
        launch = self.killed(home, ShellTarget(command="echo on; sleep 600"), timeout_seconds=0.5)
        before = time.monotonic()
        running = await home.pool.adopt(launch, home.hear)
        failed(await running.outcome(), FailureClass.TIMEOUT)
        assert time.monotonic() - before < 50
        await running.forget()

    async def test_adopted_container_is_cancelled(self, home: Home) -> None:
        running = await home.pool.adopt(self.killed(home, ShellTarget(command="echo on; sleep 600")), home.hear)
        await running.cancel()
        assert await running.outcome() == Cancelled()
        assert marked(home.mark) == []

    async def test_second_launch_of_an_attempt_finds_the_first(self, home: Home) -> None:
        """A claim whose answer was lost is launched again: it must not run twice."""
        launch = self.killed(home, ShellTarget(command="echo on; echo x >> count; sleep 1; echo off"))
        running = await home.pool.launch(launch, home.hear)
        assert await running.outcome() == Done({"code": 0, "stdout": "on\noff\n", "stderr": ""})
        assert (home.folder / "count").read_text() == "x\n"
        await running.forget()

    async def test_detached_container_goes_on(self, home: Home) -> None:
        launch = home.launch(ShellTarget(command="echo on; while ! test -e go; do sleep 0.05; done; echo off"))
        first = await home.pool.launch(launch, home.hear)
        await until(lambda: home.printed() == "on\n", "it does not run", 60)
        await first.detach()
        assert await first.outcome() == Cancelled()
        second = await home.pool.adopt(launch, lambda stream, text: None)
        (home.folder / "go").touch()
        assert await second.outcome() == Done({"code": 0, "stdout": "on\noff\n", "stderr": ""})
        await second.forget()

    async def test_nothing_is_left_of_what_never_began(self, home: Home) -> None:
        launch = home.launch(ShellTarget(command="touch ran"))
        assert not await asyncio.to_thread(home.pool.is_left, launch)
        made = await home.pool.plan(launch)
        await home.pool.engine.create(made.name, made.body)
        assert not await asyncio.to_thread(home.pool.is_left, launch)
        running = await home.pool.adopt(launch, home.hear)
        assert "never started" in failed(await running.outcome(), FailureClass.LOST)
        assert home.containers() == []
        assert not (home.folder / "ran").exists()

    async def test_sweep_removes_what_is_over_and_nothing_else(self, home: Home) -> None:
        """SH-02: after kill -9 of a dispatcher no container of an attempt that was given up goes on."""
        stale = self.killed(home, ShellTarget(command="echo on; sleep 600"), labels={"interlock.fence": "1"})
        current = home.launch(
            ShellTarget(command="echo on; sleep 600"), attempt="task.2", labels={"interlock.fence": "2"}
        )
        running = await home.pool.launch(current, home.hear)
        await until(lambda: home.printed() == "on\n", "it does not run", 60)
        other = DockerPool(home.settings, store="another store")
        assert await other.sweep(lambda labels: True) == 0
        await other.stop()
        assert {labels["interlock.fence"] for labels in await home.pool.left()} == {"1", "2"}
        assert await home.pool.sweep(lambda labels: labels["interlock.fence"] == "1") == 1
        assert not await asyncio.to_thread(home.pool.is_left, stale)
        assert await home.pool.sweep(lambda labels: True) == 0  # its own are not swept
        await running.cancel()

    async def test_container_that_somebody_removes_is_lost(self, home: Home) -> None:
        running = await home.pool.launch(home.launch(ShellTarget(command="echo on; sleep 600")), home.hear)
        await until(lambda: home.printed() == "on\n", "it does not run", 60)
        home.engine.call("DELETE", f"/containers/{home.containers()[0]}?force=1")
        failed(await running.outcome(), FailureClass.LOST)


class TestWhileItRuns:
    """What an attempt costs, and how it is ended."""

    async def test_attempt_costs_one_connection_and_no_thread(self, home: Home) -> None:
        before = set(threads())
        target = ShellTarget(command="echo on; while ! test -e go; do sleep 0.05; done")
        running = [await home.pool.launch(home.launch(target, attempt=f"t.{n}"), home.hear) for n in range(4)]
        await until(lambda: home.printed() == "on\n" * 4, "they do not run", 60)
        connector = home.pool.engine._opened().connector
        assert len(connector._acquired) == 4
        assert set(threads()) <= before
        (home.folder / "go").touch()
        for each in running:
            assert isinstance(await each.outcome(), Done)
            await each.forget()

    @pytest.mark.parametrize("home", [{"init": False}], indirect=True)  # which would keep its own end open
    async def test_output_closed_before_the_end_is_no_end(self, home: Home) -> None:
        target = ShellTarget(command="echo on; exec >&- 2>&-; sleep 2; touch late")
        outcome, _ = await home.run(target)
        assert outcome == Done({"code": 0, "stdout": "on\n", "stderr": ""})
        assert (home.folder / "late").exists()
        assert home.printed() == "on\n"

    async def test_output_beyond_the_limit_of_a_result_is_passed_on_and_not_kept(self, home: Home) -> None:
        home.pool.result_bytes = 1000
        outcome, _ = await home.run(ShellTarget(command="head -c 3000000 /dev/zero | tr '\\0' x"))
        assert isinstance(outcome, Failed)
        assert outcome.fault.code == "payload-too-large"
        assert len(home.printed()) == 3_000_000

    async def test_paused_container_may_clean_up_when_asked_to_end(self, home: Home) -> None:
        command = "trap 'touch cleaned; exit' TERM; echo on; while :; do sleep 0.05; done"
        running = await home.pool.launch(home.launch(ShellTarget(command=command)), home.hear)
        await until(lambda: home.printed() == "on\n", "it does not run", 60)
        await until(lambda: _is_paused(home), "it is not paused", 60)
        await running.cancel()
        assert await running.outcome() == Cancelled()
        assert (home.folder / "cleaned").exists()

    async def test_cancel_before_it_began_leaves_nothing(self, home: Home) -> None:
        running = await home.pool.launch(home.launch(ShellTarget(command="touch ran; sleep 600")), home.hear)
        await running.cancel()
        assert await running.outcome() == Cancelled()
        await running.forget()
        assert home.containers() == []
        assert not (home.folder / "ran").exists()


class TestEngineAway:
    """An engine of the test's own, which is stopped, restarted and paused."""

    @pytest.fixture
    def engine(self) -> Any:
        if may_skip("docker", engines.present("docker")):
            pytest.skip("docker is not installed, or this is not root")
        with engines.running("docker") as engine:
            yield engine

    async def test_probe_tells_what_is_wrong(self, home: Home) -> None:
        assert await home.pool.probe() is None
        home.engine.pause()
        try:
            assert "no answer in 0.3 s" in str(await home.pool.probe(0.3))
        finally:
            home.engine.resume()
        assert await home.pool.probe() is None
        home.engine.stop()
        assert home.engine.host in str(await home.pool.probe())
        assert await home.pool.size() is None
        launch = home.launch(ShellTarget(command="true"))
        with pytest.raises(errors.Environment):  # nobody knows: that is no reason to give the attempt up
            await asyncio.to_thread(home.pool.is_left, launch)
        running = await home.pool.launch(launch, home.hear)
        assert home.engine.host in failed(await running.outcome(), FailureClass.LAUNCH)
        home.engine.start()
        assert await home.pool.probe() is None

    async def test_work_that_its_engine_ended_is_lost(self, home: Home) -> None:
        running = await home.pool.launch(home.launch(ShellTarget(command="echo on; sleep 600")), home.hear)
        await until(lambda: home.printed() == "on\n", "it does not run", 60)
        told: list[str] = []
        end = telemetry.attach(lambda name, fields: told.append(name))
        home.engine.stop(signal.SIGKILL)
        await until(lambda: "pool.engine_away" in told, "it was not noticed", 60)
        end()
        home.engine.start()
        async with asyncio.timeout(60):
            failed(await running.outcome(), FailureClass.LOST)
        assert home.printed() == "on\n"
        await running.forget()


def threads() -> list[str]:
    return [path.name for path in Path("/proc/self/task").iterdir()]


def _is_paused(home: Home) -> bool:
    """Pause the container of a pool; an engine whose machine is busy may say that it could not, and can the next time."""
    container = home.containers()[0]
    try:
        home.engine.call("POST", f"/containers/{container}/pause")
    except AssertionError as error:
        if "unable to freeze" not in str(error):
            raise
    return bool(home.engine.inspect(container)["State"]["Paused"])
