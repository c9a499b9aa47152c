"""Conformance of the reads behind tasks that are workflows: how many runs stand, and which were left by their tasks."""

from __future__ import annotations

from typing import Any

import pytest

from interlock.model import fault
from interlock.model.fault import Fault
from interlock.model.states import RunStatus, TaskState
from interlock.model.task import Cancelled, Done, Failed, FailureClass, Outcome
from interlock.store.ports import Store
from store.rows import accepting, batch, graph, graph_task
from store.test_tasks import place, settle

TASK = "default/g/a"
FINAL = Failed(FailureClass.INVALID, Fault(type=fault.RUNTIME, status=500, title="no"))


async def begin(store: Store, run: str = "r1", **new: Any) -> None:
    """A run of the task `a`."""
    await store.journal.commit(accepting(run, new={"parent": TASK} | new))


async def end(store: Store, status: RunStatus, run: str = "r1") -> None:
    await store.journal.commit(batch(run, seq=1, status=status, ended=True))


async def over(store: Store, outcome: Outcome | None) -> None:
    """Have the task end so; None: it runs on."""
    await store.tasks.load(graph(), [graph_task("a", 1)], 100.0)
    (a,) = await place(store, "a")
    if outcome is not None:
        assert await settle(store, a, outcome)


async def test_many_runs_are_told_by_one_read_and_those_that_are_gone_are_left_out(store: Store) -> None:
    for number in range(300):
        await store.journal.commit(accepting(f"r{number:03}"))
    await end(store, RunStatus.COMPLETED, "r001")
    runs = [f"r{number:03}" for number in range(301)]
    found = await store.views.statuses(runs)
    assert found == dict.fromkeys(runs[:300], RunStatus.RUNNING) | {"r001": RunStatus.COMPLETED}
    assert await store.views.statuses([]) == {}


@pytest.mark.parametrize("outcome", [Cancelled(), FINAL])
async def test_open_run_of_a_task_that_is_over_is_a_stray(store: Store, outcome: Outcome) -> None:
    await begin(store)
    assert await store.views.strays("", 10) == []
    await over(store, outcome)
    assert await store.views.strays("", 10) == [("r1", TASK)]
    assert await store.views.strays("r1", 10) == []
    await end(store, RunStatus.CANCELLED)
    assert await store.views.strays("", 10) == []


@pytest.mark.parametrize("outcome", [None, Done(1)])
async def test_run_of_a_task_that_goes_on_or_is_done_is_none(store: Store, outcome: Outcome | None) -> None:
    await begin(store)
    await over(store, outcome)
    assert await store.views.strays("", 10) == []


async def test_child_run_is_none_whether_somebody_awaits_it_or_not(store: Store) -> None:
    await over(store, Cancelled())
    await store.journal.commit(accepting())
    await begin(store, "r2", parent="r1", parent_effect=1)
    await begin(store, "r3", parent="r1")
    assert await store.views.strays("", 10) == []


async def test_strays_come_in_pages(store: Store) -> None:
    await over(store, Cancelled())
    for run in ("r3", "r1", "r2"):
        await begin(store, run)
    assert await store.views.strays("", 2) == [("r1", TASK), ("r2", TASK)]
    assert await store.views.strays("r2", 2) == [("r3", TASK)]


async def test_run_that_is_tried_again_is_open_again(store: Store) -> None:
    """Between the two reads of who waits for it too: what ended a moment ago may go on now."""
    await begin(store)
    await end(store, RunStatus.FAULTED)
    assert await store.views.statuses(["r1"]) == {"r1": RunStatus.FAULTED}
    assert await store.journal.reopen("r1", "n1", "test", 200.0) is not None
    assert await store.views.statuses(["r1"]) == {"r1": RunStatus.RUNNING}


async def test_watchers_that_are_lost_cost_a_workflow_nothing(store: Store) -> None:
    """Its run goes on without them: however many die, the task is neither failed nor in quarantine."""
    await store.tasks.load(graph(), [graph_task("a", 1, kind="workflow")], 100.0)
    lost = Failed(FailureClass.LOST, Fault(type=fault.RUNTIME, status=500, title="Lost"))
    for _ in range(8):
        (a,) = await place(store, "a")
        assert await settle(store, a, lost)
    row = await store.tasks.get(TASK)
    assert row is not None
    assert (row.state, row.attempt, row.used) == (TaskState.READY, 1, {})
    assert {each.failure for each in await store.tasks.tries(TASK, 10)} == {"lost"}
