"""What a case is given, and what it gives."""

from __future__ import annotations

import math
import resource
import statistics
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from bench.sizes import Sizes


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """Where a case works, and how much it does. `url`: of the store, empty and made for this measurement alone."""

    subject: str
    url: str
    folder: Path
    sizes: Sizes


Figures: TypeAlias = dict[str, float]
"""What was measured by name; the name ends with its unit (`p50_ms`, `runs_per_second`)."""

Case: TypeAlias = Callable[[Given], Coroutine[Any, Any, Figures]]


@dataclass(slots=True)
class Watch:
    """A stopwatch: `seconds` of what was done within `with stopwatch() as watch`."""

    seconds: float = field(default=0.0)


@contextmanager
def stopwatch() -> Iterator[Watch]:
    watch = Watch()
    begin = time.perf_counter()
    try:
        yield watch
    finally:
        watch.seconds = time.perf_counter() - begin


def percentile(values: Sequence[float], percent: float) -> float:
    """Give the smallest value that is at least as great as `percent` of all (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def percentiles_ms(seconds: Sequence[float]) -> Figures:
    """Give what W1 tells of latencies: p50, p95, p99, mean."""
    figures = {f"p{percent}_ms": percentile(seconds, percent) * 1000 for percent in (50, 95, 99)}
    return figures | {"mean_ms": statistics.fmean(seconds) * 1000}


def peak_megabytes() -> float:
    """Give the largest resident size that this process had; on Linux the kernel counts it in KiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
