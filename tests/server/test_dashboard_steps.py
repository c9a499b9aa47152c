"""What pages tell of runs that are not the plain case: Python, rollbacks, loops, decisions, tokens, nobody who executes them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from browser import samples
from browser.board import Board, mounted
from interlock import step, workflow
from interlock.decisions import record
from interlock.decisions.record import Candidate, Decision
from interlock.decisions.strategies import Strategy
from interlock.handshake.tokens import Held, Tokens
from interlock.model import event as events
from interlock.model.fault import Fault
from interlock.model.payload import Payload
from interlock.model.states import RunStatus
from interlock.server.dashboard.pages import graph, timeline
from interlock.server.dashboard.pages.graph import Drawing, Drawings
from interlock.server.dashboard.pages.history import Told

from .test_dashboard_pages import page

T = 1_900_000_000.0
SECONDS = 61.0


@pytest.fixture
async def board(tmp_path: Path) -> AsyncIterator[Board]:
    async with mounted(tmp_path) as board:
        yield board


@pytest.fixture
async def http(board: Board) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(board.app), base_url="http://test") as client:
        yield client


@step
async def doubled(number: int) -> int:
    return 2 * number


@workflow(name="dashboard-doubling", version="1.0.0")
async def doubling(number: int) -> int:
    return await doubled(number)


async def test_python_workflow_has_no_picture_but_a_timeline(board: Board, http: httpx.AsyncClient) -> None:
    await board.session.start_program(doubling, {"number": 21}, id="p")
    await samples.settled(board.session, "p", RunStatus.COMPLETED, namespace="default")
    found = await page(http, "/ui/runs/default/p")
    assert "A Python function" in found.text
    assert "doubled" in found.text
    link = next(link for link in found.links() if "doubled" in link)
    chosen = await page(http, link)
    assert "Step doubled" in chosen.text
    assert '"number": 21' in chosen.text


async def test_decisions_about_the_tasks_of_a_step_are_told_with_their_candidates(
    board: Board, http: httpx.AsyncClient
) -> None:
    await samples.start(board.session, samples.PLAIN_FAILING, "r")
    await samples.settled(board.session, "r", RunStatus.FAULTED)
    (task,) = await board.session.store.views.tasks((await board.session.find("shop", "r")).run)
    made = Decision(
        strategy=Strategy.LEAST_LOADED,
        chosen="w1",
        reason="the least loaded: 0 of 2 slots taken",
        candidates=[Candidate(worker="w1", score=0.75), Candidate(worker="w2<i>", reason="lacks the skill gpu")],
    )
    await board.session.store.workers.note("worker", task.task, "w1", record.encode(made), None)
    found = await page(http, "/ui/runs/shop/r?step=/do/1/orderMore")
    for text in ("the least loaded: 0 of 2 slots taken", "0.75", "w2<i>", "lacks the skill gpu"):
        assert text in found.text


async def test_holder_of_a_token_is_heard_on_the_page_of_its_step(board: Board, http: httpx.AsyncClient) -> None:
    session = board.session
    await samples.start(session, samples.ASKING, "r")
    await samples.settled(session, "r", RunStatus.WAITING)
    tokens = Tokens(session.store, session.secrets, session.clock, "shop")
    held = await tokens.of_step((await session.find("shop", "r")).run, "/do/1/approve")
    assert isinstance(held, Held)
    await tokens.progress(held, 0.25, "asking ops")
    await tokens.heartbeat(held, {"mood": "fine"})
    found = await page(http, "/ui/runs/shop/r?step=/do/1/approve")
    for text in ("ops, ann", "heard of", "asking ops", '{"mood": "fine"}'):
        assert text in found.text
    assert [given["value"] for tag, given in found.elements if tag == "progress"] == ["0.25"]


async def test_run_that_nobody_executes_says_why_and_what_helps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with mounted(tmp_path, node=False) as board:
        await samples.start(board.session, samples.SLEEPER, "s")
        now = board.session.clock.now()
        monkeypatch.setattr(board.session.clock, "now", lambda: now + SECONDS)
        monkeypatch.setattr(board.session.clock, "stamp", lambda: now + SECONDS)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(board.app), base_url="http://test") as http:
            one = await page(http, "/ui/runs/bank/s")
            assert "No process executes it" in one.text
            assert "interlock resume s" in one.text
            for path in ("/ui/runs", "/ui/runs?status=stranded", "/ui/runs?status=stranded&workflow=settle"):
                assert "pending, stranded" in (await page(http, path)).text, path
            assert "No run fits" in (await page(http, "/ui/runs?status=stranded&workflow=other")).text


async def test_picture_is_left_out_where_there_is_none_to_be_had(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    drawings = Drawings()
    assert (await drawings.drawing(board.session, "0" * 64)).left_out.startswith("Its definition is not in the store")
    assert "cannot be read" in graph._drawn("document: 7").left_out
    monkeypatch.setattr(graph, "_MOST_STEPS", 2)
    assert "Too many steps" in graph._drawn(samples.FAILING).left_out
    assert graph._drawn(samples.SLEEPER).paths == {"/do/0/night", "/do/1/book"}


async def test_pictures_are_laid_out_once_and_the_oldest_forgotten(
    board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []
    monkeypatch.setattr(graph, "_drawn", lambda source: made.append(source) or Drawing())
    monkeypatch.setattr(graph, "_KEPT", 1)
    drawings = Drawings()
    for text, id in ((samples.SLEEPER, "a"), (samples.PLAIN_FAILING, "b")):
        await samples.start(board.session, text, id)
    first, second = [row.definition for row in await board.session.store.views.runs(None, [], None, None, 9)]
    for digest in (first, first, second, second, first):
        await drawings.drawing(board.session, digest)
    assert len(made) == 3


# -- stories, without a run ------------------------------------------------------------------------------------------

FAULT = Fault(type="urn:x", status=500, title="Broken", detail="it is", instance="/do/1/b")


def told(*more: events.Event) -> Told:
    found = Told()
    found.tell(
        [
            events.Started(at=T, value=Payload({"a": 1}), first="/do/0/a"),
            events.Entered(at=T, scope="0", path="/do/0/a", first="/do/0/a/do/0/x", input=Payload("given")),
            events.Looped(
                at=T, scope="0", path="/do/0/a", index=0, first="/do/0/a/do/0/x", items=Payload([1, 2, 3, 4])
            ),
            *more,
        ]
    )
    return found


def test_open_loop_says_how_far_it_is_and_its_bar_reaches_until_now() -> None:
    found = told(events.Looped(at=T + 5, scope="0", path="/do/0/a", index=2, first="/do/0/a/do/0/x"))
    assert found.inputs["/do/0/a"].value == "given"
    assert [line.what for line in found.lines()][-1] == "item 3"
    line = timeline.timeline(found.story, timeline.settled(found.story, ended=False), T + 10, "/do/0/a", str)
    (bar,) = line.bars
    assert (bar.what, bar.is_open, bar.x, bar.width, bar.took) == ("2 of 4", True, 0.0, 1000.0, "10.0 s")
    assert bar.is_selected
    assert line.ticks == ("0", "5.0 s", "10.0 s")


@pytest.mark.parametrize(
    ("end", "state"),
    [
        (events.Faulted(at=T + 2, scope="0", path="/do/1/b", fault=FAULT), "cancelled"),
        (
            events.Faulted(
                at=T + 2,
                scope="0",
                path="/do/0/a/do/0/x",
                fault=Fault(type="urn:x", status=500, instance="/do/0/a/do/0/x"),
            ),
            "faulted",
        ),
    ],
)
def test_steps_that_were_open_when_the_run_ended_are_shown_as_what_became_of_them(
    end: events.Event, state: str
) -> None:
    found = told(end)
    assert found.is_over
    steps = {each.path: each for each in timeline.settled(found.story, ended=True)}
    assert str(steps["/do/0/a"].status) == state
    assert steps["/do/0/a"].ended == T + 2
    assert timeline.settled(found.story, ended=False)[0].ended is None


def test_timeline_without_steps_has_no_axis_and_a_long_one_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    empty = Told()
    assert timeline.timeline(empty.story, [], T, "", str) == timeline.Timeline(bars=(), ticks=(), left_out=0)
    monkeypatch.setattr(timeline, "_MOST_ROWS", 0)
    found = told()
    assert timeline.timeline(found.story, found.story.ordered(), T, "", str).left_out == 1


@pytest.mark.parametrize(
    ("event", "what"),
    [
        (events.Retried(at=T, scope="0", path="/do/0/a", round=2, first="/do/0/a/do/0/x"), "round 2"),
        (events.Requested(at=T, scope="0", path="/do/0/a", effect=4, queued=True), "effect 4, through the queue"),
        (events.Cancelled(at=T, reason="<b>no</b>"), "<b>no</b>"),
        (events.Copied(at=T, origin="r1"), "from r1"),
        (events.Suspended(at=T), ""),
    ],
)
def test_line_of_the_history_tells_what_matters(event: events.Event, what: str) -> None:
    assert told(event).lines()[-1].what == what


def test_history_keeps_its_last_lines_and_counts_all(monkeypatch: pytest.MonkeyPatch) -> None:
    found = told(*(events.Suspended(at=T + number) for number in range(300)))
    assert found.count == 303
    assert [line.number for line in found.lines()][:2] == [104, 105]
    assert found.at == T + 299
