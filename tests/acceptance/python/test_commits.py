"""What a Python workflow costs: a chain of k effects makes k + 1 commits, counted by the store."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from interlock import Interlock, gather, now, set_progress, step, uuid, wait_for_event, workflow
from interlock.model.event import Called


@step
async def add(a: int, b: int) -> int:
    return a + b


@step
def add_in_a_thread(a: int, b: int) -> int:
    return a + b


@workflow(name="commits-chain")
async def chain(effects: int) -> int:
    total = 0
    for number in range(effects):
        total = await add(total, number)
    return total


@workflow(name="commits-mixed")
async def mixed(effects: int) -> int:
    """Sync and async steps in turn, some with keys, notes and shows in between."""
    total = 0
    for number in range(effects):
        call = add_in_a_thread if number % 2 else add
        set_progress(number / effects, f"step {now()} {uuid(str(number))}")
        total = await (call(total, number) if number % 3 else call(total, number, key=f"k{number}"))
    set_progress(1.0)
    return total


@workflow(name="commits-sync")
def in_a_thread(effects: int) -> int:
    total = 0
    for number in range(effects):
        total = add(total, number).result()
    return total


@workflow(name="commits-gather")
async def at_once(effects: int) -> int:
    return sum(await gather(*[add(number, 0) for number in range(effects)]))


async def commits(app: Interlock, function: Any, effects: int) -> int:
    run = await app.start(function, effects)
    assert await run.result("60s") == sum(range(effects))
    stored = await app.session.store.journal.load(run.run)
    assert stored is not None
    return stored.seq


@pytest.mark.parametrize("function", [chain, mixed, in_a_thread])
@pytest.mark.parametrize("effects", [0, 1, 2, 10, 100])
async def test_chain_of_effects_makes_one_commit_more_than_effects(tmp_path: Path, function: Any, effects: int) -> None:
    async with Interlock(f"sqlite:///{tmp_path}/commits.db") as app:
        assert await commits(app, function, effects) == effects + 1


async def test_chain_of_effects_makes_one_commit_more_on_postgresql(postgres_url: str) -> None:
    async with Interlock(postgres_url) as app:
        for effects in (0, 1, 2, 10):
            assert await commits(app, mixed, effects) == effects + 1
        assert await commits(app, at_once, 10) <= 11


@pytest.mark.parametrize("effects", [1, 2, 10, 100])
async def test_steps_that_are_gathered_share_commits(tmp_path: Path, effects: int) -> None:
    async with Interlock(f"sqlite:///{tmp_path}/commits.db") as app:
        assert await commits(app, at_once, effects) <= effects + 1


# -- resuming ------------------------------------------------------------------------------------------------------------

STEPS = 10_000
AT_ONCE = 500
IN_TURN: list[bool] = []


@step
async def tick(number: int) -> int:
    return number


@workflow(name="commits-long")
async def long() -> int:
    """The same steps, one after the other or many at once: their results are the same memos."""
    if IN_TURN:
        total = 0
        for number in range(STEPS):
            total += await tick(number)
    else:
        parts = [range(first, first + AT_ONCE) for first in range(0, STEPS, AT_ONCE)]
        total = sum([sum(await gather(*[tick(number) for number in part])) for part in parts])
    await wait_for_event("door")
    return total


async def _come_to_the_door(app: Interlock) -> None:
    """Wait until the function has used all that its run remembers, and waits for the event."""
    node = app.session.node
    assert node is not None
    while True:
        programs = [live.program for live in node.engine._runs.values() if live.program is not None]
        if programs and programs[0].is_quiet and not programs[0].unused and not programs[0].unasked:
            return
        await asyncio.sleep(0.002)


async def _resumed(url: str) -> float:
    began = time.process_time()  # not of the clock: what the machine does besides must not decide
    async with Interlock(url) as app:
        await _come_to_the_door(app)
        return time.process_time() - began


@pytest.mark.slow
async def test_resume_over_ten_thousand_finished_steps_is_quick(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/long.db"
    IN_TURN.clear()
    async with Interlock(url) as app:
        run = await app.start(long, id="long")
        while await run.status() != "waiting":
            await asyncio.sleep(0.05)
    many_at_once = min([await _resumed(url) for _ in range(3)])
    IN_TURN.append(True)
    in_turn = min([await _resumed(url) for _ in range(3)])
    print(f"resumed over {STEPS} steps: {many_at_once:.2f} s many at once, {in_turn:.2f} s in turn")
    async with Interlock(url) as app:
        await _come_to_the_door(app)
        await app.send("door")
        run = await app.get("long", long)
        assert await run.result("60s") == sum(range(STEPS))
        assert sum(isinstance(event, Called) for event in await run.history()) == STEPS + 1
    # Half a second, as a rule; measured for coverage, each line takes several times as long.
    assert max(many_at_once, in_turn) < (5.0 if sys.gettrace() is None else 20.0)
