"""W12: what a full store, many sleeping runs and wide fan-outs cost.

As a program it is the node with the sleepers: `python -m bench.own.growth URL SLEEPERS`.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Sequence
from typing import Any, Final

from bench import processes, rest
from bench.case import Figures, Given, percentile, stopwatch
from bench.own import history, workflows
from interlock import Interlock
from interlock.config import Engine, Settings, Store

_AT_ONCE: Final = 2_000
_LONG_SECONDS: Final = 86_400.0
_TURNS: Final = 3


async def growth(given: Given) -> Figures:
    sizes = given.sizes
    figures: Figures = {}
    filled = 0
    for name, count in (("empty", 0), *((f"grown_{place}", count) for place, count in enumerate(sizes.grown_runs, 1))):
        if count:
            await history.fill(given.url, filled + 1, count)
            filled = count
        async with Interlock(given.url) as app:
            figures[f"{name}_runs_per_second"] = await _rate(app, sizes.slow_throughput_runs)
            figures[f"{name}_list_p99_ms"] = await _list_ms(app, sizes.list_queries)
    last = figures[f"grown_{len(sizes.grown_runs)}_runs_per_second"]
    figures["slowdown_percent"] = (1 - last / figures["empty_runs_per_second"]) * 100
    async with Interlock(given.url) as app:
        for place, count in enumerate(sizes.fan_outs, 1):
            with stopwatch() as watch:
                run = await app.start(workflows.fan_out, count)
                assert await run.result() == sum(range(count))
            figures[f"fan_out_{place}_us"] = watch.seconds / count * 1e6
    figures["sleepers_mb"] = await _sleepers_mb(given)
    return figures


async def _rate(app: Interlock, count: int) -> float:
    """Give the runs a second of W2, the median of some turns, after one that nobody counts."""
    rates = []
    for _ in range(_TURNS + 1):
        with stopwatch() as watch:
            runs = await asyncio.gather(*[app.start(workflows.numbered_step, number) for number in range(count)])
            await asyncio.gather(*[run.result() for run in runs])
        rates.append(count / watch.seconds)
    return percentile(rates[1:], 50)


async def _list_ms(app: Interlock, count: int) -> float:
    """Give the p99 of what a dashboard lists: everything, what failed, what is live, and one workflow's runs."""
    questions: tuple[dict[str, Any], ...] = (
        {},
        {"status": ["faulted"]},
        {"status": ["pending", "running", "waiting"]},
        {"workflow": "numbered_step"},
    )
    taken = []
    for question in questions * count:
        begin = time.perf_counter()
        await app.list(**question, limit=50)
        taken.append(time.perf_counter() - begin)
    return percentile(taken, 99) * 1000


async def _sleepers_mb(given: Given) -> float:
    def command(url: str) -> Sequence[str]:
        return processes.module("bench.own.growth", url, given.sizes.asleep)

    return (await rest.watched(command, given.url, given.folder))["rss_mb"]


async def main(url: str, sleepers: int) -> None:
    """Put many runs to sleep for a day, and rest."""
    settings = Settings(store=Store(url=url), engine=Engine(max_runs=sleepers + 1))
    async with Interlock(settings=settings) as app:
        for begin in range(0, sleepers, _AT_ONCE):
            count = min(_AT_ONCE, sleepers - begin)
            await asyncio.gather(*[app.start(workflows.sleeper, _LONG_SECONDS) for _ in range(count)])
        await rest.rest(1.0, is_busy=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
