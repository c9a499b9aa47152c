"""W9 for every product: what importing costs, and what a process costs that has nothing to do.

The process that rests prints `REST` when it begins to, and after it a line of JSON: what it saw of itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any, Final, Protocol

from bench import statements
from bench.case import Figures
from bench.processes import environment

REST: Final = "at rest"
_SETTLE_SECONDS: Final = 12.0
"""Until a process that has worked does nothing any more: a run that only waits is dropped from memory after 10 s."""
_END_SECONDS: Final = 1800.0


def import_ms(statement: str, repeats: int) -> float:
    """Give the median of what an import takes in a new interpreter, without the start of that."""
    code = f"import time; begin = time.perf_counter(); {statement}; print(time.perf_counter() - begin)"
    return median(float(_output([sys.executable, "-c", code])) for _ in range(repeats + 1)) * 1000


def command_ms(command: Sequence[str], repeats: int) -> float:
    """Give the median wall time of a command, from nothing to its end."""
    taken = []
    for _ in range(repeats + 1):  # the first one writes the caches of the others
        begin = time.perf_counter()
        _output(command)
        taken.append(time.perf_counter() - begin)
    return median(taken[1:]) * 1000


def _output(command: Sequence[str]) -> str:
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=60, check=True)
    return done.stdout


class Counter(Protocol):
    """Counts the statements of this process, where nobody else can."""

    count: int


async def rest(seconds: float, *, is_busy: bool = False, counter: Counter | None = None) -> None:
    """Do nothing for a while in a process that rests, and print what that cost. `is_busy`: it has worked before."""
    await asyncio.sleep(_SETTLE_SECONDS if is_busy and seconds >= 1 else min(seconds, 2.0))
    sys.stdout.write(REST + "\n")
    sys.stdout.flush()
    before = counter.count if counter else 0
    begin, used = time.perf_counter(), time.process_time()
    await asyncio.sleep(seconds)
    used, passed = time.process_time() - used, time.perf_counter() - begin
    told = {
        "rss_mb": resident_megabytes(),
        "cpu_percent": used / passed * 100,
        "seconds": passed,
        "threads": threading.active_count(),
    }
    if counter is not None:
        told["statements"] = counter.count - before
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()


def resident_megabytes() -> float:
    """Give the resident size of this process now."""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:")) / 1024


async def watched(command: Callable[[str], Sequence[str]], url: str, folder: Path) -> Figures:
    """Let a process rest; `command(url)` starts it. Gives its size, its share of a core, and on PostgreSQL its statements."""
    async with contextlib.AsyncExitStack() as stack:
        counter = None
        if url.startswith("postgresql"):
            counter = await stack.enter_async_context(statements.counting(url))
        begin, end, told = await _rested(command(counter.url if counter else url), folder, counter)
    figures = {"rss_mb": told["rss_mb"], "cpu_percent": told["cpu_percent"], "threads": told["threads"]}
    if counter is not None:
        figures["queries_per_second"] = (end - begin) / told["seconds"]
    elif "statements" in told:
        figures["queries_per_second"] = told["statements"] / told["seconds"]
    return figures


async def _rested(
    command: Sequence[str], folder: Path, counter: statements.Counting | None
) -> tuple[int, int, dict[str, Any]]:
    """Give the statements counted before and after, and what the process told."""
    with (folder / "rest.log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            *command, cwd=folder, env=environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log
        )
    try:
        async with asyncio.timeout(_END_SECONDS):
            await _line(process, REST, folder)
            begin = counter.count if counter else 0
            told = json.loads(await _line(process, "{", folder))
            end = counter.count if counter else 0
            await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return begin, end, told


async def _line(process: asyncio.subprocess.Process, start: str, folder: Path) -> str:
    assert process.stdout is not None
    while line := (await process.stdout.readline()).decode():
        if line.startswith(start):
            return line
    raise RuntimeError(f"the process that rests ended early: {(folder / 'rest.log').read_text()[-500:]}")
