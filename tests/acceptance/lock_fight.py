"""A process that fights for locks: python lock_fight.py URL FOLDER NAME race|fight COUNT.

race: asks for COUNT locks, one after the other with everybody else, and writes which it got. fight: has one lock again and
again, until it was had COUNT times in all; what is done under it goes into a ledger of its own, which no store knows of.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import sys
import time
from pathlib import Path

from interlock.coord.coordination import Coordination
from interlock.coord.locks import LockManager


async def race(locks: LockManager, folder: Path, name: str, count: int) -> None:
    won = []
    for number in range(count):
        if await locks.acquire(f"task-{number}", strategy="fail_fast") is not None:
            won.append(number)
    (folder / f"{name}.won").write_text(" ".join(map(str, won)))
    while not (folder / "over").exists():  # what was won is held until everybody has asked
        await asyncio.sleep(0.02)


async def fight(locks: LockManager, folder: Path, name: str, count: int) -> None:
    ledger = os.open(folder / "ledger", os.O_RDWR | os.O_APPEND | os.O_CREAT)
    while True:
        async with locks.hold("one", ttl="30s") as lock:
            try:  # another one in here is a second holder
                fcntl.flock(ledger, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.write(ledger, f"{lock.fence} {name} beside another one\n".encode())
                return
            had = os.pread(ledger, 1 << 22, 0).count(b"\n")
            if had < count:
                os.write(ledger, f"{lock.fence} {name} {time.monotonic()}\n".encode())
            fcntl.flock(ledger, fcntl.LOCK_UN)
            if had >= count:
                return


async def main(url: str, folder: Path, name: str, what: str, count: int) -> None:
    async with Coordination(url, worker=name, connections=2) as coord:
        (folder / f"{name}.ready").touch()
        while not (folder / "go").exists():
            await asyncio.sleep(0.005)
        await (race if what == "race" else fight)(coord.locks, folder, name, count)


asyncio.run(main(sys.argv[1], Path(sys.argv[2]), sys.argv[3], sys.argv[4], int(sys.argv[5])))
