"""DBOS Transact: durable workflows of Python functions, on SQLite and PostgreSQL.

It has sync and async functions, and neither is always the faster: where both can do a case (W1 to W3) both are measured, and
the better figure counts.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import sys
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

from dbos import DBOS, DBOSConfig, SetWorkflowID

from bench import crash, rest
from bench.case import Case, Figures, Given, peak_megabytes, percentile, percentiles_ms, stopwatch
from bench.data import text
from bench.processes import module

_QUEUE: Final = "bench"
_POLL_SECONDS: Final = 0.05
"""Between looks of its worker at the queue; its default is 1 s."""


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


@DBOS.step()
async def echo(given: str) -> str:
    return given


@DBOS.workflow()
async def large(given: str) -> int:
    return len(await echo(given))


@DBOS.workflow()
async def chunks(count: int, given: str) -> int:
    total = 0
    for number in range(count):
        total += len(await echo(f"{number:08}{given}"))
    return total


@DBOS.step()
async def noted(number: int, seconds: float, ledger: str) -> int:
    crash.note(ledger, number)
    await asyncio.sleep(seconds)
    return number


@DBOS.workflow()
async def crashing(steps: int, seconds: float, ledger: str) -> int:
    total = 0
    for number in range(steps):
        total += await noted(number, seconds, ledger)
    return total


@contextlib.asynccontextmanager
async def launched(given: Given) -> AsyncIterator[None]:
    """Launch DBOS on the store of this measurement, with its default settings."""
    if given.subject.endswith("-wal"):  # the mode stays with the file
        with contextlib.closing(sqlite3.connect(given.url.removeprefix("sqlite:///"))) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
    _configure(given.url)
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


async def queued(given: Given) -> Figures:
    """W6: workflows are stored for a queue that nobody listens to yet, and done when it is registered."""
    count = given.sizes.slow_throughput_runs
    async with launched(given):
        with stopwatch() as enqueue:
            storing = [DBOS.enqueue_workflow_async(_QUEUE, numbered_step_async, number) for number in range(count)]
            runs = await asyncio.gather(*storing)
        await DBOS.register_queue_async(_QUEUE, polling_interval_sec=_POLL_SECONDS)
        await runs[0].get_result()
        with stopwatch() as drain:
            await asyncio.gather(*[run.get_result() for run in runs])
    return {"enqueue_per_second": count / enqueue.seconds, "drain_per_second": (count - 1) / drain.seconds}


async def payloads(given: Given) -> Figures:
    sizes = given.sizes
    value, middling = text(sizes.large_bytes), text(sizes.chunk_bytes)
    taken = []
    async with launched(given):
        for number in range(max(1, sizes.repeats // 3)):
            begin = time.perf_counter()
            assert await _result(large, f"{number:08}{value}") == len(value) + 8
            taken.append(time.perf_counter() - begin)
        with stopwatch() as watch:
            assert await _result(chunks, sizes.chunk_steps, middling) == sizes.chunk_steps * (len(middling) + 8)
    return {
        "mb_per_second": sizes.large_bytes / 1e6 / percentile(taken, 50),
        "chunk_step_ms": watch.seconds / sizes.chunk_steps * 1000,
    }


async def resumption(given: Given) -> Figures:
    """W8: DBOS goes on by itself with what its process left, when it is launched again."""
    sizes = given.sizes
    command = module("bench.peers.dbos", "crash", given.url, sizes.crash_steps, sizes.crash_step_seconds)
    return await crash.resumed(given, command)


async def at_rest(given: Given) -> Figures:
    figures = {"import_ms": rest.import_ms("import dbos", given.sizes.import_repeats)}

    def command(url: str) -> Sequence[str]:
        return module("bench.peers.dbos", "rest", url, given.sizes.rest_seconds)

    return figures | await rest.watched(command, given.url, given.folder)


async def _result(workflow: Any, *arguments: Any) -> Any:
    run = await DBOS.start_workflow_async(workflow, *arguments)
    return await run.get_result()


CASES: Final[dict[str, Case]] = {
    "W1": latency,
    "W2": throughput,
    "W3": sequential,
    "W4": sleepers,
    "W5": branches,
    "W6": queued,
    "W7": payloads,
    "W8": resumption,
    "W9": at_rest,
}


def _configure(url: str) -> None:
    settings: DBOSConfig = {
        "name": "bench",
        "system_database_url": url,
        "log_level": "ERROR",
        "application_version": "1",
        "executor_id": "bench",
    }
    DBOS(config=settings)
    DBOS.launch()


async def _crash(url: str, steps: int, seconds: float, ledger: str) -> None:
    _configure(url)
    with SetWorkflowID("crash"):
        run = await DBOS.start_workflow_async(crashing, steps, seconds, ledger)
    await run.get_result()


async def _rest(url: str, seconds: float) -> None:
    _configure(url)
    await rest.rest(seconds)


if __name__ == "__main__":
    if sys.argv[1] == "crash":
        asyncio.run(_crash(sys.argv[2], int(sys.argv[3]), float(sys.argv[4]), sys.argv[5]))
    else:
        asyncio.run(_rest(sys.argv[2], float(sys.argv[3])))
    DBOS.destroy()
