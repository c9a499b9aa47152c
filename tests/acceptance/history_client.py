"""A process whose calls are written down: python history_client.py URL FOLDER NAME cells|locks SECONDS SEED.

All such processes work on the same key for a fiftieth of a second, then on the next one, so that there are many short histories
of calls that overlap. A line says that a call begins, before it does; another one what it gave. One that never gave anything,
since the process was killed or the store was away, was done or not.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import sys
import time
from pathlib import Path
from typing import Any

from interlock import errors
from interlock.coord.coordination import Coordination

SLICE_SECONDS = 0.02
LOCKS = 20
LOCK_SECONDS = 1.0


class Log:
    def __init__(self, folder: Path, name: str) -> None:
        self._file = os.open(folder / f"{name}.calls", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self._name = f"{name}/{os.getpid()}"
        self._count = 0

    def begin(self, key: str, what: list[Any]) -> str:
        self._count += 1
        call = f"{self._name}/{self._count}"
        self._write({"call": call, "key": key, "what": what, "at": time.monotonic()})
        return call

    def end(self, call: str, answer: Any) -> None:
        self._write({"call": call, "answer": answer, "at": time.monotonic()})

    def _write(self, line: dict[str, Any]) -> None:
        os.write(self._file, json.dumps(line).encode() + b"\n")


async def cells(coord: Coordination, log: Log, chance: random.Random, until: float) -> None:
    """Read, set, and set what was read: each value is written once, so it tells which write is seen."""
    key, seen = "", (0, 0)
    while (now := time.time()) < until:
        if key != (present := f"k{int(now / SLICE_SECONDS)}"):
            key, seen = present, (0, 0)
        kind = chance.choice(["read", "read", "set", "swap", "swap"])
        value = chance.getrandbits(52) or 1
        call = log.begin(key, [kind, value, seen[1]])
        with contextlib.suppress(errors.Environment):  # done, or not: nobody knows
            if kind == "read":
                cell = await coord.memory.cell(key)
                seen = (0, 0) if cell is None else (cell.version, int(cell.value))  # type: ignore[arg-type]  # a number
                log.end(call, seen[1])
            else:
                outcome = await coord.memory.set(key, value, base=seen[0] if kind == "swap" else None)
                cell = outcome.cell
                seen = (0, 0) if cell is None else (cell.version, int(cell.value))  # type: ignore[arg-type]  # a number
                log.end(call, [outcome.is_applied, seen[1]])


async def locks(coord: Coordination, log: Log, chance: random.Random, until: float) -> None:
    """Take a lock, and write its number under it, at once and again after a while."""
    while time.time() < until:
        name = f"l{chance.randrange(LOCKS)}"
        call = log.begin(name, ["acquire"])
        with contextlib.suppress(errors.Environment, errors.LockError):
            lock = await coord.locks.acquire(name, strategy="fail_fast", ttl=LOCK_SECONDS)
            log.end(call, None if lock is None else lock.fence)
            if lock is None:
                await asyncio.sleep(0.005)
                continue
            for _ in range(chance.randrange(1, 4)):
                write = log.begin(name, ["write", lock.fence])
                under = None if os.environ.get("BROKEN") else lock
                outcome = await coord.memory.set(name, lock.fence, space="fenced", under=under)
                log.end(write, outcome.is_applied)
                await asyncio.sleep(chance.uniform(0, 0.02))
            call = log.begin(name, ["release", lock.fence])
            await lock.release()
            log.end(call, True)


async def main(url: str, folder: Path, name: str, what: str, seconds: float, seed: int) -> None:
    async with Coordination(url, worker=f"{name}-{os.getpid()}", connections=2) as coord:
        (folder / f"{name}.ready").touch()
        while not (folder / "go").exists():
            await asyncio.sleep(0.005)
        until = (folder / "go").stat().st_mtime + seconds
        work = cells if what == "cells" else locks
        await work(coord, Log(folder, name), random.Random(seed ^ os.getpid()), until)


asyncio.run(main(sys.argv[1], Path(sys.argv[2]), sys.argv[3], sys.argv[4], float(sys.argv[5]), int(sys.argv[6])))
