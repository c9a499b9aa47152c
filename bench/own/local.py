"""W13: how soon a process of the local pool runs what it is to run: a step, a command, a function, a task of a graph."""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from collections.abc import AsyncIterator
from typing import Final

from bench.case import Figures, Given, percentile
from bench.own import workflows
from interlock import Interlock
from interlock.app.tasks import TaskGraphs
from interlock.flow.taskgraph import document
from interlock.model import json
from interlock.model.task import CommandTarget, Done, PythonTarget
from interlock.pool.launcher import Launch
from interlock.pool.local import LocalPool
from interlock.service import SystemClock

_LEFT_OVER_SECONDS: Final = 0.5
"""Between two attempts: for the pool to start the next supervisors, and for everybody to come to rest."""
_WAIT_SECONDS: Final = 60.0
_CLOCK: Final = ("date", "+%s.%N")
"""Its first line is the moment at which it was begun."""


async def local(given: Given) -> Figures:
    """W13: from `start` to the first line of a step, in a node that has just been opened, and in one that has run it; from
    the launch of a command and of a function to theirs, with and without a supervisor that waits; and from the load of a
    task to its first line, in a node at rest.
    """
    cold, warm = [], []
    for _ in range(max(1, given.sizes.local_tasks // 5)):
        async with Interlock(given.url) as app:
            await (await app.start(workflows.one_step)).result()
            cold.append(await _seconds(app))
            warm += [await _seconds(app) for _ in range(5)]
    taken = {"cold_ms": cold, "warm_ms": warm} | await _launched(given) | await _placed(given)
    return {name: percentile(seconds, 50) * 1000 for name, seconds in taken.items()}


async def _seconds(app: Interlock) -> float:
    begin = time.time()  # by the clock, since another process tells the other end
    run = await app.start(workflows.in_own_process)
    return await run.result() - begin


async def _launched(given: Given) -> dict[str, list[float]]:
    """Launch in a pool as the dispatcher does: a new process each time, or a supervisor that was started ahead of need."""
    command, function = CommandTarget(argv=_CLOCK), PythonTarget(function="time:time")
    taken: dict[str, list[float]] = {"command_cold_ms": [], "command_warm_ms": [], "function_warm_ms": []}
    async with _pool(warm=0) as cold, _pool(warm=1) as warm:
        for number in range(given.sizes.local_tasks + 1):  # the first ones start the first supervisors that wait
            for name, pool, target in (
                ("command_cold_ms", cold, command),
                ("command_warm_ms", warm, command),
                ("function_warm_ms", warm, function),
            ):
                seconds = await _begun(pool, target, str(given.folder))
                if number:
                    taken[name].append(seconds)
            await asyncio.sleep(_LEFT_OVER_SECONDS)
    return taken


@contextlib.asynccontextmanager
async def _pool(*, warm: int) -> AsyncIterator[LocalPool]:
    pool = LocalPool(warm=warm)
    await pool.start()
    try:
        yield pool
    finally:
        await pool.stop()


async def _begun(pool: LocalPool, target: CommandTarget | PythonTarget, folder: str) -> float:
    """Give the seconds from a launch to the first line of what it runs."""
    begin = time.time()
    running = await pool.launch(Launch(attempt=uuid.uuid4().hex, target=target, folder=folder), lambda *_: None)
    outcome = await asyncio.wait_for(running.outcome(), _WAIT_SECONDS)
    await running.forget()
    if not isinstance(outcome, Done):
        raise RuntimeError(f"{target} did not run: {outcome}")
    value = outcome.value
    return float(value["stdout"] if isinstance(value, dict) else value) - begin


async def _placed(given: Given) -> dict[str, list[float]]:
    """Load graphs of a single task into a node at rest."""
    taken = []
    async with Interlock(given.url) as app:
        graphs = TaskGraphs(app.session.store, SystemClock())
        for _ in range(given.sizes.local_tasks + 1):
            name = uuid.uuid4().hex
            await asyncio.sleep(_LEFT_OVER_SECONDS)
            begin = time.time()
            value: dict[str, json.Json] = {"graph": name, "tasks": [{"id": "a", "run": list(_CLOCK)}]}
            await graphs.load(document.graph(value), str(given.folder))
            async with asyncio.timeout(_WAIT_SECONDS):
                row = await graphs.graph(name)
                await graphs.wait(row)
            detail = (await graphs.tries(f"{row.graph}/a", 1))[0].detail
            assert detail is not None
            taken.append(float(json.decode(detail)["stdout"]) - begin)
    return {"task_ms": taken[1:]}
