"""A process whose calls are written down: python history_client.py URL FOLDER NAME cells|locks SECONDS SEED.

All such processes work on the same key for a fraction of a second, then on the next one, so that there are many short
histories of calls that overlap. A call that never gave anything, since the process was killed or the store was away, was done
or not.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import sys
import time
from pathlib import Path

from histories import Log
from interlock import errors
from interlock.coord.cell import Cell
from interlock.coord.coordination import Coordination

CELL_SECONDS = 0.02
LOCK_SECONDS = 0.05
LOCKS = 2
"""Beside each other, in each of those times; and as many that are used all the time, so that one that was lost is taken."""
TTL_SECONDS = 1.0
IS_BROKEN = bool(os.environ.get("BROKEN"))
"""It ignores its fence. Then it uses only locks that others want all the time, and is long at work under them, so that being
stopped for longer than a lock lasts shows."""
WRITE_SECONDS = 0.2 if IS_BROKEN else 0.02


async def cells(coord: Coordination, log: Log, chance: random.Random, until: float) -> None:
    """Read, set, delete, and set what was read: each value is written once, so it tells which write is seen."""
    key, seen = "", (0, 0)
    while (now := time.monotonic()) < until:
        if key != (present := f"k{int(now / CELL_SECONDS)}"):
            key, seen = present, (0, 0)
        kind = chance.choice(["read", "read", "set", "swap", "swap", "delete"])
        value = chance.getrandbits(52) or 1
        with contextlib.suppress(errors.Environment):  # done, or not: nobody knows
            if kind == "read":
                call = log.begin(key, ["read"])
                seen = _seen(await coord.memory.cell(key))
                log.end(call, seen[1])
            elif kind == "delete":
                call = log.begin(key, ["delete"])
                log.end(call, [await coord.memory.delete(key), 0])
                seen = (0, 0)
            else:
                call = log.begin(key, [kind, value, seen[1]])
                outcome = await coord.memory.set(key, value, base=seen[0] if kind == "swap" else None)
                seen = _seen(outcome.cell)
                log.end(call, [outcome.is_applied, seen[1]])


def _seen(cell: Cell | None) -> tuple[int, int]:
    """Give the version and the value; where there is none, what has to be there for a write that expects none."""
    if cell is None or cell.is_deleted:
        return 0, 0
    assert isinstance(cell.value, int)
    return cell.version, cell.value


async def locks(coord: Coordination, log: Log, chance: random.Random, until: float) -> None:
    """Take a lock, and write its number under it, at once and again after a while."""
    while (now := time.monotonic()) < until:
        time_ = int(now / LOCK_SECONDS) if chance.random() < 0.7 and not IS_BROKEN else "always"
        name = f"{time_}-{chance.randrange(LOCKS)}"
        call = log.begin(name, ["acquire"])
        with contextlib.suppress(errors.Environment):
            lock = await coord.locks.acquire(name, strategy="fail_fast", ttl=TTL_SECONDS)
            log.end(call, None if lock is None else lock.fence)
            if lock is None:
                await asyncio.sleep(0.005)
                continue
            for _ in range(chance.randrange(1, 4)):
                await _write(coord, log, name, lock.fence)
                await asyncio.sleep(chance.uniform(0, WRITE_SECONDS))
            call = log.begin(name, ["release", lock.fence])
            try:
                await lock.release()
            except errors.LockError:  # lost, as this process has to believe by now
                log.end(call, False)
            else:
                log.end(call, True)


async def _write(coord: Coordination, log: Log, name: str, fence: int) -> None:
    call = log.begin(name, ["write", fence])
    try:
        await coord.memory.set(name, fence, space="fenced", under=None if IS_BROKEN else (name, fence))
    except errors.LockError:
        log.end(call, False)
    else:
        log.end(call, True)


async def main(url: str, folder: Path, name: str, what: str, seconds: float, seed: int) -> None:
    coord = await _opened(url, f"{name}-{os.getpid()}")
    (folder / f"{name}.ready").touch()
    while not (folder / "go").exists():
        await asyncio.sleep(0.005)
    until = float((folder / "go").read_text()) + seconds  # by a clock that all processes share and nobody sets
    work = cells if what == "cells" else locks
    await work(coord, Log(folder, name), random.Random(seed ^ os.getpid()), until)
    with contextlib.suppress(errors.Environment):  # cut off at the very end
        await coord.close()


async def _opened(url: str, worker: str) -> Coordination:
    """Open the store, again while it cannot be reached: the server may be away just now."""
    while True:
        try:
            return await Coordination.open(url, worker=worker, connections=2)
        except errors.Environment:
            await asyncio.sleep(0.05)


asyncio.run(main(sys.argv[1], Path(sys.argv[2]), sys.argv[3], sys.argv[4], float(sys.argv[5]), int(sys.argv[6])))
