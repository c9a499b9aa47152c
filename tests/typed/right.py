"""What type checkers must accept, with the types they must see."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, assert_type

import interlock
from interlock import Interlock, Retries, Run, gather, run_workflow, sleep, step, sync, token, wait_for_event, workflow


@dataclass
class Order:
    id: int
    total: float


async def release(reservation: str, order: Order) -> None: ...


@step
async def price(order: Order, currency: str = "EUR") -> float:
    return order.total


@step(retries=3, timeout="30s", compensate=release)
async def reserve(order: Order) -> str:
    return f"r{order.id}"


@step(retries=Retries(count=2, backoff="linear", delay=timedelta(seconds=2)), isolated=True)
def weigh(order: Order) -> int:
    return 3


@workflow(version="1.2.0", timeout="1d")
async def fulfil(order: Order) -> bytes:
    assert_type(await price(order), float)
    assert_type(await price(order, currency="USD"), float)
    assert_type(await price(order, key="k"), float)
    assert_type(await weigh(order), int)
    assert_type(await reserve.using(retries=5)(order), str)
    reservation, weight = await gather(reserve(order), weigh(order))
    assert_type(reservation, str)
    assert_type(weight, int)
    assert_type(await gather(*[price(each) for each in (order, order)]), list[float])
    await sleep("1h")
    assert_type(await token("approval", expires="2d").result(bool), bool)
    assert_type(await wait_for_event("paid"), dict[str, Any])
    assert_type(await child(3), list[int])
    assert_type(await run_workflow("shop/order"), Any)
    assert_type(interlock.random(), float)
    return b""


@workflow
def child(count: int) -> list[int]:
    assert_type(weigh(Order(1, 2.0)).result(), int)
    return [count]


async def main() -> None:
    async with Interlock("sqlite:///shop.db") as app:
        order = Order(1, 2.0)
        assert_type(await app.start(fulfil, order), Run[bytes])
        assert_type(await app.start(fulfil, order=order), Run[bytes])
        run = await app.start(fulfil, order, id="order-1")
        assert_type(await run.result(), bytes)
        assert_type(await (await app.start(child, 3, id="c")).result(timeout="5s"), list[int])
        assert_type(await (await app.get("order-1", fulfil)).result(), bytes)
        async with app.transaction() as tx:
            await app.start(fulfil, order, id="order-2", conn=tx)
        assert_type(await run.cancel(rollback=True), bool)


def blocking() -> None:
    with sync.Interlock("sqlite:///shop.db") as app:
        assert_type(app.start(child, 3).result(), list[int])
        assert_type(app.start(fulfil, Order(1, 2.0), id="x").result(), bytes)
