"""The tables of legal transitions hold where transitions are made: in decisions and in SQL."""

from __future__ import annotations

import re
from importlib import resources
from itertools import pairwise

import pytest

from interlock.engine.cause import Cancel, Reopen, Resume, Suspend
from interlock.model.states import ENDED_RUN, RUN_TRANSITIONS, TASK_TRANSITIONS, RunStatus, TaskState
from unit.engine.world import World

_QUERIES = {
    path.name: path.read_text("utf-8")
    for path in resources.files("interlock.store.sql").joinpath("queries/sqlite").iterdir()
    if path.name.startswith("task")
}
_CALL = "do: [{a: {call: 'python:m:f'}}, {b: {wait: PT5S}}, {c: {call: 'python:m:f'}}]"


def test_every_status_has_its_followers() -> None:
    assert set(RUN_TRANSITIONS) == set(RunStatus)
    assert set(TASK_TRANSITIONS) == set(TaskState)
    assert all(status not in followers for status, followers in RUN_TRANSITIONS.items())


def test_ended_runs_stay_as_they_are_but_for_a_retry() -> None:
    ways_out = {status: RUN_TRANSITIONS[status] for status in ENDED_RUN if RUN_TRANSITIONS[status]}
    assert ways_out == {RunStatus.FAULTED: frozenset({RunStatus.RUNNING, RunStatus.WAITING})}


@pytest.mark.parametrize(
    "acts",
    [
        "start done later done",
        "start suspend done resume later done",
        "start fail reopen done later done",
        "start suspend cancel",
        "start done cancel",
        "start done suspend later resume done",
        "cancel",
        "suspend resume start done later fail reopen cancel",
    ],
)
def test_run_goes_only_where_the_table_leads(acts: str) -> None:
    world = World(_CALL)
    seen = [world.state.live_status()]
    for act in acts.split():
        _act(world, act)
        seen.append(world.state.live_status())
    for before, after in pairwise(seen):
        assert after == before or after in RUN_TRANSITIONS[before], f"{acts}: {before} to {after}"


def _act(world: World, act: str) -> None:
    match act:
        case "start":
            world.start()
        case "done" | "fail":
            step = next(iter(world.requests))
            world.done(step) if act == "done" else world.failed(step)
        case "later":
            world.later(5)
        case "cancel":
            world.decide(Cancel(None))
        case "suspend":
            world.decide(Suspend())
        case "resume":
            world.decide(Resume())
        case "reopen":
            world.decide(Reopen())


@pytest.mark.parametrize(
    "name", [name for name, text in _QUERIES.items() if re.search(r"UPDATE tasks SET state", text)]
)
def test_statement_changes_a_task_only_as_the_table_allows(name: str) -> None:
    text = _QUERIES[name]
    target = re.search(r"SET state = (?:'(\w+)'|:state|CASE WHEN.* THEN '(\w+)' ELSE '(\w+)' END)", text)
    expected = re.search(r"WHERE.*\bstate (?:= '(\w+)'|IN \(([^)]*)\))", text, re.DOTALL)
    assert target is not None
    assert expected is not None, f"{name} does not say which state it expects"
    targets = [state for state in target.groups() if state] or ["done", "failed", "cancelled"]
    for before in re.findall(r"\w+", expected[1] or expected[2]):
        assert {TaskState(state) for state in targets} <= TASK_TRANSITIONS[TaskState(before)]
