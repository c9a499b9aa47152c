"""What happens when two processes meet over a delivery: one is stopped between two statements."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from interlock.model.states import RunStatus
from interlock.store.ports import Batch, DeliveryState, NewDelivery
from interlock.store.sql.postgresql.store import PostgresStore
from store.rows import accepting, batch, new_run
from store.stops import committing, is_blocked, stopped

Two = tuple[PostgresStore, PostgresStore]


def caller(delivery: str, **more: Any) -> NewDelivery:
    given: dict[str, Any] = {
        "delivery": delivery, "namespace": "default", "kind": "webhook", "target": "t", "receiver": "r",
        "identity": delivery, "sealed": b"", "deadline": 5000.0,
    }  # fmt: skip
    return NewDelivery(**given | more)


def ended(run: str, delivery: str) -> Batch:
    done = accepting(run, ended=True, status=RunStatus.COMPLETED)
    return msgspec.structs.replace(done, accept=new_run(run, callback=caller(delivery)))


def ending() -> Batch:
    return batch(seq=1, ended=True, status=RunStatus.COMPLETED)


async def test_of_two_nodes_that_claim_at_once_each_delivery_goes_to_one(two: Two) -> None:
    one, other = two
    for number in range(4):
        await one.journal.commit(ended(f"r{number}", f"d{number}"))
    stop = stopped(one, one.deliveries, "deliveries_claim")
    first = asyncio.create_task(one.deliveries.claim("n1", 2, 200.0, 260.0))
    await stop.reached.wait()
    async with asyncio.timeout(60):  # it waits for nobody
        rest = await other.deliveries.claim("n2", 9, 200.0, 260.0)
    stop.go_on.set()
    taken = await first
    assert (len(taken), len(rest)) == (2, 2)
    assert {each.delivery for each in taken + rest} == {"d0", "d1", "d2", "d3"}


async def test_many_claims_at_once_take_each_delivery_once(two: Two) -> None:
    one, other = two
    for number in range(12):
        await one.journal.commit(ended(f"r{number:02}", f"d{number:02}"))
    claims = [each.deliveries.claim(f"n{number}", 3, 200.0, 260.0) for number, each in enumerate([one, other] * 5)]
    taken = [claimed.delivery for found in await asyncio.gather(*claims) for claimed in found]
    while more := await one.deliveries.claim("last", 3, 200.0, 260.0):
        taken += [claimed.delivery for claimed in more]
    assert sorted(taken) == [f"d{number:02}" for number in range(12)]


async def test_caller_that_comes_while_its_run_ends_is_told(two: Two, postgres_url: str) -> None:
    """TK-11: the commit that ends the run is first."""
    one, other = two
    await one.journal.commit(accepting())
    async with committing(one, ending()) as applied:
        assert applied == {"r1"}
        adding = asyncio.create_task(other.deliveries.add("r1", caller("d1"), 200.0))
        await is_blocked(postgres_url)
    added = await adding
    assert added is not None
    assert (added.row.waiting, added.row.due_at) == (False, 200.0)


async def test_run_that_ends_while_a_caller_comes_tells_it(two: Two, postgres_url: str) -> None:
    """TK-11: the caller is first."""
    one, other = two
    await one.journal.commit(accepting())
    stop = stopped(one, one.deliveries, "delivery_add")
    adding = asyncio.create_task(one.deliveries.add("r1", caller("d1"), 120.0))
    await stop.reached.wait()
    ends = asyncio.create_task(other.journal.commit(ending()))
    await is_blocked(postgres_url)
    stop.go_on.set()
    await adding
    await ends
    assert [each.delivery for each in await other.deliveries.claim("n1", 9, 200.0, 260.0)] == ["d1"]


async def test_of_two_tokens_of_one_caller_that_come_at_once_one_is_left(two: Two, postgres_url: str) -> None:
    """TK-11, TK-12."""
    one, other = two
    await one.journal.commit(accepting())
    stop = stopped(one, one.deliveries, "delivery_add")
    first = asyncio.create_task(one.deliveries.add("r1", caller("d1"), 120.0))
    await stop.reached.wait()
    second = asyncio.create_task(other.deliveries.add("r1", caller("d2"), 121.0))
    await is_blocked(postgres_url)
    stop.go_on.set()
    await first
    added = await second
    assert added is not None
    assert added.superseded == 1
    assert [each.state for each in await one.deliveries.of_run("r1")] == [
        DeliveryState.SUPERSEDED,
        DeliveryState.PENDING,
    ]


async def test_delivery_that_is_superseded_while_it_is_settled_is_one_or_the_other(two: Two, postgres_url: str) -> None:
    one, other = two
    await one.journal.commit(ended("r1", "d1"))
    (claimed,) = await one.deliveries.claim("n1", 1, 200.0, 260.0)
    stop = stopped(one, one.deliveries, "delivery_settle")
    settling = asyncio.create_task(
        one.deliveries.settle("d1", claimed.fence, DeliveryState.DELIVERED, 201.0, due_at=201.0)
    )
    await stop.reached.wait()
    adding = asyncio.create_task(other.deliveries.add("r1", caller("d2"), 202.0))
    await is_blocked(postgres_url)
    stop.go_on.set()
    assert await settling
    added = await adding
    assert added is not None
    assert added.superseded == 0
    row = await other.deliveries.get("d1")
    assert row is not None
    assert row.state is DeliveryState.DELIVERED


async def test_heartbeat_that_meets_the_end_of_its_run_leaves_it_due(two: Two, postgres_url: str) -> None:
    """TK-06."""
    one, other = two
    begun = msgspec.structs.replace(accepting(), accept=new_run(callback=caller("d1", beat_seconds=30.0)))
    await one.journal.commit(begun)
    (claimed,) = await one.deliveries.claim("n1", 1, 200.0, 260.0)
    async with committing(one, ending()):
        beating = asyncio.create_task(other.deliveries.beaten("d1", claimed.fence, 230.0, None))
        await is_blocked(postgres_url)
    await beating
    row = await one.deliveries.get("d1")
    assert row is not None
    assert (row.waiting, row.due_at, row.node) == (False, 101.0, None)
