"""Conformance of upkeep: removal in pieces, nodes and what they cannot do, orphans, what a restore makes safe."""

from __future__ import annotations

import pytest

from interlock import errors
from interlock.engine import cause
from interlock.model.states import RunStatus
from interlock.model.task import Cancelled, Done, Failed, FailureClass
from interlock.store.ports import Begun, Committed, GraphTask, LogLine, NewToken, NewWait, Store
from interlock.store.sql.transaction import Transaction
from interlock.store.sql.upkeep import SqlUpkeep
from store.rows import accepting, batch, definition, graph, graph_task, new_task, node
from store.stops import Seen, StoppedDatabase
from store.test_tasks import place, settle

FOREVER = 1e12


async def _ended(store: Store, run: str, at: float, **more: object) -> None:
    await store.journal.commit(accepting(run, **more))
    status = {"status": RunStatus.COMPLETED, "ended": True, "output": b"{}", "at": at}
    assert await store.journal.commit(batch(run, 1, **status)) is Committed.APPLIED


# -- retention -------------------------------------------------------------------------------------------------------


async def test_ended_runs_are_given_oldest_first_in_pages(store: Store) -> None:
    for run, at in (("c", 300.0), ("a", 100.0), ("b", 200.0), ("b2", 200.0)):
        await _ended(store, run, at)
    await store.journal.commit(accepting("live"))
    first = await store.upkeep.ended(250.0, None, 2)
    second = await store.upkeep.ended(250.0, first[-1], 2)
    assert [run.run for run in [*first, *second]] == ["a", "b", "b2"]
    assert await store.upkeep.ended(250.0, second[-1], 2) == []
    assert await store.upkeep.oldest() == [("default", "w", 100.0)]


async def test_removed_run_is_gone_at_once_and_its_rows_in_pieces(store: Store) -> None:
    tasks = [new_task(f"t{number}", "old", number) for number in range(1, 600)]
    await _ended(store, "old", 100.0, tasks=tasks, scopes={"s": b"{}"}, large={"x": b"y" * 3_000_000})
    await store.queue.log(
        "old", [LogLine(number=0, path="/", attempt=1, at=1.0, stream="stdout", text="x")] * 300, 10**6
    )
    await _ended(store, "young", 900.0)
    assert await store.upkeep.remove(["old", "young"], 500.0) == 1
    assert await store.views.run(None, "old") is None
    assert (await store.journal.history("old", 0, 10)) != []
    rounds = 0
    while await store.upkeep.clear():
        rounds += 1
    assert rounds >= 1
    assert await store.journal.history("old", 0, 10) == []
    assert await store.views.logs("old", 0, 10, None) == []
    assert await store.views.tasks("old") == []
    assert await store.journal.texts("old", ["x"]) == {}
    assert (await store.views.counts())["commits"] == 2
    assert await store.views.run(None, "young") is not None
    await store.upkeep.compact()


async def test_rows_of_fifty_short_runs_are_looked_for_once(store: Store) -> None:
    """Where each statement waits for the processor, that is what a removal takes: a second look finds nothing for any table."""
    runs = [f"short-{number}" for number in range(50)]
    for run in runs:
        await store.journal.commit(accepting(run))
        for seq in (1, 2, 3):
            await store.journal.commit(batch(run, seq))
        await store.journal.commit(batch(run, 4, status=RunStatus.COMPLETED, ended=True, output=b"{}", at=100.0))
    seen = Seen()
    upkeep = SqlUpkeep(StoppedDatabase(store.upkeep._database, seen))  # type: ignore[attr-defined]  # of both dialects
    assert await upkeep.remove(runs, 500.0) == 50
    while await upkeep.clear():
        pass
    assert await store.journal.history(runs[0], 0, 10) == []
    assert {seen.statements.count(statement) for statement in ("removal_history", "removal_logs", "removal_end")} == {1}


async def test_what_tasks_of_graphs_wait_for_goes_with_them(store: Store) -> None:
    await _ended(store, "old", 100.0)
    names = [f"t{number:03}" for number in range(1, 300)]
    await store.graphs.limit("key", 1)
    for key in ("old", "young"):
        tasks = [new_task(f"{key}-{name}", key, number) for number, name in enumerate(names, 1)]
        after: list[dict[str, bool]] = [{}, *({f"{key}-{name}": True} for name in names)]
        await store.graphs.load(
            [GraphTask(task=task, after=edges, limits=["key"]) for task, edges in zip(tasks, after, strict=False)], 1.0
        )
    assert await store.upkeep.remove(["old"], 500.0) == 1
    while await store.upkeep.clear():
        pass
    assert await store.views.tasks("old") == []
    assert len(await store.views.tasks("young")) == len(names)
    assert await _waiting(store, "old-t002") == (0, 0)
    assert await _waiting(store, "young-t002") == (1, 1)


async def test_graph_that_a_run_loaded_goes_with_it_once_nothing_is_at_work_for_it(store: Store) -> None:
    token = NewToken(token="k1", effect=1, name="build", step="/do/0/build")
    await store.journal.commit(accepting("old", tokens=[token]))
    wait = NewWait(graph="default/g", visit="v", token="k1", run="old")
    assert await store.waits.begin(wait, 100.0) is Begun.LOADING
    await store.tasks.load(graph(), [graph_task("a", 1), graph_task("b", 2, {"a": True})], 100.0)
    await store.tasks.load(graph("other"), [], 100.0)
    assert await store.waits.loaded("default/g", "k1")
    (placed,) = await place(store, "a")
    await store.journal.commit(batch("old", 1, status=RunStatus.CANCELLED, ended=True))
    assert await store.upkeep.remove(["old"], FOREVER) == 0, "its graph is waited for"
    (due,) = await store.waits.due(1, 200.0)
    assert await store.waits.stop(due, 200.0) == 2
    assert await store.waits.end(due, 200.0)
    assert await store.upkeep.remove(["old"], FOREVER) == 0, "a task of its graph still runs"
    await settle(store, placed, Cancelled())
    assert await store.upkeep.remove(["old"], FOREVER) == 1
    assert await store.tasks.graph("default", "g") is None
    with pytest.raises(errors.Conflict, match="is being removed"):
        await store.tasks.load(graph(), [graph_task("a", 1)], 250.0)
    while await store.upkeep.clear():
        pass
    assert await store.tasks.get("default/g/a") is None
    assert await store.tasks.tries("default/g/a", 10) == []
    assert await store.tasks.graph("default", "other") is not None
    await store.journal.commit(
        accepting("new", tokens=[NewToken(token="k2", effect=1, name="build", step="/do/0/build")])
    )
    again = NewWait(graph="default/g", visit="w", token="k2", run="new")
    assert await store.waits.begin(again, 300.0) is Begun.LOADING, "the name is free"


async def _waiting(store: Store, task: str) -> tuple[int, int]:
    """Give how many edges and limits the rows of a task have, under whatever key its graph is loaded again."""

    async def work(transaction: Transaction) -> tuple[int, int]:
        limits = await transaction.rows("limits_of_tasks", {"tasks": f'["{task}"]'})
        return await transaction.run("edges_of_task_end", {"task": task}), len(limits)

    return await store.database.write(work)  # type: ignore[attr-defined, no-any-return]  # both kinds of stores have it


async def test_run_that_is_live_again_or_still_at_work_is_not_removed(store: Store) -> None:
    await store.journal.commit(accepting("live"))
    await _ended(store, "busy", 100.0, tasks=[new_task("t", "busy")])
    await store.queue.claim("n1", "local", 9, 9, 60.0, 100.0, own=False)
    assert await store.upkeep.remove(["live", "busy"], FOREVER) == 0
    await store.queue.settle("t", 1, Done(), 101.0)
    assert await store.upkeep.remove(["busy"], FOREVER) == 1


async def test_definitions_go_when_nothing_names_them_and_nobody_asked_lately(store: Store) -> None:
    for digest in ("used", "published", "idle"):
        await store.journal.define(definition(digest))
    await store.journal.publish(definition("published"), "somebody", 1.0)
    await store.journal.commit(accepting("r", new={"definition": "used"}))
    assert await store.upkeep.unused_definitions(0.0) == 0
    assert await store.upkeep.unused_definitions(FOREVER) == 1
    assert await store.upkeep.unused_definitions(FOREVER) == 0
    assert await store.journal.definition("idle") is None
    assert await store.journal.definition("used") is not None
    assert await store.journal.definition("published") is not None


# -- runs without an owner -------------------------------------------------------------------------------------------


async def test_unattended_runs_are_told_with_how_long_nobody_has_had_them(store: Store) -> None:
    await store.nodes.join(node("n1"), 10.0)
    await store.journal.commit(accepting("owned"))
    await store.journal.commit(accepting("free", new={"owner": None}, at=150.0))
    await store.journal.commit(accepting("asleep", new={"owner": None}, status=RunStatus.SUSPENDED))
    assert [(row.run, idle) for row, idle in await store.views.unattended(109.0, 9)] == [("free", -41.0)]
    found = await store.views.unattended(111.0, 9)
    assert [(row.run, idle) for row, idle in found] == [("owned", 11.0), ("free", -39.0)]
    await store.nodes.bury("n1", 120.0)
    assert {row.run: idle for row, idle in await store.views.unattended(121.0, 9)}["owned"] == 1.0
    claimed = await store.nodes.claim_runs("n1", 1, only="owned")
    assert await store.nodes.release("n1", "owned", claimed[0].epoch, 130.0)
    assert not await store.nodes.release("n1", "owned", claimed[0].epoch, 131.0)
    assert {row.run: idle for row, idle in await store.views.unattended(131.0, 9)}["owned"] == 1.0


async def test_released_run_is_free_with_its_last_commit(store: Store) -> None:
    await store.journal.commit(accepting("r"))
    assert await store.journal.commit(batch("r", 1, release=True, at=170.0)) is Committed.APPLIED
    assert [(row.run, idle) for row, idle in await store.views.unattended(200.0, 9)] == [("r", 30.0)]
    assert await store.journal.commit(batch("r", 2)) is Committed.STALE


async def test_refused_definitions_are_not_claimed(store: Store) -> None:
    await store.journal.commit(accepting("a", new={"owner": None, "definition": "new"}))
    await store.journal.commit(accepting("b", new={"owner": None, "definition": "old"}))
    assert await store.nodes.unowned([])
    assert [run.run for run in await store.nodes.claim_runs("n1", 9, refused=["new"])] == ["b"]
    assert not await store.nodes.unowned(["new"])
    assert await store.nodes.unowned(["old"])


# -- nodes -----------------------------------------------------------------------------------------------------------


async def test_node_is_told_to_drain_and_tells_what_it_refuses(store: Store) -> None:
    await store.nodes.join(node("n1"), 10.0)
    await store.nodes.join(node("n2"), 10.0)
    await store.nodes.join(node("run", pinned=True), 10.0)
    await store.journal.commit(accepting("r"))
    await store.nodes.note("n1", {"digest": "no"}, ["draining"])
    assert await store.nodes.drain("n1", 105.0) == 1
    assert await store.nodes.drain("n1", 106.0) == 0
    assert await store.nodes.is_asked_to_drain("n1")
    assert not await store.nodes.is_asked_to_drain("n2")
    assert await store.nodes.drain(None, 107.0) == 1
    states = {state.node.node: state for state in await store.nodes.states(105.0)}
    first = states["n1"]
    assert (first.drain_at, first.refusals, first.unready, first.runs) == (105.0, {"digest": "no"}, ["draining"], 1)
    assert (states["run"].drain_at, states["n2"].drain_at) == (None, 107.0)


async def test_nodes_that_left_long_ago_are_forgotten(store: Store) -> None:
    for name in ("gone", "owner", "late"):
        await store.nodes.join(node(name), 10.0)
    await store.nodes.leave("gone", 110.0)
    await store.nodes.leave("late", 500.0)
    await store.nodes.leave("owner", 110.0)
    await store.journal.commit(accepting("r", new={"owner": "owner"}))
    assert await store.nodes.forget(300.0) == 1
    assert {state.node.node for state in await store.nodes.states(105.0)} == {"owner", "late"}


# -- orphans ---------------------------------------------------------------------------------------------------------


async def test_orphan_is_adopted_once_under_its_fence(store: Store) -> None:
    await store.nodes.join(node("n1", host="here"), 10.0)
    await store.journal.commit(accepting(tasks=[new_task()]))
    await store.queue.claim("n1", "local", 9, 9, 60.0, 100.0, own=False)
    assert await store.queue.orphans(9) == []
    await store.nodes.bury("n1", 111.0)
    (orphan,) = await store.queue.orphans(9)
    assert (orphan.task.task, orphan.task.fence, orphan.holder, orphan.host, orphan.owner) == (
        "t1",
        1,
        "n1",
        "here",
        None,
    )
    await store.nodes.join(node("n2"), 60.0)
    assert await store.queue.adopt(orphan, "n2", 60.0, 112.0)
    assert not await store.queue.adopt(orphan, "n3", 60.0, 112.0)
    assert await store.queue.orphans(9) == []
    assert not await store.queue.settle("t1", 1, Done("late"), 113.0, holder="n1")
    await store.queue.lose(orphan, 114.0)
    assert await store.queue.settle("t1", 1, Done("right"), 115.0, holder="n2")


async def test_orphan_that_nothing_is_left_of_is_lost_and_its_run_is_told(store: Store) -> None:
    await store.journal.commit(accepting(tasks=[new_task()]))
    await store.queue.claim("gone", "local", 9, 9, 60.0, 100.0, own=False)
    (orphan,) = await store.queue.orphans(9)
    assert orphan.host is None
    await store.queue.lose(orphan, 101.0)
    (row,) = await store.journal.inbox("n1")
    told = cause.decode(row.cause)
    assert isinstance(told, cause.Settled)
    assert isinstance(told.outcome, Failed)
    assert told.outcome.failure is FailureClass.LOST
    assert await store.views.oldest_inbox() is not None


async def test_output_that_is_stored_is_counted_by_stream(store: Store) -> None:
    await store.journal.commit(accepting(tasks=[new_task()]))
    (task,) = await store.queue.claim("n1", "local", 9, 9, 60.0, 100.0, own=False)
    pieces = [
        LogLine(number=0, path=task.path, attempt=1, at=1.0, stream=stream, text=text)
        for stream, text in (("stdout", "äö"), ("stderr", "x"), ("stdout", "u"))
    ]
    await store.queue.log("r1", pieces, 100)
    assert await store.queue.logged(task) == {"stdout": 3, "stderr": 1}


# -- after a restore -------------------------------------------------------------------------------------------------


async def test_no_writer_of_before_can_write_after_the_fences_were_raised(store: Store) -> None:
    await store.nodes.join(node("n1"), 1000.0)
    await store.journal.commit(accepting("r1", tasks=[new_task()]))
    await store.queue.claim("n1", "local", 9, 9, 60.0, 100.0, own=False)
    await store.journal.commit(accepting("r2"))
    assert await store.upkeep.raise_fences(1_000_000, 200.0) == 2
    assert await store.journal.commit(batch("r1", 1)) is Committed.STALE
    assert not await store.queue.settle("t1", 1, Done(), 201.0)
    assert await store.nodes.live(200.0) == []
    (first, second) = await store.nodes.claim_runs("n2", 9)
    assert (first.epoch, second.epoch) == (1_000_002, 1_000_002)
    (row,) = await store.journal.inbox("n2")
    assert row.number > 1 or isinstance(cause.decode(row.cause), cause.Settled)
    await store.journal.post("r2", "cancel:1", b"{}", "somebody", 202.0)
    assert max(each.number for each in await store.journal.inbox("n2")) > 1_000_000
    await store.upkeep.record("somebody", "restore", "all", 203.0)
