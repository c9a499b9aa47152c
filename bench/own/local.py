"""W13: how soon a process of the local pool runs the code of a step."""

from __future__ import annotations

import time

from bench.case import Figures, Given, percentile
from bench.own import workflows
from interlock import Interlock


async def local(given: Given) -> Figures:
    """W13: from `start` to the first line of the step, in a node that has just been opened, and in one that has run it."""
    cold, warm = [], []
    for _ in range(max(1, given.sizes.local_tasks // 5)):
        async with Interlock(given.url) as app:
            await (await app.start(workflows.one_step)).result()
            cold.append(await _seconds(app))
            warm += [await _seconds(app) for _ in range(5)]
    return {"cold_ms": percentile(cold, 50) * 1000, "warm_ms": percentile(warm, 50) * 1000}


async def _seconds(app: Interlock) -> float:
    begin = time.time()  # by the clock, since another process tells the other end
    run = await app.start(workflows.in_own_process)
    return await run.result() - begin
