"""W8 for every product: a program is killed in the middle of its steps, and started again.

The program starts, or goes on with, one workflow of sequential steps, each of which notes in a file that it was performed.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bench import servers
from bench.case import Figures, Given
from bench.processes import started

_END_SECONDS: Final = 120.0
_LOOK_SECONDS: Final = 0.005


def note(ledger: str, number: int) -> None:
    """Append that a step was begun, by whom and when: one write, so that lines of two processes do not mix."""
    with Path(ledger).open("a") as file:
        file.write(f"{number} {os.getpid()} {time.time()}\n")


async def resumed(given: Given, command: Sequence[str]) -> Figures:
    """Kill the program with SIGKILL when half of its steps were begun, start it again, and let it end.

    Gives the seconds from the second start to its first step, and how many steps were performed more than once.
    """
    ledger = given.folder / "ledger"
    ledger.touch()
    steps = given.sizes.crash_steps
    first = started([*command, str(ledger)], given.folder)
    try:
        await _until(lambda: len(_lines(ledger)) > steps // 2)
    finally:
        first.kill()
        first.wait()
    begin = time.time()
    second = started([*command, str(ledger)], given.folder)
    try:
        await _until(lambda: any(process == second.pid for _, process, _ in _lines(ledger)))
        resumed_at = min(at for _, process, at in _lines(ledger) if process == second.pid)
        await _until(lambda: len({number for number, _, _ in _lines(ledger)}) == steps and second.poll() is not None)
    finally:
        servers.end(second)
    performed = Counter(number for number, _, _ in _lines(ledger))
    return {"resume_seconds": resumed_at - begin, "repeated_steps": sum(count > 1 for count in performed.values())}


def _lines(ledger: Path) -> list[tuple[int, int, float]]:
    found = (line.split() for line in ledger.read_text().splitlines())
    return [(int(parts[0]), int(parts[1]), float(parts[2])) for parts in found if len(parts) == 3]


async def _until(condition: object) -> None:
    assert callable(condition)
    async with asyncio.timeout(_END_SECONDS):
        while not condition():  # noqa: ASYNC110 (another process does it)
            await asyncio.sleep(_LOOK_SECONDS)
