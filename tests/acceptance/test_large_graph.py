"""A graph of 100,000 tasks is loaded, worked at and listed, and others do not wait for it, on both stores."""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

import postgres
from acceptance.shell import Shell
from acceptance.test_nodes import HEADER, Nodes
from interlock import Interlock
from interlock.app.ordering import Ordering
from interlock.app.tasks import TaskGraphs
from interlock.flow.taskgraph import reading
from interlock.model import json
from interlock.model.states import TaskState
from interlock.service import SystemClock

TASKS = 100_000
WIDE = 1000
"""Tasks that wait for nothing; each of the others waits for the one so many places before it."""
POOLS = """
agent_pools:
  big: {type: in-process, max_concurrency: 4}
  small: {type: in-process, max_concurrency: 2}
skill_mapping: {default: [big]}
"""
SMALL = """
graph: small-%s
defaults: {pool: small}
tasks:
  - {id: a, python: 'os:getpid'}
  - {id: b, python: 'os:getpid', dependencies: [a]}
  - {id: c, python: 'os:getpid', dependencies: [b]}
"""
RUN = HEADER % "quick" + "do: [{one: {set: {x: 1}}}, {two: {set: {x: 2}}}]\n"
_ALONE = 10
_BESIDE = 10
_TIMES = 25
"""How many times as long a small one may take beside the large one: a queue behind it would take thousands."""
_TIMES_AT_MOST = 100
"""The same for the slowest of them: a load in one transaction would keep one waiting for all of it."""
_LEAST_SECONDS = 0.1
"""Below this the one that was alone is not the measure: the machine has other tests to run."""
_LATER = 20


@pytest.fixture(params=["sqlite", "postgresql"])
async def nodes(request: pytest.FixtureRequest, shell: Shell) -> AsyncIterator[Nodes]:
    async with contextlib.AsyncExitStack() as stack:
        url = f"sqlite:///{shell.folder}/s.db"
        if request.param == "postgresql":
            server = await asyncio.to_thread(postgres.shared, postgres.NEWEST)
            url = await stack.enter_async_context(postgres.lent(server))
        shell.write("agent-pools.yaml", POOLS)
        shell.write("interlock.toml", f'[store]\nurl = "{url}"\n[python]\nallow = ["os"]\n')
        found = Nodes(shell)
        stack.callback(found.end)
        yield found


@pytest.mark.chaos
@pytest.mark.timeout(900)
async def test_large_graph_holds_nobody_up(nodes: Nodes) -> None:
    shell = nodes.shell
    write(shell.folder / "big.json")
    nodes.start()
    async with Interlock(store_of(shell), roles=[]) as app:
        alone = await measured(app, "alone", lambda count: asyncio.sleep(0, count >= _ALONE))

        loader = await started(shell, "tasks", "load", "big.json")
        loading = await measured(app, "loading", lambda _: over(loader))
        assert await loader.wait() == 0
        book = TaskGraphs(app.session.store, SystemClock())
        big = await book.graph("big")
        before = await book.counts(big)
        running = await measured(app, "running", lambda count: asyncio.sleep(0, count >= _BESIDE))
        after = await book.counts(big)

        pages = [await seconds(book.tasks(big, after=place, limit=500)) for place in (0, TASKS // 2, TASKS - 500)]
        counted = await seconds(book.counts(big))
        stamped = await seconds(Ordering(app.session.store, SystemClock()).choose("fifo"))
    figures = {"alone": alone, "loading": loading, "running": running}
    for name, found in figures.items():
        print(name, [(len(each), round(statistics.median(each), 3), round(max(each), 3)) for each in found])
    print({"done": after[TaskState.DONE], "pages": pages, "counted": counted, "stamped": stamped})

    assert big.tasks == sum(after.values()) == TASKS
    assert after[TaskState.DONE] > before[TaskState.DONE]  # it is worked at meanwhile
    for found in (loading, running):
        for one, many in zip(alone, found, strict=True):
            assert statistics.median(many) <= _TIMES * max(statistics.median(one), _LEAST_SECONDS)
            assert max(many) <= _TIMES_AT_MOST * max(statistics.median(one), _LEAST_SECONDS)
    assert max(pages) <= _LATER * max(min(pages), 0.05)  # a page costs the same wherever it is


async def measured(
    app: Interlock, name: str, enough: Callable[[int], Awaitable[bool]]
) -> tuple[list[float], list[float]]:
    """Give how long small graphs took, and small runs, until there are enough, three at least."""
    book = TaskGraphs(app.session.store, SystemClock())
    graphs: list[float] = []
    runs: list[float] = []
    while len(graphs) < 3 or not await enough(len(graphs)):
        text = SMALL % f"{name}-{len(graphs)}"
        graphs.append(await seconds(performed(book, text)))
        runs.append(await seconds(ended(app, f"{name}-{len(runs)}")))
    return graphs, runs


async def performed(book: TaskGraphs, text: str) -> None:
    document = reading.read(text).required()
    await book.load(document, "/")
    async with asyncio.timeout(120):
        counts = await book.wait(await book.graph(document.name))
    assert counts[TaskState.DONE] == 3


async def ended(app: Interlock, id: str) -> None:
    run = await app.start_definition(RUN, id=id)
    await run.result("120s")


async def seconds(work: Awaitable[object]) -> float:
    begin = time.monotonic()
    await work
    return time.monotonic() - begin


async def over(process: asyncio.subprocess.Process) -> bool:
    return process.returncode is not None


async def started(shell: Shell, *arguments: str) -> asyncio.subprocess.Process:
    environment = shell._environment(None)
    return await asyncio.create_subprocess_exec(*shell._command(arguments), cwd=shell.folder, env=environment)


def store_of(shell: Shell) -> str:
    return (shell.folder / "interlock.toml").read_text().split('"')[1]


def write(file: Path) -> None:
    tasks = [
        {"id": f"t{number}", "python": "os:getpid"}
        | ({"dependencies": [f"t{number - WIDE}"]} if number >= WIDE else {})
        for number in range(TASKS)
    ]
    file.write_bytes(json.encode({"graph": "big", "tasks": tasks}))
