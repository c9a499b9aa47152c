"""Workflows that await what is no call: tasks, timeouts and sleeps of asyncio, sockets."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from interlock import Interlock, gather, sleep, step, wait_for_event, workflow
from interlock.engine import resting
from interlock.engine.state import ROOT

CALLS: Counter[str] = Counter()


@pytest.fixture
async def app(tmp_path: Path) -> AsyncIterator[Interlock]:
    CALLS.clear()
    async with Interlock(f"sqlite:///{tmp_path}/foreign.db") as opened:
        yield opened


@step
async def inner(n: int) -> int:
    CALLS["inner"] += 1
    return n + 1


@step
async def outer(n: int) -> int:
    """A step within a step is a plain call, whoever woke the engine."""
    CALLS["outer"] += 1
    return await inner(n) * 10


@workflow(name="foreign-sleep")
async def after_a_sleep() -> int:
    await asyncio.sleep(0.05)
    return await outer(1)


async def test_step_that_is_asked_for_after_a_foreign_wait_runs_outside_of_the_workflow(app: Interlock) -> None:
    run = await app.start(after_a_sleep)
    assert await run.result("60s") == 20
    called = [event for event in await run.history() if type(event).__name__ == "Called"]
    assert len(called) == 1, "the step within the step is no call of the workflow"


# -- parking -------------------------------------------------------------------------------------------------------------


@workflow(name="foreign-timeout")
async def impatient() -> str:
    try:
        async with asyncio.timeout(1.5):
            await wait_for_event("never")
    except TimeoutError:
        return "timed out"
    return "?"


@workflow(name="foreign-first")
async def first_of_two() -> str:
    """Whichever comes first: something that is no call, or an event."""
    door = asyncio.create_task(wait_for_event("door"))
    foreign = asyncio.create_task(_foreign())
    done, pending = await asyncio.wait([door, foreign], return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    await asyncio.wait(pending)
    await inner(1)
    return "foreign" if foreign in done else "door"


FOREIGN: list[asyncio.Event] = []


async def _foreign() -> None:
    FOREIGN.append(asyncio.Event())
    await FOREIGN[-1].wait()


@workflow(name="foreign-nothing")
async def only_calls() -> None:
    await gather(sleep("1d"), wait_for_event("never"))


async def _program(app: Interlock, run: Any) -> Any:
    """Give the function of a run that waits, once the node has nothing to do for it."""
    node = app.session.node
    assert node is not None
    while await run.status() != "waiting" or not node.engine.knows(run.run):
        await asyncio.sleep(0.01)
    return node.engine._runs[run.run]


async def _until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not holds():
            await asyncio.sleep(0.02)


async def test_functions_that_only_wait_for_calls_are_parked_and_others_are_not(
    app: Interlock, monkeypatch: pytest.MonkeyPatch
) -> None:
    FOREIGN.clear()
    monkeypatch.setattr(resting, "PATIENCE_SECONDS", 0.2)
    runs = [await app.start(function) for function in (only_calls, impatient, first_of_two)]
    plain, timing, mixed = [await _program(app, run) for run in runs]
    await _until(lambda: plain.program is None and plain.state is None)
    assert timing.program is not None
    assert mixed.program is not None
    assert await runs[1].result("60s") == "timed out"
    FOREIGN[0].set()
    assert await runs[2].result("60s") == "foreign"
    assert len(FOREIGN) == 1


async def test_functions_are_parked_whatever_they_await_when_too_many_wait(
    app: Interlock, monkeypatch: pytest.MonkeyPatch
) -> None:
    FOREIGN.clear()
    monkeypatch.setattr(resting, "_MOST", 1)
    runs = [await app.start(first_of_two) for _ in range(3)]
    lives = [await _program(app, run) for run in runs]
    await _until(lambda: sum(live.program is None for live in lives) == 2)
    await app.send("door")
    assert [await run.result("60s") for run in runs] == ["door"] * 3


# -- resuming ------------------------------------------------------------------------------------------------------------


@step
async def failing() -> None:
    CALLS["failing"] += 1
    raise LookupError("broken")


@workflow(name="foreign-group")
async def group_with_a_failing_sibling() -> str:
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(sleep("1d"))
            group.create_task(wait_for_event("never"))
            group.create_task(failing())
    except* LookupError:
        pass
    await wait_for_event("door")
    return "caught"


@workflow(name="foreign-cancelled")
async def cancelled_task() -> int:
    task = asyncio.create_task(sleep("1d"))
    first = await inner(1)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    await wait_for_event("door")
    return first + await inner(first)


@pytest.mark.parametrize(("function", "result"), [(group_with_a_failing_sibling, "caught"), (cancelled_task, 5)])
async def test_run_that_left_calls_resumes_without_them(tmp_path: Path, function: Any, result: Any) -> None:
    CALLS.clear()
    url = f"sqlite:///{tmp_path}/foreign.db"
    for _ in range(2):
        async with Interlock(url) as app:
            run = await app.start(function, id="one")
            live = await _program(app, run)
            await _until(lambda live=live: live.state is not None and len(live.state.scopes) == 2)
            assert ROOT in live.state.scopes
    async with Interlock(url) as app:
        run = await app.get("one", function)
        while not await app.send("door"):
            await asyncio.sleep(0.02)
        assert await run.result("60s") == result
        asked = Counter(event.scope for event in await run.history() if type(event).__name__ == "Called")
        assert max(asked.values()) == 1, asked
    assert CALLS["failing"] + CALLS["inner"] in (1, 2)
