"""The workflows that are measured. In a module of their own, since what runs in other processes is imported by its name."""

from __future__ import annotations

import asyncio
import time

from bench.crash import note
from interlock import Limit, gather, sleep, step, token, wait_for_event, workflow


@step
async def nothing() -> int:
    return 1


@step
async def numbered(number: int) -> int:
    return number


@step
async def wait(number: int, seconds: float) -> int:
    await asyncio.sleep(seconds)
    return number


GONE_ON: dict[str, asyncio.Future[float]] = {}
"""By token that was handed out in this process, in order: the seconds from the moment that was reported until the step behind
it ran."""


@step
async def hand(text: str) -> None:
    GONE_ON[text] = asyncio.get_running_loop().create_future()


@step
async def go_on(text: str, reported_at: float) -> None:
    GONE_ON[text].set_result(time.monotonic() - reported_at)


@workflow
async def reported() -> None:
    """T1, T2: a step, a report from outside, a step."""
    handle = token("report")
    text = await handle.text()
    await hand(text)
    await go_on(text, await handle.result(float))


@workflow
async def one_step() -> int:
    """W1, W2: one step that does nothing."""
    return await nothing()


@workflow
async def numbered_step(number: int) -> int:
    """The same with an argument, for who starts many at once."""
    return await numbered(number)


@workflow
async def sequence(steps: int) -> int:
    """W3: steps one after the other."""
    total = 0
    for number in range(steps):
        total += await numbered(number)
    return total


@workflow
async def sleeper(seconds: float) -> int:
    """W4: step, durable sleep, step."""
    first = await numbered(1)
    await sleep(seconds)
    return first + await numbered(2)


@workflow
async def branches(count: int, seconds: float) -> int:
    """W5: branches at once, each a step that takes a while, then all of them joined."""
    return sum(await gather(*[wait(number, seconds) for number in range(count)]))


# -- W6, W14: through the queue ----------------------------------------------------------------------------------------


@step(pool="in-process")
async def queued(number: int) -> int:
    return number


@workflow
async def through_queue(count: int) -> int:
    """Steps that go through the queue of the store and back into the node."""
    return sum(await gather(*[queued(number) for number in range(count)]))


# -- W7: large values --------------------------------------------------------------------------------------------------


@step
async def echo(text: str) -> str:
    return text


@workflow
async def large(text: str) -> int:
    """A large value in, through a step, and out of it."""
    return len(await echo(text))


@workflow
async def chunks(count: int, text: str) -> int:
    """Many steps of a middling value each, which differs so that none is the result of another."""
    total = 0
    for number in range(count):
        total += len(await echo(f"{number:08}{text}"))
    return total


# -- W8: a crash -------------------------------------------------------------------------------------------------------


@step
async def noted(number: int, seconds: float, ledger: str) -> int:
    """A step that takes a while and tells a file outside that it was performed."""
    note(ledger, number)
    await asyncio.sleep(seconds)
    return number


@workflow
async def crashing(steps: int, seconds: float, ledger: str) -> int:
    total = 0
    for number in range(steps):
        total += await noted(number, seconds, ledger)
    return total


# -- W9: at rest -------------------------------------------------------------------------------------------------------


@step(concurrency=Limit(limit=1, key="{key}"))
async def keyed(key: str) -> None:
    """A step with a queue of its own for every key."""


@workflow
async def with_key(key: str) -> None:
    await keyed(key)


@workflow
async def waiter() -> None:
    await wait_for_event("never")


# -- W12: fan-out ------------------------------------------------------------------------------------------------------


@workflow
async def fan_out(count: int) -> int:
    return sum(await gather(*[numbered(number) for number in range(count)]))


# -- W13: processes ----------------------------------------------------------------------------------------------------


@step(isolated=True)
def begun() -> float:
    """The moment at which a process of its own came to the code of the step."""
    return time.time()


@workflow
async def in_own_process() -> float:
    return await begun()
