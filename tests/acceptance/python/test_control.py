"""Cancelling, suspending and retrying Python runs, and what of it their code feels."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from interlock import Interlock, RunCancelled, gather, sleep, step, workflow
from interlock.model import event as events
from interlock.store.ports import LogLine

CALLS: Counter[str] = Counter()
GATES: dict[str, asyncio.Event] = {}
FREE = threading.Event()


@pytest.fixture
async def app(tmp_path: Path) -> AsyncIterator[Interlock]:
    CALLS.clear()
    GATES.clear()
    FREE.clear()
    async with Interlock(f"sqlite:///{tmp_path}/control.db") as opened:
        yield opened
        FREE.set()


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not holds():
            await asyncio.sleep(0.01)


@step
async def held(name: str) -> str:
    """Ends when its gate is opened."""
    CALLS[f"begun {name}"] += 1
    try:
        await GATES.setdefault(name, asyncio.Event()).wait()
    except asyncio.CancelledError:
        CALLS[f"cancelled {name}"] += 1
        raise
    return name


@step
def blocked() -> str:
    CALLS["begun blocked"] += 1
    FREE.wait(20)
    CALLS["ended blocked"] += 1
    return "too late"


@step(isolated=True)
def spinning(file: str) -> None:
    Path(file).write_text(str(os.getpid()))
    while True:
        time.sleep(0.1)


@step(concurrency=1)
async def narrow(name: str) -> str:
    return await held(name)


@workflow(name="control-one")
async def one(name: str) -> str:
    return await held(name)


async def test_cancel_reaches_an_async_step(app: Interlock) -> None:
    run = await app.start(one, "a")
    await until(lambda: CALLS["begun a"] == 1)
    assert await run.cancel("enough")
    with pytest.raises(RunCancelled):
        await run.result("60s")
    await until(lambda: CALLS["cancelled a"] == 1)
    assert not await run.cancel(), "it has ended"


@workflow(name="control-thread")
async def in_a_thread() -> str:
    return await blocked()


async def test_result_of_a_cancelled_sync_step_is_refused_and_it_shows_as_abandoned(app: Interlock) -> None:
    run = await app.start(in_a_thread)
    await until(lambda: CALLS["begun blocked"] == 1)
    await run.cancel()
    assert await run.wait("10s") == "cancelled"
    history = len(await run.history())
    FREE.set()
    await until(lambda: CALLS["ended blocked"] == 1)
    assert len(await run.history()) == history
    assert any("abandoned" in line.text for line in await _logs(app, run.run))


async def _logs(app: Interlock, run: str) -> list[LogLine]:
    found: list[LogLine] = []
    async with asyncio.timeout(60):
        while not found:
            found = list(await app.session.store.views.logs(run, 0, 100, None))
            await asyncio.sleep(0.02)
    return found


@workflow(name="control-isolated")
async def in_a_process(file: str) -> None:
    await spinning(file)


async def test_cancel_kills_the_process_of_an_isolated_step(app: Interlock, tmp_path: Path) -> None:
    file = tmp_path / "pid"
    run = await app.start(in_a_process, str(file))
    await until(lambda: file.exists() and file.read_text() != "")
    pid = int(file.read_text())
    await run.cancel()
    assert await run.wait("10s") == "cancelled"
    await until(lambda: not _is_alive(pid))


def _is_alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@workflow(name="control-queued")
async def queued() -> list[str]:
    return list(await gather(narrow("first"), narrow("second")))


async def test_cancel_takes_a_queued_step_out_of_the_queue(app: Interlock) -> None:
    run = await app.start(queued)
    await until(lambda: CALLS["begun first"] + CALLS["begun second"] == 1)
    await run.cancel()
    assert await run.wait("10s") == "cancelled"
    await until(lambda: CALLS["cancelled first"] + CALLS["cancelled second"] == 1)
    again = await app.start(queued)  # the limit is free again
    await until(lambda: CALLS["begun first"] + CALLS["begun second"] == 2)
    await again.cancel()
    assert await again.wait("10s") == "cancelled"


@workflow(name="control-child")
async def child(name: str) -> str:
    return await held(name)


@workflow(name="control-parent")
async def parent() -> list[str]:
    return list(await gather(child("x"), child("y")))


async def test_cancel_asks_child_runs_to_cancel(app: Interlock) -> None:
    run = await app.start(parent)
    await until(lambda: CALLS["begun x"] + CALLS["begun y"] == 2)
    await run.cancel()
    assert await run.wait("10s") == "cancelled"
    await until(lambda: CALLS["cancelled x"] + CALLS["cancelled y"] == 2)
    children = [each for each in await app.list() if each.run != run.run]
    assert len(children) == 2
    assert [await each.wait("10s") for each in children] == ["cancelled"] * 2


async def test_who_stops_waiting_for_a_run_does_not_touch_it(app: Interlock) -> None:
    run = await app.start(one, "b")
    waiter = asyncio.create_task(run.result())
    await until(lambda: CALLS["begun b"] == 1)
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    with pytest.raises(TimeoutError):
        await run.result(0.05)
    GATES["b"].set()
    assert await run.result("60s") == "b"


@workflow(name="control-several")
async def several() -> list[str]:
    found = list(await gather(held("p"), held("q")))
    found.append(await held("r"))
    return found


async def test_suspended_run_keeps_what_ends_and_goes_on_when_it_is_resumed(app: Interlock) -> None:
    run = await app.start(several)
    await until(lambda: CALLS["begun p"] + CALLS["begun q"] == 2)
    assert await run.suspend()
    while await run.status() != "suspended":
        await asyncio.sleep(0.01)
    GATES["p"].set()
    while not any(isinstance(event, events.Returned) for event in await run.history()):
        await asyncio.sleep(0.01)
    assert await run.resume()
    GATES["q"].set()
    await until(lambda: CALLS["begun r"] == 1)
    GATES["r"].set()
    assert await run.result("60s") == ["p", "q", "r"]
    assert CALLS["begun p"] == CALLS["begun q"] == 1


@step
async def moody() -> str:
    CALLS["moody"] += 1
    if CALLS["moody"] == 1:
        raise OSError("not today")
    return "fine"


@workflow(name="control-retried")
async def retried() -> list[str]:
    GATES["s"] = asyncio.Event()
    GATES["s"].set()
    before = await held("s")
    async with asyncio.TaskGroup() as group:
        task = group.create_task(moody())
    return [before, task.result()]


async def test_retry_of_a_faulted_run_performs_only_the_failed_call_again(app: Interlock) -> None:
    run = await app.start(retried)
    assert await run.wait("10s") == "faulted"
    assert await run.retry()
    assert await run.result("60s") == ["s", "fine"]
    assert CALLS["begun s"] == 1
    assert CALLS["moody"] == 2


@workflow(name="control-sleeping")
async def sleeping() -> None:
    await sleep("30d")


async def test_sleeping_run_is_cancelled_at_once(app: Interlock) -> None:
    run = await app.start(sleeping)
    while await run.status() != "waiting":
        await asyncio.sleep(0.01)
    await run.cancel()
    assert await run.wait("5s") == "cancelled"
