"""The workflows that are measured. In a module of their own, since what runs in other processes is imported by its name."""

from __future__ import annotations

import asyncio

from interlock import gather, sleep, step, workflow


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
