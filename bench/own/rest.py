"""W9: import, command line, and a node at rest.

As a program it is that node: `python -m bench.own.rest URL KEYS WAITERS SECONDS`.
"""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from collections.abc import Coroutine, Sequence
from typing import Any, Final

from bench import processes, rest, statements
from bench.case import Figures, Given
from bench.own import nodes, workflows
from interlock import Interlock
from interlock.config import Engine, Settings, Store

_AT_ONCE: Final = 1_000
_NOT_COUNTED: Final = "PRAGMA data_version"
"""What asks SQLite whether another process wrote: it reads memory, and the target leaves it out."""


async def at_rest(given: Given) -> Figures:
    """W9: once with nothing in the store, once with many keys that have had tasks, and many runs that wait."""
    sizes = given.sizes
    figures: Figures = {}
    if given.url.startswith("sqlite"):  # what does not depend on the store is measured once
        repeats = sizes.import_repeats
        figures["import_ms"] = rest.import_ms("from interlock import Interlock, step, workflow", repeats)
        figures["import_package_ms"] = rest.import_ms("import interlock", repeats)
        figures["help_ms"] = rest.command_ms([*nodes.COMMAND, "--help"], repeats)
    figures |= await rest.watched(_command(0, 0, sizes.rest_seconds), given.url, given.folder)
    full = await rest.watched(
        _command(sizes.rest_keys, sizes.rest_waiters, sizes.rest_seconds), given.url, given.folder
    )
    return figures | {f"full_{name}": value for name, value in full.items()}


def _command(keys: int, waiters: int, seconds: float) -> Any:
    def command(url: str) -> Sequence[str]:
        return processes.module("bench.own.rest", url, keys, waiters, seconds)

    return command


async def main(url: str, keys: int, waiters: int, seconds: float) -> None:
    """Open a store, leave keys and waiting runs there, and rest."""
    counter = Traced() if url.startswith("sqlite") else None
    settings = Settings(store=Store(url=url), engine=Engine(max_runs=2 * waiters + keys + 1))
    async with Interlock(settings=settings) as app:
        runs = await _all([app.start(workflows.with_key, f"key-{number}") for number in range(keys)])
        await _all([run.result() for run in runs])
        await _all([app.start(workflows.waiter) for _ in range(waiters)])
        await rest.rest(seconds, is_busy=bool(waiters), counter=counter)


async def _all(calls: Sequence[Coroutine[Any, Any, Any]]) -> list[Any]:
    """Await many calls, some at a time."""
    found: list[Any] = []
    for begin in range(0, len(calls), _AT_ONCE):
        found += await asyncio.gather(*calls[begin : begin + _AT_ONCE])
    return found


class Traced:
    """Counts the statements of every SQLite connection that is opened from now on in this process."""

    def __init__(self) -> None:
        self.count = 0
        self._connect = sqlite3.connect
        sqlite3.connect = self._connected  # type: ignore[assignment]  # a driver has no other place to ask

    def _connected(self, *arguments: Any, **options: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = self._connect(*arguments, **options)
        connection.set_trace_callback(self._seen)
        return connection

    def _seen(self, statement: str) -> None:
        self.count += not (statement.startswith(_NOT_COUNTED) or statements.frames(statement))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])))
