"""Conformance of task graphs with a header: loading, reading, retries in the settle, changes by hand."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from interlock import errors
from interlock.model import fault
from interlock.model.fault import Fault
from interlock.model.states import TaskState
from interlock.model.task import Cancelled, Done, Failed, FailureClass, Outcome, Resources, Snoozed
from interlock.model.task_graph import RetryTerms
from interlock.store.ports import ClaimedTask, DeclaredPool, GraphTask, LoadedGraph, Placement, Store
from interlock.store.sql import tasks
from store.rows import graph, graph_task, node

FAULT = Fault(type=fault.RUNTIME, status=500, title="no", detail="said no")


def failed(failure: FailureClass = FailureClass.APPLICATION, **more: Any) -> Failed:
    return Failed(failure, FAULT, **more)


async def load(store: Store, *rows: GraphTask, digest: str = "1") -> LoadedGraph:
    return await store.tasks.load(graph(digest=digest), rows, 100.0)


async def place(store: Store, *ids: str, now: float = 101.0) -> list[ClaimedTask]:
    """Place tasks in a pool without bounds."""
    await store.pools.declare([DeclaredPool(pool="p", type="local-process")], 100.0)
    wanted = [
        Placement(task=f"default/g/{id}", pool="p", resources=Resources(), decision=b'{"reason":"test"}') for id in ids
    ]
    return list((await store.pools.place("n1", wanted, 60.0, now)).claimed)


async def states(store: Store) -> dict[str, str]:
    return {row.id: row.state.value for row in await store.tasks.page("default/g", None, 0, 100)}


async def settle(store: Store, task: ClaimedTask, outcome: Outcome, now: float = 102.0) -> bool:
    return await store.queue.settle(task.task, task.fence, outcome, now, holder="n1")


async def test_load_gives_ready_and_blocked_tasks_in_their_order(store: Store) -> None:
    """DQ-01: only what waits for nothing can be placed."""
    loaded = await load(store, graph_task("a", 1), graph_task("b", 2, {"a": True}), graph_task("c", 3, {"b": True}))
    assert loaded == LoadedGraph(added=["a", "b", "c"], changed=[], same=0, kept=[], absent=[])
    assert await states(store) == {"a": "ready", "b": "blocked", "c": "blocked"}
    assert [each.task for each in (await store.pools.heads(["?"], 10))["?"]] == ["default/g/a"]
    found = await store.tasks.graph("default", "g")
    assert found is not None
    assert (found.tasks, found.loads) == (3, 1)
    assert await store.tasks.document("default", "g") == (found.digest, b"{}")
    assert await store.tasks.document("default", "other") is None
    counts = await store.tasks.counts("default/g", 3)
    assert counts == {TaskState.READY: 1, TaskState.BLOCKED: 2, TaskState.DONE: 0}
    assert [row.name for row in await store.tasks.graphs(None, ("", ""), 10)] == ["g"]
    assert await store.tasks.graphs("other", ("", ""), 10) == []


async def test_same_load_again_changes_nothing_and_a_changed_one_only_what_has_not_begun(store: Store) -> None:
    await load(store, graph_task("a", 1), graph_task("b", 2, {"a": True}), graph_task("c", 3, {"b": True}))
    (a,) = await place(store, "a")
    same = await load(store, graph_task("a", 1), graph_task("b", 2, {"a": True}), graph_task("c", 3, {"b": True}))
    assert (same.added, same.changed, same.same) == ([], [], 3)
    changed = await load(
        store,
        graph_task("a", 1, digest="new"),
        graph_task("b", 2, {"a": True}, digest="new", title="other"),
        graph_task("d", 3, {"a": True}),
        digest="2",
    )
    assert changed == LoadedGraph(added=["d"], changed=["b"], same=0, kept=["a"], absent=["c"])
    assert await states(store) == {"a": "running", "b": "blocked", "c": "blocked", "d": "blocked"}
    b = await store.tasks.get("default/g/b")
    assert b is not None
    assert (b.spec.title, b.number) == ("other", 2)
    assert await settle(store, a, Done(1))
    assert await states(store) == {"a": "done", "b": "ready", "c": "blocked", "d": "ready"}


async def test_task_that_failed_is_corrected_and_tried_again_as_it_is_written_now(store: Store) -> None:
    """A reload changes what does not run and is not done; its state is for a person to change."""
    once = RetryTerms(budgets={"application": 0})
    await load(store, graph_task("bad", 1, retry=once), graph_task("behind", 2, {"bad": True}), graph_task("open", 3))
    (bad,) = await place(store, "bad")
    await settle(store, bad, failed())
    loaded = await load(
        store,
        graph_task("bad", 1, {"open": True}, digest="new", title="mended", retry=once),
        graph_task("behind", 2, {"bad": True}, digest="new", title="mended too"),
        graph_task("open", 3),
        digest="2",
    )
    assert loaded == LoadedGraph(added=[], changed=[], same=1, kept=[], absent=[], corrected=["bad", "behind"])
    assert await states(store) == {"bad": "failed", "behind": "skipped", "open": "ready"}
    assert await store.tasks.reopen("default/g/bad", 200.0)
    assert await states(store) == {"bad": "blocked", "behind": "blocked", "open": "ready"}
    (row, behind) = [await store.tasks.get(f"default/g/{id}") for id in ("bad", "behind")]
    assert row is not None
    assert behind is not None
    assert (row.spec.title, row.attempt, behind.spec.title) == ("mended", 2, "mended too")
    (opened,) = await place(store, "open")
    await settle(store, opened, Done(1))
    (again,) = await place(store, "bad")
    assert (again.attempt, again.fence) == (2, 2)


async def test_task_that_never_ran_has_its_first_attempt_when_it_is_tried_again(store: Store) -> None:
    """One that was cancelled before it was placed had `attempt 2 of 3`, and so had those skipped behind it."""
    await load(store, graph_task("a", 1), graph_task("b", 2, {"a": True}))
    assert await store.tasks.stop("default/g/a", 103.0)
    assert await states(store) == {"a": "cancelled", "b": "skipped"}
    assert await store.tasks.reopen("default/g/a", 104.0)
    (first,) = await place(store, "a", now=105.0)
    assert (first.attempt, first.fence) == (1, 1)
    await settle(store, first, Cancelled(), 106.0)
    assert await store.tasks.reopen("default/g/a", 107.0)
    (second,) = await place(store, "a", now=108.0)
    assert second.attempt == 2
    await settle(store, second, Done(1), 109.0)
    (behind,) = await place(store, "b", now=110.0)
    assert behind.attempt == 1


async def test_retry_of_a_task_that_is_done_leaves_no_trace_on_those_skipped_behind_it(store: Store) -> None:
    once = RetryTerms(budgets={"application": 0})
    await load(
        store,
        graph_task("good", 1),
        graph_task("bad", 2, retry=once),
        graph_task("both", 3, {"good": True, "bad": True}),
    )
    good, bad = await place(store, "good", "bad")
    await settle(store, good, Done(1))
    await settle(store, bad, failed())
    assert not await store.tasks.reopen("default/g/good", 200.0)
    assert await store.tasks.reopen("default/g/bad", 200.0)
    (again,) = await place(store, "bad")
    await settle(store, again, Done(1))
    assert await states(store) == {"good": "done", "bad": "done", "both": "ready"}


async def test_task_behind_two_that_failed_stays_skipped_until_both_are_tried_again(store: Store) -> None:
    once = RetryTerms(budgets={"application": 0})
    await load(
        store,
        graph_task("one", 1, retry=once),
        graph_task("other", 2, retry=once),
        graph_task("both", 3, {"one": True, "other": True}),
        graph_task("last", 4, {"both": True}),
    )
    for task in await place(store, "one", "other"):
        await settle(store, task, failed())
    assert await store.tasks.reopen("default/g/one", 200.0)
    assert await states(store) == {"one": "ready", "other": "failed", "both": "skipped", "last": "skipped"}
    assert await store.tasks.reopen("default/g/other", 200.0)
    assert await states(store) == {"one": "ready", "other": "ready", "both": "blocked", "last": "blocked"}
    for task in await place(store, "one", "other"):
        await settle(store, task, Done(1))
    assert await states(store) == {"one": "done", "other": "done", "both": "ready", "last": "blocked"}


@pytest.mark.parametrize(
    ("outcome", "after"),
    [
        (Done(1), {"open": "done", "bad": "ready", "behind": "blocked"}),
        (failed(), {"open": "failed", "bad": "ready", "behind": "skipped"}),
    ],
    ids=["done", "failed"],
)
async def test_predecessor_that_ends_while_a_task_is_tried_again_leaves_none_blocked_for_ever(
    store: Store, monkeypatch: pytest.MonkeyPatch, outcome: Outcome, after: dict[str, str]
) -> None:
    """It was open when somebody looked what the task waits for, and is over when that is written."""
    once = RetryTerms(budgets={"application": 0})
    await load(
        store,
        graph_task("open", 1, retry=once),
        graph_task("bad", 2, retry=once),
        graph_task("behind", 3, {"bad": True}),
    )
    opened, bad = await place(store, "open", "bad")
    await settle(store, bad, failed())
    await load(
        store,
        graph_task("open", 1, retry=once),
        graph_task("bad", 2, {"open": True}, digest="new", retry=once),
        graph_task("behind", 3, {"bad": True, "open": True}, digest="new"),
        digest="2",
    )
    look: Any = store.tasks._look  # type: ignore[attr-defined]  # the moment between its two transactions

    async def meanwhile(graph: str) -> object:
        found = await look(graph)
        await settle(store, opened, outcome)
        return found

    monkeypatch.setattr(store.tasks, "_look", meanwhile)
    assert await store.tasks.reopen("default/g/bad", 200.0)
    assert await states(store) == after
    assert await store.tasks.waits_for("default/g/bad") == {}


async def test_task_that_is_not_over_is_not_tried_again_and_waits_for_nothing_more(store: Store) -> None:
    await load(store, graph_task("a", 1), graph_task("b", 2, {"a": False}))
    (a,) = await place(store, "a")
    assert not await store.tasks.reopen("default/g/a", 200.0)
    assert not await store.tasks.reopen("default/g/b", 200.0)
    await settle(store, a, Done(1))
    assert await states(store) == {"a": "done", "b": "ready"}


async def test_changed_task_counts_against_the_limits_that_it_names_now(store: Store) -> None:
    await store.graphs.limit("old", 1)
    limited = [msgspec.structs.replace(graph_task(id, n), limits=["old"]) for n, id in enumerate("ab", 1)]
    await load(store, *limited)
    await place(store, "a")
    await load(store, limited[0], graph_task("b", 2, digest="new"), digest="2")
    (placed,) = await place(store, "b")  # the other one has all of `old`
    assert placed.task == "default/g/b"


async def test_new_task_behind_one_that_is_over_begins_or_is_skipped(store: Store) -> None:
    await load(store, graph_task("good", 1), graph_task("bad", 2, retry=RetryTerms(budgets={"application": 0})))
    good, bad = await place(store, "good", "bad")
    await settle(store, good, Done(1))
    await settle(store, bad, failed())
    await load(
        store,
        graph_task("good", 1),
        graph_task("bad", 2, retry=RetryTerms(budgets={"application": 0})),
        graph_task("after-good", 3, {"good": True}),
        graph_task("after-bad", 4, {"bad": True, "good": True}),
        graph_task("behind", 5, {"after-bad": True}),
        graph_task("whatever", 6, {"bad": False}),
        digest="2",
    )
    assert await states(store) == {
        "good": "done", "bad": "failed", "after-good": "ready", "after-bad": "skipped", "behind": "skipped", "whatever": "ready",
    }  # fmt: skip


async def test_nothing_begins_before_all_is_stored(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A load that breaks off leaves nothing that could begin; the next one makes it good."""
    monkeypatch.setattr(tasks, "AT_ONCE", 2)
    rows = [graph_task(f"t{number}", number, {"t1": True} if number > 3 else None) for number in range(1, 8)]
    breaking = [*rows[:5], msgspec.structs.replace(rows[5], limits=[None])]  # a limit without a name is refused
    with pytest.raises(Exception, match=r"(?i)null"):
        await load(store, *breaking)
    assert await store.pools.lanes("", 10) == []
    assert await load(store, *rows) == LoadedGraph(
        added=[f"t{number}" for number in range(1, 8)], changed=[], same=0, kept=[], absent=[]
    )
    assert await states(store) == {f"t{n}": "ready" if n <= 3 else "blocked" for n in range(1, 8)}


async def test_two_loads_of_one_graph_do_not_mix(store: Store) -> None:
    rows = [graph_task(f"t{number}", number) for number in range(1, 50)]
    found = await asyncio.gather(load(store, *rows), load(store, *rows), return_exceptions=True)
    assert sum(isinstance(each, errors.Conflict) for each in found) <= 1
    assert all(isinstance(each, errors.Conflict | LoadedGraph) for each in found)
    assert len(await states(store)) == 49


async def test_try_tells_when_it_was_placed_when_it_began_and_when_it_ended(store: Store) -> None:
    """RU-04: a long attempt is told of while it runs, a short one by its end; what never began has no beginning."""
    await load(store, *(graph_task(id, number) for number, id in enumerate(["long", "short", "never"], 1)))
    long, short, never = await place(store, "long", "short", "never", now=101.0)
    await store.queue.began([(long.task, long.fence, 2.0)], 105.0)
    (running,) = await store.tasks.tries(long.task, 1)
    assert (running.placed_at, running.started_at, running.ended_at) == (101.0, 103.0, None)
    await store.queue.began([(long.task, long.fence, 1.0)], 107.0)  # the first word counts
    for task, ran in ((long, 5.0), (short, 0.5), (never, None)):
        assert await store.queue.settle(task.task, task.fence, Done(1), 110.0, holder="n1", ran=ran)
    await store.queue.began([(never.task, never.fence, 1.0)], 111.0)  # too late: it is over
    tries = [(await store.tasks.tries(task.task, 1))[0] for task in (long, short, never)]
    assert [(each.started_at, each.ended_at) for each in tries] == [(103.0, 110.0), (109.5, 110.0), (None, 110.0)]


async def test_failure_is_tried_again_after_its_time_until_its_budget_is_used(store: Store) -> None:
    """RT-01, RT-03, RT-04: three executions with 10 and 20 s between them, then failed; the row says what was used."""
    await load(store, graph_task("a", 1), graph_task("b", 2, {"a": True}))
    now, delays = 101.0, []
    for attempt in (1, 2, 3):
        (task,) = await place(store, "a", now=now)
        assert task.attempt == attempt
        assert await settle(store, task, failed(), now)
        row = await store.tasks.get("default/g/a")
        assert row is not None
        if row.ready_at is not None and attempt < 3:
            assert (row.state, row.pool) == (TaskState.DELAYED, "?")
            assert await place(store, "a", now=now + 5) == []  # RT-02: not before its time
            delays.append(row.ready_at - now)
            now = row.ready_at + 0.5
            assert await store.graphs.due(now) == 1
    assert delays == [10.0, 20.0]
    assert await states(store) == {"a": "failed", "b": "skipped"}
    row = await store.tasks.get("default/g/a")
    assert row is not None
    assert (row.used, row.ended_at) == ({"application": 2}, now)
    tries = await store.tasks.tries("default/g/a", 10)
    assert [(each.attempt, each.outcome, each.failure) for each in tries] == [
        (3, "failed", "application"), (2, "failed", "application"), (1, "failed", "application"),
    ]  # fmt: skip
    assert msgspec.json.decode(tries[0].detail or b"")["detail"] == "said no"


async def test_what_the_machine_lost_is_tried_again_at_once_and_costs_the_author_nothing(store: Store) -> None:
    await load(store, graph_task("a", 1))
    for _ in range(4):
        (task,) = await place(store, "a")
        await settle(store, task, failed(FailureClass.PREEMPTED))
    row = await store.tasks.get("default/g/a")
    assert row is not None
    assert (row.state, row.used) == (TaskState.READY, {"preempted": 4})


async def test_task_that_kills_three_runners_is_put_into_quarantine(store: Store) -> None:
    await load(store, graph_task("a", 1), graph_task("b", 2, {"a": True}))
    for _ in range(3):
        (task,) = await place(store, "a")
        await settle(store, task, failed(FailureClass.LOST))
    assert await states(store) == {"a": "quarantined", "b": "blocked"}
    assert await store.tasks.reopen("default/g/a", 103.0)
    (task,) = await place(store, "a")
    await settle(store, task, Done(1))
    assert await states(store) == {"a": "done", "b": "ready"}


async def test_lease_that_runs_out_is_a_loss_of_the_node_and_a_late_result_changes_nothing(store: Store) -> None:
    """RU-07, RU-08: the task of its own graph comes back, and who comes late is refused."""
    await load(store, graph_task("1.1", 1))
    (late,) = await place(store, "1.1", now=101.0)
    assert await store.queue.expire(162.0) == 1
    row = await store.tasks.get("default/g/1.1")
    assert row is not None
    assert (row.state, row.used) == (TaskState.READY, {"lost": 1})
    (again,) = await place(store, "1.1", now=163.0)
    assert again.fence > late.fence
    assert not await settle(store, late, Done("late"))
    assert await settle(store, again, Done("right"))
    tries = await store.tasks.tries("default/g/1.1", 10)
    assert [(each.outcome, each.failure) for each in tries] == [("done", None), ("failed", "lost")]
    assert tries[0].detail == b'"right"'


async def test_attempt_lives_as_long_as_its_node_renews_it(store: Store) -> None:
    """RU-05, RU-06: three minutes with leases of 60 s; and without a heartbeat for 60 s it is lost, and tried again."""
    await load(store, graph_task("a", 1))
    (task,) = await place(store, "a", now=100.0)
    for now in range(120, 281, 20):
        await store.queue.extend("n1", 60.0, float(now))
        assert await store.queue.expire(float(now)) == 0
    assert await states(store) == {"a": "running"}
    assert await store.queue.expire(339.0) == 0
    assert await store.queue.expire(341.0) == 1
    assert await states(store) == {"a": "ready"}
    (lost,) = await store.tasks.tries(task.task, 10)
    assert (lost.outcome, lost.failure, lost.ended_at) == ("failed", "lost", 341.0)


async def test_what_cannot_be_launched_is_tried_three_times_more_and_never_at_once(store: Store) -> None:
    """RU-03: a launch that fails counts as a failure of the task; the fourth one ends it."""
    await load(store, graph_task("a", 1))
    now = 101.0
    for _ in range(3):
        (task,) = await place(store, "a", now=now)
        await settle(store, task, failed(FailureClass.LAUNCH), now)
        row = await store.tasks.get("default/g/a")
        assert row is not None
        assert row.ready_at is not None
        assert (row.state, row.ready_at > now) == (TaskState.DELAYED, True)
        assert await place(store, "a", now=now) == []
        now = row.ready_at
        await store.graphs.due(now)
    (task,) = await place(store, "a", now=now)
    assert task.attempt == 4
    await settle(store, task, failed(FailureClass.LAUNCH), now)
    assert await states(store) == {"a": "failed"}


async def test_place_that_was_given_up_costs_nothing(store: Store) -> None:
    await load(store, graph_task("a", 1))
    (task,) = await place(store, "a")
    await settle(store, task, Snoozed(0.0))
    (again,) = await place(store, "a")
    assert (again.attempt, again.fence) == (1, task.fence + 1)


async def test_attempt_that_another_node_adopted_is_not_unwanted_but_one_that_was_made_again_is(store: Store) -> None:
    for name in ("n1", "n2"):
        await store.nodes.join(node(name, joined_at=None, pinned=False), 600.0)
    await load(store, *(graph_task(id, number) for number, id in enumerate("abc", 1)))
    adopted, again, own = [task.key for task in await place(store, "a", "b", "c")]
    await store.nodes.bury("n1", None)
    orphan = next(each for each in await store.queue.orphans(10) if each.task.key == adopted)
    assert await store.queue.adopt(orphan, "n2", 60.0, None)
    assert await store.queue.settle(*again, Snoozed(0.0), None)
    assert await store.queue.unwanted("n1", [adopted, again, own]) == [again]
    assert [await store.queue.is_adopted("n1", attempt) for attempt in (adopted, again, own)] == [True, False, False]
    assert not await store.queue.is_adopted("n2", adopted)
    (task,) = await place(store, "b")
    assert task.key == (again[0], again[1] + 1)
    assert await store.queue.unwanted("n1", [adopted, again, own, task.key]) == [again]


async def test_cancel_ends_what_waits_and_asks_what_runs(store: Store) -> None:
    await load(store, graph_task("a", 1), graph_task("b", 2), graph_task("c", 3, {"b": True}))
    (a,) = await place(store, "a")
    assert await store.tasks.stop("default/g/a", 103.0)
    assert await store.tasks.stop("default/g/b", 103.0)
    assert await states(store) == {"a": "running", "b": "cancelled", "c": "skipped"}
    assert await store.queue.unwanted("n1", [a.key]) == [a.key]
    assert await settle(store, a, Cancelled())
    assert await states(store) == {"a": "cancelled", "b": "cancelled", "c": "skipped"}
    assert not await store.tasks.stop("default/g/a", 103.0)
    assert not await store.tasks.stop("default/g/none", 103.0)


async def test_tasks_are_cancelled_together_with_what_waits_for_them(store: Store) -> None:
    """Those that are over, or that are skipped because of another one, are not counted."""
    await load(store, *(graph_task(id, number) for number, id in enumerate("abd", 1)), graph_task("c", 4, {"b": True}))
    a, d = await place(store, "a", "d")
    await settle(store, d, Done(1))
    assert await store.tasks.stop_all([f"default/g/{id}" for id in "abcd"], 103.0) == 2
    assert await states(store) == {"a": "running", "b": "cancelled", "c": "skipped", "d": "done"}
    assert await store.queue.unwanted("n1", [a.key]) == [a.key]


async def test_task_that_fails_while_it_is_cancelled_is_not_tried_again(store: Store) -> None:
    await load(store, graph_task("a", 1))
    (a,) = await place(store, "a")
    await store.tasks.stop(a.task, 103.0)
    await settle(store, a, failed())
    assert await states(store) == {"a": "cancelled"}


async def test_retry_by_hand_brings_back_what_was_skipped_because_of_it(store: Store) -> None:
    never = RetryTerms(budgets={"application": 0})
    await load(
        store,
        graph_task("a", 1, retry=never),
        graph_task("b", 2, {"a": True}),
        graph_task("c", 3, {"b": True, "x": True}),
        graph_task("x", 4),
    )
    (a,) = await place(store, "a")
    await settle(store, a, failed())
    assert await states(store) == {"a": "failed", "b": "skipped", "c": "skipped", "x": "ready"}
    assert await store.tasks.reopen(a.task, 103.0)
    assert await states(store) == {"a": "ready", "b": "blocked", "c": "blocked", "x": "ready"}
    assert await store.tasks.waits_for("default/g/c") == {"default/g/b": True, "default/g/x": True}
    for id in ("a", "b", "x", "c"):
        (task,) = await place(store, id)
        await settle(store, task, Done(1))
    assert await states(store) == dict.fromkeys("abcx", "done")
    assert not await store.tasks.reopen(a.task, 103.0)


async def test_durations_are_those_of_successes(store: Store) -> None:
    await load(store, graph_task("a", 1))
    (task,) = await place(store, "a", now=101.0)
    await settle(store, task, Done(1), 105.0)
    assert await store.tasks.durations("default/g") == {"a": 4.0}


async def test_held_task_goes_back_to_its_lane(store: Store) -> None:
    """A key whose limit is full holds its tasks, wherever they would run; the end of one brings the next one back."""
    await store.graphs.limit("key/x", 1)
    await load(store, graph_task("a", 1, limits=("key/x",)), graph_task("b", 2, limits=("key/x",)))
    (a,) = await place(store, "a", "b")
    row = await store.tasks.get("default/g/b")
    assert row is not None
    assert (row.state, row.pool, row.held_by) == (TaskState.HELD, "?", "key/x")
    await settle(store, a, Done(1))
    assert [task.task for task in await place(store, "b")] == ["default/g/b"]
