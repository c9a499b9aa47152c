"""What a step that loads a task graph is told, in one process: mistakes, names, sizes, and what becomes of what nobody wants."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from acceptance.test_engine import HEADER, finished, output
from interlock import config, errors
from interlock.app.awaited_graphs import AwaitedGraphs
from interlock.app.session import Session
from interlock.app.tasks import TaskGraphs
from interlock.flow.taskgraph import reading
from interlock.model import fault
from interlock.model.fault import Fault
from interlock.service import SystemClock
from interlock.store.ports import DueWait, RunRow, Store


def step(arguments: str, name: str = "build") -> str:
    return f"  - {name}: {{call: 'tasks:1.0.0@default', with: {{{arguments}}}}}\n"


async def failed(app: Session, steps: str, input: Any = None) -> Fault:
    row: RunRow = await finished(app, HEADER + "do:\n" + steps, input)
    assert row.fault is not None
    return msgspec.json.decode(row.fault, type=Fault)


async def test_graph_gives_the_state_and_the_result_of_every_task(interlock: Session) -> None:
    tasks = "[{id: a, run: [echo, hi]}, {id: b, run: ['false'], optional: true, retry: {max_attempts: 1}}]"
    row = await finished(interlock, HEADER + "do:\n" + step(f"graph: {{tasks: {tasks}}}, name: mine"))
    told = await output(interlock, row)
    assert (told["graph"], told["status"], told["tasks"]["a"]["status"]) == ("mine", "completed", "done")
    assert told["tasks"]["a"]["output"]["stdout"] == "hi\n"
    assert set(told["tasks"]["b"]) == {"status", "error"}
    found = await interlock.store.tasks.graph("default", "mine")
    assert found is not None
    assert found.run_id == row.id
    assert not await interlock.store.waits.any_open(None)


async def test_computed_graph_with_mistakes_fails_the_step_with_all_of_them(interlock: Session) -> None:
    error = await failed(
        interlock, step("graph: '${ .graph }'"), {"graph": {"tasks": [{"id": "a"}, {"id": "a", "rnu": 1}]}}
    )
    assert (error.type, error.status, error.title) == (fault.VALIDATION, 400, "Invalid task graph")
    assert {each["code"] for each in error.details} >= {"duplicate-task", "unknown-property"}
    many = [{"id": "a", "run": ["x"]} for _ in range(30)]
    more = await failed(interlock, step("graph: '${ .graph }'"), {"graph": {"tasks": many}})
    assert "; and 9 more" in str(more.detail)
    elsewhere = {"graph": {"namespace": "other", "tasks": [{"id": "a", "run": ["x"]}]}}
    assert "cannot be in the namespace other" in str(
        (await failed(interlock, step("graph: '${ .graph }'"), elsewhere)).detail
    )
    nothing = {"graph": {"tasks": [{"id": "a", "run": ["x"], "pool": "a\0b"}]}}
    assert "U+0000" in str((await failed(interlock, step("graph: '${ .graph }'"), nothing)).detail)


async def test_name_of_another_graph_is_refused(interlock: Session) -> None:
    twice = step("graph: {tasks: [{id: a, run: ['true']}]}, name: mine", "one") + step(
        "graph: {tasks: [{id: a, run: ['true']}]}, name: mine", "two"
    )
    error = await failed(interlock, twice)
    assert (error.status, error.instance) == (409, "/do/1/two")
    assert "was loaded by somebody else" in str(error.detail)
    by_hand = reading.of_value({"graph": "people", "tasks": [{"id": "a", "run": ["true"]}]}).required()
    await TaskGraphs(interlock.store, interlock.clock).load(by_hand, "/")
    refused = await failed(interlock, step("graph: {tasks: [{id: a, run: ['true']}]}, name: people"))
    assert refused.title == "Task graph not loaded"


async def test_results_beyond_the_bound_fail_the_step(tmp_path: Path) -> None:
    settings = config.Settings(
        store=config.Store(url=f"sqlite:///{tmp_path}/interlock.db"), payload=config.Payload(max_bytes=2048)
    )
    async with Session.open(settings) as app:
        await app.bring_node()
        tasks = "[{id: a, run: [sh, -c, 'printf %2000d 1']}, {id: b, run: [sh, -c, 'printf %2000d 1']}]"
        error = await failed(app, step(f"graph: {{tasks: {tasks}}}"))
    assert (error.code, error.type) == ("payload-too-large", fault.RUNTIME)
    assert "more than 2048 bytes together" in str(error.detail)


async def test_many_failed_tasks_are_counted(interlock: Session) -> None:
    tasks = [{"id": f"t{number}", "run": ["false"], "retry": {"max_attempts": 1}} for number in range(12)]
    error = await failed(interlock, step("graph: '${ . }'"), {"tasks": tasks})
    assert (error.type, error.code, error.title) == (fault.TASKS_FAILED, "tasks-failed", "Tasks failed")
    assert "12 of the 12 tasks" in str(error.detail)
    assert "and 2 more;" in str(error.detail)
    assert len(error.details["tasks"]) == 12
    assert {each["status"] for each in error.details["tasks"].values()} == {"failed"}


async def test_configuration_with_mistakes_ends_the_process_that_would_perform_the_tasks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "agent-pools.yaml").write_text("agent_pools: 1\n")
    settings = config.Settings(store=config.Store(url=f"sqlite:///{tmp_path}/interlock.db"))
    async with Session.open(settings) as app:
        node = await app.bring_node()
        started = await app.start(HEADER + "do:\n" + step("graph: {tasks: [{id: a, run: ['true']}]}"))
        with pytest.raises(errors.Environment, match="agent_pools"):
            await node.watch(started.run)


class _Broken:
    """Waits of which none can be settled."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def due(self, limit: int, now: float | None) -> list[DueWait]:
        return [DueWait(graph=name, token="k", effect=1, is_open=False, has_open=True) for name in ("one", "two")]

    async def stop(self, wait: DueWait, now: float | None) -> int:
        self.asked.append(wait.graph)
        raise errors.StoreCorrupt("this row")


async def test_error_about_one_graph_keeps_no_other_from_being_told() -> None:
    broken = _Broken()
    store = cast("Store", SimpleNamespace(waits=broken))
    await AwaitedGraphs(store, SystemClock(), 1000, lambda: True).look_once_more()
    assert broken.asked == ["one", "two"]
