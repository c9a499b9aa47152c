"""Conformance of limits that tasks of ordinary runs name: set by the commit that queues, counted by claims."""

from __future__ import annotations

import asyncio
from typing import Any

from interlock.model.states import RunStatus, TaskState
from interlock.model.task import Done
from interlock.store.ports import ClaimedTask, Committed, GraphTask, LimitSet, Store
from interlock.store.sql.transaction import Transaction
from store.rows import accepting, batch, new_task

FOREVER = 1e12


def keyed(run: str, effect: int, *limits: str, **more: Any) -> Any:
    return new_task(f"{run}-t{effect}", run, effect, limits=limits or ("key",), **more)


def at_most(capacity: int, name: str = "key") -> LimitSet:
    return LimitSet(name=name, capacity=capacity)


async def claim(store: Store, now: float = 100.0) -> list[ClaimedTask]:
    return await store.queue.claim("n1", "local", 100, 100, 60.0, now, own=False)


async def states(store: Store, run: str = "r1") -> list[TaskState]:
    return [row.state for row in await store.views.tasks(run)]


async def test_claims_of_any_run_count_against_a_limit_that_its_tasks_name(store: Store) -> None:
    for run in ("r1", "r2"):
        tasks = [keyed(run, effect) for effect in (1, 2)] + [new_task(f"{run}-free", run, 3)]
        await store.journal.commit(accepting(run, tasks=tasks, limits=[at_most(3)]))
    first = await claim(store)
    assert sorted(task.task for task in first) == ["r1-free", "r1-t1", "r1-t2", "r2-free", "r2-t1"]
    assert (await states(store, "r2"))[1] is TaskState.HELD
    assert await claim(store) == []
    assert await store.queue.settle("r1-t1", 1, Done(1), 101.0)
    assert [task.task for task in await claim(store)] == ["r2-t2"]
    assert len(await store.journal.inbox("n1")) == 1


async def test_limits_of_a_refused_commit_are_not_set(store: Store) -> None:
    await store.journal.commit(accepting(tasks=[keyed("r1", 1), keyed("r1", 2)]))
    assert await store.journal.commit(batch(seq=7, limits=[at_most(1)])) is Committed.STALE
    assert len(await claim(store)) == 2


async def test_limit_that_is_set_again_is_changed_and_keeps_what_it_knows_of_past_starts(store: Store) -> None:
    rate = LimitSet(name="key", interval_seconds=10.0)
    await store.journal.commit(accepting(tasks=[keyed("r1", 1)], limits=[rate]))
    assert len(await claim(store)) == 1
    changed = LimitSet(name="key", interval_seconds=20.0, capacity=5)
    await store.journal.commit(accepting("r2", tasks=[keyed("r2", 1)], limits=[rate, changed]))
    assert await claim(store, 105.0) == []
    assert await states(store, "r2") == [TaskState.DELAYED]
    assert await store.graphs.due(109.0) == 0
    assert await store.graphs.due(110.0) == 1
    assert [task.task for task in await claim(store, 110.0)] == ["r2-t1"]
    await store.journal.commit(accepting("r3", tasks=[keyed("r3", 1)]))
    assert await claim(store, 129.0) == []
    assert await store.graphs.due(130.0) == 1


async def test_many_commits_that_set_a_limit_at_once_leave_one_of_their_settings(store: Store) -> None:
    group = [
        accepting(f"r{number:02}", tasks=[keyed(f"r{number:02}", 1)], limits=[at_most(number % 3 + 1), at_most(9, "b")])
        for number in range(30)
    ]
    assert await asyncio.gather(*(store.journal.commit(each) for each in group)) == [Committed.APPLIED] * 30
    assert len(await claim(store)) in {1, 2, 3}


async def test_limit_that_a_commit_raises_brings_back_what_it_held(store: Store) -> None:
    await store.journal.commit(accepting(tasks=[keyed("r1", effect) for effect in range(1, 5)], limits=[at_most(1)]))
    await claim(store)
    assert (await states(store)).count(TaskState.HELD) == 3
    await store.journal.commit(batch(seq=1, limits=[at_most(3)]))
    await store.graphs.due(101.0)
    assert len(await claim(store)) == 2
    assert (await states(store)).count(TaskState.HELD) == 1


async def test_task_that_is_cancelled_while_it_is_held_or_delayed_never_begins(store: Store) -> None:
    tasks = [keyed("r1", effect) for effect in (1, 2)] + [keyed("r1", effect, "rate") for effect in (3, 4)]
    limits = [at_most(1), LimitSet(name="rate", interval_seconds=10.0)]
    await store.journal.commit(accepting(tasks=tasks, limits=limits))
    running = await claim(store)
    assert await states(store) == [TaskState.RUNNING, TaskState.HELD, TaskState.RUNNING, TaskState.DELAYED]
    await store.journal.commit(batch(seq=1, cancelled_tasks=[2, 4]))
    for task in running:
        assert await store.queue.settle(task.task, task.fence, Done(1), 101.0)
    await store.graphs.due(FOREVER)
    assert await claim(store, FOREVER) == []
    assert (await states(store))[1] is (await states(store))[3] is TaskState.CANCELLED


async def test_place_whose_next_task_is_cancelled_goes_to_the_one_behind_it(store: Store) -> None:
    tasks = [keyed("r1", effect) for effect in (1, 2, 3)]
    await store.journal.commit(accepting(tasks=tasks, limits=[at_most(1)]))
    (first,) = await claim(store)
    await store.queue.settle(first.task, first.fence, Done(1), 101.0)
    assert await states(store) == [TaskState.DONE, TaskState.READY, TaskState.HELD]
    await store.journal.commit(batch(seq=1, cancelled_tasks=[2]))
    await store.graphs.due(102.0)
    assert [task.task for task in await claim(store)] == ["r1-t3"]


async def test_place_whose_next_task_another_limit_refuses_goes_to_the_one_behind_it(store: Store) -> None:
    tasks = [keyed("r1", 1, "a"), keyed("r1", 2, "b"), keyed("r1", 3, "a", "b", priority=1), keyed("r1", 4, "a")]
    await store.journal.commit(accepting(tasks=tasks[:2], limits=[at_most(1, "a"), at_most(1, "b")]))
    first, _ = await claim(store)
    await store.journal.commit(batch(seq=1, tasks=tasks[2:]))
    assert await claim(store) == []
    await store.queue.settle(first.task, first.fence, Done(1), 101.0)
    assert (
        await claim(store) == []
    )  # the third is held by the other limit now, and nothing ends that would bring back the last
    await store.graphs.due(102.0)
    assert [task.task for task in await claim(store)] == ["r1-t4"]


async def test_full_limits_bring_nobody_back_however_many_there_are(store: Store) -> None:
    names = [f"key-{number:04}" for number in range(600)]
    graph = [
        GraphTask(task=new_task(f"{place}-{name}", "g1", 1000 * place + number), limits=[name])
        for number, name in enumerate(names)
        for place in (1, 2)
    ]
    await store.graphs.load(graph, 100.0)
    await store.journal.commit(accepting(limits=[at_most(1, name) for name in names]))
    running = await store.queue.claim("n1", "local", 2000, 2000, 60.0, 100.0, own=False)
    assert len(running) == 600
    for _ in range(3):
        await store.graphs.due(101.0)
    assert (await states(store, "g1")).count(TaskState.HELD) == 600
    await store.journal.commit(batch(seq=1, limits=[at_most(2, names[-1])]))
    for _ in range(2):
        await store.graphs.due(101.0)
    assert (await states(store, "g1")).count(TaskState.READY) == 1


async def test_what_tasks_of_a_removed_run_were_limited_by_goes_with_them(store: Store) -> None:
    await store.journal.commit(accepting(tasks=[keyed("r1", effect, "a", "b") for effect in range(1, 300)]))
    await store.journal.commit(batch(seq=1, ended=True, status=RunStatus.COMPLETED))
    assert await store.upkeep.remove(["r1"], FOREVER) == 1
    while await store.upkeep.clear():
        pass
    assert await store.views.tasks("r1") == []

    async def work(transaction: Transaction) -> int:
        return len(await transaction.rows("limits_of_tasks", {"tasks": '["r1-t1", "r1-t299"]'}))

    assert await store.database.write(work) == 0  # type: ignore[attr-defined]  # both kinds of stores have it
