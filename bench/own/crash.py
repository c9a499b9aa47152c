"""W8: kill -9 in the middle; as a program, what is killed: `python -m bench.own.crash URL STEPS SECONDS LEDGER`."""

from __future__ import annotations

import asyncio
import sys

from bench import crash, processes
from bench.case import Figures, Given
from bench.own import workflows
from interlock import Interlock


async def resumption(given: Given) -> Figures:
    sizes = given.sizes
    command = processes.module("bench.own.crash", given.url, sizes.crash_steps, sizes.crash_step_seconds)
    return await crash.resumed(given, command)


async def main(url: str, steps: int, seconds: float, ledger: str) -> None:
    """Start the run, or go on with it: its id is the same."""
    async with Interlock(url) as app:
        run = await app.start(workflows.crashing, steps, seconds, ledger, id="crash")
        await run.result()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), sys.argv[4]))
