"""A process that works at the queue beside others: python -m store.queue_storm URL FOLDER NAME load|place|list|clear GRAPHS.

load: stores graphs, one after the other. place: takes the first tasks of every lane and settles them, until all is over.
list: looks at the lanes until all is over, and says whether what it saw was in order each time. clear: loads graphs and
cancels each at once. Each writes what it did into FOLDER/NAME.json.
"""

from __future__ import annotations

import asyncio
import random
import sys
from pathlib import Path

from interlock.app.tasks import TaskGraphs
from interlock.dispatch.lanes import PREFIX
from interlock.flow.taskgraph import reading
from interlock.model import json
from interlock.model.json import Json
from interlock.model.task import Done, Resources
from interlock.service import SystemClock
from interlock.store.open import open_store
from interlock.store.ports import Placement, QueuedTask, Store

POOL = "p"
TASKS = 25
"""Of each graph."""
_AT_ONCE = 7
_SECONDS = 100.0


def text(name: str, chance: random.Random) -> str:
    """A graph of tasks with priorities, in two lanes."""
    rows = [
        f"  - {{id: t{n}, run: [x], priority: {chance.randrange(5)}, skills: [{chance.choice('ab')}]}}\n"
        for n in range(TASKS)
    ]
    return f"graph: {name}\ntasks:\n{''.join(rows)}"


async def load(store: Store, folder: Path, name: str, graphs: int, *, clears: bool = False) -> Json:
    book, chance = TaskGraphs(store, SystemClock()), random.Random(name)
    cancelled = 0
    for number in range(graphs):
        await book.load(reading.read(text(f"{name}-{number}", chance)).required(), "/")
        if clears:
            cancelled += await book.cancel_all(await book.graph(f"{name}-{number}"))
    return cancelled


async def place(store: Store, folder: Path, name: str) -> Json:
    """Gives the tasks that it was given, and what it found out of order."""
    placed: list[Json] = []
    while True:
        is_over = (folder / "over").exists()
        lanes = [lane for lane in await store.pools.lanes(PREFIX, 100) if lane.startswith(PREFIX)]
        heads = [head for found in (await store.pools.heads(lanes, _AT_ONCE)).values() for head in found]
        wanted = [Placement(task=head.task, pool=POOL, resources=Resources(), decision=b"{}") for head in heads]
        given = (await store.pools.place(name, wanted, 60.0, None)).claimed if wanted else []
        for task in given:
            settled = await store.queue.settle(task.task, task.fence, Done(1), None, holder=name)
            placed.append([task.task, task.fence, settled])
        if is_over and not lanes:
            return placed
        await asyncio.sleep(0 if given else 0.01)


async def look(store: Store, folder: Path) -> Json:
    """Gives how often it looked, and what was out of order or had moved since it was seen first."""
    seen: dict[str, tuple[int, float]] = {}
    wrong: list[Json] = []
    looks = 0
    while not (folder / "over").exists():
        for lane in await store.pools.lanes(PREFIX, 100):
            heads = (await store.pools.heads([lane], 1000)).get(lane, [])
            looks += 1
            if heads != sorted(heads, key=_order):
                wrong.append(f"{lane} is out of order")
            wrong += [
                f"{h.task} has moved" for h in heads if seen.setdefault(h.task, (h.priority, h.rank)) != _order_of(h)
            ]
        await asyncio.sleep(0.005)
    return {"looks": looks, "wrong": wrong}


def _order(head: QueuedTask) -> tuple[int, float, str]:
    return (-head.priority, head.rank, head.task)


def _order_of(head: QueuedTask) -> tuple[int, float]:
    return (head.priority, head.rank)


async def main(url: str, folder: Path, name: str, what: str, graphs: int) -> None:
    store = await open_store(url, connections=2)
    try:
        (folder / f"{name}.ready").touch()
        async with asyncio.timeout(_SECONDS):
            while not (folder / "go").exists():
                await asyncio.sleep(0.005)
        match what:
            case "load" | "clear":
                done = await load(store, folder, name, graphs, clears=what == "clear")
            case "place":
                done = await place(store, folder, name)
            case _:
                done = await look(store, folder)
        (folder / f"{name}.json").write_bytes(json.encode(done))
    finally:
        await store.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]), sys.argv[3], sys.argv[4], int(sys.argv[5])))
