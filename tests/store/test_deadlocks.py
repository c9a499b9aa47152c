"""Deadlocks are found in the rows of every store, and ended as the configuration says (DL-01, DL-02)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from interlock import telemetry
from interlock.dispatch import deadlocks
from interlock.dispatch.configuration import DeadlockAction, DeadlockSettings
from interlock.dispatch.deadlocks import Deadlock, Deadlocks, Kind
from interlock.model.states import TaskState
from interlock.model.task import Resources
from interlock.service import SystemClock
from interlock.store.ports import (
    Begun,
    DeclaredPool,
    GraphTask,
    LockRequest,
    NewGraph,
    NewToken,
    NewWait,
    Placement,
    PlaceWait,
    Store,
)
from store.rows import accepting, graph_task


async def put(store: Store, *rows: GraphTask) -> None:
    """Store a graph behind the back of the load, which takes circles as they are."""
    await store.tasks.load(NewGraph(graph="default/g", namespace="default", name="g", digest="1", document=b"{}", folder="/"),
                           rows, 100.0)  # fmt: skip


async def put_other(store: Store, name: str, *rows: GraphTask) -> None:
    """Store tasks as those of another graph than g."""
    key = f"default/{name}"
    moved = [
        msgspec.structs.replace(row, task=msgspec.structs.replace(row.task, task=f"{key}/{row.task.path}", run=key))
        for row in rows
    ]
    await store.tasks.load(
        NewGraph(graph=key, namespace="default", name=name, digest="1", document=b"{}", folder="/"), moved, 100.0
    )


def circle(*ids: str, first: int = 1, **more: Any) -> list[GraphTask]:
    """Tasks that each wait for the one before, and the first for the last."""
    return [
        graph_task(id, number, {ids[place - 1]: True}, **more)
        for place, (number, id) in enumerate(enumerate(ids, first))
    ]


async def states(store: Store) -> dict[str, str]:
    return {row.id: row.state.value for row in await store.tasks.page("default/g", None, 0, 2000)}


LIMIT = "concurrency/default/k"


async def nested(store: Store, capacity: int, *others: str) -> None:
    """A task that is a workflow has a place of a key; a child of its run waits for the graph g, whose tasks want one too.

    `others`: tasks that take a place before those of g ask for theirs.
    """
    await store.pools.declare([DeclaredPool(pool="p", type="local-process")], 100.0)
    await store.graphs.limit(LIMIT, capacity)
    await put_other(
        store, "o", *(graph_task(id, number, limits=[LIMIT]) for number, id in enumerate(("w", *others), 1))
    )
    await try_to_place(store, *(f"default/o/{id}" for id in ("w", *others)))
    await store.journal.commit(accepting("r1", new={"parent": "default/o/w"}))
    token = NewToken(token="k1", effect=1, name="build", step="/do/0/build")
    await store.journal.commit(accepting("r2", new={"parent": "r1", "parent_effect": 1}, tokens=[token]))
    waiting = NewWait(graph="default/g", visit="r2/do/0/build", token="k1", run="r2")
    assert await store.waits.begin(waiting, 100.0) is Begun.LOADING
    await put(store, graph_task("a", 1, limits=[LIMIT]), graph_task("b", 2, limits=[LIMIT]))
    await try_to_place(store, "default/g/a", "default/g/b")


async def try_to_place(store: Store, *tasks: str) -> None:
    wanted = [Placement(task=task, pool="p", resources=Resources(), decision=b"{}") for task in tasks]
    await store.pools.place("n1", wanted, 60.0, 101.0)


async def test_places_of_a_key_that_only_those_who_wait_could_give_back_are_found(store: Store) -> None:
    """DL-01, for slots: neither can go on before the other has ended."""
    await nested(store, 1)
    (one,) = await found(store)
    assert one == Deadlock(kind=Kind.PLACES, where="default/g", members=("a", "default/o/w"), key=LIMIT)
    assert str(one) == (
        "the task a of default/g waits for a place of concurrency/default/k, all of which are taken by default/o/w, whose runs"
        " wait for its end; raise the limit, or name another key"
    )
    resolving = Deadlocks(store, SystemClock(), DeadlockSettings(action=DeadlockAction.RESOLVE))
    await resolving.round()
    assert (await states(store))["a"] == "cancelled"


async def test_one_that_goes_may_be_enough_for_all_that_wait_for_places(store: Store) -> None:
    """Two workflows have both places, and each waits for a task that wants one: it is enough that the lesser task goes."""
    await store.pools.declare([DeclaredPool(pool="p", type="local-process")], 100.0)
    await store.graphs.limit(LIMIT, 2)
    await put_other(store, "o", graph_task("v", 1, limits=[LIMIT]), graph_task("w", 2, limits=[LIMIT]))
    await try_to_place(store, "default/o/v", "default/o/w")
    for graph, outer, priority in (("g", "v", 5), ("h", "w", 1)):
        token = NewToken(token=graph, effect=1, name="build", step="/do/0/build")
        await store.journal.commit(accepting(graph, new={"parent": f"default/o/{outer}"}, tokens=[token]))
        waiting = NewWait(graph=f"default/{graph}", visit=f"{graph}/do/0/build", token=graph, run=graph)
        assert await store.waits.begin(waiting, 100.0) is Begun.LOADING
        await put_other(store, graph, graph_task("a", 1, limits=[LIMIT], priority=priority))
        await try_to_place(store, f"default/{graph}/a")
    assert {each.where for each in await found(store)} == {"default/g", "default/h"}
    loop = Deadlocks(store, SystemClock(), DeadlockSettings(action=DeadlockAction.RESOLVE))
    assert await loop.round()
    assert not await loop.round()
    (g,), (h,) = [await store.tasks.page(f"default/{name}", None, 0, 10) for name in "gh"]
    assert (g.state, h.state) == (TaskState.HELD, TaskState.CANCELLED)


async def test_place_that_somebody_else_gives_back_is_no_deadlock(store: Store) -> None:
    await nested(store, 2, "x")
    assert (await states(store)) == {"a": "held", "b": "held"}
    assert await found(store) == []


async def test_free_place_is_no_deadlock(store: Store) -> None:
    await nested(store, 3)
    assert (await states(store)) == {"a": "running", "b": "running"}
    assert await found(store) == []


def test_those_that_wait_for_one_who_is_freed_do_not_wait_for_ever() -> None:
    """The second waits for the first, which waits for somebody who runs."""
    waits = [
        PlaceWait(task="g/a", graph="g", limit="k", holders=["o/w", "o/x"], awaited_by=["o/w"]),
        PlaceWait(task="h/a", graph="h", limit="l", holders=["o/w"], awaited_by=["o/v"]),
    ]
    assert deadlocks.among_places(waits) == []
    waits[0] = PlaceWait(task="g/a", graph="g", limit="k", holders=["o/w", "o/v"], awaited_by=["o/w"])
    assert [each.where for each in deadlocks.among_places(waits)] == ["g", "h"]


async def found(store: Store) -> list[Deadlock]:
    return await deadlocks.find(store, 200.0)


@pytest.mark.parametrize("ids", [("a",), ("a", "b"), ("a", "b", "c")], ids=["self-loop", "2-cycle", "3-cycle"])
async def test_a_circle_is_found_with_its_members_only(store: Store, ids: tuple[str, ...]) -> None:
    """DL-01, DL-02: what waits for a circle is in none."""
    behind = graph_task("behind", 10, {ids[0]: True})
    await put(store, graph_task("free", 9), *circle(*ids), behind)

    (one,) = await found(store)

    assert (one.kind, one.where, set(one.members)) == (Kind.CIRCLE, "default/g", set(ids))
    assert len(one.members) == len(ids)


async def test_a_graph_of_1000_tasks_without_a_circle_has_none(store: Store) -> None:
    rows = [
        graph_task(f"t{n}", n, {f"t{n // 2}": True, f"t{n // 3}": False} if n > 2 else None) for n in range(1, 1001)
    ]
    await put(store, *[row for row in rows if "default/g/t0" not in row.after])

    assert await found(store) == []


async def test_equal_ids_in_two_graphs_are_two_circles(store: Store) -> None:
    """DL-02: ids are per graph."""
    await put(store, *circle("a", "b"))
    other = [
        GraphTask(
            task=msgspec.structs.replace(row.task, task=f"default/h/{row.task.path}", run="default/h"),
            after={f"default/h/{name.rpartition('/')[2]}": True for name in row.after},
            spec=row.spec,
        )
        for row in circle("a", "b")
    ]
    header = NewGraph(graph="default/h", namespace="default", name="h", digest="1", document=b"{}", folder="/")
    await store.tasks.load(header, other, 100.0)

    assert [(each.where, set(each.members)) for each in await found(store)] == [
        ("default/g", {"a", "b"}),
        ("default/h", {"a", "b"}),
    ]


async def edge(store: Any, task: str, other: str) -> None:
    """Let a task wait for another one, as no statement of the product would."""
    row = {"predecessor": f"default/g/{other}", "task": f"default/g/{task}", "blocking": 1}
    await store.tasks._database.write(lambda transaction: transaction.many("edge_add", [row]))


@pytest.mark.parametrize(
    ("action", "expected"), [(DeadlockAction.ERROR, "blocked"), (DeadlockAction.RESOLVE, "cancelled")]
)
async def test_a_wait_for_a_task_that_does_not_exist_is_found_and_resolved_by_that_action_alone(
    store: Store, action: DeadlockAction, expected: str
) -> None:
    await put(store, graph_task("a", 1), graph_task("b", 2, {"a": True}))
    await edge(store, "b", "gone")

    assert [str(each) for each in await found(store)] == [
        "the task b of default/g waits for gone, which does not exist"
    ]
    await Deadlocks(store, SystemClock(), DeadlockSettings(action=action)).round()
    assert await states(store) == {"a": "ready", "b": expected}
    assert len(await found(store)) == (expected == "blocked")


async def test_what_a_load_has_not_stored_yet_is_not_missing(store: Store) -> None:
    await put(store, graph_task("a", 1), graph_task("b", 2, {"a": True}))
    await edge(store, "b", "gone")
    await edge(store, "b", "")  # the gate of a load

    assert await found(store) == []


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        (DeadlockAction.WARN, {"a": "blocked", "b": "blocked", "c": "blocked", "free": "ready", "behind": "blocked"}),
        (
            DeadlockAction.ERROR,
            {"a": "blocked", "b": "blocked", "c": "blocked", "free": "ready", "behind": "blocked"},
        ),
        (
            DeadlockAction.RESOLVE,
            {"a": "ready", "b": "cancelled", "c": "blocked", "free": "ready", "behind": "blocked"},
        ),
    ],
)
async def test_the_action_decides_who_goes(store: Store, action: DeadlockAction, expected: dict[str, str]) -> None:
    """DL-01: by edges that do not skip, so that what is left goes on. b has the lowest priority, and a waits for it..."""
    rows = [
        graph_task("a", 1, {"b": False}, priority=5),
        graph_task("b", 2, {"c": False}, priority=1),
        graph_task("c", 3, {"a": False}, priority=3),
        graph_task("free", 4),
        graph_task("behind", 5, {"c": False}),
    ]
    await put(store, *rows)
    told: list[tuple[str, dict[str, Any]]] = []
    detach = telemetry.attach(lambda name, fields: told.append((name, fields)))
    loop = Deadlocks(store, SystemClock(), DeadlockSettings(action=action))
    try:
        await loop.round()
        after = await states(store)
        await loop.round()
    finally:
        detach()

    assert after == expected
    names = [name for name, _ in told if name.startswith("task.deadlock")]
    word = "task.deadlock_error" if action is DeadlockAction.ERROR else "task.deadlock"
    assert [name for name in names if name in {"task.deadlock", "task.deadlock_error"}] == [
        word
    ]  # however often it looks
    assert ("task.deadlock_over" in names) is (action is DeadlockAction.RESOLVE)


async def test_sessions_that_wait_for_each_other_are_found(store: Store) -> None:
    def asked(name: str, session: str) -> LockRequest:
        return LockRequest(
            namespace="default", name=name, holder=session, session=session, ttl_seconds=300.0, nonce=name + session
        )

    for name, session in (("x", "s1"), ("y", "s2")):
        assert (await store.locks.take(asked(name, session), 200.0)).grant is not None
    for name, session in (("y", "s1"), ("x", "s2")):
        await store.locks.queue(asked(name, session), 60.0, 200.0)
    await store.locks.queue(asked("x", "s3"), 60.0, 200.0)

    (one,) = await found(store)

    assert (one.kind, set(one.members)) == (Kind.LOCKS, {"s1", "s2"})
