"""Real `interlock node` processes on the store of a measurement."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from bench import servers
from bench.case import Given
from bench.processes import environment

COMMAND: Final = (sys.executable, "-c", "from interlock.cli.main import main; main()")
"""The command line; by its function, so that no script has to be installed."""

_READY: Final = "node.readiness ready=true"
_START_SECONDS: Final = 60.0
_LOOK_SECONDS: Final = 0.01


@contextlib.asynccontextmanager
async def running(given: Given, count: int) -> AsyncIterator[None]:
    """Start nodes that know the measured workflows, until all are ready; they drain at the end."""
    processes: list[subprocess.Popen[bytes]] = []
    try:
        logs = []
        for number in range(count):
            logs.append(given.folder / f"node{number}.log")
            processes.append(_started(given, logs[-1]))
        async with asyncio.timeout(_START_SECONDS):
            for process, log in zip(processes, logs, strict=True):
                await _ready(process, log)
        yield
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            await asyncio.to_thread(servers.end, process)


def _started(given: Given, log: Path) -> subprocess.Popen[bytes]:
    with log.open("wb") as file:
        return subprocess.Popen(
            [*COMMAND, "node", "--app", "bench.own.workflows"],
            cwd=given.folder,
            env=environment(INTERLOCK_STORE_URL=given.url),
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
        )


async def _ready(process: subprocess.Popen[bytes], log: Path) -> None:
    while _READY not in log.read_text():
        if process.poll() is not None:
            raise RuntimeError(f"a node ended with {process.returncode}: {log.read_text()[-500:]}")
        await asyncio.sleep(_LOOK_SECONDS)
