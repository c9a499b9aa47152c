"""A shop of workflows that are right, for the tests of the kit."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from interlock import gather, sleep, step, step_context, token, wait_for_event, workflow

SENT: dict[str, str] = {}
"""What the outside world has, by idempotency key: doing it twice changes nothing."""
STOCK: dict[str, int] = {"apple": 5}
RESERVED: dict[str, int] = {}


@dataclass
class Order:
    id: int
    total: float = 10.0


def _send(what: str) -> str:
    key = step_context().idempotency_key
    SENT.setdefault(key, what)
    return SENT[key]


async def release(result: str, order: Order) -> None:
    RESERVED.pop(str(order.id), None)


@step(compensate=release)
async def reserve(order: Order) -> str:
    RESERVED[str(order.id)] = 1
    return f"r{order.id}"


@step
def price(order: Order) -> float:
    return order.total * 2


@step
async def check(order: Order) -> bool:
    await asyncio.sleep(0)
    return order.total < 1000


@step(retries=2)
async def charge(order: Order, amount: float) -> str:
    return _send(f"charged {amount:g}")


@step(concurrency=1)
async def pack(item: str) -> str:
    return _send(f"packed {item}")


@step
def notify(text: str) -> str:
    return _send(text)


@step
async def refuse(order: Order) -> None:
    raise LookupError(f"no courier for {order.id}")


@workflow(name="kit-parcel")
async def parcel(order: Order, items: list[str]) -> list[str]:
    packed = await gather(*[pack(item) for item in items])
    await sleep("10m")
    return list(packed)


@workflow(name="kit-fulfil")
async def fulfil(order: Order) -> dict[str, object]:
    reservation, amount, fine = await gather(reserve(order), price(order), check(order))
    paid = await charge(order, amount)
    if not fine and not await token("approval", expires="2d").result(bool):
        raise PermissionError(order.id)
    await notify("paid")
    await sleep("1h")
    parcels = await parcel(order, ["apple", "pear"])
    await notify("shipped")
    for day in range(2):
        await notify(f"day {day}")
        await sleep("1d")
    return {"reservation": reservation, "paid": paid, "parcels": parcels}


@workflow(name="kit-doomed")
async def doomed(order: Order) -> None:
    await reserve(order)
    await gather(reserve(Order(order.id + 1)), reserve(Order(order.id + 2)))
    await refuse(order)


@workflow(name="kit-listening")
async def listening() -> object:
    return (await wait_for_event("paid", data={"order": 7}, timeout="10d"))["data"]


@workflow(name="kit-sync")
def plain(order: Order) -> float:
    amount = price(order).result()
    sleep("1d").result()
    return amount
