"""Conformance of deliveries: due by the commit that ends a run, claimed by one, logged before they are sent."""

from __future__ import annotations

import inspect
from typing import Any

import msgspec
import pytest

from interlock.model.states import RunStatus
from interlock.store.ports import (
    ClaimedDelivery,
    Committed,
    DeliveryAttempt,
    DeliveryRow,
    DeliveryState,
    NewDelivery,
    Sent,
    Store,
)
from store.rows import accepting, batch, new_run, node

FOREVER = 1e12


def caller(delivery: str = "d1", **more: Any) -> NewDelivery:
    given: dict[str, Any] = {
        "delivery": delivery,
        "namespace": "default",
        "kind": "webhook",
        "target": "https://caller.example",
        "receiver": "r",
        "identity": delivery,
        "sealed": b"sealed\0",
        "deadline": 5000.0,
    }
    return NewDelivery(**given | more)


def called(run: str = "r1", delivery: str = "d1", ended: bool = False, **more: Any) -> Any:
    """Give the commit that accepts a run with a caller."""
    begun = accepting(run, ended=ended, status=RunStatus.COMPLETED if ended else RunStatus.RUNNING)
    return msgspec.structs.replace(begun, accept=new_run(run, callback=caller(delivery, **more)))


async def row(store: Store, delivery: str = "d1") -> DeliveryRow:
    found = await store.deliveries.get(delivery)
    assert found is not None
    return found


async def claim(store: Store, now: float = 200.0, node: str = "n1", limit: int = 10) -> list[ClaimedDelivery]:
    return await store.deliveries.claim(node, limit, now, now + 60.0)


async def end(store: Store, run: str = "r1", seq: int = 1, status: RunStatus = RunStatus.COMPLETED) -> None:
    assert await store.journal.commit(batch(run, seq, ended=True, status=status, at=150.0)) is Committed.APPLIED


async def test_caller_is_stored_with_the_commit_that_accepts_its_run(store: Store) -> None:
    """TK-03."""
    await store.journal.commit(called())
    assert await row(store) == DeliveryRow(
        delivery="d1", run="r1", namespace="default", kind="webhook", target="https://caller.example", receiver="r",
        identity="d1", state=DeliveryState.PENDING, waiting=True, attempts=0, due_at=5000.0, deadline=5000.0,
        beat_seconds=None, node=None, fence=0, problem=None, created_at=100.0, ended_at=None,
    )  # fmt: skip
    assert await store.journal.commit(called("r2", "d2")) is Committed.APPLIED
    taken = called("other", "d3")
    again = taken.__class__(**{**_fields(taken), "accept": new_run("other", id="r2", callback=caller("d3"))})
    assert await store.journal.commit(again) is Committed.EXISTS
    assert await store.deliveries.get("d3") is None


def _fields(each: Any) -> dict[str, Any]:
    return {name: getattr(each, name) for name in each.__struct_fields__}


@pytest.mark.parametrize("status", [RunStatus.COMPLETED, RunStatus.FAULTED, RunStatus.CANCELLED])
async def test_commit_that_ends_a_run_makes_its_deliveries_due(store: Store, status: RunStatus) -> None:
    """TK-06."""
    await store.journal.commit(called())
    await store.journal.commit(called("r2", "d2"))
    assert await store.deliveries.next_due() == 5000.0
    assert await claim(store) == []
    await end(store, status=status)
    assert (await row(store)).due_at == 150.0
    assert await store.deliveries.next_due() == 150.0
    (due,) = await claim(store)
    assert (due.delivery, due.run, due.sealed, due.waiting, due.beats, due.attempts) == (
        "d1", "r1", b"sealed\0", False, False, 1,
    )  # fmt: skip
    assert (await row(store, "d2")).waiting


async def test_run_that_ends_with_the_commit_that_accepts_it_is_due_at_once(store: Store) -> None:
    await store.journal.commit(called(ended=True))
    assert [each.delivery for each in await claim(store)] == ["d1"]


async def test_run_accepted_beside_others_keeps_its_caller(store: Store) -> None:
    batches = [called(f"r{number}", f"d{number}") for number in range(3)] + [accepting("plain")]
    assert await store.journal.accept(batches) == {"r0", "r1", "r2", "plain"}
    assert [(await row(store, f"d{number}")).run for number in range(3)] == ["r0", "r1", "r2"]
    await end(store, "r1")
    assert [each.delivery for each in await claim(store)] == ["d1"]


async def test_run_without_a_caller_is_not_marked(store: Store) -> None:
    await store.journal.commit(accepting())
    await end(store)
    assert await store.deliveries.next_due() is None
    assert await store.deliveries.of_run("r1") == []


async def test_what_is_claimed_is_in_the_log_before_it_is_sent(store: Store) -> None:
    """TK-07."""
    await store.journal.commit(called(ended=True))
    await claim(store)
    assert await store.deliveries.attempts("d1", 0, 10) == [
        DeliveryAttempt(number=1, node="n1", at=200.0, seconds=None, status=None, detail=None)
    ]
    assert await claim(store) == []
    (again,) = await claim(store, 261.0, "n2")
    assert (again.attempts, again.fence) == (2, 2)
    sent = Sent(number=1, seconds=0.5, status="200")
    assert not await store.deliveries.settle("d1", 1, DeliveryState.DELIVERED, 262.0, due_at=262.0, sent=sent)
    assert (await row(store)).state is DeliveryState.PENDING
    sent = Sent(number=2, seconds=0.5, status="503", detail="it answered 503")
    assert await store.deliveries.settle("d1", 2, DeliveryState.DELIVERED, 263.0, due_at=263.0, sent=sent)
    assert [(each.node, each.status, each.detail) for each in await store.deliveries.attempts("d1", 0, 10)] == [
        ("n1", "200", None),
        ("n2", "503", "it answered 503"),
    ]
    assert [each.number for each in await store.deliveries.attempts("d1", 1, 10)] == [2]
    settled = await row(store)
    assert (settled.state, settled.ended_at, settled.node) == (DeliveryState.DELIVERED, 263.0, None)
    assert not await store.deliveries.settle("d1", 2, DeliveryState.FAILED, 264.0, due_at=264.0)


async def test_delivery_that_is_postponed_is_due_again_then(store: Store) -> None:
    await store.journal.commit(called(ended=True))
    await claim(store)
    sent = Sent(number=1, seconds=0.1, status="unreachable", detail="nobody there")
    assert await store.deliveries.settle(
        "d1", 1, DeliveryState.PENDING, 200.0, due_at=203.0, problem="nobody there", sent=sent
    )
    assert ((await row(store)).problem, (await row(store)).ended_at) == ("nobody there", None)
    assert await store.deliveries.next_due() == 203.0
    assert await claim(store, 202.0) == []
    assert len(await claim(store, 203.0)) == 1


async def test_node_may_take_the_deliveries_of_its_own_runs_only(store: Store) -> None:
    await store.journal.commit(called(ended=True))
    other = called("r2", "d2", ended=True)
    assert other.accept is not None
    accept = msgspec.structs.replace(other.accept, owner="n2")
    await store.journal.commit(msgspec.structs.replace(other, accept=accept))
    assert [each.delivery for each in await store.deliveries.claim("n2", 9, 200.0, 260.0, own=True)] == ["d2"]
    assert await store.deliveries.claim("n3", 9, 200.0, 260.0, own=True) == []
    assert [each.delivery for each in await claim(store)] == ["d1"]


async def test_heartbeats_are_due_while_the_run_lives_and_are_no_attempts(store: Store) -> None:
    await store.journal.commit(called(beat_seconds=30.0))
    (beat,) = await claim(store)
    assert (beat.beats, beat.waiting, beat.attempts, beat.beat_seconds) == (True, True, 0, 30.0)
    assert await store.deliveries.attempts("d1", 0, 10) == []
    assert await store.deliveries.beaten("d1", 1, 230.0, None)
    assert await store.deliveries.next_due() == 230.0
    await claim(store, 230.0)
    await end(store)
    assert not await store.deliveries.beaten("d1", 1, 260.0, None)
    assert await store.deliveries.beaten("d1", 2, 260.0, "late")
    assert ((await row(store)).due_at, (await row(store)).problem) == (150.0, "late")


async def test_deadline_of_a_run_that_lives_is_an_attempt(store: Store) -> None:
    """TK-10."""
    await store.journal.commit(called(beat_seconds=30.0))
    (late,) = await claim(store, 5000.0)
    assert (late.beats, late.waiting, late.attempts) == (False, True, 1)


async def test_delivery_of_a_run_that_goes_on_waits_again(store: Store) -> None:
    await store.journal.commit(called())
    await store.journal.commit(called("r2", "d2", beat_seconds=9.0))
    for run in ("r1", "r2"):
        await end(store, run, status=RunStatus.FAULTED)
        assert await store.journal.reopen(run, "n1", "ann", 160.0) == 2
    assert [((await row(store, each)).waiting, (await row(store, each)).due_at) for each in ("d1", "d2")] == [
        (True, 5000.0),
        (True, 100.0),
    ]


async def test_caller_that_comes_later_is_told_too(store: Store) -> None:
    """TK-11."""
    await store.journal.commit(accepting())
    added = await store.deliveries.add("r1", caller(), 120.0)
    assert added is not None
    assert (added.fresh, added.superseded, added.row.waiting, added.row.created_at) == (True, 0, True, 120.0)
    await end(store)
    assert [each.delivery for each in await claim(store)] == ["d1"]
    late = await store.deliveries.add("r1", caller("d2", receiver="other"), 300.0)
    assert late is not None
    assert (late.row.waiting, late.row.due_at) == (False, 300.0)
    assert await store.deliveries.add("nothing", caller("d3"), 300.0) is None


async def test_newer_token_of_the_same_caller_supersedes_the_older_one(store: Store) -> None:
    """TK-11, TK-12."""
    await store.journal.commit(called(beat_seconds=30.0))
    (claimed,) = await claim(store)
    newer = await store.deliveries.add("r1", caller("d2"), 210.0)
    assert newer is not None
    assert (newer.fresh, newer.superseded) == (True, 1)
    old = await row(store)
    assert (old.state, old.ended_at, old.problem) == (DeliveryState.SUPERSEDED, 210.0, "the caller came again, with d2")
    assert not await store.deliveries.beaten("d1", claimed.fence, 230.0, None)
    other = await store.deliveries.add("r1", caller("d3", receiver="another"), 211.0)
    assert other is not None
    assert other.superseded == 0
    assert (await row(store, "d2")).state is DeliveryState.PENDING


async def test_same_callback_again_is_known(store: Store) -> None:
    """TK-11."""
    await store.journal.commit(called())
    for number in range(2, 6):
        again = await store.deliveries.add("r1", caller(f"d{number}", identity="d1"), 110.0)
        assert again is not None
        assert (again.fresh, again.row.delivery) == (False, "d1")
    await end(store)
    (due,) = await claim(store)
    await store.deliveries.settle("d1", due.fence, DeliveryState.FAILED, 200.0, due_at=200.0)
    anew = await store.deliveries.add("r1", caller("d6", identity="d1"), 210.0)
    assert anew is not None
    assert anew.fresh


async def test_what_a_dead_node_had_is_due_again(store: Store) -> None:
    await store.journal.commit(called(ended=True))
    await claim(store, node="dead")
    assert await store.deliveries.free(205.0) == 1
    (again,) = await claim(store, 205.0, "n2")
    assert (again.attempts, again.fence) == (2, 3)
    assert await store.deliveries.free(206.0) == 1


async def test_what_a_live_node_has_stays_its_own(store: Store) -> None:
    await store.nodes.join(node("n1"), 60.0)
    await store.journal.commit(called(ended=True))
    await claim(store, node="n1")
    assert await store.deliveries.free(205.0) == 0


async def test_reconciler_finds_runs_that_ended_unseen(store: Store) -> None:
    for number in range(4):
        await store.journal.commit(called(f"r{number}", f"d{number}"))
    await end(store, "r2")
    await _execute(store, "UPDATE deliveries SET waiting = 1, due_at = 5000 WHERE delivery = 'd2'")
    await _execute(store, "DELETE FROM runs WHERE run = 'r3'")
    first = await store.deliveries.unfinished("", 2)
    assert first == [("d0", "r0"), ("d1", "r1")]
    assert await store.deliveries.tell(first, 300.0) == 0
    rest = await store.deliveries.unfinished("d1", 5)
    assert await store.deliveries.tell(rest, 300.0) == 2
    assert {each.delivery for each in await claim(store, 300.0)} == {"d2", "d3"}
    assert await store.deliveries.ending("r3") is None


async def _execute(store: Store, sql: str) -> None:
    async def work(transaction: Any) -> None:
        done = transaction._connection.execute(sql)
        if inspect.isawaitable(done):
            await done

    await store.database.write(work)  # type: ignore[attr-defined]  # both kinds of stores have it


async def test_ending_of_a_run_is_read_by_its_key(store: Store) -> None:
    await store.journal.commit(accepting())
    before = await store.deliveries.ending("r1")
    await store.journal.commit(batch(seq=1, ended=True, status=RunStatus.COMPLETED, at=150.0, output=b"[1]"))
    after = await store.deliveries.ending("r1")
    assert before is not None
    assert after is not None
    assert (before.status, before.ended_at) == (RunStatus.RUNNING, None)
    assert (after.status, after.output, after.fault, after.ended_at, after.id, after.workflow, after.version) == (
        RunStatus.COMPLETED, b"[1]", None, 150.0, "r1", "w", "1.0.0",
    )  # fmt: skip


async def test_failed_delivery_is_sent_again_by_hand_and_recorded(store: Store) -> None:
    """TK-19."""
    await store.journal.commit(called(ended=True))
    (due,) = await claim(store)
    await store.deliveries.settle("d1", due.fence, DeliveryState.FAILED, 200.0, due_at=200.0, problem="404")
    again = await store.deliveries.retry("d1", 9000.0, "ann", 300.0)
    assert again is not None
    assert (again.state, again.due_at, again.deadline, again.problem) == (DeliveryState.PENDING, 300.0, 9000.0, None)
    assert [each.attempts for each in await claim(store, 300.0)] == [2]
    assert await store.deliveries.retry("nothing", 9000.0, "ann", 300.0) is None
    assert ("ann", "delivery-retry", "r1/d1") in await _rows(store, "SELECT actor, action, target FROM audit")


async def test_delivery_that_waits_for_its_next_try_is_hastened(store: Store) -> None:
    await store.journal.commit(called(ended=True))
    (due,) = await claim(store)
    await store.deliveries.settle("d1", due.fence, DeliveryState.PENDING, 200.0, due_at=500.0)
    hastened = await store.deliveries.retry("d1", 9000.0, "ann", 300.0)
    assert hastened is not None
    assert (hastened.due_at, hastened.deadline) == (300.0, 5000.0)


async def test_delivered_and_superseded_are_left_as_they_are(store: Store) -> None:
    await store.journal.commit(called(ended=True))
    (due,) = await claim(store)
    await store.deliveries.settle("d1", due.fence, DeliveryState.DELIVERED, 200.0, due_at=200.0)
    left = await store.deliveries.retry("d1", 9000.0, "ann", 300.0)
    assert left is not None
    assert left.state is DeliveryState.DELIVERED


async def test_expired_delivery_of_a_live_run_waits_for_its_end_again(store: Store) -> None:
    await store.journal.commit(called())
    (late,) = await claim(store, 5000.0)
    await store.deliveries.settle("d1", late.fence, DeliveryState.EXPIRED, 5000.0, due_at=5000.0)
    again = await store.deliveries.retry("d1", 9000.0, "ann", 5100.0)
    assert again is not None
    assert (again.waiting, again.due_at) == (True, 9000.0)


async def test_deliveries_are_listed_newest_first(store: Store) -> None:
    for number in range(5):
        await store.journal.commit(called(f"r{number}", f"d{number}", namespace="a" if number % 2 else "b"))
    assert [each.delivery for each in await store.deliveries.page(None, None, None, 3)] == ["d4", "d3", "d2"]
    assert [each.delivery for each in await store.deliveries.page(None, None, "d2", 3)] == ["d1", "d0"]
    assert [each.delivery for each in await store.deliveries.page("a", None, None, 9)] == ["d3", "d1"]
    assert await store.deliveries.page("a", DeliveryState.FAILED, None, 9) == []
    assert [each.delivery for each in await store.deliveries.of_run("r3")] == ["d3"]


async def test_run_whose_outcome_is_to_be_told_is_kept_and_then_goes_with_its_deliveries(store: Store) -> None:
    await store.journal.commit(called(ended=True))
    assert await store.upkeep.remove(["r1"], FOREVER) == 0
    (due,) = await claim(store)
    await store.deliveries.settle("d1", due.fence, DeliveryState.DELIVERED, 200.0, due_at=200.0)
    assert await store.upkeep.remove(["r1"], FOREVER) == 1
    while await store.upkeep.clear():
        pass
    assert await store.deliveries.get("d1") is None
    assert await store.deliveries.attempts("d1", 0, 9) == []


async def test_restore_leaves_what_was_claimed_to_the_next_one(store: Store) -> None:
    await store.journal.commit(called(ended=True))
    (due,) = await claim(store)
    await store.upkeep.raise_fences(1000, 210.0)
    assert not await store.deliveries.settle("d1", due.fence, DeliveryState.DELIVERED, 220.0, due_at=220.0)


async def _rows(store: Store, sql: str) -> list[tuple[Any, ...]]:
    async with store.transaction() as joined:
        return [tuple(each) for each in await joined.rows(sql)]
