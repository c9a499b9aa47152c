"""The dispatcher's files have the effects that they say, in a real node with a real store."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from acceptance.shell import Shell
from interlock import config, telemetry
from interlock.app import tasks_told, unplaced
from interlock.app.declarers import live_nodes
from interlock.app.session import Session
from interlock.app.tasks import TaskGraphs
from interlock.dispatch import dispatcher
from interlock.flow.taskgraph import reading
from interlock.model import json
from interlock.model.states import TaskState
from interlock.store.ports import GraphTaskRow, PoolState, TryRow
from store.rows import graph, graph_task

ROOT = Path(__file__).parents[2]
_SECONDS = 180.0


@contextlib.asynccontextmanager
async def node(folder: Path, monkeypatch: pytest.MonkeyPatch, **settings: Any) -> AsyncIterator[Session]:
    """A node of this process that serves the files of a folder."""
    monkeypatch.chdir(folder)
    wanted = config.Settings(store=config.Store(url=f"sqlite:///{folder / 's.db'}"), **settings)
    async with Session.open(wanted) as app:
        await app.bring_node(pinned=False, allow_all_python=True)
        yield app


async def load(app: Session, folder: Path, text: str) -> TaskGraphs:
    book = TaskGraphs(app.store, app.clock)
    await book.load(reading.read(text).required(), str(folder))
    return book


async def ended(app: Session, folder: Path, text: str) -> dict[str, tuple[GraphTaskRow, TryRow]]:
    """Load a graph `g` and wait for its end; gives its tasks with the last attempt of each."""
    book = await load(app, folder, text)
    async with asyncio.timeout(_SECONDS):
        await book.wait(await book.graph("g"))
    rows = await book.tasks(await book.graph("g"))
    return {row.id: (row, (await book.tries(row.task))[0]) for row in rows}


def result(found: tuple[GraphTaskRow, TryRow]) -> Any:
    assert found[1].detail is not None
    return json.decode(found[1].detail)


async def until(wanted: Any, *, seconds: float = _SECONDS) -> None:
    """Wait for something to be so; looked at every 20 ms."""
    async with asyncio.timeout(seconds):
        while not await wanted():
            await asyncio.sleep(0.02)


async def test_the_files_of_the_repository_start_with_an_empty_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CF-02: every pool is declared, those that cannot launch here are ill or disabled, and `local` works."""
    shutil.copytree(ROOT / "config", tmp_path, dirs_exist_ok=True)

    async with node(tmp_path, monkeypatch) as app:
        rows = {row.pool: row for row in await app.store.pools.all()}
        found = await ended(
            app,
            tmp_path,
            "graph: g\ntasks:\n  - {id: a, pool: local, run: {shell: 'echo $LOG_LEVEL $INTERLOCK_PLACE'}}\n",
        )

    assert {"local", "docker", "docker-gpu", "k8s", "k8s-spot", "*"} <= set(rows)
    assert (rows["*"].capacity, rows["docker"].cpu, rows["k8s"].state) == (10, 8.0, "disabled")
    assert found["a"][0].state is TaskState.DONE
    assert "INFO local" in str(result(found["a"]))


async def test_attempts_get_the_timeout_and_the_environment_of_the_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RU-06: one that runs for longer than the configuration allows is ended, and fails."""
    (tmp_path / "dispatcher.yaml").write_text(
        "agent_runner: {execution_timeout: 700ms, environment: {COLOUR: red, SIZE: small}}\n"
        "dispatcher: {poll_interval: 500ms}\n"
    )
    graph = (
        "graph: g\n"
        "defaults: {retry: {application: 0}}\n"
        "tasks:\n"
        "  - {id: said, environment: {SIZE: large}, run: {shell: 'echo $COLOUR $SIZE'}}\n"
        "  - {id: long, run: [sleep, '60']}\n"
        "  - {id: longer, timeout: 20s, run: [sleep, '1']}\n"
        "  - {id: told, run: {shell: 'grep -o timeout_seconds.:0.7 $INTERLOCK_TASK'}}\n"
    )

    async with node(tmp_path, monkeypatch) as app:
        found = await ended(app, tmp_path, graph)
        assert app.node is not None
        (placer,) = app.node._placers()
        assert (placer._interval_seconds, placer._resting_seconds) == (0.5, 0.5)  # a wake-up that is lost shows it

    assert {id: row.state for id, (row, _) in found.items()} == {
        "said": TaskState.DONE, "long": TaskState.FAILED, "longer": TaskState.DONE, "told": TaskState.DONE,
    }  # fmt: skip
    assert found["long"][1].failure == "timeout"
    assert "red large" in str(result(found["said"]))


async def test_a_pool_of_local_processes_is_made_from_its_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "agent-pools.yaml").write_text(
        "agent_pools:\n"
        "  local: {type: local-process, max_concurrency: 2, config: {environment: {PLACE: here}}}\n"
        "  nice: {type: local-process, max_concurrency: 2, config: {nice: 7}}\n"
        "  inside: {type: in-process, max_concurrency: 2}\n"
        "skill_mapping: {default: [local], calm: [nice]}\n"
    )
    graph = (
        "graph: g\n"
        "tasks:\n"
        "  - {id: place, run: {shell: echo $PLACE}}\n"
        "  - {id: nice, skills: [calm], run: {shell: nice}}\n"
        "  - {id: pid, pool: inside, python: 'os:getpid'}\n"
    )

    async with node(tmp_path, monkeypatch) as app:
        found = await ended(app, tmp_path, graph)
        book = await load(app, tmp_path, "graph: h\ntasks:\n  - {id: x, pool: inside, run: [echo]}\n")
        explained = await book.explain(await book.find("h/x"))

    assert [each.state for each, _ in found.values()] == [TaskState.DONE] * 3
    assert "here" in str(result(found["place"]))
    assert "7" in str(result(found["nice"]))
    assert result(found["pid"]) == os.getpid()
    assert explained.now["inside"] == "calls Python functions only (in-process)"


async def test_the_pool_local_of_a_file_has_the_places_that_the_file_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CF-01: `max_concurrency` counts, not the slots of the node, in which attempts would wait and be told to run."""
    (tmp_path / "agent-pools.yaml").write_text("agent_pools:\n  local: {type: local-process, max_concurrency: 3}\n")
    wait = "until test -e a -a -e b -a -e c; do sleep 0.05; done"
    graph = "graph: g\ndefaults: {retry: {application: 0}, timeout: 60s}\ntasks:\n" + "".join(
        f"  - {{id: {id}, run: {{shell: 'touch {id}; {wait}'}}}}\n" for id in "abc"
    )

    async with node(tmp_path, monkeypatch, node=config.Node(slots=1)) as app:
        found = await ended(app, tmp_path, graph)

    assert {id: row.state for id, (row, _) in found.items()} == dict.fromkeys("abc", TaskState.DONE)


async def test_a_pool_whose_engine_is_away_is_ill_and_keeps_nobody_from_working(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cluster of a ray pool is not to be reached: the node starts, and tasks go to the next pool."""
    pytest.importorskip("ray")
    (tmp_path / "agent-pools.yaml").write_text(
        "agent_pools:\n"
        "  far: {type: ray, config: {address: '127.0.0.1:1'}}\n"
        "  local: {type: local-process}\n"
        "skill_mapping: {default: [far, local]}\n"
        "pool_selection: {strategy: ordered}\n"
    )

    async with node(tmp_path, monkeypatch) as app:
        (far,) = [row for row in await app.store.pools.all() if row.pool == "far"]
        found = await ended(app, tmp_path, "graph: g\ntasks:\n  - {id: a, run: [echo, x]}\n")

    assert "127.0.0.1:1 cannot be reached" in far.ills[0].reason
    assert found["a"][0].pool == "local"


@pytest.mark.parametrize(("timeout", "state"), [("20s", TaskState.DONE), ("0s", TaskState.READY)])
async def test_the_graceful_shutdown_counts_for_attempts_of_graphs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, timeout: str, state: TaskState
) -> None:
    (tmp_path / "dispatcher.yaml").write_text(f"dispatcher: {{graceful_shutdown: {{timeout: {timeout}}}}}\n")

    async with node(tmp_path, monkeypatch, node=config.Node(orphan_grace_seconds=0.0)) as app:
        book = await load(app, tmp_path, "graph: g\ntasks:\n  - {id: a, run: {shell: 'touch began; sleep 1.5'}}\n")
        await until(lambda: asyncio.to_thread((tmp_path / "began").exists))
        assert app.node is not None
        begin = time.monotonic()
        await app.node.quiesce(0.0 if timeout == "20s" else 20.0, asyncio.Event())
        seconds = time.monotonic() - begin
        await app.node.stop()
        row = await book.find("g/a")

    assert row.state is state
    assert seconds < 15.0


async def test_the_node_looks_for_deadlocks_as_often_as_it_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "dispatcher.yaml").write_text(
        "dispatcher: {deadlock_detection: {check_interval: 1s, action: resolve}}\n"
    )
    heard: list[str] = []
    detach = telemetry.attach(
        lambda name, fields: heard.append(str(fields.get("warning"))) if "deadlock" in name else None
    )
    try:
        async with node(tmp_path, monkeypatch) as app:
            text = (
                "graph: g\ntasks:\n  - {id: a, run: [echo]}\n  - {id: b, priority: 1, run: [echo], dependencies: [a]}\n"
            )
            store: Any = app.store
            await app.store.pools.set_state("local", type((await app.store.pools.all())[0].state)("disabled"))
            book = await load(app, tmp_path, text)
            row = {"predecessor": "default/g/gone", "task": "default/g/b", "blocking": 1}
            await store.tasks._database.write(lambda transaction: transaction.many("edge_add", [row]))

            async def is_cancelled() -> bool:
                return (await book.find("g/b")).state is TaskState.CANCELLED

            await until(is_cancelled)
    finally:
        detach()

    assert heard[0] == "the task b of default/g waits for gone, which does not exist"


async def test_deadlocks_are_listed_by_a_command(shell: Shell) -> None:
    url = f"sqlite:///{shell.folder / '.interlock' / 'interlock.db'}"
    async with Session.open(config.Settings(store=config.Store(url=url))) as app:
        before = await asyncio.to_thread(shell.run, "tasks", "deadlocks")
        rows = [graph_task("a", 1, {"b": True}), graph_task("b", 2, {"a": True}), graph_task("c", 3, {"a": True})]
        await app.store.tasks.load(graph(), rows, None)
    after = shell.run("tasks", "deadlocks")

    assert (before.code, before.out) == (0, "")
    assert (after.code, after.out) == (1, "tasks of default/g wait for each other: a -> b -> a\n")
    assert shell.run("tasks", "deadlocks", "--json").json == [
        {"kind": "circle", "where": "default/g", "members": ["a", "b"]}
    ]


async def test_a_long_task_in_the_pool_of_the_steps_is_begun_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The dispatcher of steps, which asks the store what its node holds in `local`, leaves tasks of graphs alone."""
    monkeypatch.setattr(dispatcher, "_RECONCILE_SECONDS", 0.2)
    unknown: list[object] = []
    detach = telemetry.attach(lambda name, fields: unknown.append(fields) if name == "dispatcher.unknown" else None)
    try:
        async with node(tmp_path, monkeypatch) as app:
            text = "graph: g\ntasks:\n  - {id: a, run: {shell: 'echo x >> began; sleep 2.5'}}\n"
            found = await ended(app, tmp_path, text)
    finally:
        detach()

    assert unknown == []
    assert (found["a"][0].state, (tmp_path / "began").read_text()) == (TaskState.DONE, "x\n")


async def test_running_task_is_not_warned_of_because_its_pool_takes_no_new_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`explain` said that no pool can run it, of a task that ran."""
    async with node(tmp_path, monkeypatch) as app:
        text = "graph: g\ntasks:\n  - {id: a, run: {shell: 'until test -e go; do sleep 0.05; done'}}\n"
        text += "  - {id: b, dependencies: [a], run: [echo]}\n"
        book = await load(app, tmp_path, text)

        async def runs() -> bool:
            return (await book.find("g/a")).state is TaskState.RUNNING

        await until(runs)
        await app.store.pools.set_state("local", PoolState.DISABLED)
        running, waiting = [await book.explain(await book.find(f"g/{id}")) for id in "ab"]
        (tmp_path / "go").touch()

    assert running.asked.warning is None
    assert waiting.asked.warning is not None
    assert "local is disabled" in waiting.asked.warning


async def test_pool_that_no_live_node_has_any_more_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`explain` said that it has room, and `pools list` that it is enabled: its row stays in the store."""
    pools = "agent_pools: {one: {type: local-process}, other: {type: local-process}}\n"
    (tmp_path / "agent-pools.yaml").write_text(pools)
    async with node(tmp_path, monkeypatch):
        pass
    (tmp_path / "agent-pools.yaml").write_text("agent_pools: {one: {type: local-process}}\n")
    async with node(tmp_path, monkeypatch) as app:
        book = await load(app, tmp_path, "graph: g\ntasks:\n  - {id: a, run: [echo], pool: other}\n")
        explained = await book.explain(await book.find("g/a"))
        live = await live_nodes(app.store, app.clock)
        served = {each.pool: each.served for each in tasks_told.pools(await app.store.pools.all(), live).items}
        stuck = await unplaced.tasks(app.store, app.clock)
        shell = Shell(tmp_path)
        listed = await asyncio.to_thread(shell.run, "--store", f"sqlite:///{tmp_path / 's.db'}", "pools", "list")
    async with Session.open(config.Settings(store=config.Store(url=f"sqlite:///{tmp_path / 's.db'}"))) as app:
        book = TaskGraphs(app.store, app.clock)
        alone = await book.explain(await book.find("g/a"))

    assert explained.now == {"other": "is not configured by any node"}
    assert explained.asked.warning is not None
    assert explained.asked.warning.startswith("no pool can run it: other is not configured. What helps: add other to")
    assert stuck == [("default/g/a", explained.asked.warning)]
    assert (served["one"], served["other"]) == (True, False)
    assert "no live node has it in its agent-pools.yaml" in listed.out
    assert alone.asked.warning == "no node places tasks now: `interlock node` does, beside the store"


async def test_graph_that_was_loaded_before_the_first_node_is_ordered_by_its_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DQ-05: `tasks load` and then `node` is the usual way, and nobody has declared a policy at the first load."""
    (tmp_path / "dispatcher.yaml").write_text("dispatcher: {scheduling_policy: deadline}\n")
    (tmp_path / "agent-pools.yaml").write_text("agent_pools: {one: {type: local-process, max_concurrency: 1}}\n")
    monkeypatch.chdir(tmp_path)
    url = f"sqlite:///{tmp_path / 's.db'}"
    async with Session.open(config.Settings(store=config.Store(url=url))) as app:
        text = "graph: g\ntasks:\n  - {id: late, run: [echo], priority: 9}\n  - {id: due, run: [echo], deadline: 1h}\n"
        book = await load(app, tmp_path, text)
        await app.bring_node(pinned=False, allow_all_python=True)
        async with asyncio.timeout(_SECONDS):
            await book.wait(await book.graph("g"))
        placed = {id: (await book.tries(f"default/g/{id}"))[0].placed_at for id in ("late", "due")}
    assert placed["due"] < placed["late"]
