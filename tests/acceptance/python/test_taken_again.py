"""A node that is given up for dead, and takes a run again before it learns that."""

from __future__ import annotations

import asyncio
import gc
from pathlib import Path
from typing import Any

from interlock import Interlock, step, wait_for_event, workflow

PERFORMED: list[str] = []


@step
async def note(text: str) -> str:
    PERFORMED.append(text)
    return text


@workflow
async def attend(text: str) -> str:
    await note(text)
    await wait_for_event("go")
    return await note(text)


async def _owner(app: Interlock, run: str, epoch: int) -> str:
    """Wait until somebody has a run under an epoch; give who."""
    store = app.session.store
    while True:
        row, stored = await store.views.run("default", "a"), await store.journal.load(run)
        assert row is not None
        assert stored is not None
        if row.owner is not None and stored.epoch == epoch:
            return row.owner
        await asyncio.sleep(0.01)


async def test_run_that_a_node_takes_from_itself_goes_on_once(tmp_path: Path) -> None:
    """What the node had under way for it is left, as by another node; it used to be forgotten in memory, half done."""
    PERFORMED.clear()
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, found: complaints.append(found))
    async with Interlock(f"sqlite:///{tmp_path}/s.db") as app, asyncio.timeout(60):
        run = await app.start(attend, "a", id="a")
        while not PERFORMED:
            await asyncio.sleep(0.01)
        for epoch in (1, 2, 3):
            owner = await _owner(app, run.run, epoch)
            assert await app.session.store.nodes.release(owner, run.run, epoch, app.session.clock.now())
        await _owner(app, run.run, 4)
        waiting = asyncio.create_task(run.result())
        while not waiting.done():
            await app.send("go", {"text": "a"})
            await asyncio.sleep(0.05)
        assert await waiting == "a"
    assert PERFORMED == ["a", "a"]
    gc.collect()
    await asyncio.sleep(0)
    assert complaints == []
