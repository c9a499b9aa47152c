"""Placements, loads and settles of task graphs that meet between two statements."""

from __future__ import annotations

import asyncio

import pytest

from interlock.model import fault
from interlock.model.fault import Fault
from interlock.model.task import Done, Failed, FailureClass, Outcome, Resources
from interlock.model.task_graph import RetryTerms
from interlock.store.ports import DeclaredPool, Placement, Store
from interlock.store.sql.postgresql.store import PostgresStore
from store.rows import graph, graph_task
from store.stops import is_blocked, stopped

Two = tuple[PostgresStore, PostgresStore]
FAILURE = Failed(FailureClass.APPLICATION, Fault(type=fault.RUNTIME, status=500))


def placements(*ids: str, **resources: float) -> list[Placement]:
    return [
        Placement(task=f"default/g/{id}", pool="p", resources=Resources(**resources), decision=b"{}")  # type: ignore[arg-type]  # of the test
        for id in ids
    ]


async def declared(store: Store, **more: object) -> None:
    await store.pools.declare([DeclaredPool(pool="p", type="docker", **more)], 100.0)  # type: ignore[arg-type]  # of the test


@pytest.mark.parametrize(
    ("room", "asked"), [({"capacity": 1}, {}), ({"cpu": 4.0}, {"cpu": 3.0}), ({"memory": 100.0}, {"memory": 60.0})]
)
async def test_two_placements_that_count_at_once_never_exceed_a_pool(
    two: Two, postgres_url: str, room: dict[str, float], asked: dict[str, float]
) -> None:
    """SH-03, PO-02, PO-03."""
    one, other = two
    await declared(one, **room)
    await one.tasks.load(graph(), [graph_task("a", 1), graph_task("b", 2)], 100.0)
    stop = stopped(one, one.pools, "pools_usage")
    first = asyncio.create_task(one.pools.place("n1", placements("a", **asked), 60.0, 100.0))
    await stop.reached.wait()
    second = asyncio.create_task(other.pools.place("n2", placements("b", **asked), 60.0, 100.0))
    await is_blocked(postgres_url)
    stop.go_on.set()
    assert sorted([len((await first).claimed), len((await second).claimed)]) == [0, 1]


@pytest.mark.parametrize(("outcome", "state"), [(Done(1), "ready"), (FAILURE, "skipped")])
async def test_load_that_waits_for_a_task_which_ends_meanwhile(
    two: Two, postgres_url: str, outcome: Outcome, state: str
) -> None:
    """Else the new task would wait for ever: its predecessor took its edges away before there was one."""
    one, other = two
    await declared(one)
    a = graph_task("a", 1, retry=RetryTerms(budgets={"application": 0}))
    await one.tasks.load(graph(), [a], 100.0)
    ((task,),) = [(await one.pools.place("n1", placements("a"), 60.0, 100.0)).claimed]
    stop = stopped(one, one.tasks, "edge_add_behind")
    loading = asyncio.create_task(one.tasks.load(graph(digest="2"), [a, graph_task("b", 2, {"a": True})], 101.0))
    await stop.reached.wait()
    settling = asyncio.create_task(other.queue.settle(task.task, task.fence, outcome, 102.0, holder="n1"))
    await is_blocked(postgres_url)
    stop.go_on.set()
    await loading
    assert await settling
    row = await one.tasks.get("default/g/b")
    assert row is not None
    assert row.state == state


async def test_settle_that_comes_before_the_edge_is_seen_by_the_load(two: Two, postgres_url: str) -> None:
    one, other = two
    await declared(one)
    await one.tasks.load(graph(), [graph_task("a", 1)], 100.0)
    ((task,),) = [(await one.pools.place("n1", placements("a"), 60.0, 100.0)).claimed]
    stop = stopped(other, other.queue, "task_end")
    settling = asyncio.create_task(other.queue.settle(task.task, task.fence, Done(1), 102.0, holder="n1"))
    await stop.reached.wait()
    again = [graph_task("a", 1), graph_task("b", 2, {"a": True})]
    loading = asyncio.create_task(one.tasks.load(graph(digest="2"), again, 101.0))
    await is_blocked(postgres_url)
    stop.go_on.set()
    assert await settling
    await loading
    row = await one.tasks.get("default/g/b")
    assert row is not None
    assert row.state == "ready"


@pytest.mark.parametrize(
    ("outcome", "who", "after"),
    [
        (Done(1), "retry", {"bad": "ready", "behind": "blocked"}),
        (Done(1), "settle", {"bad": "ready", "behind": "blocked"}),
        (FAILURE, "retry", {"bad": "skipped", "behind": "skipped"}),  # it waited for what then failed
        (FAILURE, "settle", {"bad": "ready", "behind": "skipped"}),  # what had failed by then is no reason, as by hand
    ],
    ids=["done-retry", "done-settle", "failed-retry", "failed-settle"],
)
async def test_retry_that_waits_for_a_task_which_ends_meanwhile(
    two: Two, postgres_url: str, outcome: Outcome, who: str, after: dict[str, str]
) -> None:
    """Whoever comes first of the two: nothing waits for ever. `bad` was given the predecessor since it failed, `behind` had it."""
    one, other = two
    await declared(one)
    once = RetryTerms(budgets={"application": 0})
    rows = [graph_task("open", 1, retry=once), graph_task("bad", 2, retry=once)]
    behind = graph_task("behind", 3, {"bad": True, "open": True})
    await one.tasks.load(graph(), [*rows, behind], 100.0)
    tasks = {
        task.task[-4:].strip("/"): task
        for task in (await one.pools.place("n1", placements("open", "bad"), 60.0, 100.0)).claimed
    }
    assert await one.queue.settle("default/g/bad", tasks["bad"].fence, FAILURE, 101.0, holder="n1")
    mended = graph_task("bad", 2, {"open": True}, digest="new", retry=once)
    await one.tasks.load(graph(digest="2"), [rows[0], mended, behind], 102.0)
    retrying, settling = (
        lambda: one.tasks.reopen("default/g/bad", 103.0),
        lambda: other.queue.settle("default/g/open", tasks["open"].fence, outcome, 103.0, holder="n1"),
    )
    first, second = (retrying, settling) if who == "retry" else (settling, retrying)
    end = "task_end" if isinstance(outcome, Done) else "task_over"
    stop = stopped(one, one.tasks, "edge_add_behind") if who == "retry" else stopped(other, other.queue, end)
    begun = asyncio.create_task(first())
    await stop.reached.wait()
    met = asyncio.create_task(second())
    await is_blocked(postgres_url)
    stop.go_on.set()
    assert (await begun, await met) == (True, True)
    assert {id: await state_of(one, id) for id in after} == after


async def state_of(store: Store, id: str) -> str:
    row = await store.tasks.get(f"default/g/{id}")
    assert row is not None
    return row.state


async def test_cancel_that_meets_a_placement_stops_the_task_either_way(two: Two, postgres_url: str) -> None:
    one, other = two
    await declared(one)
    await one.tasks.load(graph(), [graph_task("a", 1)], 100.0)
    stop = stopped(one, one.pools, "tasks_place")
    placing = asyncio.create_task(one.pools.place("n1", placements("a"), 60.0, 100.0))
    await stop.reached.wait()
    cancelling = asyncio.create_task(other.tasks.stop("default/g/a", 101.0))
    await is_blocked(postgres_url)
    stop.go_on.set()
    ((task,),) = [(await placing).claimed]
    assert await cancelling
    assert await one.queue.unwanted("n1", [task.key]) == [task.key]
