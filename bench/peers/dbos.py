"""DBOS Transact: durable workflows of Python functions, on SQLite and PostgreSQL.

It has sync and async functions, and neither is always the faster: where both can do a case (W1 to W3) both are measured, and
the better figure counts.
"""

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
def numbered(number: int) -> int:
    return number


@DBOS.step()
async def numbered_async(number: int) -> int:
    return number


@DBOS.step()
async def wait(number: int, seconds: float) -> int:
    await asyncio.sleep(seconds)
    return number


@DBOS.workflow()
def numbered_step(number: int) -> int:
    return numbered(number)


@DBOS.workflow()
async def numbered_step_async(number: int) -> int:
    return await numbered_async(number)


@DBOS.workflow()
def sequence(steps: int) -> int:
    return sum(numbered(number) for number in range(steps))


@DBOS.workflow()
async def sequence_async(steps: int) -> int:
    total = 0
    for number in range(steps):
        total += await numbered_async(number)
    return total


@DBOS.workflow()
async def sleeper(seconds: float) -> int:
    first = await numbered_async(1)
    await DBOS.sleep_async(seconds)
    return first + await numbered_async(2)


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
            await _result(numbered_step_async, number)
        yield
    finally:
        await asyncio.to_thread(DBOS.destroy)


async def latency(given: Given) -> Figures:
    async with launched(given):
        plain = await asyncio.to_thread(_latencies, given.sizes.latency_runs // 2)
        taken = []
        for number in range(given.sizes.latency_runs // 2):
            begin = time.perf_counter()
            assert await _result(numbered_step_async, number) == number
            taken.append(time.perf_counter() - begin)
    return min(percentiles_ms(plain), percentiles_ms(taken), key=lambda figures: figures["p50_ms"])


def _latencies(count: int) -> list[float]:
    taken = []
    for number in range(count):
        begin = time.perf_counter()
        assert DBOS.start_workflow(numbered_step, number).get_result() == number
        taken.append(time.perf_counter() - begin)
    return taken


async def throughput(given: Given) -> Figures:
    count = given.sizes.slow_throughput_runs
    async with launched(given):
        plain = await asyncio.to_thread(_throughput_seconds, count)
        with stopwatch() as watch:
            starting = [DBOS.start_workflow_async(numbered_step_async, number) for number in range(count)]
            runs = await asyncio.gather(*starting)
            results = await asyncio.gather(*[run.get_result() for run in runs])
    assert results == list(range(count))
    return {"runs_per_second": count / min(plain, watch.seconds)}


def _throughput_seconds(count: int) -> float:
    with stopwatch() as watch:
        runs = [DBOS.start_workflow(numbered_step, number) for number in range(count)]
        results = [run.get_result() for run in runs]
    assert results == list(range(count))
    return watch.seconds


async def sequential(given: Given) -> Figures:
    figures: Figures = {}
    async with launched(given):
        for name, steps in (("short", given.sizes.short_steps), ("long", given.sizes.long_steps)):
            plain, taken = [], []
            for _ in range(given.sizes.repeats):
                begin = time.perf_counter()
                assert await asyncio.to_thread(sequence, steps) == sum(range(steps))
                plain.append(time.perf_counter() - begin)
                begin = time.perf_counter()
                assert await _result(sequence_async, steps) == sum(range(steps))
                taken.append(time.perf_counter() - begin)
            figures[f"{name}_step_ms"] = min(percentile(plain, 50), percentile(taken, 50)) / steps * 1000
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
        for _ in range(given.sizes.repeats):
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
