"""T4: a node with many tokens that nobody has reported on: its size, and what it does.

As a program it is that node: `python -m bench.own.pending URL TOKENS SECONDS`.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Sequence
from typing import Final

from bench import processes, rest
from bench.case import Figures, Given
from bench.own import workflows
from bench.own.rest import Traced
from interlock import Interlock
from interlock.config import Engine, Settings, Store

KEY: Final = "a-key-of-the-bench-alone-which-proves-its-tokens"
_WAIT_SECONDS: Final = 120.0
_AT_ONCE: Final = 2_000


async def pending(given: Given) -> Figures:
    """T4: a node with many tokens that nobody has reported on."""

    def command(url: str) -> Sequence[str]:
        return processes.module("bench.own.pending", url, given.sizes.asleep, given.sizes.rest_seconds)

    return await rest.watched(command, given.url, given.folder)


async def waiting(app: Interlock, count: int) -> list[str]:
    """Start runs that wait for a report, and give the texts of their tokens."""
    before = set(workflows.GONE_ON)
    await app.start_many(workflows.reported, [() for _ in range(count)])
    async with asyncio.timeout(_WAIT_SECONDS):
        while len(workflows.GONE_ON) < len(before) + count:  # noqa: ASYNC110 (before what is measured)
            await asyncio.sleep(0.001)
    return [text for text in workflows.GONE_ON if text not in before]


async def main(url: str, tokens: int, seconds: float) -> None:
    """Hand out tokens, and rest."""
    counter = Traced() if url.startswith("sqlite") else None
    os.environ.setdefault("INTERLOCK_KEY", KEY)
    async with Interlock(settings=Settings(store=Store(url=url), engine=Engine(max_runs=tokens + 1))) as app:
        for begin in range(0, tokens, _AT_ONCE):
            await waiting(app, min(_AT_ONCE, tokens - begin))
        await rest.rest(seconds, is_busy=True, counter=counter)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3])))
