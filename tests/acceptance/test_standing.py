"""What a node that serves others does by its loops: claims, refusals, readiness, stranded runs; on real stores."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from acceptance.test_engine import HEADER
from interlock import config, errors, telemetry
from interlock.app import standing, stranded
from interlock.app.node import Node
from interlock.app.readiness import STORE_AWAY, Readiness
from interlock.app.serving import Serving, executing
from interlock.app.session import Session
from interlock.app.standing import Standing
from interlock.app.stranded import Stranded
from interlock.engine import claims, identity
from interlock.model.states import RunStatus
from interlock.service import SystemClock

QUICK = HEADER + "do: [{a: {set: {x: 1}}}]"
WAITING = HEADER + "do: [{w: {wait: PT600S}}]"


class Shifted(SystemClock):
    """The machine's clock, moved by hand."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def now(self) -> float:
        return super().now() + self.ahead

    def stamp(self) -> float | None:
        return self.now()


def settings(folder: Path, **more: Any) -> config.Settings:
    return config.Settings(store=config.Store(url=f"sqlite:///{folder}/interlock.db"), **more)


@pytest.fixture
async def app(tmp_path: Path) -> AsyncIterator[Session]:
    async with Session.open(settings(tmp_path), clock=Shifted()) as app:
        yield app


async def until(condition: Callable[[], Any], seconds: float = 60.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


async def serving(app: Session) -> Node:
    return await app.bring_node(pinned=False, allow_all_python=False)


async def ended(app: Session, id: str) -> None:
    async with asyncio.timeout(60):
        while (await app.find(None, id)).status is not RunStatus.COMPLETED:
            await asyncio.sleep(0.01)


# -- claims ----------------------------------------------------------------------------------------------------------


async def test_run_whose_claim_lost_its_reply_is_found_and_executed(
    app: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, "_OWNED_SECONDS", 0.05)
    claim = app.store.nodes.claim_runs
    lost = iter([True])

    async def losing(*arguments: Any, **more: Any) -> Any:
        found = await claim(*arguments, **more)
        if next(lost, False):
            raise errors.StoreUnavailable("the reply is lost")
        return found

    app.store.nodes.claim_runs = losing  # type: ignore[method-assign]
    await app.start(QUICK, id="lost", detach=True)
    await serving(app)
    await ended(app, "lost")
    assert (await app.find(None, "lost")).epoch == 2


async def test_node_takes_no_more_runs_than_it_may(tmp_path: Path) -> None:
    async with Session.open(settings(tmp_path, engine=config.Engine(max_runs=2))) as app:
        for number in range(5):
            await app.start(WAITING, id=f"run-{number}", detach=True)
        node = await serving(app)
        await until(lambda: node.engine.runs == 2)
        rows = await app.store.views.runs(None, [], None, None, 9)
        owned = [row for row in rows if row.owner]
        assert len(owned) == 2
        await app.cancel(owned[0], None)
        await app.cancel(owned[1], None)
        async with asyncio.timeout(60):
            while len([row for row in await app.store.views.runs(None, [], None, None, 9) if row.owner]) < 4:
                await asyncio.sleep(0.01)


async def test_definition_that_this_version_cannot_execute_is_refused_once(app: Session) -> None:
    await app.start(QUICK, id="new", detach=True)
    row = await app.find(None, "new")
    newer = QUICK.replace("set: {x: 1}", "run: {shell: {command: x}, await: false}")

    async def newer_one(digest: str) -> Any:
        stored = await definition(digest)
        assert stored is not None
        return msgspec.structs.replace(stored, source=newer)

    definition = app.store.journal.definition
    app.store.journal.definition = newer_one  # type: ignore[method-assign]
    app.graphs._graphs.clear()
    heard: list[str] = []
    detach = telemetry.attach(lambda name, fields: heard.append(name))
    node = await serving(app)
    async with asyncio.timeout(60):
        while not (states := [s for s in await app.store.nodes.states(None) if s.refusals]):
            await asyncio.sleep(0.01)
    detach()
    assert "await: false" in states[0].refusals[row.definition]
    assert heard.count("run.refused") == 1
    async with asyncio.timeout(60):
        while (await app.find(None, "new")).owner is not None:
            await asyncio.sleep(0.01)
    assert node.engine.runs == 0
    (found,) = await app.unattended()
    assert "refused it" in found.reason
    assert "upgrade the nodes" in found.command


async def test_function_that_cannot_be_imported_is_refused_with_its_name(tmp_path: Path) -> None:
    allowed = settings(tmp_path, python=config.Python(allow=("no_such_module",), functions={"price": "shop:total"}))
    async with Session.open(allowed) as app:
        node = await serving(app)
        for id, call in (
            ("a", "python:no_such_module:f"),
            ("b", "python:other:f"),
            ("c", "discount:1.0.0@default"),
            ("d", "price:1.0.0@default"),
        ):
            await app.start(HEADER + f"do: [{{a: {{call: '{call}'}}}}]", id=id, detach=True, folder=tmp_path)
        await until(lambda: len(node._claims.refusals) == 4)
        reasons = " ".join(node._claims.refusals.values())
        assert "cannot import 'no_such_module'" in reasons
        assert "python.allow does not name the module of 'other:f'" in reasons
        assert "python.functions does not name 'discount:1.0.0@default'" in reasons
        assert "python.allow does not name the module of 'shop:total'" in reasons


# -- stranded runs ---------------------------------------------------------------------------------------------------


async def test_run_that_nobody_executes_is_stranded_after_a_minute(app: Session) -> None:
    clock = app.clock
    assert isinstance(clock, Shifted)
    await app.start(WAITING, id="alone", detach=True)
    assert await app.stranded() == []
    clock.ahead = 59.0
    assert await app.stranded() == []
    clock.ahead = 61.0
    (found,) = await app.stranded()
    assert (found.row.id, found.reason) == ("alone", "no live node has the role engine")
    assert "`interlock resume alone`" in found.command
    assert "`interlock node`" in found.command


async def test_run_of_a_node_that_went_silent_is_stranded_after_a_minute(app: Session) -> None:
    clock = app.clock
    assert isinstance(clock, Shifted)
    far = msgspec.structs.replace(identity.here(clock, "engine", pinned=False), node="far", host="elsewhere")
    await app.store.nodes.join(far, 10.0)
    await app.start(WAITING, id="remote", detach=True)
    await app.store.nodes.claim_runs("far", 1)
    clock.ahead = 58.0
    assert await app.stranded() == []
    clock.ahead = 61.0
    assert [each.row.id for each in await app.stranded()] == ["remote"]


async def test_reason_names_what_the_live_nodes_lack(app: Session) -> None:
    await app.start(WAITING, id="r", detach=True)
    row = await app.find(None, "r")
    node = identity.here(app.clock, "engine", pinned=False)
    await app.store.nodes.join(node, 100.0)
    nodes = await app.servers()
    assert stranded.serves(nodes, row)
    assert "engine.max_runs" in stranded.explained(row, 0.0, nodes).reason
    for reason, cure in (
        ("python.allow does not name it", "name the module in python.allow"),
        ("python.functions does not name it", "name the function in python.functions"),
        ("cannot import 'x'", "install what the node lacks"),
        ("this version cannot execute call mcp", "upgrade"),
    ):
        await app.store.nodes.note(node.node, {row.definition: reason}, [])
        nodes = await app.servers()
        assert not stranded.serves(nodes, row)
        found: Stranded = stranded.explained(row, 0.0, nodes)
        assert reason in found.reason
        assert cure in found.command
    await app.store.nodes.drain(node.node, app.clock.now())
    assert await app.servers() == []


# -- readiness -------------------------------------------------------------------------------------------------------


async def test_store_that_is_away_makes_a_node_unready_until_it_is_back(
    app: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(standing, "_ROUND_SECONDS", 0.01)
    told: list[tuple[str, ...]] = []
    readiness = Readiness(told.append)
    asked = app.store.nodes.is_asked_to_drain
    away = iter([errors.StoreUnavailable("away"), errors.StoreFull("full")])

    async def flaky(node: str) -> bool:
        error = next(away, None)
        if error is not None:
            raise error
        return await asked(node)

    app.store.nodes.is_asked_to_drain = flaky  # type: ignore[method-assign]
    looking = Standing("n", app.store, readiness, {}, lambda: None)
    await looking.start()
    await until(lambda: told == [(STORE_AWAY,), ()])
    readiness.remove(STORE_AWAY)
    assert readiness.reasons == ()
    await looking.stop()


async def test_node_that_lost_its_lease_joins_again_and_goes_on(tmp_path: Path) -> None:
    told: list[str] = []
    detach = telemetry.attach(lambda name, fields: told.append(name))
    serving = Serving(settings(tmp_path), executing(("engine", "dispatcher")))
    running = asyncio.create_task(serving.run())
    await until(lambda: told.count("node.joined") == 1)
    async with Session.open(settings(tmp_path)) as app:
        await app.start(WAITING.replace("600", "2"), id="r", detach=True)
        async with asyncio.timeout(60):
            while (await app.find(None, "r")).owner is None:
                await asyncio.sleep(0.01)
        (node,) = await app.servers()
        await app.store.nodes.bury(node.node.node, app.clock.now())
        await until(lambda: told.count("node.joined") == 2, 60)
        assert told.count("node.lost") == 1
        await ended(app, "r")
    telemetry.emit("node.deaf")
    assert "loop deaf" in serving.readiness.reasons
    telemetry.emit("node.heard")
    assert serving.readiness.reasons == ()
    serving.hurry()
    await asyncio.wait_for(running, 60)
    detach()
