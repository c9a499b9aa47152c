# ruff: noqa: T201 (an example tells what happens)
"""Peers without a coordinator: everybody takes what is free, and what a dead peer leaves behind is taken by another one.

    python examples/fleets/peer_to_peer.py                  # SQLite, in a temporary folder
    python examples/fleets/peer_to_peer.py postgresql://…   # any store

A task is whoever's holds its lock; a conflict means the next task. The first peer at work is killed in the middle of its
task: its lock ends with its time, and who waits for it gets the task, under a larger number. A result is written under the
lock, so a peer that was only stopped for long, and wakes up, writes nothing any more.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import sys
import tempfile
import uuid

from interlock import Coordination
from interlock.coord.lock import Lock

PEERS = ("ada", "bob", "cyd")
NUMBERS = range(1, 10)
TTL = "2s"
SECONDS = 60.0


async def do(coord: Coordination, number: int, lock: Lock) -> None:
    """Do a task under its lock, unless it is done."""
    if await coord.memory.get(f"results/{number}", "tasks") is not None:
        return
    told = {"peer": coord.worker, "number": number, "fence": lock.fence}
    if (await coord.memory.set("accident", told, base=0)).is_applied:  # who is first, once
        os.kill(os.getpid(), signal.SIGKILL)
    await coord.memory.set(f"results/{number}", told | {"square": number**2}, "tasks", under=lock)


async def peer(url: str, fleet: str, name: str) -> None:
    """Take what is free, then wait for what others have: they finish it, or their locks end."""
    async with Coordination(url, worker=name, namespace=fleet, lock_ttl=TTL) as coord:
        for number in NUMBERS:
            lock = await coord.locks.acquire(f"task/{number}", strategy="fail_fast")
            if lock is not None:
                await do(coord, number, lock)
                await lock.release()
        for number in NUMBERS:
            if await coord.memory.get(f"results/{number}", "tasks") is None:
                async with coord.locks.hold(f"task/{number}", timeout=SECONDS) as lock:
                    await do(coord, number, lock)


def run(url: str, fleet: str, name: str) -> None:
    asyncio.run(peer(url, fleet, name))


async def look(url: str, fleet: str) -> None:
    """Let the peers do everything, and tell who did what."""
    async with Coordination(url, namespace=fleet) as coord:
        processes = [multiprocessing.get_context("spawn").Process(target=run, args=(url, fleet, n)) for n in PEERS]
        for process in processes:
            process.start()
        for process in processes:
            await asyncio.to_thread(process.join, SECONDS)
        results = [cell.value for cell in await coord.memory.cells("results/*", "tasks")]
        dead = await coord.memory.get("accident")
        for result in sorted(results, key=lambda result: result["number"]):
            print(f"task {result['number']}: {result['square']}, by {result['peer']}")
        heir = next(result for result in results if result["number"] == dead["number"])
        told = f"{dead['peer']} was killed at task {dead['number']}; {heir['peer']} did it"
        print(f"{told}, {heir['fence'] - dead['fence']} number later")
        print(f"{len(results)} tasks done, {sum(process.exitcode == 0 for process in processes)} peers left")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        url = sys.argv[1] if len(sys.argv) > 1 else f"sqlite:///{folder}/fleet.db"
        asyncio.run(look(url, uuid.uuid4().hex[:8]))


if __name__ == "__main__":
    main()
