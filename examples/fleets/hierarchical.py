# ruff: noqa: T201 (an example tells what happens)
"""Three levels: a root gives orders to regions, the lead of a region splits them up, its members do the parts.

    python examples/fleets/hierarchical.py                  # SQLite, in a temporary folder
    python examples/fleets/hierarchical.py postgresql://…   # any store

Each level knows the next one only, by what stands in shared memory. Who leads a region holds its lock; the others wait in
its queue. The first lead in the region `eu` is killed when it has split its orders: the next one leads on from what is there.
"""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import signal
import sys
import tempfile
import uuid

from interlock import Coordination

REGIONS = {"eu": range(1, 6), "us": range(6, 11)}
MEMBERS = (1, 2)
SECONDS = 60.0


async def work(coord: Coordination, region: str) -> None:
    """Do each part that nobody else is at."""
    async for change in coord.memory.watch(f"parts/{region}/*", "tasks", after="0.0"):
        lock = await coord.locks.acquire(change.key, strategy="fail_fast")
        if lock is not None:
            await coord.memory.set(f"done/{change.key[6:]}", change.value**2, "tasks", base=0, under=lock)
            await lock.release()


async def lead(coord: Coordination, region: str) -> None:
    """Wait to lead the region; then split its orders, until every part is done, and report."""
    done_keys = f"done/{region}/*"
    async with coord.locks.hold(f"lead/{region}") as lock, coord.memory.watch(done_keys, "tasks") as changes:
        while True:
            done = {cell.key: cell.value for cell in await coord.memory.cells(done_keys, "tasks")}
            orders = await coord.memory.get(f"orders/{region}", "tasks")
            missing = [number for number in orders if f"done/{region}/{number}" not in done]
            for number in missing:  # again, if need be: whoever was at it may be dead
                await coord.memory.set(f"parts/{region}/{number}", number, "tasks", under=lock)
            if region == "eu" and (await coord.memory.set("accident", coord.worker, base=0)).is_applied:
                os.kill(os.getpid(), signal.SIGKILL)
            if not missing:
                break
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1.0):
                    await anext(changes)
        told = {"sum": sum(done.values()), "lead": coord.worker}
        await coord.memory.set(f"reports/{region}", told, "tasks", base=0, under=lock)


async def member(url: str, fleet: str, region: str, name: str) -> None:
    async with Coordination(url, worker=name, namespace=fleet, lock_ttl="2s") as coord:
        working = asyncio.create_task(work(coord, region))
        await lead(coord, region)
        working.cancel()
        await asyncio.wait([working])


def run(*given: str) -> None:
    asyncio.run(member(*given))


async def root(url: str, fleet: str) -> None:
    """Give each region its orders, and add up what they report."""
    async with Coordination(url, namespace=fleet) as coord, coord.memory.watch("reports/*", "tasks") as reports:
        for region, numbers in REGIONS.items():
            await coord.memory.set(f"orders/{region}", list(numbers), "tasks")
        spawn, named = (
            multiprocessing.get_context("spawn"),
            [(r, f"{r}-{number}") for r in REGIONS for number in MEMBERS],
        )
        processes = [spawn.Process(target=run, args=(url, fleet, region, name)) for region, name in named]
        for process in processes:
            process.start()
        found = {}
        async with asyncio.timeout(SECONDS):
            while len(found) < len(REGIONS):
                change = await anext(reports)
                found[change.key.partition("/")[2]] = change.value
        for process in processes:
            await asyncio.to_thread(process.join, SECONDS)
        dead, total = await coord.memory.get("accident"), sum(report["sum"] for report in found.values())
        for region in sorted(found):
            print(f"{region}: {found[region]['sum']}, led by {found[region]['lead']}")
        print(f"{dead} was killed while it led eu; the sum of all squares is {total}")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        url = sys.argv[1] if len(sys.argv) > 1 else f"sqlite:///{folder}/fleet.db"
        asyncio.run(root(url, uuid.uuid4().hex[:8]))
