"""Sixteen processes at one queue: nothing is lost, nothing is given out twice, and looking moves nothing. DQ-04."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from interlock.app.tasks import TaskGraphs
from interlock.model import json
from interlock.service import SystemClock
from interlock.store.open import open_store
from interlock.store.ports import DeclaredPool
from store import conftest
from store.queue_storm import POOL, TASKS

TESTS = Path(__file__).parents[1]
GRAPHS = 2
CREW = {"load": 5, "place": 5, "list": 4, "clear": 2}
_SECONDS = 120.0


@pytest.mark.slow
@pytest.mark.parametrize("backend", [pytest.param("sqlite-file", marks=pytest.mark.chaos), "postgresql-18"])
async def test_sixteen_processes_lose_no_task_and_give_none_out_twice(backend: str, tmp_path: Path) -> None:
    """DQ-04, DQ-02: some load, some place and settle, some list, some clear graphs while their tasks are given out."""
    async with contextlib.AsyncExitStack() as stack:
        url = await conftest._url(backend, tmp_path, stack)
        store = await open_store(url)
        stack.push_async_callback(store.close)
        await store.pools.declare([DeclaredPool(pool=POOL, type="docker")], None)

        did = await storm(url, tmp_path)

        book = TaskGraphs(store, SystemClock())
        states = {}
        for graph in await book.graphs():
            states |= {task.task: str(task.state) for task in await book.tasks(graph)}
    placed = [each for name, found in did.items() if name.startswith("place") for each in found]
    looks = [found for name, found in did.items() if name.startswith("list")]
    cancelled = sum(found for name, found in did.items() if name.startswith("clear"))

    assert len(states) == (CREW["load"] + CREW["clear"]) * GRAPHS * TASKS
    assert Counter(task for task, _, _ in placed).most_common(1)[0][1] == 1
    assert {fence for _, fence, _ in placed} == {1}
    ended = {task for task, _, settled in placed if settled}
    assert {task for task, state in states.items() if state == "done"} <= ended
    left = {task: state for task, state in states.items() if task not in ended and state != "cancelled"}
    assert left == {}
    assert {task.split("/")[1].split("-")[0] for task, state in states.items() if state == "cancelled"} <= {"clear"}
    assert cancelled >= sum(state == "cancelled" for state in states.values())
    assert all(found["looks"] for found in looks)
    assert [wrong for found in looks for wrong in found["wrong"]] == []


async def storm(url: str, folder: Path) -> dict[str, Any]:
    """Let the processes work at once; gives what each did, by its name."""
    names = {f"{what}-{number}": what for what, count in CREW.items() for number in range(count)}
    processes = {name: await started(url, folder, name, what) for name, what in names.items()}
    try:
        async with asyncio.timeout(_SECONDS):
            while len(list(folder.glob("*.ready"))) < len(processes):
                assert all(process.returncode is None for process in processes.values())
                await asyncio.sleep(0.02)
            (folder / "go").touch()
            await ended([each for name, each in processes.items() if names[name] in ("load", "clear")])
            (folder / "over").touch()
            await ended(list(processes.values()))
    finally:
        for process in processes.values():
            if process.returncode is None:
                process.kill()
                await process.wait()
    return {name: json.decode((folder / f"{name}.json").read_bytes()) for name in names}


async def started(url: str, folder: Path, name: str, what: str) -> asyncio.subprocess.Process:
    path = os.pathsep.join([str(TESTS.parent / "src"), str(TESTS)])
    arguments = ["-m", "store.queue_storm", url, str(folder), name, what, str(GRAPHS)]
    return await asyncio.create_subprocess_exec(sys.executable, *arguments, env=os.environ | {"PYTHONPATH": path})


async def ended(processes: list[asyncio.subprocess.Process]) -> None:
    assert [await process.wait() for process in processes] == [0] * len(processes)
