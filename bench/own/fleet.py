"""C1 to C3: what coordination costs: a lock that nobody else wants, a fleet that is heard, a change until it is seen.

As a program it is a part of those: `python -m bench.own.fleet beat URL WORKERS SECONDS`, or `... change URL COUNT`.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Final

from bench import processes, rest
from bench.case import Figures, Given, percentile, percentiles_ms
from bench.own.rest import Traced
from interlock import Coordination
from interlock.coord.heartbeats import HeartbeatMonitor
from interlock.coord.timing import Timing
from interlock.service import SystemClock

_SILENT_BEATS: Final = 4  # as many as a worker may miss: 120 s of 30 s
_PACE_SECONDS: Final = 0.05  # between two changes: what is seen is one change each time, not a page of them
_WAIT_SECONDS: Final = 60.0


async def lock(given: Given) -> Figures:
    """C1: acquire and release one lock, over and over, in one process."""
    async with Coordination(given.url) as coord:
        taken = []
        for number in range(given.sizes.warm_ups + given.sizes.lock_rounds):
            begin = time.perf_counter()
            held = await coord.locks.acquire("bench")
            assert held is not None
            await held.release()
            if number >= given.sizes.warm_ups:
                taken.append(time.perf_counter() - begin)
    return percentiles_ms(taken)


async def heartbeats(given: Given) -> Figures:
    """C2: many workers that send heartbeats and look for the stale, all in one process, which is what they cost together."""
    sizes = given.sizes
    found = await rest.watched(
        lambda url: processes.module("bench.own.fleet", "beat", url, sizes.heartbeat_workers, sizes.heartbeat_seconds),
        given.url,
        given.folder,
    )
    return found | {"beats_per_second": sizes.heartbeat_workers / sizes.heartbeat_seconds}


async def watching(given: Given) -> Figures:
    """C3: a value set in one process, until another one that watches has it; the commit is part of it."""
    taken = []
    async with Coordination(given.url) as coord, coord.memory.watch("bench/*") as changes:
        command = processes.module("bench.own.fleet", "change", given.url, given.sizes.watch_changes)
        writer = processes.started(command, given.folder)
        try:
            for _ in range(given.sizes.watch_changes):
                async with asyncio.timeout(_WAIT_SECONDS):
                    change = await anext(changes)
                # Linux has one monotonic clock for all processes.
                taken.append(time.monotonic() - change.value)
            await asyncio.to_thread(writer.wait, _WAIT_SECONDS)
        finally:
            _end(writer)
    return {"p50_ms": percentile(taken, 50) * 1000, "p99_ms": percentile(taken, 99) * 1000}


def _end(writer: subprocess.Popen[bytes]) -> None:
    if writer.poll() is None:
        writer.kill()
        writer.wait(_WAIT_SECONDS)


async def beat(url: str, count: int, seconds: float) -> None:
    """Be a fleet: each worker is heard once in so many seconds, one after the other, and looks as often for the stale."""
    counter = Traced() if url.startswith("sqlite") else None
    timing = Timing(
        beat_seconds=seconds,
        stale_seconds=_SILENT_BEATS * seconds,
        scan_seconds=seconds,
        retry_seconds=seconds / _SILENT_BEATS,
    )
    async with Coordination(url, most_workers=count) as coord:
        monitors = []
        for number in range(count):
            worker = await coord.workers.register(f"w{number}", silent_seconds=timing.stale_seconds)
            monitor = HeartbeatMonitor(coord.store, SystemClock(), timing)
            await monitor.start(worker)
            monitors.append(monitor)
            await asyncio.sleep(seconds / count)
        await rest.rest(seconds, counter=counter)
        for monitor in monitors:
            await monitor.stop()


async def change(url: str, count: int) -> None:
    """Set a value again and again, each time to the moment at which it is set."""
    async with Coordination(url) as coord:
        for number in range(count):
            await coord.memory.set(f"bench/{number}", time.monotonic())
            await asyncio.sleep(_PACE_SECONDS)


def main(arguments: Sequence[str]) -> None:
    match arguments:
        case ["beat", url, count, seconds]:
            asyncio.run(beat(url, int(count), float(seconds)))
        case ["change", url, count]:
            asyncio.run(change(url, int(count)))
        case _:
            raise SystemExit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
