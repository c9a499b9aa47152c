"""Conformance of the queue: leased, fenced, outcomes told in the transaction that ends the attempt."""

from __future__ import annotations

import msgspec
import pytest

from interlock.engine import cause
from interlock.model import fault
from interlock.model.call import Requirements
from interlock.model.fault import Fault
from interlock.model.states import RunStatus, TaskState
from interlock.model.task import Cancelled, Done, Failed, FailureClass
from interlock.store.ports import Able, AttemptRow, GraphTask, LogLine, Store
from store.rows import accepting, batch, new_task, node


async def _enqueue(store: Store, count: int = 1, run: str = "r1") -> None:
    tasks = [new_task(f"{run}-t{number}", run, number) for number in range(1, count + 1)]
    await store.journal.commit(accepting(run, tasks=tasks))


async def test_ready_task_is_claimed_once(store: Store) -> None:
    assert not await store.queue.ready("local")
    await _enqueue(store)
    assert await store.queue.ready("local")
    first = await store.queue.claim("n1", "local", 4, 4, 60.0, 100.0, own=False)
    assert [(task.task, task.fence, task.run_id) for task in first] == [("r1-t1", 1, "r1")]
    assert await store.queue.claim("n2", "local", 4, 4, 60.0, 100.0, own=False) == []


async def test_node_never_holds_more_leases_than_slots(store: Store) -> None:
    await _enqueue(store, 9)
    first = await store.queue.claim("n1", "local", 3, 2, 60.0, 100.0, own=False)
    second = await store.queue.claim("n1", "local", 3, 9, 60.0, 100.0, own=False)
    assert (len(first), len(second)) == (2, 1)
    await store.queue.settle(first[0].task, 1, Done(1), 101.0)
    assert len(await store.queue.claim("n1", "local", 3, 9, 60.0, 100.0, own=False)) == 1


async def test_slots_belong_to_each_node(store: Store) -> None:
    await _enqueue(store, 9)
    claims = [await store.queue.claim(node, "local", 3, 9, 60.0, 100.0, own=False) for node in ("n1", "n2", "n1")]
    assert [len(claimed) for claimed in claims] == [3, 3, 0]


async def test_urgent_tasks_go_first(store: Store) -> None:
    tasks = [new_task("a", effect=1), new_task("b", effect=2, priority=5), new_task("c", effect=3)]
    await store.journal.commit(accepting(tasks=tasks))
    order = [(await store.queue.claim("n1", "local", 9, 1, 60.0, 1.0, own=False))[0].task for _ in range(3)]
    assert order == ["b", "a", "c"]


async def test_own_node_is_told_only_of_tasks_of_its_runs(store: Store) -> None:
    """Else it would claim in vain, which rings the bell, which lets it look again, for as long as the task waits."""
    await _enqueue(store)
    assert not await store.queue.ready("local", "n2")
    assert await store.queue.ready("local", "n1")


async def test_own_node_claims_only_tasks_of_its_runs(store: Store) -> None:
    await _enqueue(store)
    assert await store.queue.claim("n2", "local", 4, 4, 60.0, 100.0, own=True) == []
    assert len(await store.queue.claim("n1", "local", 4, 4, 60.0, 100.0, own=True)) == 1


async def test_outcome_reaches_the_run_once(store: Store) -> None:
    await _enqueue(store)
    await store.queue.claim("n1", "local", 4, 4, 60.0, 100.0, own=False)
    assert await store.queue.settle("r1-t1", 1, Done({"code": 0}), 101.0)
    assert not await store.queue.settle("r1-t1", 1, Done({"code": 1}), 102.0)
    rows = await store.journal.inbox("n1")
    assert [cause.decode(row.cause) for row in rows] == [cause.Settled(1, Done({"code": 0}))]
    assert [task.state for task in await store.views.tasks("r1")] == [TaskState.DONE]


async def test_stale_fence_changes_nothing(store: Store) -> None:
    await _enqueue(store)
    await store.queue.claim("n1", "local", 4, 4, 60.0, 100.0, own=False)
    assert not await store.queue.settle("r1-t1", 7, Done(1), 101.0)
    assert await store.journal.inbox("n1") == []
    assert [task.holder for task in await store.views.tasks("r1")] == ["n1"]


async def test_expired_attempt_is_lost_and_its_run_is_told(store: Store) -> None:
    await _enqueue(store)
    await store.queue.claim("n1", "local", 4, 4, 60.0, 100.0, own=False)
    assert await store.queue.expire(159.0) == 0
    assert await store.queue.expire(160.0) == 1
    found = cause.decode((await store.journal.inbox("n1"))[0].cause)
    assert isinstance(found, cause.Settled)
    assert isinstance(found.outcome, Failed)
    assert found.outcome.failure is FailureClass.LOST
    assert not await store.queue.settle("r1-t1", 1, Done(1), 161.0)


async def test_extended_attempt_is_not_lost(store: Store) -> None:
    await _enqueue(store)
    await store.queue.claim("n1", "local", 4, 4, 60.0, 100.0, own=False)
    await store.queue.extend("n1", 60.0, 150.0)
    assert await store.queue.expire(160.0) == 0


async def test_attempts_of_a_buried_node_are_lost(store: Store) -> None:
    await store.nodes.join(node("n1"), 10.0)
    await store.nodes.join(node("n2", pinned=True), 10.0)
    await _enqueue(store, 2)
    await store.queue.claim("n2", "local", 4, 1, 60.0, 100.0, own=False)
    await store.nodes.bury("n2", 111.0)
    assert len(await store.journal.inbox("n1")) == 1
    assert [task.state for task in await store.views.tasks("r1")] == [TaskState.FAILED, TaskState.READY]


async def test_task_that_nobody_waits_for_is_dropped_or_named_to_its_holder(store: Store) -> None:
    await _enqueue(store, 2)
    await store.queue.claim("n1", "local", 4, 1, 60.0, 100.0, own=False)
    await store.journal.commit(batch(seq=1, cancelled_tasks=[1, 2]))
    assert await store.queue.unwanted("n1", []) == [("r1-t1", 1)]
    assert await store.queue.unwanted("n2", []) == []
    assert not await store.queue.ready("local")
    assert await store.queue.settle("r1-t1", 1, Cancelled(), 101.0)
    assert await store.journal.inbox("n1") == []
    assert await store.queue.unwanted("n1", []) == []


async def test_outcome_for_an_ended_run_frees_the_slot_and_tells_nobody(store: Store) -> None:
    await _enqueue(store)
    await store.queue.claim("n1", "local", 1, 1, 60.0, 100.0, own=False)
    await store.journal.commit(batch(seq=1, ended=True, status=RunStatus.FAULTED))
    error = Failed(FailureClass.APPLICATION, Fault(type=fault.RUNTIME, status=500))
    assert await store.queue.settle("r1-t1", 1, error, 101.0)
    assert (await store.views.counts())["inbox"] == 0


async def test_output_is_kept_in_order_and_bounded_per_attempt(store: Store) -> None:
    await _enqueue(store)
    line = LogLine(number=0, path="/do/0/a", attempt=1, at=1.0, stream="stdout", text="0123456789")
    await store.queue.log("r1", [line] * 3, 25)
    await store.queue.log("r1", [line, msgspec.structs.replace(line, path="/do/1/b", text="other")], 25)
    found = await store.views.logs("r1", 0, 100, None)
    assert [row.text[:10] for row in found] == ["0123456789", "0123456789", "[the outpu", "other"]
    assert [row.text for row in await store.views.logs("r1", found[0].number, 1, None)] == ["0123456789"]
    assert [row.text for row in await store.views.logs("r1", 0, 9, "/do/1/b")] == ["other"]


async def test_piece_of_output_that_is_sent_again_is_stored_once(store: Store) -> None:
    """Its reply was lost; what came meanwhile is sent with it."""
    await _enqueue(store)
    pieces = [
        LogLine(number=number, path="/do/0/a", attempt=1, at=1.0, stream="stdout", text=f"{number}\0")
        for number in range(1, 5)
    ]
    await store.queue.log("r1", pieces[:2], 100, "w1")
    await store.queue.log("r1", pieces, 100, "w1")
    await store.queue.log("r1", pieces[:1], 100, "w2")
    assert [row.text for row in await store.views.logs("r1", 0, 9, None)] == ["1␀", "2␀", "3␀", "4␀", "1␀"]


async def test_lease_ends_are_counted_from_the_stores_own_present(store: Store) -> None:
    """No time given: what a machine's clock says does not matter."""
    await store.nodes.join(node("n1", joined_at=None), 10.0)
    await store.nodes.join(node("n2", joined_at=None), -10.0)
    assert [row.node for row in await store.nodes.live(None)] == ["n1"]
    assert [row.node for row in await store.nodes.expired(None)] == ["n2"]
    left = {state.node.node: state.lease_seconds or 0.0 for state in await store.nodes.states(None)}
    assert 5.0 < left["n1"] <= 10.0
    assert left["n2"] <= -10.0
    await _enqueue(store, 2)
    await store.queue.claim("n1", "local", 4, 1, 60.0, None, own=False)
    assert await store.queue.expire(None) == 0
    await store.queue.extend("n1", -60.0, None)
    assert await store.queue.expire(None) == 1


async def test_attempts_that_a_node_holds_are_named(store: Store) -> None:
    await _enqueue(store, 3)
    claimed = await store.queue.claim("n1", "local", 4, 2, 60.0, 100.0, own=False)
    assert await store.queue.held("n1", "local") == claimed
    assert await store.queue.held("n1", "other") == []
    assert await store.queue.held("n2", "local") == []
    await store.queue.settle(claimed[0].task, 1, Done(1), 101.0)
    assert await store.queue.held("n1", "local") == claimed[1:]


async def test_node_and_attempt_leases_are_told_apart(store: Store) -> None:
    """One holder has both; renewing, expiring and counting the one must not touch the other."""
    await store.nodes.join(node("n1", joined_at=0.0), 10.0)
    await store.journal.commit(accepting(tasks=[new_task("t1")]))
    await store.queue.claim("n1", "local", 4, 4, 60.0, 0.0, own=False)
    await store.queue.extend("n1", 500.0, 0.0)
    assert [row.node for row in await store.nodes.expired(10.0)] == ["n1"]
    assert await store.queue.expire(400.0) == 0
    assert [row.node for row in await store.nodes.expired(400.0)] == ["n1"]
    assert await store.queue.expire(500.0) == 1
    assert [row.node for row in await store.nodes.expired(500.0)] == ["n1"]


async def test_attempt_that_was_cancelled_and_ended_is_ended_once(store: Store) -> None:
    """A cancellation that comes after the end marks nothing; an end that comes after the end tells nobody."""
    await store.nodes.join(node("n1"), 10.0)
    await store.journal.commit(accepting(tasks=[new_task("t1")]))
    (task,) = await store.queue.claim("n1", "local", 4, 4, 60.0, 100.0, own=False)
    assert await store.queue.settle("t1", task.fence, Done(1), 101.0)
    await store.journal.commit(batch(seq=1, cancelled_tasks=[1]))
    (row,) = await store.views.tasks("r1")
    assert row.state is TaskState.DONE
    (told,) = await store.journal.inbox("n1")
    await store.journal.commit(batch(seq=2, consumed=[told.number]))
    await store.nodes.bury("n1", 102.0)
    (row,) = await store.views.tasks("r1")
    assert row.state is TaskState.DONE
    stored = await store.journal.load("r1")
    assert stored is not None
    assert list(stored.inbox) == []


async def test_burying_a_node_leaves_the_owner_of_ended_runs_to_be_read(store: Store) -> None:
    await store.nodes.join(node("n1"), 10.0)
    await store.journal.commit(accepting("r1", status=RunStatus.COMPLETED, ended=True))
    await store.journal.commit(accepting("r2"))
    assert await store.nodes.bury("n1", 101.0) == 1
    row = await store.views.run(None, "r1")
    assert row is not None
    assert row.owner == "n1"


# -- workers: tasks that ask for something ------------------------------------------------------------------------------


async def _picky(store: Store) -> None:
    """A task for each thing that may be asked for, and one that asks for nothing, the least urgent of all."""
    asked = {
        "skills": Requirements(skills=("rust", "cuda")),
        "region": Requirements(region="eu"),
        "type": Requirements(type="build"),
        "cpu": Requirements(cpu=4),
        "memory": Requirements(memory=512.5),
        "all": Requirements(skills=("rust",), region="eu", type="build", cpu=2, memory=100),
        "any": None,
    }
    tasks = [
        new_task(name, effect=number, pool="gpu", priority=0 if name == "any" else 5, requires=requires)
        for number, (name, requires) in enumerate(asked.items(), 1)
    ]
    await store.journal.commit(accepting(tasks=tasks))


@pytest.mark.parametrize(
    ("able", "fitting"),
    [
        (Able(), {"any", "type"}),
        (Able(skills=["rust"]), {"any", "type"}),
        (Able(skills=["cuda", "rust", "x"]), {"any", "type", "skills"}),
        (Able(region="eu"), {"any", "type", "region"}),
        (Able(region="us"), {"any", "type"}),
        (Able(types=["build", "test"]), {"any", "type"}),
        (Able(types=["test"]), {"any"}),
        (Able(cpu=4), {"any", "type", "cpu"}),
        (Able(cpu=3.9, memory=512), {"any", "type"}),
        (Able(memory=512.5), {"any", "type", "memory"}),
        (
            Able(skills=["rust", "cuda"], region="eu", types=["build"], cpu=4, memory=1000),
            {"any", "skills", "region", "type", "cpu", "memory", "all"},
        ),
    ],
)
async def test_worker_sees_the_tasks_that_it_can_do(store: Store, able: Able, fitting: set[str]) -> None:
    await _picky(store)
    found = await store.queue.waiting("gpu", able, 10)
    assert {task.task for task in found} == fitting
    assert found[-1].task == "any"  # the urgent ones first


async def test_waiting_task_says_what_it_asks_for(store: Store) -> None:
    await _picky(store)
    found = {task.task: task for task in await store.queue.waiting("gpu", Able(region="eu"), 10)}
    assert found["region"].requires == Requirements(region="eu")
    assert found["any"].requires == Requirements()
    assert (found["region"].priority, found["any"].priority) == (5, 0)
    assert await store.queue.waiting("local", Able(), 10) == []


async def test_task_that_nobody_can_do_holds_up_no_other(store: Store) -> None:
    tasks = [
        new_task(f"t{number:03}", effect=number, pool="gpu", requires=Requirements(skills=("none",)))
        for number in range(1, 150)
    ]
    tasks.append(new_task("u", effect=200, pool="gpu"))
    await store.journal.commit(accepting(tasks=tasks))
    assert [task.task for task in await store.queue.waiting("gpu", Able(), 1)] == ["u"]


async def test_pools_with_a_task_that_is_ready_are_found(store: Store) -> None:
    assert await store.views.waiting_pools() == []
    pools = ["gpu", "local", "gpu", "a"]
    tasks = [new_task(f"t{number}", effect=number, pool=pool) for number, pool in enumerate(pools)]
    await store.journal.commit(accepting(tasks=tasks))
    assert await store.views.waiting_pools() == ["a", "gpu", "local"]
    await store.queue.claim("n1", "a", 1, 1, 60.0, 100.0, own=False)
    assert await store.views.waiting_pools() == ["gpu", "local"]


async def test_named_tasks_are_claimed_and_no_others(store: Store) -> None:
    tasks = [new_task(name, effect=number, pool="gpu") for number, name in enumerate("abcd", 1)]
    await store.journal.commit(accepting(tasks=tasks))
    claim = {"node": "n1", "pool": "gpu", "slots": 4, "limit": 4, "ttl_seconds": 60.0, "now": 100.0, "own": False}
    assert [task.task for task in await store.queue.claim(**claim, only=["c", "x"])] == ["c"]
    assert await store.queue.claim(**claim, only=["c"]) == []
    assert await store.queue.claim(**claim | {"pool": "local"}, only=["a"]) == []
    assert await store.queue.claim(**claim, only=[]) == []
    found = await store.queue.waiting("gpu", Able(), 10)
    assert [task.task for task in found] == ["a", "b", "d"]


async def test_named_claim_keeps_to_the_slots_and_takes_others_for_those_that_are_gone(store: Store) -> None:
    tasks = [new_task(name, effect=number, pool="gpu") for number, name in enumerate("abcd", 1)]
    await store.journal.commit(accepting(tasks=tasks))
    await store.queue.claim("n2", "gpu", 1, 1, 60.0, 100.0, own=False, only=["a"])
    claimed = await store.queue.claim("n1", "gpu", 2, 9, 60.0, 100.0, own=False, only=["a", "b", "c", "d"])
    assert [task.task for task in claimed] == ["b", "c"]
    assert await store.queue.claim("n1", "gpu", 2, 9, 60.0, 100.0, own=False, only=["d"]) == []


async def test_task_of_a_graph_may_ask_for_something_too(store: Store) -> None:
    task = new_task("g", "graph", 1, pool="gpu", requires=Requirements(skills=("rust",)))
    await store.graphs.load([GraphTask(task=task)], 100.0)
    assert await store.queue.waiting("gpu", Able(), 10) == []
    assert [each.task for each in await store.queue.waiting("gpu", Able(skills=["rust"]), 10)] == ["g"]


async def test_attempt_in_flight_is_found_and_tells_of_itself_until_it_ends(store: Store) -> None:
    """TK-12: under another fence, or after its end, nothing answers."""
    await _enqueue(store)
    (task,) = await store.queue.claim("n1", "local", 4, 4, 60.0, 100.0, own=False)
    assert await store.queue.report(task.task, task.fence, b'{"at":1}')
    assert not await store.queue.report(task.task, task.fence + 1, b"late")

    found = await store.queue.attempt(task.task, task.fence)

    assert found == AttemptRow(
        task="r1-t1", run="r1", path=task.path, pool="local", fence=1, attempt=1, cancel=False, report=b'{"at":1}',
        namespace="default", run_id="r1",
    )  # fmt: skip
    assert await store.queue.attempt(task.task, 2) is None
    assert await store.queue.settle(task.task, task.fence, Done(1, reported=True), 101.0)
    assert await store.queue.attempt(task.task, task.fence) is None
    assert not await store.queue.report(task.task, task.fence, b"late")


async def test_attempt_that_ended_by_a_report_is_unwanted_where_it_runs(store: Store) -> None:
    await _enqueue(store, 2)
    await store.queue.claim("n1", "local", 4, 4, 60.0, 100.0, own=False)
    both = [("r1-t1", 1), ("r1-t2", 1)]
    assert await store.queue.unwanted("n1", both) == []
    assert await store.queue.settle("r1-t1", 1, Done(1), 101.0)
    assert await store.queue.unwanted("n1", both) == both[:1]
