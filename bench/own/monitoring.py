"""W11: what observers of the in-process events cost, in turns with and without them."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from statistics import median
from typing import Any, Final

from bench.case import Figures, Given, stopwatch
from bench.own import workflows
from interlock import Interlock, telemetry

_TURNS: Final = 10
_KEPT: Final = 1_000


class Metrics:
    """Counts every event by its name."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def __call__(self, name: str, fields: dict[str, Any]) -> None:
        self.counts[name] += 1


class Feed:
    """Keeps the last events, as a page that shows them live does."""

    def __init__(self) -> None:
        self.last: deque[tuple[str, dict[str, Any]]] = deque(maxlen=_KEPT)

    def __call__(self, name: str, fields: dict[str, Any]) -> None:
        self.last.append((name, fields))


async def monitoring(given: Given) -> Figures:
    """W11: W2 with metrics and a feed of events attached, against the same without, each several times in turn.

    By the clock, and by the time of the processor, which other processes of the machine do not change.
    """
    count = max(1, given.sizes.throughput_runs // _TURNS)
    plain, observed = [], []
    metrics = Metrics()
    async with Interlock(given.url) as app:
        await _taken(app, count)
        for turn in range(_TURNS):
            for is_observed in (turn % 2 == 0, turn % 2 == 1):  # who comes first changes, so that a drift hits both
                if is_observed:
                    observed.append(await _observed(app, count, metrics))
                else:
                    plain.append(await _taken(app, count))
    events = sum(metrics.counts.values()) / (count * _TURNS)
    wall, used = ([_percent(pair, place) for pair in zip(plain, observed, strict=True)] for place in (0, 1))
    return {"cost_percent": median(wall), "cost_cpu_percent": median(used), "events_per_run": events}


async def _observed(app: Interlock, count: int, metrics: Metrics) -> tuple[float, float]:
    ends = [telemetry.attach(metrics), telemetry.attach(Feed())]
    try:
        return await _taken(app, count)
    finally:
        for end in ends:
            end()


async def _taken(app: Interlock, count: int) -> tuple[float, float]:
    """Give what W2 takes by the clock and by the processor, in seconds."""
    used = time.process_time()
    with stopwatch() as watch:
        runs = await asyncio.gather(*[app.start(workflows.numbered_step, number) for number in range(count)])
        await asyncio.gather(*[run.result() for run in runs])
    return watch.seconds, time.process_time() - used


def _percent(pair: tuple[tuple[float, float], tuple[float, float]], place: int) -> float:
    plain, observed = pair
    return (observed[place] / plain[place] - 1) * 100
