"""What open pages are told while runs go on."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from browser import samples
from browser.board import CSRF, Board, mounted
from interlock.model.states import RunStatus
from interlock.server.dashboard import live
from interlock.server.dashboard.pages import run, runs
from interlock.server.dashboard.pages.graph import Drawings
from interlock.server.dashboard.pages.run import Watched
from interlock.server.streams import Item


@pytest.fixture
async def board(tmp_path: Path) -> AsyncIterator[Board]:
    async with mounted(tmp_path) as board:
        yield board


class Stream:
    """A page that listens. `until` gives the first change that fits; what comes before is in `seen`."""

    def __init__(self, items: AsyncIterator[Item]) -> None:
        self._items = items
        self.seen: list[Item] = []

    async def until(self, name: str, fits: Callable[[Any], bool] = lambda data: True) -> Any:
        async with asyncio.timeout(60):
            async for item in self._items:
                self.seen.append(item)
                if item.name == name and fits(item.data):
                    return item.data
        raise AssertionError(f"the stream ended without {name}: {[each.name for each in self.seen]}")


@contextlib.asynccontextmanager
async def of_run(
    board: Board, id: str, *, namespace: str = "shop", seq: int = 0, **asked: Any
) -> AsyncIterator[Stream]:
    session = board.session
    watched = Watched(session, await session.find(namespace, id))
    assert board.principal is not None
    items = live.of_run(
        session, Drawings(), watched, board.principal, run.Asked(**asked), csrf=CSRF, seq=seq, grows=True
    )
    async with contextlib.aclosing(items):
        yield Stream(items)


@contextlib.asynccontextmanager
async def of_runs(board: Board, seen: str | None = None, **asked: Any) -> AsyncIterator[Stream]:
    wanted = runs.Asked(**asked)
    mark = runs.seen((await runs.page(board.session, wanted)).lines)
    items = live.of_runs(board.session, wanted, mark if seen is None else seen)
    async with contextlib.aclosing(items):
        stream = Stream(items)
        await stream.until("ready")
        yield stream


async def test_page_of_a_run_is_told_each_part_that_changes_and_what_is_printed(board: Board) -> None:
    await samples.start(board.session, samples.order(), "o")
    async with of_run(board, "o") as stream:
        await stream.until("part", lambda data: data["id"] == "part-head" and "completed" in data["html"])
        await stream.until("state", lambda data: data["state"] == "completed")
        printed = "".join(item.data["html"] for item in stream.seen if item.name == "log")
        if "credit of ann is fine" not in printed:
            await stream.until("log", lambda data: "credit of ann is fine" in data["html"])
    numbers = [int(item.id) for item in stream.seen if item.id is not None]
    assert numbers == sorted(set(numbers))


async def test_page_that_knows_the_run_is_told_only_what_is_new(board: Board) -> None:
    await samples.start(board.session, samples.SLEEPER, "s")
    await samples.settled(board.session, "s", RunStatus.WAITING, namespace="bank")
    row = await board.session.find("bank", "s")
    async with of_run(board, "s", namespace="bank", seq=row.seq) as stream:
        await stream.until("state")
        assert [item.name for item in stream.seen] == ["ready", "state"]
        await board.session.suspend(row)
        await stream.until("part", lambda data: data["id"] == "part-actions" and "/resume" in data["html"])
        await stream.until("state", lambda data: data["state"] == "suspended")
        await board.session.resume(row)
        await stream.until("state", lambda data: data["state"] == "waiting")
        parts = [item.data["html"] for item in stream.seen if item.name == "part"]
        assert len(set(parts)) == len(parts), "a part is told only when it has changed"


async def test_log_goes_on_after_the_last_piece_that_a_page_has(board: Board) -> None:
    await samples.start(board.session, samples.PLAIN_FAILING, "r")
    await samples.settled(board.session, "r", RunStatus.FAULTED)
    pieces = await board.session.store.views.logs((await board.session.find("shop", "r")).run, 0, 10, None)
    async with of_run(board, "r", log=pieces[0].number) as stream:
        data = await stream.until("log")
    assert "no answer" in data["html"]
    assert "asking" not in data["html"]


async def test_page_of_a_run_that_was_removed_is_told_so(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "_NET_SECONDS", 0.1)
    await samples.start(board.session, samples.PLAIN_FAILING, "r")
    await samples.settled(board.session, "r", RunStatus.FAULTED)
    row = await board.session.find("shop", "r")
    async with of_run(board, "r", seq=row.seq) as stream:
        await stream.until("state")
        assert await board.session.store.upkeep.remove([row.run], 1e12) == 1
        await stream.until("gone")


async def test_list_is_told_of_new_runs_and_of_those_it_shows(board: Board) -> None:
    await samples.start(board.session, samples.SLEEPER, "old")
    await samples.settled(board.session, "old", RunStatus.WAITING, namespace="bank")
    old = await board.session.find("bank", "old")
    async with of_runs(board) as stream:
        await samples.start(board.session, samples.SLEEPER, "young")
        new = await stream.until("new")
        assert "/ui/runs/bank/young" in new["html"]
        await board.session.cancel(old, None)
        changed = await stream.until("row", lambda data: data["id"] == f"run-{old.run}")
        while "cancelled" not in changed["html"]:
            changed = await stream.until("row", lambda data: data["id"] == f"run-{old.run}")


async def test_run_that_its_filter_does_not_fit_any_more_stays_and_is_told(board: Board) -> None:
    await samples.start(board.session, samples.SLEEPER, "s")
    await samples.settled(board.session, "s", RunStatus.WAITING, namespace="bank")
    row = await board.session.find("bank", "s")
    async with of_runs(board, status=("waiting",)) as stream:
        await board.session.cancel(row, None)
        data = await stream.until("row")
        assert data["id"] == f"run-{row.run}"
        assert "cancelled" in data["html"]


async def test_list_is_told_what_changed_before_its_stream_began(board: Board) -> None:
    await samples.start(board.session, samples.SLEEPER, "s")
    await samples.settled(board.session, "s", RunStatus.WAITING, namespace="bank")
    before = runs.seen((await runs.page(board.session, runs.Asked())).lines)
    assert before in (await runs.page(board.session, runs.Asked())).stream
    await board.session.cancel(await board.session.find("bank", "s"), None)
    await samples.settled(board.session, "s", RunStatus.CANCELLED, namespace="bank")
    for older, name in ((None, "new"), ("~", "row")):
        async with of_runs(board, before, before=older) as stream:
            assert [item.name for item in stream.seen] == [name, "ready"]
            assert "cancelled" in stream.seen[0].data["html"]


async def test_older_page_is_not_told_of_new_runs(board: Board) -> None:
    await samples.start(board.session, samples.SLEEPER, "a")
    await samples.start(board.session, samples.SLEEPER, "b")
    for id in ("a", "b"):
        await samples.settled(board.session, id, RunStatus.WAITING, namespace="bank")
    first, second = [await board.session.find("bank", id) for id in ("a", "b")]
    async with of_runs(board, before=second.run) as stream:
        await samples.start(board.session, samples.SLEEPER, "c")
        await board.session.cancel(first, None)
        await stream.until("row", lambda data: "cancelled" in data["html"])
        assert "new" not in [item.name for item in stream.seen]


@pytest.mark.parametrize(("spent", "pause"), [(0.0, 0.2), (0.01, 0.2), (0.05, 0.5), (0.3, 3.0)])
def test_page_that_takes_long_to_make_is_made_less_often(spent: float, pause: float) -> None:
    assert live._pause(spent) == pytest.approx(pause)


def test_passing_of_time_alone_is_no_change() -> None:
    changes = live.Changes()
    assert changes.changed("head", '<time data-at="1">3 s ago</time> waiting')
    assert not changes.changed("head", '<time data-at="1">4 s ago</time> waiting')
    assert changes.changed("head", '<time data-at="1">4 s ago</time> completed')
    changes.forget("head")
    assert changes.changed("head", '<time data-at="1">4 s ago</time> completed')
