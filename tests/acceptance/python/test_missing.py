"""A run whose workflow is not here."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from interlock import config, errors, workflow
from interlock.app.session import Session
from interlock.flow.python import registry


async def test_who_waits_for_a_run_that_cannot_be_executed_is_told_however_late(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @workflow
    async def lost() -> None: ...

    settings = config.Settings(store=config.Store(url=f"sqlite:///{tmp_path / 'a.db'}"))
    async with Session.open(settings) as session:
        started = await session.start_program(lost, {}, folder=tmp_path, detach=True)
        monkeypatch.setattr(registry, "_workflows", {})
        node = await session.bring_node()
        assert await session.take(await session.find(None, started.id))
        async with asyncio.timeout(60):
            while node.engine.knows(started.run):
                await asyncio.sleep(0.01)
        with pytest.raises(errors.CannotExecute, match=r"the workflow default/lost:1\.0\.0 is not here"):
            await session.finish(started.run)
