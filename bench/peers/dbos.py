"""DBOS Transact: durable workflows of Python functions, on SQLite and PostgreSQL."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import AsyncIterator
from typing import Any, Final

from dbos import DBOS, DBOSConfig

from bench.case import Case, Figures, Given, peak_megabytes, percentile, percentiles_ms, stopwatch


@DBOS.step()
async def numbered(number: int) -> int:
    return number


@DBOS.step()
async def wait(number: int, seconds: float) -> int:
    await asyncio.sleep(seconds)
    return number


@DBOS.workflow()
async def numbered_step(number: int) -> int:
    return await numbered(number)


@DBOS.workflow()
async def sequence(steps: int) -> int:
    total = 0
    for number in range(steps):
        total += await numbered(number)
    return total


@DBOS.workflow()
async def sleeper(seconds: float) -> int:
    first = await numbered(1)
    await DBOS.sleep_async(seconds)
    return first + await numbered(2)


@DBOS.workflow()
async def branching(count: int, seconds: float) -> int:
    return sum(await asyncio.gather(*[wait(number, seconds) for number in range(count)]))


@contextlib.asynccontextmanager
async def launched(given: Given) -> AsyncIterator[None]:
    """Launch DBOS on the store of this measurement, with its default settings."""
    if given.subject.endswith("-wal"):  # the mode stays with the file
        with contextlib.closing(sqlite3.connect(given.url.removeprefix("sqlite:///"))) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
    settings: DBOSConfig = {"name": "bench", "system_database_url": given.url, "log_level": "ERROR"}
    DBOS(config=settings)
    DBOS.launch()
    try:
        for number in range(given.sizes.warm_ups):
            await _result(numbered_step, number)
        yield
    finally:
        await asyncio.to_thread(DBOS.destroy)


async def latency(given: Given) -> Figures:
    taken = []
    async with launched(given):
        for number in range(given.sizes.latency_runs):
            begin = time.perf_counter()
            assert await _result(numbered_step, number) == number
            taken.append(time.perf_counter() - begin)
    return percentiles_ms(taken)


async def throughput(given: Given) -> Figures:
    count = given.sizes.throughput_runs
    async with launched(given):
        with stopwatch() as watch:
            starting = [DBOS.start_workflow_async(numbered_step, number) for number in range(count)]
            runs = await asyncio.gather(*starting)
            results = await asyncio.gather(*[run.get_result() for run in runs])
    assert results == list(range(count))
    return {"runs_per_second": count / watch.seconds}


async def sequential(given: Given) -> Figures:
    figures: Figures = {}
    async with launched(given):
        for name, steps in (("short", given.sizes.short_steps), ("long", given.sizes.long_steps)):
            taken = []
            for _ in range(given.sizes.sequential_repeats):
                begin = time.perf_counter()
                assert await _result(sequence, steps) == sum(range(steps))
                taken.append(time.perf_counter() - begin)
            figures[f"{name}_step_ms"] = percentile(taken, 50) / steps * 1000
    return figures


async def sleepers(given: Given) -> Figures:
    count = given.sizes.sleepers
    async with launched(given):
        with stopwatch() as watch:
            starting = [DBOS.start_workflow_async(sleeper, given.sizes.sleep_seconds) for _ in range(count)]
            runs = await asyncio.gather(*starting)
            results = await asyncio.gather(*[run.get_result() for run in runs], return_exceptions=True)
    failures = sum(result != 3 for result in results)
    return {"wall_seconds": watch.seconds, "peak_mb": peak_megabytes(), "failures": failures}


async def branches(given: Given) -> Figures:
    count, seconds = given.sizes.branches, given.sizes.branch_seconds
    taken = []
    async with launched(given):
        for _ in range(given.sizes.sequential_repeats):
            begin = time.perf_counter()
            assert await _result(branching, count, seconds) == sum(range(count))
            taken.append(time.perf_counter() - begin)
    wall = percentile(taken, 50)
    return {"wall_seconds": wall, "times_sequential": count * seconds / wall}


async def _result(workflow: Any, *arguments: Any) -> Any:
    run = await DBOS.start_workflow_async(workflow, *arguments)
    return await run.get_result()


CASES: Final[dict[str, Case]] = {
    "W1": latency,
    "W2": throughput,
    "W3": sequential,
    "W4": sleepers,
    "W5": branches,
}
