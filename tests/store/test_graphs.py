"""Conformance of task graphs: joins, what a failure skips, limits, rates, delays."""

from __future__ import annotations

import pytest

from interlock import errors
from interlock.model import fault
from interlock.model.fault import Fault
from interlock.model.states import TaskState
from interlock.model.task import Done, Failed, FailureClass
from interlock.store.ports import DUE_AT_ONCE, ClaimedTask, GraphTask, Store
from store.rows import new_task

FAILURE = Failed(FailureClass.APPLICATION, Fault(type=fault.RUNTIME, status=500))


def task(name: str, number: int, after: dict[str, bool] | None = None, priority: int = 0, **more: object) -> GraphTask:
    return GraphTask(task=new_task(name, "g1", number, priority=priority), after=after or {}, **more)  # type: ignore[arg-type]


async def load(store: Store, *tasks: GraphTask) -> None:
    await store.graphs.load(tasks, 100.0)


async def claim(store: Store, now: float = 100.0, slots: int = 100, node: str = "n1") -> list[ClaimedTask]:
    return await store.queue.claim(node, "local", slots, 100, 60.0, now, own=False)


async def states(store: Store) -> dict[str, TaskState]:
    return {row.task: row.state for row in await store.views.tasks("g1")}


async def settle(store: Store, claimed: ClaimedTask, outcome: Done | Failed | None = None, now: float = 101.0) -> None:
    assert await store.queue.settle(claimed.task, claimed.fence, outcome or Done(1), now)


async def test_task_is_ready_when_the_last_one_it_waits_for_is_done(store: Store) -> None:
    await load(
        store, task("a", 1), task("b", 2, {"a": True}), task("c", 3, {"a": True}), task("d", 4, {"b": True, "c": True})
    )
    (first,) = await claim(store)
    assert (first.task, first.namespace, first.run_id) == ("a", "", "")
    assert await store.queue.held("n1", "local") == [first]
    await settle(store, first)
    second, third = await claim(store)
    assert [second.task, third.task] == ["b", "c"]
    await settle(store, second)
    assert await claim(store) == []
    await settle(store, third)
    assert [each.task for each in await claim(store)] == ["d"]


async def test_failure_skips_what_it_blocks_and_all_behind_it(store: Store) -> None:
    await load(
        store,
        task("a", 1),
        task("other", 2),
        task("b", 3, {"a": True, "other": True}),
        task("c", 4, {"b": True}),
        task("notify", 5, {"b": False, "other": True}),
    )
    a, other = await claim(store)
    await settle(store, a, FAILURE)
    found = await states(store)
    assert (found["b"], found["c"], found["notify"]) == (TaskState.SKIPPED, TaskState.SKIPPED, TaskState.BLOCKED)
    await settle(store, other)
    assert [each.task for each in await claim(store)] == ["notify"]
    assert (await states(store))["b"] is TaskState.SKIPPED


async def test_attempt_that_is_lost_counts_as_a_failure(store: Store) -> None:
    await load(store, task("a", 1, limits=["key"]), task("b", 2, {"a": True}), task("c", 3, {"a": False}))
    await store.graphs.limit("key", 1)
    await claim(store)
    assert await store.queue.expire(1000.0) == 1
    assert await states(store) == {"a": TaskState.FAILED, "b": TaskState.SKIPPED, "c": TaskState.READY}


async def test_task_that_waits_for_one_outside_its_graph_is_refused_whole(store: Store) -> None:
    with pytest.raises(errors.Invalid, match="waits for x, which is not in its graph"):
        await load(store, task("a", 1), task("b", 2, {"x": True}))
    assert await states(store) == {}


async def test_graph_that_is_loaded_again_stays_as_it_is(store: Store) -> None:
    """The reply to the first load was lost, and its tasks began."""
    graph = (task("a", 1), task("b", 2, {"a": True}))
    await load(store, *graph)
    (first,) = await claim(store)
    await settle(store, first)
    await load(store, *graph)
    assert await states(store) == {"a": TaskState.DONE, "b": TaskState.READY}
    await store.graphs.load([], 100.0)


async def test_limit_holds_what_exceeds_it_and_lets_others_pass(store: Store) -> None:
    await store.graphs.limit("tenant", 2)
    keyed = [task(f"k{number}", number, limits=["tenant"], priority=number == 4) for number in range(1, 5)]
    await load(store, *keyed, task("z-free", 9))
    claimed = await claim(store)
    assert sorted(each.task for each in claimed) == ["k1", "k4", "z-free"]
    found = await states(store)
    assert (found["k2"], found["k3"]) == (TaskState.HELD, TaskState.HELD)
    assert not await store.queue.ready("local")
    await settle(store, next(each for each in claimed if each.task == "k1"))
    (back,) = await claim(store)
    assert (back.task, back.fence) == ("k2", 1)
    await settle(store, back)
    assert [each.task for each in await claim(store)] == ["k3"]


async def test_task_that_names_several_limits_waits_for_all(store: Store) -> None:
    await store.graphs.limit("a", 1)
    await store.graphs.limit("b", 1)
    await load(
        store, task("t1", 1, limits=["a"]), task("t2", 2, limits=["b"]), task("t3", 3, limits=["a", "b", "never set"])
    )
    one, two = await claim(store)
    await settle(store, one)
    assert await claim(store) == []
    await settle(store, two)
    assert [each.task for each in await claim(store)] == ["t3"]


async def test_limit_that_is_raised_brings_back_what_it_held(store: Store) -> None:
    await store.graphs.limit("key", 0)
    await load(store, task("t1", 1, limits=["key"]), task("t2", 2, limits=["key"]), task("t3", 3, limits=["key"]))
    assert await claim(store) == []
    await store.graphs.limit("key", 2)
    assert [each.task for each in await claim(store)] == ["t1", "t2"]
    await store.graphs.limit("key", None)
    assert [each.task for each in await claim(store)] == ["t3"]


async def test_rate_spreads_starts_and_allows_a_burst(store: Store) -> None:
    await store.graphs.limit("api", None, interval_seconds=10.0, burst=2)
    await load(store, *(task(f"t{number}", number, limits=["api"]) for number in range(1, 5)))
    assert [each.task for each in await claim(store, 100.0)] == ["t1", "t2"]
    assert (await states(store))["t3"] is TaskState.DELAYED
    assert await store.graphs.due(109.9) == 0
    assert await store.graphs.due(110.0) == 2
    assert [each.task for each in await claim(store, 110.0)] == ["t3"]
    assert await store.graphs.due(119.0) == 0
    assert await store.graphs.due(120.0) == 1
    assert [each.task for each in await claim(store, 120.0)] == ["t4"]


async def test_delayed_attempt_frees_its_place_and_comes_back(store: Store) -> None:
    await store.graphs.limit("key", 1)
    await load(store, task("t1", 1, limits=["key"]), task("t2", 2, limits=["key"]), task("t3", 3, {"t1": True}))
    (first,) = await claim(store)
    assert not await store.graphs.delay(first.task, first.fence + 1, 200.0)
    assert await store.graphs.delay(first.task, first.fence, 200.0)
    assert not await store.graphs.delay(first.task, first.fence, 200.0)
    (second,) = await claim(store)
    assert second.task == "t2"
    await settle(store, second)
    assert await store.graphs.due(199.0) == 0
    assert await store.graphs.due(200.0) == 1
    (again,) = await claim(store, 200.0)
    assert (again.task, again.fence, again.attempt) == ("t1", 2, 2)
    assert not await store.queue.settle("t1", 1, Done(1), 201.0)
    await settle(store, again)
    assert (await states(store))["t3"] is TaskState.READY


async def test_many_delayed_tasks_become_ready_in_pieces(store: Store) -> None:
    await load(store, *(task(f"t{number:03}", number, ready_at=200.0 + number) for number in range(DUE_AT_ONCE + 7)))
    assert await store.graphs.due(5000.0) == DUE_AT_ONCE
    left = [name for name, state in (await states(store)).items() if state is TaskState.DELAYED]
    assert left == [f"t{number}" for number in range(DUE_AT_ONCE, DUE_AT_ONCE + 7)]
    assert await store.graphs.due(5000.0) == 7
    assert await store.graphs.due(5000.0) == 0


async def test_task_begins_no_sooner_than_it_may(store: Store) -> None:
    await load(store, task("a", 1), task("late", 2, ready_at=500.0), task("after", 3, {"a": True}, ready_at=400.0))
    (first,) = await claim(store)
    await settle(store, first)
    assert await claim(store) == []
    assert await store.graphs.due(400.0) == 1
    assert [each.task for each in await claim(store)] == ["after"]
    assert await store.graphs.due(None) == 1
    assert [each.task for each in await claim(store)] == ["late"]


async def test_pool_counts_tasks_that_limits_let_pass_only(store: Store) -> None:
    await store.graphs.limit("key", 1)
    await load(
        store, *(task(f"k{number}", number, limits=["key"]) for number in range(1, 4)), task("z1", 8), task("z2", 9)
    )
    assert [each.task for each in await claim(store, slots=2)] == ["k1", "z1"]
