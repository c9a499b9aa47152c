"""W1 to W5: what workflows of steps cost."""

from __future__ import annotations

import asyncio
import time

from bench.case import Figures, Given, peak_megabytes, percentile, percentiles_ms, stopwatch
from bench.own import workflows
from interlock import Interlock


async def latency(given: Given) -> Figures:
    """W1: workflows of one step, started and awaited one at a time."""
    taken = []
    async with Interlock(given.url) as app:
        await _warm_up(app, given)
        for _ in range(given.sizes.latency_runs):
            begin = time.perf_counter()
            run = await app.start(workflows.one_step)
            await run.result()
            taken.append(time.perf_counter() - begin)
    return percentiles_ms(taken)


async def throughput(given: Given) -> Figures:
    """W2: the same, all submitted at once, one by one and in bulk; from the first start to the last result."""
    count = given.sizes.throughput_runs
    async with Interlock(given.url) as app:
        await _warm_up(app, given)
        with stopwatch() as singly:
            runs = await asyncio.gather(*[app.start(workflows.numbered_step, number) for number in range(count)])
            results = await asyncio.gather(*[run.result() for run in runs])
        assert results == list(range(count))
        with stopwatch() as bulk:
            runs = await app.start_many(workflows.numbered_step, [(number,) for number in range(count)])
            results = await asyncio.gather(*[run.result() for run in runs])
        assert results == list(range(count))
    return {"runs_per_second": count / singly.seconds, "bulk_runs_per_second": count / bulk.seconds}


async def sequential(given: Given) -> Figures:
    """W3: milliseconds per step of a short and of a long sequence."""
    figures: Figures = {}
    async with Interlock(given.url) as app:
        await _warm_up(app, given)
        for name, steps in (("short", given.sizes.short_steps), ("long", given.sizes.long_steps)):
            taken = []
            for _ in range(given.sizes.repeats):
                begin = time.perf_counter()
                run = await app.start(workflows.sequence, steps)
                assert await run.result() == sum(range(steps))
                taken.append(time.perf_counter() - begin)
            figures[f"{name}_step_ms"] = percentile(taken, 50) / steps * 1000
    return figures


async def sleepers(given: Given) -> Figures:
    """W4: many runs in flight, each a step, a durable sleep and a step."""
    count = given.sizes.sleepers
    async with Interlock(given.url) as app:
        await _warm_up(app, given)
        with stopwatch() as watch:
            starting = [app.start(workflows.sleeper, given.sizes.sleep_seconds) for _ in range(count)]
            runs = await asyncio.gather(*starting)
            results = await asyncio.gather(*[run.result() for run in runs], return_exceptions=True)
    failures = sum(result != 3 for result in results)
    return {"wall_seconds": watch.seconds, "peak_mb": peak_megabytes(), "failures": failures}


async def branches(given: Given) -> Figures:
    """W5: branches that take a while each, and join."""
    count, seconds = given.sizes.branches, given.sizes.branch_seconds
    taken = []
    async with Interlock(given.url) as app:
        await _warm_up(app, given)
        for _ in range(given.sizes.repeats):
            begin = time.perf_counter()
            run = await app.start(workflows.branches, count, seconds)
            assert await run.result() == sum(range(count))
            taken.append(time.perf_counter() - begin)
    wall = percentile(taken, 50)
    return {"wall_seconds": wall, "times_sequential": count * seconds / wall}


async def _warm_up(app: Interlock, given: Given) -> None:
    for _ in range(given.sizes.warm_ups):
        run = await app.start(workflows.one_step)
        await run.result()
