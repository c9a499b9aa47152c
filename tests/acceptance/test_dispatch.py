"""What the dispatcher does when the store is away, and what becomes of the output of attempts."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from acceptance.test_engine import HEADER, output
from interlock import config, errors
from interlock.app.session import Session
from interlock.flow.python import registry
from interlock.model.states import RunStatus, TaskState
from interlock.store.ports import GraphTask
from store.rows import new_task

ECHO = HEADER + "do: [{say: {run: {shell: {command: 'echo one; echo two >&2; echo three'}}}}]"


def _settings(folder: Path) -> config.Settings:
    return config.Settings(store=config.Store(url=f"sqlite:///{folder}/interlock.db"))


async def test_outcome_and_output_wait_for_a_store_that_is_away(tmp_path: Path) -> None:
    async with Session.open(_settings(tmp_path)) as app:
        await app.bring_node(pinned=False, allow_all_python=False)
        settle, log = app.store.queue.settle, app.store.queue.log
        away = iter([errors.StoreUnavailable("settle"), errors.StoreFull("settle")])
        deaf = iter([errors.StoreUnavailable("log")])

        async def flaky_settle(*arguments: Any, **more: Any) -> bool:
            if (error := next(away, None)) is not None:
                raise error
            return await settle(*arguments, **more)

        async def flaky_log(*arguments: Any) -> None:
            if (error := next(deaf, None)) is not None:
                raise error
            await log(*arguments)

        app.store.queue.settle, app.store.queue.log = flaky_settle, flaky_log  # type: ignore[method-assign]
        started = await app.start(ECHO, folder=tmp_path)
        await asyncio.wait_for(app.finish(started.run), 60)
        assert await output(app, await app.find(None, started.id)) == "one\nthree\n"
        lines = await app.store.views.logs(started.run, 0, 10, "/do/0/say")
        assert "".join(line.text for line in lines if line.stream == "stdout") == "one\nthree\n"
        assert "".join(line.text for line in lines if line.stream == "stderr") == "two\n"


async def test_tasks_of_a_claim_whose_reply_was_lost_are_found_and_performed_once(tmp_path: Path) -> None:
    """The node renews what it holds, so nobody else would ever get them."""
    text = HEADER + "do: [{say: {run: {shell: {command: 'echo x >> ledger'}}}}]"
    async with Session.open(_settings(tmp_path)) as app:
        await app.bring_node(pinned=False, allow_all_python=False)
        claim = app.store.queue.claim
        lost = iter([True])

        async def losing_claim(*arguments: Any, **more: Any) -> Any:
            claimed = await claim(*arguments, **more)
            if claimed and next(lost, False):
                raise errors.StoreUnavailable("the reply was lost")
            return claimed

        app.store.queue.claim = losing_claim  # type: ignore[method-assign]
        started = await app.start(text, folder=tmp_path)
        await asyncio.wait_for(app.finish(started.run), 60)
        assert next(lost, False) is False
        assert (await app.find(None, started.id)).status is RunStatus.COMPLETED
    assert (tmp_path / "ledger").read_text() == "x\n"


@pytest.mark.slow
async def test_node_without_patience_tells_that_the_store_is_full(tmp_path: Path) -> None:
    async def full(*_arguments: Any, **_more: Any) -> bool:
        raise errors.StoreFull("no space")

    async with Session.open(_settings(tmp_path)) as app:
        await app.bring_node()
        app.store.queue.settle = full  # type: ignore[method-assign]
        started = await app.start(ECHO, folder=tmp_path, id="full")
        with pytest.raises(errors.StoreFull, match="no space"):
            await asyncio.wait_for(app.finish(started.run), 60)
    async with Session.open(_settings(tmp_path)) as app:
        assert await app.take(await app.find(None, "full"))
        await app.finish(started.run)
        assert (await app.find(None, "full")).status is RunStatus.COMPLETED


@pytest.mark.slow
async def test_node_stops_though_the_store_takes_nothing_any_more(tmp_path: Path) -> None:
    async def full(*_arguments: Any, **_more: Any) -> bool:
        raise errors.StoreFull("no space")

    text = HEADER + "do: [{nap: {run: {shell: {command: 'echo > began; sleep 50'}}}}]"
    async with Session.open(_settings(tmp_path)) as app:
        node = await app.bring_node(pinned=False)
        await app.start(text, folder=tmp_path)
        while not (tmp_path / "began").exists():
            await asyncio.sleep(0.01)
        app.store.queue.settle = full  # type: ignore[method-assign]
        await asyncio.wait_for(node.stop(), 60)


async def test_more_tasks_than_slots_wait_their_turn(tmp_path: Path) -> None:
    branches = "".join(
        f"          - b{n}: {{run: {{shell: {{command: 'echo $$ > running-{n}; ls running-* | wc -l; rm running-{n}'}}}}}}\n"
        for n in range(6)
    )
    text = HEADER + "do:\n  - all:\n      fork:\n        branches:\n" + branches
    settings = config.Settings(store=config.Store(url=f"sqlite:///{tmp_path}/s.db"), node=config.Node(slots=2))
    async with Session.open(settings) as app:
        await app.bring_node()
        started = await app.start(text, folder=tmp_path)
        await asyncio.wait_for(app.finish(started.run), 60)
        counts = await output(app, await app.find(None, started.id))
        assert max(int(count) for count in counts) <= 2


async def test_gone_folder_fails_the_step_with_its_name(tmp_path: Path) -> None:
    async with Session.open(_settings(tmp_path)) as app:
        await app.bring_node()
        started = await app.start(ECHO, folder=tmp_path / "gone")
        await app.finish(started.run)
        assert b"no-such-folder" in ((await app.find(None, started.id)).fault or b"")


async def test_what_a_rate_delays_is_performed_when_its_time_has_come(tmp_path: Path) -> None:
    async with Session.open(_settings(tmp_path)) as app:
        await app.store.graphs.limit("api", None, interval_seconds=0.2)
        tasks = [
            GraphTask(task=new_task(f"t{number}", "graph", number, folder=str(tmp_path)), limits=["api"])
            for number in range(3)
        ]
        await app.store.graphs.load(tasks, None)
        await app.bring_node(pinned=False, allow_all_python=False)
        async with asyncio.timeout(60):
            while {row.state for row in await app.store.views.tasks("graph")} != {TaskState.DONE}:
                await asyncio.sleep(0.02)


async def test_delayed_tasks_are_looked_for_once_a_second_however_much_happens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Session.open(_settings(tmp_path)) as app:
        due, looks = app.store.graphs.due, list[float]()

        async def counted(now: float | None) -> int:
            looks.append(app.clock.monotonic())
            return await due(now)

        monkeypatch.setattr(app.store.graphs, "due", counted)
        monkeypatch.setattr(registry, "has_queued_steps", lambda: False)  # other tests of this process have some
        await app.bring_node(pinned=False, allow_all_python=False)
        for number in range(200):
            await app.store.journal.post("nobody", f"cancel:{number}", b"{}", "test", 0.0)  # rings the bell
            await asyncio.sleep(0)
        async with asyncio.timeout(60):
            while len(looks) < 3:
                await asyncio.sleep(0.02)
        assert min(later - earlier for earlier, later in pairwise(looks)) >= 1.0
