"""What is undone for callers that went away, and how long that is waited for."""

from __future__ import annotations

import asyncio

import pytest

from interlock.coord import answers
from interlock.coord.answers import Undoing


async def test_what_was_given_to_a_cancelled_caller_is_undone_before_its_owner_has_stopped() -> None:
    undoing, answer, undone = Undoing(), asyncio.Event(), list[int]()

    async def call() -> int:
        await answer.wait()
        return 7

    async def undo(given: int) -> None:
        undone.append(given)

    caller = asyncio.create_task(undoing.shielded(call(), undo))
    await asyncio.sleep(0)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    stopping = asyncio.create_task(undoing.stop())
    answer.set()
    await asyncio.wait_for(stopping, 60)
    assert undone == [7]


async def test_stop_does_not_wait_for_a_store_that_never_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "STOP_SECONDS", 0.01)
    undoing = Undoing()
    caller = asyncio.create_task(undoing.shielded(asyncio.Event().wait(), lambda _: asyncio.sleep(0)))
    await asyncio.sleep(0)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    await asyncio.wait_for(undoing.stop(), 60)
    await asyncio.wait_for(undoing.stop(), 60)
