"""What happens when two connections meet over events, child runs, retention, orphans, claims of runs and a restore."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest

from interlock.engine import cause
from interlock.model.states import RunStatus
from interlock.model.task import Done, Failed
from interlock.service import uuid7
from interlock.store.ports import Committed, NewEvent, NewSubscription, Post
from interlock.store.sql.postgresql import partitions
from interlock.store.sql.postgresql.store import PostgresStore
from store.rows import accepting, batch, new_run, new_task, node
from store.stops import committing, is_blocked, stopped

Two = tuple[PostgresStore, PostgresStore]
WANTED = NewSubscription(namespace="default", listener=1, type="t", source="")


def event(id: str = "e1", type: str = "t") -> NewEvent:
    body = b'{"id":"%s"}' % id.encode()
    return NewEvent(namespace="default", id=id, source="/s", type=type, body=body, cause=b'{"kind":"tick"}')


async def inbox(store: PostgresStore, run: str = "r1") -> list[bytes]:
    stored = await store.journal.load(run)
    assert stored is not None
    return [row.cause for row in stored.inbox]


# -- events ----------------------------------------------------------------------------------------------------------


async def test_event_that_meets_a_subscription_comes_before_it(two: Two) -> None:
    one, other = two
    await one.journal.commit(accepting())
    async with committing(one, batch(seq=1, subscriptions=[WANTED])) as applied:
        assert applied == {"r1"}
        assert await other.journal.send(event(), "test", 100.0) == 0
    assert await inbox(one) == []
    assert await other.journal.send(event("e2"), "test", 100.0) == 1


async def test_event_that_meets_the_end_of_a_subscription_is_left_to_the_run(two: Two) -> None:
    one, other = two
    await one.journal.commit(accepting(subscriptions=[WANTED]))
    async with committing(one, batch(seq=1, unsubscribed=[1])):
        assert await other.journal.send(event(), "test", 100.0) == 1
    assert len(await inbox(one)) == 1
    assert await other.journal.send(event("e2"), "test", 100.0) == 0


async def test_event_that_meets_the_end_of_its_listener_is_swept(two: Two) -> None:
    one, other = two
    await one.journal.commit(accepting(subscriptions=[WANTED]))
    async with committing(one, batch(seq=1, ended=True, status=RunStatus.FAULTED, fault=b"{}")):
        assert await other.journal.send(event(), "test", 100.0) == 1
    assert await other.journal.inbox("n1") == []
    assert len(await inbox(one)) == 1
    await other.journal.sweep(0.0)
    assert await inbox(one) == []


async def test_event_that_is_sent_twice_at_once_is_delivered_once(two: Two, postgres_url: str) -> None:
    one, other = two
    await one.journal.commit(accepting(subscriptions=[WANTED]))
    stop = stopped(one, one.journal, "event_add")
    first = asyncio.create_task(one.journal.send(event(), "test", 100.0))
    await stop.reached.wait()
    second = asyncio.create_task(other.journal.send(event(), "test", 100.0))
    third = asyncio.create_task(other.journal.commit(accepting("r2", emitted=[event()])))
    await is_blocked(postgres_url)
    stop.go_on.set()
    assert (await first, await second, await third) == (1, None, Committed.APPLIED)
    assert len(await inbox(one)) == 1


async def test_event_whose_first_sender_gives_up_is_delivered_by_the_second(two: Two, postgres_url: str) -> None:
    one, other = two
    await one.journal.commit(accepting(subscriptions=[WANTED]))
    async with committing(one, accepting("r2", emitted=[event()]), durable=False):
        second = asyncio.create_task(other.journal.send(event(), "test", 100.0))
        await is_blocked(postgres_url)
    assert await second == 1
    assert len(await inbox(one)) == 1


# -- child runs ------------------------------------------------------------------------------------------------------


async def test_child_whose_parent_is_taken_over_meanwhile_is_not_accepted(two: Two, postgres_url: str) -> None:
    one, other = two
    await one.nodes.join(node("n1"), 10.0)
    await one.journal.commit(accepting())
    stop = stopped(one, one.nodes, "runs_free_of")
    burial = asyncio.create_task(one.nodes.bury("n1", 200.0))
    await stop.reached.wait()
    child = new_run("c1", parent="r1", parent_effect=3)
    late = asyncio.create_task(
        other.journal.commit(batch(seq=1, children=[child], posts=[Post(run="r1", cause_id="x", cause=b"{}")]))
    )
    await is_blocked(postgres_url)
    stop.go_on.set()
    assert await burial == 1
    assert await late is Committed.STALE
    assert await one.journal.load("c1") is None
    assert await one.journal.commit(accepting("again", new={"id": "c1"})) is Committed.APPLIED
    assert await inbox(one) == []


async def test_child_of_an_owner_that_dies_meanwhile_is_found_and_freed(two: Two) -> None:
    one, other = two
    await one.nodes.join(node("n1"), 10.0)
    await one.journal.commit(accepting())
    async with committing(other, batch(seq=1, children=[new_run("c1", parent="r1", parent_effect=3)])):
        pass
    stop = stopped(one, one.nodes, "runs_free_of")
    burial = asyncio.create_task(one.nodes.bury("n1", 200.0))
    await stop.reached.wait()
    late = new_run("c2", parent="r2", parent_effect=3)
    await other.journal.commit(accepting("r2", children=[late]))  # its node does not know yet that it is dead
    stop.go_on.set()
    assert await burial == 2
    assert await other.nodes.ghosts() == ["n1"]
    assert await other.nodes.bury("n1", 201.0) == 2
    assert {run.run for run in await other.nodes.claim_runs("n2", 9)} == {"r1", "c1", "r2", "c2"}


@pytest.mark.parametrize("parent_first", [True, False])
async def test_parent_that_is_cancelled_while_its_child_ends_leaves_nothing_that_waits(
    two: Two, parent_first: bool
) -> None:
    one, other = two
    await one.journal.commit(accepting(children=[new_run("c1", parent="r1", parent_effect=3)]))
    told = Post(run="r1", cause_id="effect:3", cause=b"{}")
    ended = batch("c1", seq=1, ended=True, status=RunStatus.COMPLETED, posts=[told])
    cancelled = batch(seq=1, cancelled_tasks=[3], ended=True, status=RunStatus.CANCELLED)
    first, second = (cancelled, ended) if parent_first else (ended, cancelled)
    async with committing(one, first) as applied:
        assert applied == {first.run}
        assert await other.journal.commit(second) is Committed.APPLIED
    assert await one.journal.inbox("n1") == []  # what came in for an ended run concerns nobody
    await one.journal.sweep(0.0)
    assert (await one.views.counts())["inbox"] == 0


async def test_child_that_is_cancelled_in_the_commit_that_it_begins_with_hears_of_it(
    two: Two, postgres_url: str
) -> None:
    one, other = two
    await one.journal.commit(accepting(children=[new_run("c1", parent="r1", parent_effect=3)]))
    async with committing(one, batch("c1", seq=1)):
        assert await other.journal.commit(batch(seq=1, cancelled_tasks=[3])) is Committed.APPLIED
    assert [cause.decode(each) for each in await inbox(one, "c1")] == [
        cause.Cancel("the run that started this one no longer waits for it")
    ]


# -- retention -------------------------------------------------------------------------------------------------------


async def faulted(store: PostgresStore, run: str = "r1", **more: Any) -> None:
    await store.journal.commit(accepting(run, **more))
    ended = batch(run, seq=1, ended=True, status=RunStatus.FAULTED, fault=b"{}")
    assert await store.journal.commit(ended) is Committed.APPLIED


async def test_removal_that_meets_a_reopening_leaves_the_run(two: Two, postgres_url: str) -> None:
    one, other = two
    await faulted(one)
    stop = stopped(one, one.journal, "run_reopen")
    reopening = asyncio.create_task(one.journal.reopen("r1", "n1", "user:me", 200.0))
    await stop.reached.wait()
    removing = asyncio.create_task(other.upkeep.remove(["r1"], 1e9))
    await is_blocked(postgres_url)
    stop.go_on.set()
    assert (await reopening, await removing) == (2, 0)
    assert len(await one.journal.inbox("n1")) == 1
    assert not await other.upkeep.clear()


async def test_reopening_that_meets_a_removal_finds_no_run(two: Two, postgres_url: str) -> None:
    one, other = two
    await faulted(one)
    stop = stopped(one, one.upkeep, "removal_begin")
    removing = asyncio.create_task(one.upkeep.remove(["r1"], 1e9))
    await stop.reached.wait()
    reopening = asyncio.create_task(other.journal.reopen("r1", "n1", "user:me", 200.0))
    await is_blocked(postgres_url)
    stop.go_on.set()
    assert (await removing, await reopening) == (1, None)
    while await other.upkeep.clear():
        pass
    assert (await other.views.counts())["inbox"] == 0


async def test_removers_that_meet_remove_each_run_once(two: Two, postgres_url: str) -> None:
    one, other = two
    await faulted(one)
    stop = stopped(one, one.upkeep, "removal_begin")
    first = asyncio.create_task(one.upkeep.remove(["r1"], 1e9))
    await stop.reached.wait()
    second = asyncio.create_task(other.upkeep.remove(["r1"], 1e9))
    await is_blocked(postgres_url)
    stop.go_on.set()
    assert (await first, await second) == (1, 0)


async def test_settle_that_meets_the_removal_of_its_run_tells_nobody(two: Two, postgres_url: str) -> None:
    """It had ended when the run was removed, or the run stays."""
    one, other = two
    await faulted(one, tasks=[new_task("t1", "r1")])
    (task,) = await one.queue.claim("n1", "local", 1, 1, 60.0, 100.0, own=False)
    stop = stopped(one, one.queue, "task_end")
    settling = asyncio.create_task(one.queue.settle(task.task, task.fence, Done(1), 101.0))
    await stop.reached.wait()
    assert await other.upkeep.remove(["r1"], 1e9) == 0
    stop.go_on.set()
    assert await settling
    assert await other.upkeep.remove(["r1"], 1e9) == 1
    assert not await other.queue.settle(task.task, task.fence, Done(1), 102.0)
    while await other.upkeep.clear():
        pass
    counts = await other.views.counts()
    assert (counts["inbox"], counts["tasks"]) == (0, 0)


WEEK = datetime(2025, 1, 6, tzinfo=UTC)
OLD = uuid7(int(WEEK.timestamp() * 1000), bytes(10))
BEFORE = WEEK.timestamp() + 14 * 86400


async def _old_week(store: PostgresStore, url: str) -> None:
    connection = await asyncpg.connect(url)
    await partitions.make(connection, WEEK.timestamp())
    await connection.close()
    await faulted(store, OLD)


async def test_drop_of_a_week_that_meets_a_reopening_leaves_the_week(two: Two, postgres_url: str) -> None:
    one, other = two
    await _old_week(one, postgres_url)
    stop = stopped(one, one.journal, "run_reopen")
    reopening = asyncio.create_task(one.journal.reopen(OLD, "n1", "user:me", 200.0))
    await stop.reached.wait()
    dropping = asyncio.create_task(other.upkeep.drop(BEFORE))
    await is_blocked(postgres_url)
    stop.go_on.set()
    assert (await reopening, await dropping) == (2, 0)
    assert await other.journal.load(OLD) is not None
    assert await other.journal.commit(batch(OLD, seq=2, epoch=2)) is Committed.APPLIED


async def test_reopening_a_load_and_an_acceptance_that_meet_the_drop_of_a_week_find_no_run(
    two: Two, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = two
    await _old_week(one, postgres_url)
    await other.journal.load(OLD)  # its statements are planned with the week there
    locked, go = asyncio.Event(), asyncio.Event()
    change = partitions._change

    async def slow_change(connection: Any, *statements: str, unless: str | None = None) -> bool:
        if not statements[0].startswith("LOCK"):
            return await change(connection, *statements, unless=unless)
        async with connection.transaction():
            await connection.execute(statements[0])
            locked.set()
            await go.wait()
            for statement in statements[1:]:
                await connection.execute(statement)
        return True

    monkeypatch.setattr(partitions, "_change", slow_change)
    dropping = asyncio.create_task(one.upkeep.drop(BEFORE))
    await locked.wait()
    reopening = asyncio.create_task(other.journal.reopen(OLD, "n1", "user:me", 200.0))
    loading = asyncio.create_task(other.journal.load(OLD))
    accepting_ = asyncio.create_task(other.journal.commit(accepting("r9", new={"id": "another"})))
    await is_blocked(postgres_url)
    go.set()
    assert await dropping == 1
    assert (await reopening, await loading, await accepting_) == (None, None, Committed.APPLIED)
    assert (await other.views.counts())["inbox"] == 0


# -- orphans ---------------------------------------------------------------------------------------------------------


async def _orphan(store: PostgresStore) -> Any:
    await store.nodes.join(node("n1", host="here"), 10.0)
    await store.journal.commit(accepting(tasks=[new_task()]))
    await store.queue.claim("n1", "local", 9, 9, 60.0, 100.0, own=False)
    await store.nodes.bury("n1", 111.0)
    (orphan,) = await store.queue.orphans(9)
    return orphan


async def test_orphan_is_adopted_by_one_of_two(two: Two, postgres_url: str) -> None:
    one, other = two
    orphan = await _orphan(one)
    stop = stopped(one, one.queue, "lease_adopt")
    first = asyncio.create_task(one.queue.adopt(orphan, "n2", 60.0, 112.0))
    await stop.reached.wait()
    second = asyncio.create_task(other.queue.adopt(orphan, "n3", 60.0, 112.0))
    await is_blocked(postgres_url)
    stop.go_on.set()
    assert (await first, await second) == (True, False)


async def test_settle_of_the_old_holder_that_meets_an_adoption_is_refused(two: Two, postgres_url: str) -> None:
    one, other = two
    orphan = await _orphan(one)
    stop = stopped(one, one.queue, "lease_adopt")
    adopting = asyncio.create_task(one.queue.adopt(orphan, "n2", 60.0, 112.0))
    await stop.reached.wait()
    late = asyncio.create_task(other.queue.settle("t1", 1, Done("old"), 112.0, holder="n1"))
    await is_blocked(postgres_url)
    stop.go_on.set()
    assert (await adopting, await late) == (True, False)
    assert await other.queue.settle("t1", 1, Done("new"), 113.0, holder="n2")
    assert [cause.decode(each) for each in await inbox(one)] == [cause.Settled(1, Done("new"))]


@pytest.mark.parametrize("ending", ["settle", "lose", "expire"])
async def test_adoption_that_meets_the_end_of_the_attempt_is_refused(two: Two, postgres_url: str, ending: str) -> None:
    one, other = two
    orphan = await _orphan(one)
    stop = stopped(one, one.queue, "leases_end_expired" if ending == "expire" else "lease_end_fenced")
    ends = {
        "settle": lambda: one.queue.settle("t1", 1, Done("old"), 112.0, holder="n1"),
        "lose": lambda: one.queue.lose(orphan, 112.0),
        "expire": lambda: one.queue.expire(1000.0),
    }
    end = asyncio.ensure_future(ends[ending]())
    await stop.reached.wait()
    adopting = asyncio.create_task(other.queue.adopt(orphan, "n2", 60.0, 112.0))
    await is_blocked(postgres_url)
    stop.go_on.set()
    await end
    assert not await adopting
    (told,) = [cause.decode(each) for each in await inbox(one)]
    assert isinstance(told, cause.Settled)
    assert isinstance(told.outcome, Done if ending == "settle" else Failed)


# -- claims of runs --------------------------------------------------------------------------------------------------


async def test_claims_with_refusals_that_meet_take_each_run_once(two: Two) -> None:
    one, other = two
    for number in range(6):
        new = {"owner": None, "definition": "new" if number % 2 else "old"}
        await one.journal.commit(accepting(f"r{number}", new=new))
    stop = stopped(one, one.nodes, "runs_claim")
    first = asyncio.create_task(one.nodes.claim_runs("n1", 2, refused=["new"]))
    await stop.reached.wait()
    second = await other.nodes.claim_runs("n2", 9, refused=["old"])
    third = await other.nodes.claim_runs("n3", 9)
    stop.go_on.set()
    taken = [[run.run for run in claimed] for claimed in (await first, second, third)]
    assert taken == [["r0", "r2"], ["r1", "r3", "r5"], ["r4"]]


async def test_claim_that_meets_a_release_leaves_the_run_to_the_next_look(two: Two) -> None:
    one, other = two
    await one.journal.commit(accepting())
    async with committing(one, batch(seq=1, release=True)):
        assert await other.nodes.claim_runs("n2", 9) == []
        assert not await other.nodes.unowned([])
    assert [(run.run, run.epoch) for run in await other.nodes.claim_runs("n2", 9)] == [("r1", 2)]
    assert await one.journal.commit(batch(seq=2)) is Committed.STALE


# -- a restore -------------------------------------------------------------------------------------------------------


async def test_writers_of_before_that_meet_a_restore_are_refused(two: Two, postgres_url: str) -> None:
    one, other = two
    await one.nodes.join(node("n1"), 10.0)
    await one.journal.commit(accepting(tasks=[new_task()]))
    await one.queue.claim("n1", "local", 9, 9, 60.0, 100.0, own=False)
    stop = stopped(one, one.upkeep, "restored_numbers")
    restoring = asyncio.create_task(one.upkeep.raise_fences(1000, 200.0))
    await stop.reached.wait()
    pulse = other.pulse("n1")
    late = [
        asyncio.ensure_future(each)
        for each in (
            other.journal.commit(batch(seq=1)),
            other.queue.settle("t1", 1, Done(1), 200.0, holder="n1"),
            asyncio.to_thread(pulse.beat, 10.0, 60.0, 200.0),
        )
    ]
    await is_blocked(postgres_url)
    stop.go_on.set()
    assert await restoring == 1
    assert await asyncio.gather(*late) == [Committed.STALE, False, False]
    await asyncio.to_thread(pulse.close)
    (claimed,) = await other.nodes.claim_runs("n2", 9)
    assert claimed.epoch == 1002
    (told,) = [cause.decode(each) for each in await inbox(one)]
    assert isinstance(told, cause.Settled)
    assert isinstance(told.outcome, Failed)
