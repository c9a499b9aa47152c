"""W7: large values."""

from __future__ import annotations

import time

from bench.case import Figures, Given, percentile
from bench.data import text
from bench.own import workflows
from interlock import Interlock


async def payloads(given: Given) -> Figures:
    """W7: megabytes a second of one large value through a step, and milliseconds per step of a middling one."""
    sizes = given.sizes
    large, middling = text(sizes.large_bytes), text(sizes.chunk_bytes)
    async with Interlock(given.url) as app:
        for _ in range(sizes.warm_ups):
            await (await app.start(workflows.one_step)).result()
        taken = []
        for number in range(sizes.repeats):
            begin = time.perf_counter()
            run = await app.start(workflows.large, f"{number:08}{large}")
            assert await run.result() == len(large) + 8
            taken.append(time.perf_counter() - begin)
        begin = time.perf_counter()
        run = await app.start(workflows.chunks, sizes.chunk_steps, middling)
        assert await run.result() == sizes.chunk_steps * (len(middling) + 8)
        chunk_seconds = time.perf_counter() - begin
    return {
        "mb_per_second": sizes.large_bytes / 1e6 / percentile(taken, 50),
        "chunk_step_ms": chunk_seconds / sizes.chunk_steps * 1000,
    }
