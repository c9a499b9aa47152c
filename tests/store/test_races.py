"""What happens when two connections meet: each is stopped between two statements, or many run at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

import pytest

import proxy
from interlock import errors
from interlock.engine import cause
from interlock.model.states import RunStatus
from interlock.model.task import Done
from interlock.store.open import open_store
from interlock.store.ports import Committed, GraphTask, LogLine, Store
from interlock.store.sql.postgresql.store import PostgresStore
from interlock.store.sql.transaction import Transaction
from store.rows import accepting, batch, definition, new_task, node
from store.stops import is_blocked, stopped

T = TypeVar("T")


Two = tuple[PostgresStore, PostgresStore]


async def _enqueue(store: Store, count: int, run: str = "r1") -> None:
    await store.journal.commit(
        accepting(run, tasks=[new_task(f"{run}-t{number:03}", run, number) for number in range(1, count + 1)])
    )


async def test_two_claims_that_count_at_once_never_exceed_the_slots(two: Two, postgres_url: str) -> None:
    one, other = two
    await _enqueue(one, 5)
    stop = stopped(one, one.queue, "pool_occupancy")
    first = asyncio.create_task(one.queue.claim("n1", "local", 1, 9, 60.0, 100.0, own=False))
    await stop.reached.wait()
    second = asyncio.create_task(other.queue.claim("n1", "local", 1, 9, 60.0, 100.0, own=False))
    await is_blocked(postgres_url)
    stop.go_on.set()
    assert sorted([len(await first), len(await second)]) == [0, 1]


async def test_many_claims_at_once_take_every_task_once(two: Two) -> None:
    await _enqueue(two[0], 60)
    claims = [
        two[number % 2].queue.claim(f"n{number % 5}", "local", 10, 7, 60.0, 100.0, own=False) for number in range(20)
    ]
    taken = [task.task for claimed in await asyncio.gather(*claims) for task in claimed]
    assert len(taken) == 50
    assert len(set(taken)) == 50


async def test_many_claims_of_runs_at_once_take_every_run_once(two: Two) -> None:
    for number in range(30):
        await two[0].journal.commit(accepting(f"r{number:02}", new={"owner": None}))
    claims = [two[number % 2].nodes.claim_runs(f"n{number}", 4) for number in range(12)]
    taken = [run for claimed in await asyncio.gather(*claims) for run in claimed]
    assert {run.epoch for run in taken} == {2}
    left = await two[0].nodes.claim_runs("last", 99)  # one that was being taken was skipped, not lost
    assert sorted(run.run for run in [*taken, *left]) == [f"r{number:02}" for number in range(30)]


async def test_settle_that_meets_a_sweeper_changes_nothing(two: Two, postgres_url: str) -> None:
    one, other = two
    await _enqueue(one, 1)
    (task,) = await one.queue.claim("n1", "local", 1, 1, 60.0, 100.0, own=False)
    stop = stopped(one, one.queue, "leases_end_expired")
    sweeping = asyncio.create_task(one.queue.expire(1000.0))
    await stop.reached.wait()
    settling = asyncio.create_task(other.queue.settle(task.task, task.fence, Done(1), 1000.0))
    await is_blocked(postgres_url)
    stop.go_on.set()
    assert await sweeping == 1
    assert not await settling
    (told,) = await one.journal.inbox("n1")
    assert b"lost" in told.cause


async def test_sweeper_that_meets_a_settle_changes_nothing(two: Two, postgres_url: str) -> None:
    one, other = two
    await _enqueue(one, 1)
    (task,) = await one.queue.claim("n1", "local", 1, 1, 60.0, 100.0, own=False)
    stop = stopped(one, one.queue, "lease_end_fenced")
    settling = asyncio.create_task(one.queue.settle(task.task, task.fence, Done(1), 1000.0))
    await stop.reached.wait()
    assert await other.queue.expire(1000.0) == 0
    stop.go_on.set()
    assert await settling
    (told,) = await one.journal.inbox("n1")
    assert cause.decode(told.cause) == cause.Settled(1, Done(1))


async def test_many_sweepers_end_each_attempt_once(two: Two) -> None:
    await _enqueue(two[0], 40)
    assert len(await two[0].queue.claim("n1", "local", 40, 40, 60.0, 100.0, own=False)) == 40
    counts = await asyncio.gather(*(two[number % 2].queue.expire(1000.0) for number in range(8)))
    assert sum(counts) == 40
    assert len(await two[0].journal.inbox("n1")) == 40


async def test_commit_that_meets_the_burial_of_its_node_is_stale(two: Two, postgres_url: str) -> None:
    one, other = two
    await one.nodes.join(node("n1"), 10.0)
    await _enqueue(one, 1)
    stop = stopped(one, one.nodes, "runs_free_of")
    burial = asyncio.create_task(one.nodes.bury("n1", 200.0))
    await stop.reached.wait()
    committing = asyncio.create_task(other.journal.commit(batch(seq=1, cancelled_tasks=[1])))
    await is_blocked(postgres_url)
    stop.go_on.set()
    assert await burial == 1
    assert await committing is Committed.STALE
    assert len(await two[0].journal.history("r1", 0, 9)) == 1


async def test_renewal_that_meets_its_burial_is_refused(two: Two, postgres_url: str) -> None:
    one, _ = two
    await one.nodes.join(node("n1"), 10.0)
    pulse = one.pulse("n1")
    stop = stopped(one, one.nodes, "lease_end")
    burial = asyncio.create_task(one.nodes.bury("n1", 200.0))
    await stop.reached.wait()
    beating = asyncio.create_task(asyncio.to_thread(pulse.beat, 10.0, 60.0, 200.0))
    await is_blocked(postgres_url)
    stop.go_on.set()
    await burial
    assert not await beating
    await asyncio.to_thread(pulse.close)


async def test_claim_that_meets_a_cancellation_does_one_or_the_other(two: Two, postgres_url: str) -> None:
    """The task was taken when the cancellation looked, so it is named to its holder."""
    one, other = two
    await _enqueue(one, 1)
    stop = stopped(one, one.queue, "tasks_claim")
    claiming = asyncio.create_task(one.queue.claim("n1", "local", 1, 1, 60.0, 100.0, own=False))
    await stop.reached.wait()
    cancelling = asyncio.create_task(other.journal.commit(batch(seq=1, cancelled_tasks=[1])))
    await is_blocked(postgres_url)
    stop.go_on.set()
    assert len(await claiming) == 1
    assert await cancelling is Committed.APPLIED
    assert await one.queue.unwanted("n1", [("r1-t001", 1)]) == [("r1-t001", 1)]


async def test_reader_that_follows_output_misses_nothing_that_becomes_visible_late(two: Two, postgres_url: str) -> None:
    one, other = two
    await one.journal.commit(accepting())
    line = LogLine(number=0, path="/do/0/a", attempt=1, at=1.0, stream="stdout", text="early number")
    stop = stopped(one, one.queue, "log_add")
    writing = asyncio.create_task(one.queue.log("r1", [line], 1000))
    await stop.reached.wait()
    late = LogLine(**{**_fields(line), "text": "late number"})
    waiting = asyncio.create_task(other.queue.log("r1", [late], 1000))
    await is_blocked(postgres_url)
    await other.journal.commit(accepting("r2"))
    await other.queue.log("r2", [late], 1000)  # the output of other runs waits for nobody
    assert await other.views.logs("r1", 0, 9, None) == []
    stop.go_on.set()
    await asyncio.gather(writing, waiting)
    found = await other.views.logs("r1", 0, 9, None)
    assert [row.text for row in found] == ["early number", "late number"]


def _fields(line: LogLine) -> dict[str, Any]:
    return {name: getattr(line, name) for name in line.__struct_fields__}


async def test_id_is_taken_once_by_many_starts_at_once(two: Two) -> None:
    starts = [
        two[number % 2].journal.commit(accepting(f"r{number:02}", new={"id": f"order-{number % 3}"}))
        for number in range(30)
    ]
    results = await asyncio.gather(*starts)
    assert results.count(Committed.APPLIED) == 3
    assert results.count(Committed.EXISTS) == 27


async def test_version_is_fixed_once_by_many_publishers_at_once(two: Two) -> None:
    publishers = [
        two[number % 2].journal.publish(definition(f"d{number}"), "user:me", float(number)) for number in range(10)
    ]
    assert len(set(await asyncio.gather(*publishers))) == 1


async def test_reopened_run_drops_what_came_in_while_it_ended(two: Two) -> None:
    """An outcome may be told to a run that ends at the same moment; it concerns nobody when the run is retried."""
    one, other = two
    await _enqueue(one, 2)
    first, second = await one.queue.claim("n1", "local", 2, 2, 60.0, 100.0, own=False)
    stop = stopped(one, one.queue, "run_is_open")
    settling = asyncio.create_task(one.queue.settle(first.task, first.fence, Done(1), 101.0))
    await stop.reached.wait()
    await other.journal.commit(batch(seq=1, ended=True, status=RunStatus.FAULTED, fault=b"{}"))
    stop.go_on.set()
    assert await settling
    assert (await other.views.counts())["inbox"] == 1
    assert await other.journal.reopen("r1", "n1", "user:me", 102.0) == 2
    assert [row.cause for row in await other.journal.inbox("n1")] == [b'{"kind":"reopen"}']
    assert second.fence == 1


async def test_what_came_in_for_an_ended_run_is_swept(two: Two) -> None:
    one, other = two
    await _enqueue(one, 1)
    (task,) = await one.queue.claim("n1", "local", 2, 2, 60.0, 100.0, own=False)
    stop = stopped(one, one.queue, "run_is_open")
    settling = asyncio.create_task(one.queue.settle(task.task, task.fence, Done(1), 101.0))
    await stop.reached.wait()
    await other.journal.commit(batch(seq=1, ended=True, status=RunStatus.FAULTED, fault=b"{}"))
    stop.go_on.set()
    await settling
    await other.journal.sweep(0.0)
    assert (await other.views.counts())["inbox"] == 0


async def test_transactions_that_lock_each_other_out_are_both_made(two: Two) -> None:
    one, other = two
    first, second = node("n1"), node("n2")
    for each in (first, second):
        await one.nodes.join(each, 10.0)

    def renewing(names: tuple[str, str], mine: asyncio.Event, theirs: asyncio.Event) -> Callable[..., Awaitable[None]]:
        async def work(transaction: Transaction) -> None:
            for number, name in enumerate(names):
                beat = {"node": name, "node_ttl": 10.0, "attempt_ttl": 60.0, "now": 500.0}
                await transaction.rows("node_renew", beat)
                if number == 0:
                    mine.set()
                    async with asyncio.timeout(60):
                        await theirs.wait()

        return work

    a, b = asyncio.Event(), asyncio.Event()
    await asyncio.gather(
        one.database.write(renewing(("n1", "n2"), a, b)), other.database.write(renewing(("n2", "n1"), b, a))
    )
    assert {state.lease_seconds for state in await one.nodes.states(400.0)} == {110.0}


async def test_task_whose_two_predecessors_end_at_once_is_ready_once(two: Two, postgres_url: str) -> None:
    """Without the lock on the successor each settle sees the other one's edge, and it waits for ever."""
    one, other = two
    await one.graphs.load(
        [
            GraphTask(task=new_task("a", "g", 1)),
            GraphTask(task=new_task("b", "g", 2)),
            GraphTask(task=new_task("c", "g", 3), after={"a": True, "b": True}),
        ],
        100.0,
    )
    await one.queue.claim("n1", "local", 9, 9, 60.0, 100.0, own=False)
    stop = stopped(one, one.queue, "edges_end")
    first = asyncio.create_task(one.queue.settle("a", 1, Done(1), 101.0))
    await stop.reached.wait()
    second = asyncio.create_task(other.queue.settle("b", 1, Done(1), 101.0))
    await is_blocked(postgres_url)
    stop.go_on.set()
    assert await first
    assert await second
    assert [task.task for task in await one.queue.claim("n1", "local", 9, 9, 60.0, 100.0, own=False)] == ["c"]


async def test_task_that_is_held_while_its_limit_is_freed_is_brought_back(two: Two, postgres_url: str) -> None:
    one, other = two
    await one.graphs.limit("key", 1)
    await one.graphs.load(
        [GraphTask(task=new_task(f"t{number}", "g", number), limits=["key"]) for number in (1, 2)], 100.0
    )
    assert len(await one.queue.claim("n1", "local", 1, 1, 60.0, 100.0, own=False)) == 1
    stop = stopped(one, one.queue, "limit_occupancy")
    claiming = asyncio.create_task(one.queue.claim("n1", "local", 9, 1, 60.0, 100.0, own=False))
    await stop.reached.wait()  # it has counted: the limit is full
    settling = asyncio.create_task(other.queue.settle("t1", 1, Done(1), 101.0))
    await is_blocked(postgres_url)
    stop.go_on.set()
    assert await claiming == []
    assert await settling
    assert [task.task for task in await one.queue.claim("n1", "local", 9, 9, 60.0, 100.0, own=False)] == ["t2"]


async def test_many_claims_in_several_pools_never_exceed_a_limit_they_share(two: Two) -> None:
    await two[0].graphs.limit("key", 3)
    await two[0].graphs.load(
        [
            GraphTask(task=new_task(f"t{number:02}", "g", number, pool=f"p{number % 4}"), limits=["key"])
            for number in range(24)
        ],
        100.0,
    )
    done: list[str] = []
    while len(done) < 24:
        claims = [two[number % 2].queue.claim("n1", f"p{number}", 9, 9, 60.0, 100.0, own=False) for number in range(4)]
        taken = [task for claimed in await asyncio.gather(*claims) for task in claimed]
        assert 0 < len(taken) <= 3
        settles = [
            two[number % 2].queue.settle(task.task, task.fence, Done(1), 1.0) for number, task in enumerate(taken)
        ]
        assert all(await asyncio.gather(*settles))
        done += [task.task for task in taken]
    assert len(set(done)) == 24


# -- lost replies ----------------------------------------------------------------------------------------------------


@pytest.fixture
async def behind(postgres_url: str) -> AsyncIterator[tuple[PostgresStore, proxy.Proxy]]:
    """A store behind a proxy that can cut a connection between a request and its reply."""
    start, _, end = postgres_url.rpartition("/")
    async with proxy.before(int(start.rpartition(":")[2])) as between:
        store = await open_store(f"postgresql://postgres@127.0.0.1:{between.port}/{end}")
        assert isinstance(store, PostgresStore)
        yield store, between
        await store.close()


Behind = tuple[PostgresStore, proxy.Proxy]


async def _until_told(call: Callable[[], Awaitable[T]]) -> T:
    """Repeat a call as the engine and the dispatcher do while the store is away."""
    while True:
        try:
            return await call()
        except errors.StoreUnavailable:
            await asyncio.sleep(0)


@pytest.mark.slow
async def test_commit_whose_reply_is_lost_is_neither_lost_nor_doubled(behind: Behind) -> None:
    store, between = behind
    await store.journal.commit(accepting())
    for seq in range(1, 201):
        each = batch(seq=seq, history=b'["commit %d"]' % seq)
        between.marker = b'["commit %d"]' % seq
        committed = await _until_told(lambda each=each: store.journal.commit(each))
        assert committed is Committed.STALE  # the repeated one finds that the first was applied
        stored = await store.journal.load("r1")
        assert stored is not None
        assert (stored.epoch, stored.seq) == (1, seq + 1)
    assert between.cuts == 200
    assert [row.seq for row in await store.journal.history("r1", 0, 999)] == list(range(1, 202))


@pytest.mark.slow
async def test_claim_and_settle_whose_replies_are_lost_leave_nothing_stuck(behind: Behind) -> None:
    store, between = behind
    await _enqueue(store, 50)
    for number in range(1, 51):
        between.marker = b"COMMIT"
        with pytest.raises(errors.StoreUnavailable):
            await store.queue.claim("n1", "local", 1, 1, 60.0, 100.0, own=False)
        (task,) = await store.queue.held("n1", "local")
        assert task.effect == number
        between.marker = b"COMMIT"
        outcome = Done(number)
        assert not await _until_told(lambda task=task, outcome=outcome: store.queue.settle(task.task, 1, outcome, 1.0))
        assert await store.queue.held("n1", "local") == []
    told = [cause.decode(row.cause) for row in await store.journal.inbox("n1")]
    assert told == [cause.Settled(number, Done(number)) for number in range(1, 51)]
    assert between.cuts == 100


async def test_connections_that_broke_are_replaced(behind: Behind) -> None:
    store, between = behind
    await asyncio.gather(*(store.journal.load("nothing") for _ in range(8)))
    between.cut_all()
    assert await store.journal.load("nothing") is None
    assert await _until_told(lambda: store.journal.commit(accepting())) is Committed.APPLIED


async def test_two_workers_that_want_the_same_tasks_take_each_once(two: Two) -> None:
    await _enqueue(two[0], 40)
    names = [f"r1-t{number:03}" for number in range(1, 41)]
    claims = [
        two[number % 2].queue.claim(f"n{number}", "local", 4, 4, 60.0, 100.0, own=False, only=names)
        for number in range(12)
    ]
    taken = [task.task for claimed in await asyncio.gather(*claims) for task in claimed]
    assert len(taken) == len(set(taken))
    left = await two[0].queue.claim("last", "local", 40, 40, 60.0, 100.0, own=False, only=names)
    assert sorted([*taken, *(task.task for task in left)]) == names  # what another one was taking was skipped, not lost


async def test_two_named_claims_that_count_at_once_never_exceed_the_slots(two: Two, postgres_url: str) -> None:
    one, other = two
    await _enqueue(one, 5)
    names = [f"r1-t{number:03}" for number in range(1, 6)]
    stop = stopped(one, one.queue, "pool_occupancy")
    first = asyncio.create_task(one.queue.claim("n1", "local", 1, 9, 60.0, 100.0, own=False, only=names))
    await stop.reached.wait()
    second = asyncio.create_task(other.queue.claim("n1", "local", 1, 9, 60.0, 100.0, own=False, only=names))
    await is_blocked(postgres_url)
    stop.go_on.set()
    assert sorted([len(await first), len(await second)]) == [0, 1]
