"""W6 and W14: work that is stored by one process and done by others, and steps that go through the queue."""

from __future__ import annotations

import asyncio
from typing import Final

from bench.case import Figures, Given, stopwatch
from bench.own import nodes, workflows
from interlock import Interlock

_LIVE: Final = ["pending", "running", "waiting"]
_LOOK_SECONDS: Final = 0.05
_DRAIN_SECONDS: Final = 200.0


async def queue(given: Given) -> Figures:
    """W6: store runs without a node, then let one and two processes do them; and queued steps of one run.

    What drains is timed from the first that begins to the last that ends, without the start of the processes.
    """
    count = given.sizes.queue_tasks
    figures: Figures = {}
    async with Interlock(given.url, roles=[]) as client:
        for enqueue, drain, store, processes in (
            ("enqueue_singly_per_second", "drain_per_second", _store_singly, 1),
            ("enqueue_per_second", "drain_two_per_second", _store, 2),
        ):
            with stopwatch() as watch:
                await store(client, count)
            figures[enqueue] = count / watch.seconds
            async with nodes.running(given, processes):
                await _drained(client)
            figures[drain] = count / await _busy_seconds(client, count)
    async with Interlock(given.url) as app:
        with stopwatch() as watch:
            run = await app.start(workflows.through_queue, count)
            assert await run.result() == sum(range(count))
        figures["queued_steps_per_second"] = count / watch.seconds
    return figures


async def scaling(given: Given) -> Figures:
    """W14: the same runs by one, two and four nodes that are ready, from the first start to the last end."""
    if given.url.startswith("sqlite"):
        raise NotImplementedError("several nodes share a PostgreSQL store; on SQLite there is one writer at a time")
    count = given.sizes.throughput_runs
    figures: Figures = {}
    async with Interlock(given.url, roles=[]) as client:
        for number in given.sizes.node_counts:
            async with nodes.running(given, number):
                with stopwatch() as watch:
                    await _store(client, count)
                    await _drained(client)
            figures[f"nodes_{number}_per_second"] = count / watch.seconds
    first, *more = figures.values()
    for number, rate in zip(given.sizes.node_counts[1:], more, strict=True):
        figures[f"nodes_{number}_times_one"] = rate / first
    return figures


async def _store(client: Interlock, count: int) -> None:
    await client.start_many(workflows.numbered_step, [(number,) for number in range(count)], detach=True)


async def _store_singly(client: Interlock, count: int) -> None:
    await asyncio.gather(*[client.start(workflows.numbered_step, number, detach=True) for number in range(count)])


async def _drained(client: Interlock) -> None:
    """Wait until no run is live."""
    async with asyncio.timeout(_DRAIN_SECONDS):
        while await client.list(status=_LIVE, limit=1):  # noqa: ASYNC110 (other processes do it)
            await asyncio.sleep(_LOOK_SECONDS)


async def _busy_seconds(client: Interlock, count: int) -> float:
    """Give the seconds from the first of the newest runs that began to the last that ended."""
    rows = await client.session.store.views.runs(client.namespace, ["completed"], None, None, count)
    assert len(rows) == count
    began = [row.started_at for row in rows if row.started_at is not None]
    ended = [row.ended_at for row in rows if row.ended_at is not None]
    return max(ended) - min(began)
