"""Code that keeps the interpreter for itself: pure Python loses no lease, a C call that never lets go loses its run, once."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from acceptance.shell import Shell
from interlock import Interlock
from interlock.engine.membership import NODE_TTL_SECONDS
from interlock.model import event as events

PROGRAM = """
import ctypes
import os
import time
from pathlib import Path

from interlock import step, workflow

LEDGER = Path(__file__).with_name("ledger")


def note(what: str) -> None:
    with LEDGER.open("a") as file:
        file.write(f"{what} {os.getpid()}\\n")


def spin(seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


@step
def spinning(seconds: float) -> int:
    note("begun")
    spin(seconds)
    return os.getpid()


@workflow
async def in_a_thread(seconds: float) -> int:
    return await spinning(seconds)


@workflow
async def on_the_loop(seconds: float) -> int:
    note("begun")
    spin(seconds)
    return os.getpid()


def keep_the_interpreter(seconds: int) -> int:
    note("begun")
    if LEDGER.read_text().count("begun") == 1:  # who takes it over is spared
        ctypes.PyDLL(None).sleep(seconds)  # a PyDLL does not release the interpreter's lock
    note("ended")
    return os.getpid()


@step
def keeping(seconds: int) -> int:
    return keep_the_interpreter(seconds)


@step(isolated=True)
def keeping_elsewhere(seconds: int) -> int:
    return keep_the_interpreter(seconds)


@workflow
async def in_the_node(seconds: int) -> int:
    return await keeping(seconds)


@workflow
async def elsewhere(seconds: int) -> int:
    return await keeping_elsewhere(seconds)
"""


class Nodes:
    """Nodes that can execute the program, each with what it says."""

    def __init__(self, folder: Path, stack: contextlib.ExitStack) -> None:
        self.shell = Shell(folder)
        self.shell.write("keeper.py", PROGRAM)
        self.shell.write("ledger", "")
        self._stack = stack
        self._said: dict[int, Path] = {}
        self.store = f"sqlite:///{folder}/keeper.db"
        self.shell.write("interlock.toml", f'[store]\nurl = "{self.store}"\n')

    def start(self) -> subprocess.Popen[str]:
        return self._stack.enter_context(self._started())

    @contextlib.contextmanager
    def _started(self) -> Iterator[subprocess.Popen[str]]:
        said = self.shell.folder / f"node-{len(self._said)}.txt"
        with said.open("w") as file:
            process = subprocess.Popen(
                self.shell._command(("node", "--app", "keeper")),
                cwd=self.shell.folder,
                env=self.shell._environment(None),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                text=True,
            )
            self._said[process.pid] = said
            try:
                yield process
            finally:
                process.terminate()
                try:
                    process.wait(30)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait(30)

    def said(self, process: subprocess.Popen[str]) -> str:
        return self._said[process.pid].read_text()

    def ledger(self) -> list[list[str]]:
        return [line.split() for line in (self.shell.folder / "ledger").read_text().splitlines()]

    async def begun(self, count: int) -> None:
        async with asyncio.timeout(60):
            while sum(what == "begun" for what, _ in self.ledger()) < count:
                await asyncio.sleep(0.1)

    async def joined(self, process: subprocess.Popen[str]) -> None:
        async with asyncio.timeout(60):
            while "node.joined" not in self.said(process):
                await asyncio.sleep(0.1)


@pytest.fixture
async def nodes(tmp_path: Path) -> AsyncIterator[Nodes]:
    with contextlib.ExitStack() as stack:
        yield Nodes(tmp_path, stack)


@contextlib.asynccontextmanager
async def client(nodes: Nodes) -> AsyncIterator[Interlock]:
    async with Interlock(nodes.store, roles=()) as app:
        yield app


async def epoch(app: Interlock, run: str) -> int:
    stored = await app.session.store.journal.load(run)
    assert stored is not None
    return stored.epoch


async def start(app: Interlock, nodes: Nodes, workflow: str, seconds: float, id: str) -> None:
    """Hand a run to whichever node takes it."""
    ended = await asyncio.to_thread(
        nodes.shell.run, "run", f"keeper:{workflow}", "--id", id, "--detach", "--input", f'{{"seconds": {seconds}}}'
    )
    assert ended.code == 0, ended.err


@pytest.mark.parametrize(
    "seconds", [NODE_TTL_SECONDS + 3.0, pytest.param(60.0, marks=[pytest.mark.chaos, pytest.mark.timeout(900)])]
)
async def test_python_that_spins_in_a_thread_and_on_the_loop_loses_no_lease(nodes: Nodes, seconds: float) -> None:
    busy = nodes.start()
    await nodes.joined(busy)
    async with client(nodes) as app:
        await start(app, nodes, "in_a_thread", seconds, "thread")
        await nodes.begun(1)
        await start(app, nodes, "on_the_loop", seconds, "loop")
        await nodes.begun(2)
        rival = nodes.start()  # it would take what is given up
        for id in ("thread", "loop"):
            run = await app.get(id)
            assert await run.result(seconds * 3 + 30) == busy.pid
            assert await epoch(app, run.run) <= 2, "it was claimed by more than one node"
        assert sum(what == "begun" for what, _ in nodes.ledger()) == 2
    assert "node.lost" not in nodes.said(busy)
    assert "run.claimed" not in nodes.said(rival)


@pytest.mark.chaos
@pytest.mark.timeout(900)
async def test_c_call_that_keeps_the_interpreter_loses_its_run_once_and_says_why(nodes: Nodes) -> None:
    stuck = nodes.start()
    await nodes.joined(stuck)
    async with client(nodes) as app:
        await start(app, nodes, "in_the_node", 20, "stuck")
        await nodes.begun(1)
        rival = nodes.start()
        run = await app.get("stuck")
        before = await epoch(app, run.run)
        assert await run.result(60) == rival.pid
        assert await epoch(app, run.run) == before + 1, "it was taken over once"
        async with asyncio.timeout(60):
            while nodes.ledger()[-1] != ["ended", str(stuck.pid)] or nodes.said(stuck).count("node.joined") < 2:
                await asyncio.sleep(0.2)
        history = await run.history()
        assert sum(isinstance(event, events.Returned) for event in history) == 1, "the late result was refused"
        assert sum(isinstance(event, events.Recovered) for event in history) == 1
        assert await run.result(5) == rival.pid
    lost = next(line for line in nodes.said(stuck).splitlines() if "node.lost" in line)
    print(f"\n{lost}")
    assert "the process stood still for" in lost


@pytest.mark.chaos
@pytest.mark.timeout(900)
async def test_isolated_step_that_keeps_its_interpreter_loses_nothing(nodes: Nodes) -> None:
    node = nodes.start()
    await nodes.joined(node)
    async with client(nodes) as app:
        await start(app, nodes, "elsewhere", 20, "apart")
        await nodes.begun(1)
        rival = nodes.start()
        run = await app.get("apart")
        before = await epoch(app, run.run)
        assert await run.result(60) not in (node.pid, rival.pid)
        assert await epoch(app, run.run) == before
    assert [what for what, _ in nodes.ledger()] == ["begun", "ended"]
    assert "node.lost" not in nodes.said(node)
