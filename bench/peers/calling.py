"""The cases for products whose unit is a task: everything that a workflow would do is done by who calls.

A sequence of steps is a task after the other, each awaited; branches are tasks at once; a durable sleep is a task that is
stored to be done later. What such products do not keep, such as the results of steps, they are not asked for: their figures
are those of less work, and the table says so.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol, TypeAlias

from bench.case import Case, Figures, Given, peak_megabytes, percentile, percentiles_ms, stopwatch

Ticket: TypeAlias = Any
"""What a product gives for a task that was submitted."""


class Product(Protocol):
    """A product that has been opened. It has one task, which takes so many seconds and gives back its number."""

    async def submit(self, number: int, seconds: float = 0.0, later: float = 0.0) -> Ticket:
        """Store a task. `seconds`: how long it takes. `later`: the seconds after which it may begin."""
        ...

    async def submit_all(self, count: int) -> Sequence[Ticket]:
        """Store many tasks, in the quickest way that the product has."""
        ...

    async def result(self, ticket: Ticket) -> int:
        """Wait for the end of a task and give its number."""
        ...

    def working(self) -> AbstractAsyncContextManager[object]:
        """Have one worker."""
        ...


Opened: TypeAlias = Callable[[Given], AbstractAsyncContextManager[Product]]


def cases(opened: Opened, *, is_fast: bool = False) -> dict[str, Case]:
    """Give the cases of a product. `opened`: opens it on the store of a measurement, without a worker. `is_fast`: it does
    thousands a second, so W2 and W6 are measured with as many tasks as ours."""

    def count(given: Given) -> int:
        return given.sizes.queue_tasks if is_fast else given.sizes.slow_queue_tasks

    async def throughput(product: Product, given: Given) -> Figures:
        return await _throughput(product, count(given))

    async def queue(product: Product, given: Given) -> Figures:
        return await _queue(product, count(given))

    def case(measure: Callable[[Product, Given], Awaitable[Figures]], *, has_worker: bool = True) -> Case:
        async def run(given: Given) -> Figures:
            async with opened(given) as product:
                if not has_worker:
                    return await measure(product, given)
                async with product.working():
                    for number in range(given.sizes.warm_ups):
                        await _called(product, number)
                    return await measure(product, given)

        return run

    return {
        "W1": case(_latency),
        "W2": case(throughput),
        "W3": case(_sequential),
        "W4": case(_sleepers),
        "W5": case(_branches),
        "W6": case(queue, has_worker=False),
    }


async def _latency(product: Product, given: Given) -> Figures:
    taken = []
    for number in range(given.sizes.latency_runs):
        begin = time.perf_counter()
        await _called(product, number)
        taken.append(time.perf_counter() - begin)
    return percentiles_ms(taken)


async def _throughput(product: Product, count: int) -> Figures:
    with stopwatch() as watch:
        await _all_done(product, await product.submit_all(count))
    return {"runs_per_second": count / watch.seconds}


async def _sequential(product: Product, given: Given) -> Figures:
    figures: Figures = {}
    for name, steps in (("short", given.sizes.short_steps), ("long", given.sizes.long_steps)):
        taken = []
        for _ in range(given.sizes.repeats):
            begin = time.perf_counter()
            for number in range(steps):
                await _called(product, number)
            taken.append(time.perf_counter() - begin)
        figures[f"{name}_step_ms"] = percentile(taken, 50) / steps * 1000
    return figures


async def _sleepers(product: Product, given: Given) -> Figures:
    count = given.sizes.sleepers
    with stopwatch() as watch:
        await _all_done(product, await product.submit_all(count))
        tickets = await asyncio.gather(
            *[product.submit(number, later=given.sizes.sleep_seconds) for number in range(count)]
        )
        await _all_done(product, tickets)
    return {"wall_seconds": watch.seconds, "peak_mb": peak_megabytes(), "failures": 0}


async def _branches(product: Product, given: Given) -> Figures:
    count, seconds = given.sizes.branches, given.sizes.branch_seconds
    taken = []
    for _ in range(given.sizes.repeats):
        begin = time.perf_counter()
        await _all_done(product, await asyncio.gather(*[product.submit(number, seconds) for number in range(count)]))
        taken.append(time.perf_counter() - begin)
    wall = percentile(taken, 50)
    return {"wall_seconds": wall, "times_sequential": count * seconds / wall}


async def _queue(product: Product, count: int) -> Figures:
    """W6: what drains is timed from the first task that is done, without the start of the worker."""
    with stopwatch() as enqueue:
        first, *others = await product.submit_all(count)
    async with product.working():
        await product.result(first)
        with stopwatch() as drain:
            await _all_done(product, others)
    return {"enqueue_per_second": count / enqueue.seconds, "drain_per_second": (count - 1) / drain.seconds}


async def _called(product: Product, number: int) -> None:
    assert await product.result(await product.submit(number)) == number


async def _all_done(product: Product, tickets: Sequence[Ticket]) -> None:
    for ticket in tickets:
        await product.result(ticket)
