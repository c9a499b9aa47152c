"""Conformance of pools: room, placement, states, lanes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from interlock.model.call import Requirements
from interlock.model.fault import Fault
from interlock.model.task import ContainerTarget, Done, Failed, FailureClass, Resources
from interlock.store.ports import ALL, DeclaredPool, Placed, Placement, PoolState, Store
from store.rows import accepting, graph, graph_task, new_task


async def pools(store: Store, *declared: DeclaredPool) -> None:
    await store.pools.declare(declared, 100.0)


async def load(store: Store, count: int, lane: str = "?", **more: object) -> None:
    rows = [graph_task(f"t{number:03}", number, lane=lane, **more) for number in range(1, count + 1)]
    await store.tasks.load(graph(), rows, 100.0)


def wanted(count: int, pool: str = "p", resources: Resources | None = None, first: int = 1) -> list[Placement]:
    return [
        Placement(
            task=f"default/g/t{number:03}", pool=pool, resources=resources or Resources(), decision=b'{"reason":"r"}'
        )
        for number in range(first, first + count)
    ]


def ids(placed: Placed) -> list[str]:
    return [task.task.rpartition("/")[2] for task in placed.claimed]


async def place(store: Store, placements: Sequence[Placement], node: str = "n1") -> Placed:
    return await store.pools.place(node, placements, 60.0, 101.0)


async def test_pool_gets_no_more_than_its_room_in_one_round(store: Store) -> None:
    """SC-02: what a round has placed counts against the limit; SC-01: what did not fit stays as it was."""
    await pools(store, DeclaredPool(pool="p", type="docker", capacity=2))
    await load(store, 6)
    placed = await place(store, wanted(6))
    assert ids(placed) == ["t001", "t002"]
    assert [task.rpartition("/")[2] for task in placed.refused] == ["t003", "t004", "t005", "t006"]
    assert [each.task[-4:] for each in (await store.pools.heads(["?"], 10))["?"]] == ["t003", "t004", "t005", "t006"]
    (row,) = await store.pools.all()
    assert (row.running, row.turn) == (2, 2)
    task = placed.claimed[0]
    assert (task.pool, task.namespace, task.run_id, task.attempt) == ("p", "default", "", 1)
    assert task.spec is not None
    assert await store.queue.settle(task.task, task.fence, Done(1), 102.0, holder="n1")
    assert ids(await place(store, wanted(4, first=3))) == ["t003"]


async def test_quotas_are_of_what_running_attempts_asked_for(store: Store) -> None:
    """PO-03: 8 cores, 2 a task: 4 run; the end of one gives its cores back."""
    await pools(store, DeclaredPool(pool="p", type="docker", cpu=8, memory=1000))
    await load(store, 10)
    placed = await place(store, wanted(6, resources=Resources(cpu=2, memory=100)))
    assert len(placed.claimed) == 4
    (row,) = await store.pools.all()
    assert (row.cpu_taken, row.memory_taken) == (8.0, 400.0)
    task = placed.claimed[0]
    await store.queue.settle(task.task, task.fence, Done(1), 102.0, holder="n1")
    assert len((await place(store, wanted(5, resources=Resources(cpu=0.1, memory=650), first=6))).claimed) == 1


async def test_devices_are_given_to_one_attempt_at_a_time(store: Store) -> None:
    await pools(store, DeclaredPool(pool="p", type="docker", gpus=4))
    await load(store, 5)
    first = await place(store, wanted(2, resources=Resources(gpus=1)))
    assert [task.devices for task in first.claimed] == [(0,), (1,)]
    assert (await place(store, wanted(1, resources=Resources(gpus=3), first=3))).claimed == []
    await store.queue.settle(first.claimed[0].task, first.claimed[0].fence, Done(1), 102.0, holder="n1")
    assert [task.devices for task in (await place(store, wanted(1, resources=Resources(gpus=3), first=3))).claimed] == [
        (0, 2, 3)
    ]
    held = await store.queue.held("n1", "p")
    assert {task.devices for task in held} == {(1,), (0, 2, 3)}


async def test_all_pools_together_have_a_limit(store: Store) -> None:
    await pools(
        store,
        DeclaredPool(pool=ALL, type="", capacity=3),
        DeclaredPool(pool="p", type="docker"),
        DeclaredPool(pool="q", type="docker"),
    )
    await load(store, 6)
    placed = await place(store, wanted(2) + wanted(4, "q", first=3))
    assert ids(placed) == ["t001", "t002", "t003"]
    assert {row.pool: row.running for row in await store.pools.all()} == {ALL: 3, "p": 2, "q": 1}


async def test_tasks_that_are_workflows_take_no_place_of_all_pools_together(store: Store) -> None:
    """They only watch runs; what those load, and their steps, would wait for the places for ever."""
    await pools(
        store,
        DeclaredPool(pool=ALL, type="", capacity=1),
        DeclaredPool(pool="workflows", type="workflows", capacity=2),
        DeclaredPool(pool="p", type="docker"),
    )
    await load(store, 5)
    placed = await place(store, wanted(3, "workflows") + wanted(2, first=4))
    assert ids(placed) == ["t001", "t002", "t004"]
    assert {row.pool: row.running for row in await store.pools.all()} == {ALL: 1, "p": 1, "workflows": 2}
    assert ids(await place(store, wanted(1, "workflows", first=3) + wanted(1, first=5))) == []


async def test_disabled_pool_gets_nothing_until_it_is_enabled_again(store: Store) -> None:
    """PO-01."""
    await pools(store, DeclaredPool(pool="p", type="docker"))
    await load(store, 2)
    assert await store.pools.set_state("p", PoolState.DISABLED)
    assert not await store.pools.set_state("p", PoolState.DISABLED)
    assert ids(await place(store, wanted(2))) == []
    await pools(store, DeclaredPool(pool="p", type="docker", capacity=1))  # what people said stays
    assert ids(await place(store, wanted(2))) == []
    await store.pools.set_state("p", PoolState.ENABLED)
    assert ids(await place(store, wanted(2))) == ["t001"]


async def test_policy_that_was_chosen_stays_when_nodes_declare_their_pools(store: Store) -> None:
    """DQ-05."""
    assert not await store.pools.choose("fifo")  # no node has declared any
    together = DeclaredPool(pool=ALL, type="", settings=b'{"policy":"priority","weights":{"a":2.0}}')
    await pools(store, together, DeclaredPool(pool="p", type="docker"))
    assert await policies(store) == {ALL: None, "p": None}
    assert await store.pools.choose("fifo")
    assert not await store.pools.choose("fifo")
    await pools(store, together, DeclaredPool(pool="p", type="docker"))
    assert await policies(store) == {ALL: "fifo", "p": None}
    assert await store.pools.choose("deadline")
    assert await policies(store) == {ALL: "deadline", "p": None}
    assert await store.pools.choose(None)
    (row,) = [row for row in await store.pools.all() if row.pool == ALL]
    assert (row.policy, row.settings) == (None, together.settings)


async def policies(store: Store) -> dict[str, str | None]:
    return {row.pool: row.policy for row in await store.pools.all()}


async def test_two_dispatchers_never_place_one_task_twice_nor_exceed_a_pool(store: Store) -> None:
    """SH-03."""
    await pools(store, DeclaredPool(pool="p", type="docker", capacity=7))
    await load(store, 20)
    rounds = await asyncio.gather(*(place(store, wanted(20), f"n{number % 2}") for number in range(6)))
    found = [task.task for placed in rounds for task in placed.claimed]
    assert len(found) == len(set(found)) == 7


async def test_lanes_and_their_heads_come_in_order(store: Store) -> None:
    """DQ-03: the higher priority first, then the lower rank, then the name."""
    rows = [
        graph_task("a", 1, lane="?x", priority=1, rank=5.0),
        graph_task("b", 2, lane="?x", priority=1, rank=4.0),
        graph_task("c", 3, lane="?x", priority=9, rank=9.0),
        graph_task("d", 4, lane="?y"),
        graph_task("e", 5, {"d": True}, lane="?z"),
    ]
    await store.tasks.load(graph(), rows, 100.0)
    assert await store.pools.lanes("", 10) == ["?x", "?y"]
    assert await store.pools.lanes("?x", 10) == ["?y"]
    heads = (await store.pools.heads(["?x"], 10))["?x"]
    assert [(each.task[-1], each.priority, each.rank) for each in heads] == [
        ("c", 9, 9.0),
        ("b", 1, 4.0),
        ("a", 1, 5.0),
    ]
    found = await store.pools.heads(["?z", "?y", "?x", "?none"], 2)
    assert {lane: [each.task[-1] for each in tasks] for lane, tasks in found.items()} == {"?x": ["c", "b"], "?y": ["d"]}
    assert {lane: {each.spec.id for each in tasks} for lane, tasks in found.items()} == {"?x": {"c"}, "?y": {"d"}}
    assert await store.pools.heads([], 2) == {}
    assert {each.spec.id for each in heads} == {"c"}, "what the first one asks for, all of the lane do"
    assert await store.tasks.rank("default/g/b", 10, 1.0, rows[1].spec)  # DQ-05
    assert [each.spec.id for each in (await store.pools.heads(["?x"], 1))["?x"]] == ["b"]


async def test_tasks_for_workers_are_left_to_them(store: Store) -> None:
    await pools(store, DeclaredPool(pool="w", type="worker", capacity=2))
    await load(store, 3)
    routes = [
        Placement(task=f"default/g/t00{n}", pool="w", resources=Resources(), decision=b"{}", workers=True)
        for n in (1, 2, 3)
    ]
    placed = await place(store, routes)
    assert (placed.claimed, placed.routed, placed.refused) == ([], 2, ["default/g/t003"])
    (row,) = await store.pools.all()
    assert (row.running, row.routed) == (0, 2)
    (claimed,) = await store.queue.claim("w1", "w", 1, 1, 60.0, 101.0, own=False)
    assert (claimed.task, claimed.pool) == ("default/g/t001", "w")
    assert [each.pool for each in await store.tasks.tries(claimed.task, 5)] == ["w"]
    await store.pools.set_state("w", PoolState.DISABLED)
    assert [each.task[-4:] for each in (await store.pools.heads(["?"], 10))["?"]] == ["t002", "t003"]


async def test_ill_pool_says_who_finds_it_so(store: Store) -> None:
    await pools(store, DeclaredPool(pool="p", type="docker"))
    await store.pools.ill("p", "n1", "no engine", 400.0, 100.0)
    (row,) = await store.pools.all()
    assert [(ill.node, ill.reason, ill.again_at) for ill in row.ills] == [("n1", "no engine", 400.0)]
    await store.pools.well("p", "n1")
    (row,) = await store.pools.all()
    assert row.ills == ()


async def test_record_of_a_pool_counts_its_last_attempts(store: Store) -> None:
    await pools(store, DeclaredPool(pool="p", type="docker"))
    await load(store, 3)
    for task in (await place(store, wanted(3))).claimed[:2]:
        await store.queue.settle(task.task, task.fence, Done(1), 102.0, holder="n1")
    assert await store.pools.record("p", 20) == (2, 2)
    decisions = await store.workers.choices("placement", "default/g/t001", 5)
    assert [each.chosen for each in decisions] == ["p"]


async def test_steps_of_runs_are_placed_beside_tasks_of_graphs(store: Store) -> None:
    """PO-02, PO-03: they take of the same room; the end of one is told to its run, which is who tries again."""
    await pools(store, DeclaredPool(pool="p", type="docker", capacity=2, cpu=4))
    await load(store, 1)
    box, needs = ContainerTarget(image="i"), Requirements(cpu=2.0)
    tasks = [
        new_task("a", effect=1, pool="p", path="/do/0/a"),
        new_task("b", effect=2, pool="p", priority=5, requires=needs),
        new_task("c", effect=3, pool="?step=container", target=box),
    ]
    await store.journal.commit(accepting(tasks=tasks))
    assert await store.pools.step_lanes(["p", "q", "?step=container"]) == ["p", "?step=container"]
    assert [each.task for each in (await store.pools.heads(["?"], 9))["?"]] == ["default/g/t001"]
    first, second = await store.pools.steps("p", 9)
    assert (first.task, first.requires, second.task, second.run_id, second.path) == ("b", needs, "a", "r1", "/do/0/a")
    assert [each.target for each in await store.pools.steps("?step=container", 9)] == [box]
    wanted = [
        Placement(task=task, pool="p", resources=Resources(cpu=2), decision=b'{"reason":"r"}')
        for task in ("b", "c", "a")
    ]
    placed = await place(store, wanted)
    assert [(task.task, task.namespace, task.run_id, task.pool) for task in placed.claimed] == [
        ("b", "default", "r1", "p"),
        ("c", "default", "r1", "p"),
    ]
    assert [task.resources for task in placed.claimed] == [Resources(cpu=2)] * 2
    assert list(placed.refused) == ["a"]
    assert {task.task: task.resources for task in await store.queue.held("n1", "p")} == dict.fromkeys(
        ("b", "c"), Resources(cpu=2)
    )
    lost = Failed(failure=FailureClass.LOST, fault=Fault(type="x", status=500, title="t"))
    assert await store.queue.settle("b", 1, lost, 102.0, holder="n1")
    assert [each.task for each in await store.pools.steps("p", 9)] == ["a"]
    (row,) = [each for each in await store.pools.all() if each.pool == "p"]
    assert (row.running, row.cpu_taken) == (1, 2.0)
