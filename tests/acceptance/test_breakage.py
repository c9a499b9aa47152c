"""What breaks around a run must leave it either going on or ended, and never for ever at work with nobody at it."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import sqlite3
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from acceptance.test_engine import HEADER, finished, output
from interlock import config, errors, telemetry, workflow
from interlock.app.node import Node
from interlock.app.session import Session
from interlock.dispatch.logbook import Logbook
from interlock.engine import membership
from interlock.engine.cause import Cancel, Settled, encode
from interlock.model.event import Requested
from interlock.model.states import RunStatus
from interlock.model.task import Done, EffectRequest, Outcome, Place
from interlock.pool.launcher import Launch, OnOutput, Running
from interlock.service import SystemClock
from interlock.store.ports import Claimed, Committed, LogLine

CALL = HEADER + "do: [{a: {call: 'python:naps:nap'}}]"
SHELL = HEADER + "do: [{a: {run: {shell: {command: 'echo hi'}}}}]"
WAITING = HEADER + "do: [{w: {wait: PT60S}}]"
NAP = """
import asyncio
async def nap():
    open('began', 'w').close()
    try:
        await asyncio.sleep(60)
    finally:
        open('stopped', 'w').close()
"""


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
async def app(tmp_path: Path) -> AsyncIterator[Session]:
    settings = config.Settings(store=config.Store(url=f"sqlite:///{tmp_path}/interlock.db"))
    async with Session.open(settings) as app:
        await app.bring_node()
        yield app


def node_of(app: Session) -> Node:
    assert app.node is not None
    return app.node


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.01)


class Broken:
    """Performs and launches nothing; its errors are none of ours."""

    async def perform(self, request: EffectRequest, place: Place) -> Outcome:
        raise RuntimeError("a secret")

    async def launch(self, launch: Launch, on_output: OnOutput) -> Running:
        raise RuntimeError("a secret")


async def test_effect_that_breaks_its_performer_fails_its_step(app: Session) -> None:
    node_of(app).engine._performing._performer = Broken()
    row = await asyncio.wait_for(finished(app, CALL), 60)
    assert row.status is RunStatus.FAULTED
    assert row.fault is not None
    assert b"RuntimeError" in row.fault
    assert b"secret" not in row.fault


class Left:
    """Awaits what somebody else cancels."""

    async def perform(self, request: EffectRequest, place: Place) -> Outcome:
        raise asyncio.CancelledError


async def test_effect_that_ends_cancelled_by_nobody_fails_its_step(app: Session) -> None:
    node_of(app).engine._performing._performer = Left()
    row = await asyncio.wait_for(finished(app, CALL), 60)
    assert row.status is RunStatus.FAULTED
    assert row.fault is not None
    assert b"CancelledError" in row.fault


@workflow
async def nothing() -> None:
    """Do nothing."""


async def test_runs_that_are_refused_together_leave_no_error_that_nobody_saw(app: Session) -> None:
    unseen: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: unseen.append(context["message"]))

    async def refuse(batch: Any) -> Committed:
        raise errors.StoreCorrupt("the disk is odd")

    app.store.journal.commit = refuse  # type: ignore[method-assign]
    with pytest.raises(errors.StoreCorrupt):
        await app.start_programs(nothing, [{}, {}, {}], [None, None, None])
    gc.collect()
    assert unseen == []


async def test_error_whose_text_is_not_utf8_fails_its_step(app: Session, tmp_path: Path) -> None:
    (tmp_path / "odd.py").write_text("def read():\n    raise OSError('no caf\\udce9')\n")
    row = await asyncio.wait_for(finished(app, HEADER + "do: [{a: {call: 'python:odd:read'}}]"), 60)
    assert row.status is RunStatus.FAULTED
    assert row.fault is not None
    assert b"udce9" in row.fault


async def test_attempt_that_breaks_its_launcher_fails_its_step(app: Session) -> None:
    node_of(app)._dispatcher._attempts._launcher_of = lambda task: Broken()
    retries = "metadata: {interlock: {retry: {launch: 0}}}"
    row = await asyncio.wait_for(finished(app, SHELL.replace("'echo hi'}}", "'echo hi'}}, " + retries)), 60)
    assert row.status is RunStatus.FAULTED
    assert row.fault is not None
    assert b"secret" not in row.fault


async def test_cause_that_cannot_be_read_stops_its_own_run_only(app: Session) -> None:
    bad = await app.start(WAITING, id="bad")
    good = await app.start(WAITING, id="good")
    finishing = asyncio.create_task(app.finish(bad.run))
    await asyncio.sleep(0)
    await app.store.journal.post(bad.run, "cancel:x", b'{"kind": "from-the-future"}', "test", 0.0)
    with pytest.raises(errors.StoreCorrupt, match=bad.run):
        await asyncio.wait_for(finishing, 60)
    await app.cancel(await app.find(None, good.id), None)
    await asyncio.wait_for(app.finish(good.run), 60)
    assert (await app.find(None, "good")).status is RunStatus.CANCELLED


async def test_row_that_is_seen_again_before_its_commit_is_applied_once(app: Session) -> None:
    started = await app.start(WAITING)
    engine, commit, go = node_of(app).engine, app.store.journal.commit, asyncio.Event()

    async def held(batch: Any) -> Committed:
        await go.wait()
        return await commit(batch)

    app.store.journal.commit = held  # type: ignore[method-assign]
    await app.store.journal.post(started.run, "effect:77", encode(Settled(77, Done(1))), "test", 0.0)
    for _ in range(3):
        await engine._inbox.pull()
    go.set()
    await until(lambda: engine._runs[started.run].driver is None)
    assert (await app.find(None, started.id)).seq == 2


async def test_look_at_the_inbox_that_fails_is_made_again(app: Session) -> None:
    started = await app.start(WAITING)
    inbox, failed = app.store.journal.inbox, asyncio.Event()

    async def away(node: str) -> Any:
        if failed.is_set():
            return await inbox(node)
        if await inbox(node):
            failed.set()
            raise errors.StoreUnavailable("away")
        return []

    app.store.journal.inbox = away  # type: ignore[method-assign]
    assert await app.store.journal.post(started.run, "cancel:1", encode(Cancel(None)), "test", 0.0)
    await asyncio.wait_for(app.finish(started.run), 60)
    assert failed.is_set()


async def test_lost_replies_of_the_first_commit_and_of_one_without_events_are_recognised(tmp_path: Path) -> None:
    settings = config.Settings(store=config.Store(url=f"sqlite:///{tmp_path}/interlock.db"))
    async with Session.open(settings) as app:
        await app.bring_node(pinned=False)
        commit, lost = app.store.journal.commit, set[int]()

        async def lossy(batch: Any) -> Committed:
            committed = await commit(batch)
            if batch.seq not in lost:
                lost.add(batch.seq)
                raise errors.StoreUnavailable("the reply was lost")
            return committed

        app.store.journal.commit = lossy  # type: ignore[method-assign]
        started = await app.start(HEADER + "do: [{w: {wait: {seconds: 1}}}]")
        nothing = encode(Settled(77, Done(1)))
        assert await app.store.journal.post(started.run, "effect:77", nothing, "test", 0.0)
        await asyncio.wait_for(app.finish(started.run), 60)
        assert (await app.find(None, started.id)).status is RunStatus.COMPLETED
        assert lost == {0, 1, 2}


async def test_node_that_stops_refuses_runs_instead_of_keeping_their_callers(app: Session) -> None:
    commit, entered = app.store.journal.commit, asyncio.Event()

    async def slow(batch: Any) -> Committed:
        entered.set()
        await asyncio.sleep(60)
        return await commit(batch)

    app.store.journal.commit = slow  # type: ignore[method-assign]
    starting = asyncio.create_task(app.start(WAITING))
    await entered.wait()
    await node_of(app).engine.stop()
    app.store.journal.commit = commit  # type: ignore[method-assign]
    with pytest.raises(errors.LeaseLost):
        await asyncio.wait_for(starting, 60)
    with pytest.raises(errors.LeaseLost):
        await asyncio.wait_for(app.start(WAITING), 60)


async def test_nothing_new_begins_in_a_run_that_was_drained(app: Session, tmp_path: Path) -> None:
    """An outcome that arrives after the drain stays in the inbox for the next owner."""
    (tmp_path / "naps.py").write_text(NAP)
    text = (
        HEADER
        + """
do:
  - both:
      fork:
        branches:
          - first: {call: 'python:naps:nap'}
          - second: {do: [{quick: {run: {shell: {command: 'sleep 60'}}}}, {next: {call: 'python:naps:nap'}}]}
"""
    )
    started = await app.start(text, folder=tmp_path)
    await until((tmp_path / "began").exists)
    engine = node_of(app).engine
    live = engine._runs[started.run]
    await engine.drain(5)
    assert live.state is not None
    (number,) = live.state.effects
    cause = encode(Settled(number, Done({"stdout": ""})))
    await app.store.journal.post(started.run, f"effect:{number}", cause, "test", 0.0)
    engine._inbox.ring()
    await until(lambda: live.driver is None)
    history = await app.history(started.run)
    assert [event.path for event in history if isinstance(event, Requested)].count(
        "/do/0/both/fork/branches/1/second/do/1/next"
    ) == 0
    stored = await app.store.journal.load(started.run)
    assert stored is not None
    assert len(stored.inbox) == 1
    assert (await app.find(None, started.id)).owner is None


async def test_definition_that_compiles_no_more_leaves_its_run_in_the_store_and_is_named(
    app: Session, tmp_path: Path
) -> None:
    started = await app.start(WAITING, id="old", detach=True)
    with contextlib.closing(sqlite3.connect(tmp_path / "interlock.db")) as connection, connection:
        connection.execute("UPDATE definitions SET source = 'do: [{a: {unheard: of}}]'")
    connection.close()
    app.graphs._graphs.clear()
    assert await app.take(await app.find(None, "old"))
    with pytest.raises(errors.InvalidDefinition, match="the run old"):
        await asyncio.wait_for(app.finish(started.run), 60)
    row = await app.find(None, "old")
    assert row.ended_at is None
    await app.store.nodes.bury(node_of(app).row.node, app.clock.now())
    assert [each.run for each in await app.store.nodes.claim_runs("other", 5)] == [started.run]


async def test_effects_end_with_the_lease_even_when_nobody_waits(
    app: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "naps.py").write_text(NAP)
    await app.start(CALL, folder=tmp_path)
    await until((tmp_path / "began").exists)
    await app.store.nodes.bury(node_of(app).row.node, app.clock.now())
    await until((tmp_path / "stopped").exists)


async def test_lease_thread_that_meets_the_unexpected_gives_the_lease_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(membership, "BEAT_SECONDS", 0.02)
    monkeypatch.setattr(membership, "NODE_TTL_SECONDS", 2.2)

    class Bad:
        def beat(self, node_ttl_seconds: float, attempt_ttl_seconds: float, now: float) -> bool:
            raise ValueError("unheard of")

        def close(self) -> None:
            return

    settings = config.Settings(store=config.Store(url=f"sqlite:///{tmp_path}/interlock.db"))
    async with Session.open(settings) as app:
        monkeypatch.setattr(app.store, "pulse", lambda node: Bad())
        await app.bring_node()

        async def start_and_finish() -> None:
            started = await app.start(WAITING)  # a busy machine takes longer for it than the lease runs
            await asyncio.wait_for(app.finish(started.run), 60)

        with pytest.raises(errors.LeaseLost):
            await start_and_finish()


async def test_store_that_is_full_at_the_end_does_not_hide_why_the_node_stops(tmp_path: Path) -> None:
    settings = config.Settings(store=config.Store(url=f"sqlite:///{tmp_path}/interlock.db"))

    async def full(*arguments: Any) -> None:
        raise errors.StoreFull("full")

    async def stop_early() -> Session:
        with contextlib.suppress(LookupError):
            async with Session.open(settings) as app:
                await app.bring_node()
                app.store.nodes.leave = full  # type: ignore[method-assign, assignment]
                raise LookupError
        return app

    app = await stop_early()
    assert app.store.database._connection is None  # type: ignore[attr-defined]


async def test_fork_of_a_run_whose_time_is_up_has_the_time_that_was_left(app: Session, tmp_path: Path) -> None:
    text = HEADER + "timeout: {after: {milliseconds: 1500}}\ndo: [{a: {set: {x: 1}}}, {b: {set: {y: '${ .x }'}}}]"
    row = await finished(app, text)
    await asyncio.sleep(1.6)
    forked = await app.fork(row, "b", None)
    assert await app.take(await app.find(None, forked.id))
    await asyncio.wait_for(app.finish(forked.run), 60)
    assert await output(app, await app.find(None, forked.id)) == {"y": 1}


class AwayStore:
    """A queue that takes nothing until it is back."""

    def __init__(self) -> None:
        self.away = True
        self.lines: list[LogLine] = []
        self.queue = self

    async def log(self, run: str, lines: list[LogLine], max_bytes: int, writer: str) -> None:
        if self.away:
            raise errors.StoreUnavailable("away")
        self.lines += lines


async def test_output_that_waits_for_a_store_is_bounded_and_what_the_store_would_keep_is_kept() -> None:
    store = AwayStore()
    logbook = Logbook(store, SystemClock(), max_bytes=1000)  # type: ignore[arg-type]
    for number in range(1000):
        logbook.write("r", "/a", 1, "stdout", "x" * 100)
        if number % 100 == 0:
            with pytest.raises(errors.StoreUnavailable):
                await logbook.flush()
    logbook.write("r", "/b", 1, "stdout", "y")
    store.away = False
    await logbook.flush()
    assert sum(len(line.text) for line in store.lines if line.path == "/a") == 1100
    assert [line.text for line in store.lines if line.path == "/b"] == ["y"]
    logbook.write("r", "/b", 1, "stdout", "z")
    await logbook.flush()
    assert store.lines[-1].text == "z"


async def test_run_that_another_node_took_over_before_it_was_loaded_is_left_without_a_word(app: Session) -> None:
    started = await app.start(WAITING)
    engine, told = node_of(app).engine, []
    detach = telemetry.attach(lambda name, fields: told.append(name))
    await engine.adopt(Claimed(run=started.run, epoch=7, wake_at=None, was_live=True))
    with pytest.raises(errors.StaleEpoch):
        await asyncio.wait_for(engine.wait(started.run), 60)
    detach()
    assert not engine.knows(started.run)
    assert "run.dropped" not in told
