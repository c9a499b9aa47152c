"""PF-01: the floors of the queue, at the port of the store that everything goes through."""

from __future__ import annotations

import asyncio
import math
import uuid
from collections.abc import Mapping
from typing import Final

from bench.case import Figures, Given, stopwatch
from interlock import Interlock
from interlock.model.task import Done, PythonTarget
from interlock.store.ports import ClaimedTask, GraphTask, NewTask, Store

_POOL: Final = "bench"
_LAYERS: Final = 10
_LEASE_SECONDS: Final = 60.0


async def floors(given: Given) -> Figures:
    """PF-01: enqueue, schedule and dequeue 1,000 tasks, alone and among many, and how that grows."""
    count, queued = given.sizes.floor_tasks, given.sizes.floor_queued
    async with Interlock(given.url, roles=[]) as app:
        store = app.session.store
        with stopwatch() as enqueue:
            await asyncio.gather(*[store.graphs.load([_task(number)], None) for number in range(count)])
        assign, dequeue = await _dequeued(store, count)
        with stopwatch() as schedule:
            await store.graphs.load(_graph(count), None)
        await _dequeued(store, count)
        with stopwatch() as many:
            for begin in range(0, queued, count):
                await store.graphs.load([_task(number) for number in range(begin, begin + count)], None)
        _, all_of_many = await _dequeued(store, queued)
    growth = math.log(all_of_many / dequeue) / math.log(queued / count)
    return {
        "enqueue_seconds": enqueue.seconds,
        "dequeue_seconds": dequeue,
        "schedule_seconds": schedule.seconds,
        "assignments_per_second": count / assign,
        "queued_per_second": queued / many.seconds,
        "growth_exponent": growth,
    }


def _task(number: int, after: Mapping[str, bool] = {}, key: str = "") -> GraphTask:
    task = NewTask(
        task=key or uuid.uuid4().hex,
        run=uuid.uuid4().hex,
        effect=number,
        path="/bench",
        pool=_POOL,
        priority=0,
        target=PythonTarget(function="bench.own.workflows:nothing"),
        folder="/",
        idempotency_key=key,
        attempt=1,
        any_exit_code=False,
    )
    return GraphTask(task=task, after=after)


def _graph(count: int) -> list[GraphTask]:
    """Give layers of tasks, each of which waits for one of the layer before."""
    width = max(1, count // _LAYERS)
    name = uuid.uuid4().hex
    return [
        _task(number, {f"{name}-{number - width}": True} if number >= width else {}, f"{name}-{number}")
        for number in range(count)
    ]


async def _dequeued(store: Store, count: int) -> tuple[float, float]:
    """Claim and settle everything; gives the seconds of the claims alone, and of all."""
    node = uuid.uuid4().hex
    claims = 0.0
    left = count
    with stopwatch() as everything:
        while left:
            with stopwatch() as claim:
                tasks = await store.queue.claim(node, _POOL, count, count, _LEASE_SECONDS, None, own=False)
            claims += claim.seconds
            assert tasks, f"{left} of {count} tasks cannot be claimed"
            await asyncio.gather(*[_settled(store, task, node) for task in tasks])
            left -= len(tasks)
    return claims, everything.seconds


async def _settled(store: Store, task: ClaimedTask, node: str) -> None:
    assert await store.queue.settle(task.task, task.fence, Done(1), None, holder=node)
