"""Interlock for tests: time that is moved by hand, steps that are replaced, work that is done until nothing is left."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from interlock import errors, gather, now, random, sleep, sleep_until, step, step_context, token, uuid, workflow
from interlock.app.interlock import Interlock
from interlock.testing import Kit, VirtualClock
from unit.testing import shop
from unit.testing.shop import Order

SHOWN = datetime(2030, 1, 1, tzinfo=UTC)


@step
async def note(text: str) -> list[str]:
    return [text, step_context().idempotency_key]


@workflow(name="kit-months")
async def months(count: int) -> list[str]:
    moments = [now("begin")]
    for number in range(count):
        await sleep("30d", key=str(number))
        moments.append(now(str(number)))
    return [moment.date().isoformat() for moment in moments]


async def test_a_month_takes_milliseconds(interlock: Kit) -> None:
    run = await interlock.start(months, 1)
    began = time.process_time()
    await interlock.advance("30d")
    assert time.process_time() - began < 5.0
    assert await run.result() == ["2030-01-01", "2030-01-31"]


async def test_each_timer_fires_at_its_own_moment_also_those_that_come_on_the_way(interlock: Kit) -> None:
    run = await interlock.start(months, 3)
    await interlock.advance("365d")
    assert await run.result() == ["2030-01-01", "2030-01-31", "2030-03-02", "2030-04-01"]
    assert interlock.clock.datetime == SHOWN + timedelta(days=365)


async def test_nothing_fires_before_its_time(interlock: Kit) -> None:
    run = await interlock.start(months, 1)
    await interlock.advance("29d")
    assert await run.status() == "waiting"
    await interlock.advance_to(SHOWN + timedelta(days=30))
    assert await run.status() == "completed"


async def test_time_does_not_go_back(interlock: Kit) -> None:
    await interlock.advance("1d")
    with pytest.raises(errors.Invalid, match="cannot go back to 2030-01-01T00:00:00"):
        await interlock.advance_to(SHOWN)


async def test_a_moment_has_a_time_zone(interlock: Kit) -> None:
    with pytest.raises(errors.Invalid, match="no time zone"):
        await interlock.advance_to(datetime(2031, 1, 1))  # noqa: DTZ001 (that is what is refused)
    with pytest.raises(errors.Invalid, match="no time zone"):
        VirtualClock(datetime(2031, 1, 1))  # noqa: DTZ001 (that is what is refused)


@workflow(name="kit-until")
async def until(moment: datetime) -> str:
    await sleep_until(moment)
    return now().isoformat()


async def test_a_moment_is_waited_for_by_the_virtual_clock(interlock: Kit) -> None:
    run = await interlock.start(until, SHOWN + timedelta(hours=3))
    await interlock.advance("1d")
    assert await run.result() == "2030-01-01T03:00:00+00:00"


@workflow(name="kit-chance")
async def chance() -> list[object]:
    return [random(), random("second"), str(uuid()), now().isoformat()]


async def test_chance_comes_from_the_seed() -> None:
    async def told(seed: int) -> list[object]:
        async with Kit(seed=seed) as interlock:
            return await (await interlock.start(chance, id="same")).result()

    first = await told(1)
    assert await told(1) == first
    assert await told(2) != first
    assert len({str(value) for value in first}) == 4


async def test_drain_does_what_is_due_and_leaves_time_alone(interlock: Kit) -> None:
    run = await interlock.start(shop.fulfil, Order(1))
    await interlock.drain()
    assert await run.status() == "waiting"
    assert interlock.clock.datetime == SHOWN


async def test_drain_does_what_others_left_in_the_queue(interlock: Kit) -> None:
    run = await interlock.start(shop.parcel, Order(1), ["apple"], detach=True)
    await interlock.drain()
    assert await run.status() == "waiting"
    await interlock.advance("10m")
    assert await run.result() == ["packed apple"]


@workflow(name="kit-stuck")
async def stuck() -> str:
    return await hanging()


@step(timeout="30s")
async def hanging() -> str:
    await asyncio.Event().wait()
    return "never"


@pytest.mark.interlock(patience=0.1)
async def test_drain_says_what_does_not_end(interlock: Kit) -> None:
    await interlock.start(stuck)
    with pytest.raises(TimeoutError, match="performs effect-"):
        await interlock.drain()


@pytest.mark.interlock(patience=0.1)
async def test_a_step_that_hangs_finds_its_timeout(interlock: Kit) -> None:
    run = await interlock.start(stuck)
    await interlock.advance("31s")
    with pytest.raises(errors.RunFaulted, match="took longer than its timeout"):
        await run.result("5s")


@pytest.mark.interlock(auto_advance=True)
async def test_time_jumps_by_itself_when_all_wait_for_it(interlock: Kit) -> None:
    run = await interlock.start(months, 2)
    assert (await run.result("20s"))[-1] == "2030-03-02"


@step(retries=2)
async def failing() -> str:
    raise ValueError("it does not work")


@workflow(name="kit-retried")
async def retried() -> str:
    return await failing()


async def test_backing_off_takes_no_time_of_its_own(interlock: Kit) -> None:
    with interlock.stub(failing, side_effect=[ValueError("once"), OSError("twice"), "at last"]) as stub:
        run = await interlock.start(retried)
        await interlock.advance("5m")
    assert await run.result() == "at last"
    assert stub.calls == [{}, {}, {}]


# -- stubs -----------------------------------------------------------------------------------------------------------


async def test_a_stub_gives_what_it_is_told_and_remembers_what_it_was_given(interlock: Kit) -> None:
    stub = interlock.stub(shop.price, returns=7.0)
    run = await interlock.start(shop.plain, Order(1))
    await interlock.advance("1d")
    assert await run.result() == 7.0
    assert stub.calls == [{"order": Order(1)}]


async def test_a_stub_ends_with_its_block(interlock: Kit) -> None:
    with interlock.stub(shop.price, returns=7.0):
        pass
    run = await interlock.start(shop.plain, Order(1))
    await interlock.advance("1d")
    assert await run.result() == 20.0


async def test_a_stub_may_be_a_function(interlock: Kit) -> None:
    async def dear(order: Order) -> float:
        await asyncio.sleep(0)
        return order.total + len(step_context().idempotency_key) * 0

    interlock.stub(shop.price, side_effect=dear)
    interlock.stub(shop.check, side_effect=lambda order: True)
    run = await interlock.start(shop.plain, Order(3, 5.0))
    await interlock.advance("1d")
    assert await run.result() == 5.0


async def test_what_a_stub_raises_is_what_the_step_raised(interlock: Kit) -> None:
    interlock.stub(shop.price, side_effect=KeyError("price"))
    run = await interlock.start(shop.plain, Order(1))
    with pytest.raises(KeyError):
        await run.result("5s")


async def test_a_stub_without_further_results_says_so(interlock: Kit) -> None:
    interlock.stub(shop.price, side_effect=[])
    run = await interlock.start(shop.plain, Order(1))
    with pytest.raises(errors.Invalid, match="was called 1 times, and has no more results"):
        await run.result("5s")


async def test_a_stub_needs_to_know_what_to_do(interlock: Kit) -> None:
    with pytest.raises(errors.Invalid, match="either returns= or side_effect="):
        interlock.stub(shop.price)


async def test_a_stub_is_of_one_interlock(interlock: Kit) -> None:
    interlock.stub(shop.price, returns=7.0)
    async with Kit() as other:
        run = await other.start(shop.plain, Order(1))
        await other.advance("1d")
        assert await run.result() == 20.0


async def test_an_undo_can_be_replaced(interlock: Kit) -> None:
    stub = interlock.stub(shop.release, returns=None)
    run = await interlock.start(shop.doomed, Order(1))
    with pytest.raises(LookupError):
        await run.result("5s")
    assert [call["result"] for call in stub.calls] == ["r3", "r2", "r1"] or len(stub.calls) == 3
    assert len(shop.RESERVED) == 3
    shop.RESERVED.clear()


async def test_what_a_definition_calls_by_name_can_be_replaced(interlock: Kit) -> None:
    stub = interlock.stub("price", returns=3.0)
    run = await interlock.start_definition(
        f"""
document: {{dsl: 1.0.3, namespace: default, name: priced, version: 1.0.0}}
do:
  - ask:
      call: python:{shop.price.reference}
      with: {{order: {{id: 4, total: 1.0}}}}
"""
    )
    assert await run.result("5s") == 3.0
    assert stub.calls == [{"order": Order(4, 1.0)}]


# -- crashes, tokens, events -----------------------------------------------------------------------------------------


async def test_a_node_that_crashes_is_followed_by_another_one(interlock: Kit) -> None:
    run = await interlock.start(shop.fulfil, Order(2))
    await interlock.drain()
    node = interlock.session.node
    await interlock.crash()
    assert interlock.session.node is not node
    await interlock.advance("5d")
    assert (await run.result())["paid"] == "charged 20"


@workflow(name="kit-tokens")
async def asking() -> bool:
    right = token("approval", expires="2d")
    HANDED.append(await right.text())
    return await right.result(bool)


HANDED: list[str] = []


async def test_a_token_is_completed(interlock: Kit) -> None:
    HANDED.clear()
    run = await interlock.start(asking)
    await interlock.drain()
    await interlock.tokens.complete(HANDED[-1], True)
    assert await run.result("5s") is True


async def test_a_token_expires_in_virtual_time(interlock: Kit) -> None:
    run = await interlock.start(asking)
    await interlock.advance("3d")
    with pytest.raises(errors.RunFaulted, match="took longer than its timeout"):
        await run.result("5s")


async def test_an_event_is_sent(interlock: Kit) -> None:
    run = await interlock.start(shop.listening, id="listens")
    await interlock.drain()
    assert await interlock.send("paid", {"order": 7}) == 1
    assert await run.result("5s") == {"order": 7}
    assert (await interlock.get("listens")).id == "listens"


async def test_a_run_is_cancelled(interlock: Kit) -> None:
    run = await interlock.start(shop.listening)
    assert await run.cancel("enough")
    await interlock.drain()
    assert await run.status() == "cancelled"


@workflow(name="kit-outer")
async def outer() -> Any:
    await asyncio.sleep(0.01)  # so that the function itself, not an outcome, causes what comes next
    return await gather(nesting("a"), nesting("b"))


@step
async def nesting(text: str) -> list[str]:
    return await note(text)  # a plain call: a step within a step


async def test_a_step_within_a_step_is_a_plain_call(interlock: Kit) -> None:
    run = await interlock.start(outer)
    first, second = await run.result("5s")
    assert [first[0], second[0]] == ["a", "b"]
    assert "nesting" in first[1]
    assert sum(type(event).__name__ == "Called" for event in await run.history()) == 2


# -- tests that are no coroutines ------------------------------------------------------------------------------------


def test_the_fixture_waits_in_a_plain_test(interlock: Any) -> None:
    run = interlock.start(months, 1)
    interlock.advance("30d")
    assert run.result() == ["2030-01-01", "2030-01-31"]
    assert run.status() == "completed"
    assert interlock.clock.datetime == SHOWN + timedelta(days=30)
    assert [each.id for each in interlock.list()] == [run.id]
    with pytest.raises(errors.NotFound):
        interlock.get("unknown")


def test_the_kit_is_an_interlock() -> None:
    assert issubclass(Kit, Interlock)
