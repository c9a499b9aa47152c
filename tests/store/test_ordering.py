"""Another policy orders what waits already, in every store. DQ-05."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from interlock import errors
from interlock.app.declared import Declared
from interlock.app.ordering import Ordering
from interlock.app.tasks import TaskGraphs
from interlock.dispatch.policies import POLICIES
from interlock.flow.taskgraph import reading
from interlock.model.states import TaskState
from interlock.model.task import Done, Resources
from interlock.service import SystemClock
from interlock.store.ports import ALL, DeclaredPool, NewStamp, Placement, Store
from store.rows import graph, graph_task

FIVE = """
graph: g
tasks:
  - {id: old, run: [x]}
  - {id: middle, run: [x], priority: 5, key: a}
  - {id: due, run: [x], deadline: 1h}
  - {id: high, run: [x], priority: 9, key: a}
  - {id: behind, run: [x], priority: 7, dependencies: [old]}
"""
ORDERS = {
    "fifo": ["old", "middle", "due", "high"],
    "priority": ["high", "middle", "old", "due"],
    "skill-based": ["high", "middle", "old", "due"],
    "deadline": ["due", "high", "middle", "old"],
    "fair-share": ["middle", "old", "due", "high"],
}


async def declare(store: Store, policy: str = "priority") -> None:
    settings = msgspec.json.encode(Declared(policy=policy))
    await store.pools.declare([DeclaredPool(pool=ALL, type="", settings=settings)], None)


async def loaded(store: Store, text: str = FIVE) -> TaskGraphs:
    book = TaskGraphs(store, SystemClock())
    await book.load(reading.read(text).required(), "/")
    return book


async def waiting(store: Store) -> list[str]:
    """The ids of ready tasks in the order in which they would be placed."""
    lanes = await store.pools.lanes("", 100)
    heads = [head for found in (await store.pools.heads(lanes, 100)).values() for head in found]
    ordered = sorted(heads, key=lambda head: (-head.priority, head.rank, head.task))
    return [head.task.rpartition("/")[2] for head in ordered]


@pytest.mark.parametrize("policy", POLICIES)
async def test_tasks_that_wait_are_ordered_by_the_policy_that_is_chosen(store: Store, policy: str) -> None:
    """As if they had been stored under it, whatever was in force before; and FIFO counts priorities for nothing."""
    await declare(store, "fifo" if policy == "priority" else "priority")
    await loaded(store)
    chosen = await Ordering(store, SystemClock()).choose(policy)
    assert (chosen.order.name, chosen.changed) == (policy, True)
    assert await waiting(store) == ORDERS[policy]


async def test_priority_counts_nothing_while_tasks_are_ordered_by_age(store: Store) -> None:
    """DQ-05: a priority can change while its task waits; switched off, age decides; switched on again, it counts."""
    await declare(store)
    book, ordering = await loaded(store), Ordering(store, SystemClock())
    await book.reprioritise(await book.find("g/old"), 20)
    assert await waiting(store) == ["old", "high", "middle", "due"]
    assert (await ordering.choose("fifo")).stamped == 5
    assert await waiting(store) == ["old", "middle", "due", "high"]
    await book.reprioritise(await book.find("g/due"), 30)
    assert await waiting(store) == ["old", "middle", "due", "high"]
    back = await ordering.choose(None)
    assert (back.order.name, back.order.chosen, back.changed) == ("priority", None, True)
    assert await waiting(store) == ["due", "old", "high", "middle"]
    again = await ordering.choose(None)
    assert (again.changed, again.stamped) == (False, 0)


async def test_choice_counts_for_what_is_loaded_or_unblocked_later(store: Store) -> None:
    await declare(store)
    await loaded(store)
    await Ordering(store, SystemClock()).choose("fifo")
    await declare(store)  # a node starts
    book = await loaded(store, "graph: h\ntasks:\n  - {id: late, run: [x], priority: 50}\n")
    placement = Placement(task="default/g/old", pool="p", resources=Resources(), decision=b"{}")
    await store.pools.declare([DeclaredPool(pool="p", type="docker")], None)
    (task,) = (await store.pools.place("n1", [placement], 60.0, None)).claimed
    await store.queue.settle(task.task, task.fence, Done(1), None, holder="n1")
    assert await waiting(store) == ["middle", "due", "high", "behind", "late"]
    explained = await book.explain(await book.find("h/late"))
    assert explained.policy == "fifo"


async def test_load_and_change_of_a_priority_that_a_choice_overtakes_follow_it(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The choice comes after they looked which policy is in force, and stamps what was there before they wrote."""
    await declare(store)
    book, ordering = TaskGraphs(store, SystemClock()), Ordering(store, SystemClock())
    load, rank = store.tasks.load, store.tasks.rank

    async def late_load(*given: Any) -> Any:
        await ordering.choose("fifo")
        return await load(*given)

    async def late_rank(*given: Any) -> Any:
        await ordering.choose(None)
        return await rank(*given)

    monkeypatch.setattr(store.tasks, "load", late_load)
    await book.load(reading.read(FIVE).required(), "/")
    assert await waiting(store) == ["old", "middle", "due", "high"]
    monkeypatch.setattr(store.tasks, "rank", late_rank)
    await book.reprioritise(await book.find("g/due"), 30)
    assert await waiting(store) == ["due", "high", "middle", "old"]


async def test_failed_task_that_is_tried_again_stands_where_the_new_policy_has_it(store: Store) -> None:
    await declare(store)
    book = await loaded(store)
    await book.cancel(await book.find("g/high"))
    await Ordering(store, SystemClock()).choose("fifo")
    await book.retry(await book.find("g/high"))
    assert await waiting(store) == ["old", "middle", "due", "high"]


async def test_task_that_was_moved_meanwhile_stays_where_it_was_moved_to(store: Store) -> None:
    """Who stamps by what was read before does not undo what somebody did since."""
    await store.tasks.load(graph(), [graph_task("a", 1)], 100.0)
    (task,) = await store.tasks.stamped("default/g")
    await store.tasks.rank(task.task, 7, 1.5, task.spec)
    await store.tasks.stamp([NewStamp(task=task.task, before=(task.priority, task.rank), after=(0, 9.0))])
    (after,) = await store.tasks.stamped("default/g")
    assert (after.priority, after.rank) == (7, 1.5)


async def test_done_tasks_are_not_looked_at_again(store: Store) -> None:
    await store.tasks.load(graph(), [graph_task("a", 1), graph_task("b", 2), graph_task("c", 3)], 100.0)
    await store.pools.declare([DeclaredPool(pool="p", type="docker")], None)
    placement = Placement(task="default/g/a", pool="p", resources=Resources(), decision=b"{}")
    (task,) = (await store.pools.place("n1", [placement], 60.0, 101.0)).claimed
    await store.queue.settle(task.task, task.fence, Done(1), 102.0, holder="n1")
    await store.tasks.stop("default/g/c", 103.0)
    assert [each.number for each in await store.tasks.stamped("default/g")] == [2, 3]
    row = await store.tasks.get("default/g/c")
    assert row is not None
    assert row.state is TaskState.CANCELLED


async def test_policy_that_is_not_known_changes_nothing(store: Store) -> None:
    ordering = Ordering(store, SystemClock())
    with pytest.raises(errors.Conflict, match="no node has declared its pools yet"):
        await ordering.choose("fifo")
    await declare(store)
    with pytest.raises(errors.Invalid, match="there are fifo, priority, skill-based, fair-share"):
        await ordering.choose("fifa")
    with pytest.raises(errors.Invalid, match="'os:getpid' can be named in"):
        await ordering.choose("os:getpid")
    assert (await ordering.in_force()).name == "priority"
