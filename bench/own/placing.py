"""P1, P2: what a round of the dispatcher costs: its own code, on a real store. What is placed is settled and never begins."""

from __future__ import annotations

import asyncio
import statistics
import time
import uuid
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Final

from bench.case import Figures, Given, stopwatch
from interlock import Interlock
from interlock.app.declared_pools import declared
from interlock.app.tasks import TaskGraphs
from interlock.decisions.pools import DEFAULT, Asked, PoolView
from interlock.dispatch import policies
from interlock.dispatch.configuration import PoolSettings, Scheduling
from interlock.dispatch.delayed import Delayed
from interlock.dispatch.holder import Holder
from interlock.dispatch.logbook import Logbook
from interlock.dispatch.placed_attempts import PlacedAttempts
from interlock.dispatch.placer import Placer
from interlock.dispatch.rounds import Round
from interlock.dispatch.workspaces import Workspaces
from interlock.flow.taskgraph import document
from interlock.model.json import Json
from interlock.model.task import Done
from interlock.pool.local import LocalPool
from interlock.service import SystemClock
from interlock.store.ports import ClaimedTask, QueuedTask, Store

_NODE: Final = "bench"
_SKILLS: Final = 10
"""Of the tasks, in turn: so many lanes, each of which may have all of the pools."""
_POOLS: Final = ("a", "b", "c", "d")
_FULL: Final = "full"
_PRIORITIES: Final = 3
_BUSY: Final = "busy"
"""The skill of the tasks that have the full pool alone."""
_ROUNDS: Final = 10
"""Rounds beside each number of tasks that wait, of which the median counts."""
_PLACED: Final[list[ClaimedTask]] = []
"""What rounds have placed and nobody has settled yet."""


class Unbegun(PlacedAttempts):
    """Attempts that do not begin."""

    def begin(self, task: ClaimedTask, adopted: Mapping[str, int] | None = None) -> None:
        _PLACED.append(task)


class TimedPlacer(Placer):
    """A dispatcher whose rounds are timed in their parts. Seconds, of the last round."""

    read: float
    """Looking at pools and lanes, and the tasks at their heads; with the planning."""
    planned: float
    """Planning alone, by the processor's time."""
    transaction: float
    """The store's transaction, until it is durable."""

    async def _ready(self) -> bool:
        with stopwatch() as watch:
            is_ready = await super()._ready()
        self.read = watch.seconds
        return is_ready

    def _planned(
        self,
        heads: Mapping[str, Sequence[QueuedTask]],
        pools: Mapping[str, PoolView],
        asked: Mapping[str, Asked],
        cut: Collection[str],
    ) -> Round:
        begin = time.thread_time()
        plan = super()._planned(heads, pools, asked, cut)
        self.planned = time.thread_time() - begin
        return plan

    async def _claim(self, free: int) -> list[ClaimedTask]:
        with stopwatch() as watch:
            claimed = await super()._claim(free)
        self.transaction = watch.seconds
        return claimed


async def placing(given: Given) -> Figures:
    """P1: a round that places 1,000 of 10,000 queued tasks, of ten skills in four pools; the median of some rounds."""
    count, queued = given.sizes.placed_tasks, given.sizes.placed_queued
    found: list[tuple[float, float, float, float, float]] = []
    async with Interlock(given.url, roles=[]) as app:
        placer, store = await _placer(app, count), app.session.store
        await _load(store, _tasks(queued))
        for _ in range(given.sizes.repeats + 1):
            begin = time.process_time()
            with stopwatch() as watch:
                await placer.round()
            busy = time.process_time() - begin
            found.append((watch.seconds, busy, placer.read, placer.planned, placer.transaction))
            await _settle(store, count)
            await _load(store, _tasks(count))
    medians = [statistics.median(seconds) * 1000 for seconds in zip(*found[1:], strict=True)]  # the first warms up
    return dict(zip(("round_ms", "cpu_ms", "read_ms", "plan_ms", "transaction_ms"), medians, strict=True))


async def beside(given: Given) -> Figures:
    """P2: rounds that place 100 tasks, beside ever more of which half are blocked, and half are ready for a full pool."""
    count = given.sizes.beside_placed
    figures: Figures = {}
    async with Interlock(given.url, roles=[]) as app:
        placer, store = await _placer(app, count), app.session.store
        await _load(store, [{"id": "only", "required_skill": _BUSY}])
        await placer.round()
        assert len(_PLACED) == 1, "the pool that is to be full is not"
        _PLACED.clear()  # and stays so
        standing = 0
        for number, size in enumerate(given.sizes.beside, 1):
            await _load(store, _waiting(size - standing))
            standing = size
            taken = []
            for _ in range(_ROUNDS + 1):
                await _load(store, _tasks(count))
                with stopwatch() as watch:
                    await placer.round()
                taken.append(watch.seconds)
                await _settle(store, count)
            figures[f"beside_{number}_us"] = statistics.median(taken[1:]) / count * 1_000_000
    figures["times_first"] = figures[f"beside_{len(given.sizes.beside)}_us"] / figures["beside_1_us"]
    return figures


def _tasks(count: int) -> list[Json]:
    return [{"id": f"t{n}", "required_skill": f"s{n % _SKILLS}", "priority": n % _PRIORITIES} for n in range(count)]


def _waiting(count: int) -> list[Json]:
    """Give tasks of which one half waits for a place, and the other for the first of them."""
    ready = count - count // 2
    first: list[Json] = [{"id": f"w{number}", "required_skill": _BUSY} for number in range(ready)]
    return first + [{"id": f"w{number}", "dependencies": ["w0"]} for number in range(ready, count)]


async def _load(store: Store, tasks: Sequence[Json]) -> None:
    """Store tasks as `interlock tasks load` does, as one graph."""
    value: dict[str, Json] = {"graph": uuid.uuid4().hex, "defaults": {"run": ["true"]}, "tasks": list(tasks)}
    await TaskGraphs(store, SystemClock()).load(document.graph(value), "/")


async def _settle(store: Store, count: int) -> None:
    """End what a round placed, so that the next one has the same room. Raises RuntimeError for a round that missed some."""
    tasks = list(_PLACED)
    _PLACED.clear()
    if len(tasks) != count:
        raise RuntimeError(f"a round placed {len(tasks)} of {count} tasks, though there was room for all")
    await asyncio.gather(*[store.queue.settle(task.task, task.fence, Done(1), None, holder=_NODE) for task in tasks])


async def _placer(app: Interlock, places: int) -> TimedPlacer:
    """Give a dispatcher of four pools with so many places together, and of one with a single place."""
    rooms = {name: places // len(_POOLS) for name in _POOLS} | {_FULL: 1}
    preferred = (number % len(_POOLS) for number in range(_SKILLS))
    mapping = {f"s{number}": _POOLS[first:] + _POOLS[:first] for number, first in enumerate(preferred)}
    scheduling = Scheduling(
        pools={name: PoolSettings(name=name, type="local-process", capacity=room) for name, room in rooms.items()},
        mapping={**mapping, _BUSY: (_FULL,), DEFAULT: _POOLS},
    )
    store, clock = app.session.store, SystemClock()
    await store.pools.declare(declared(scheduling), None)
    launchers = dict.fromkeys(rooms, LocalPool())  # asked for nothing: what is placed does not begin
    logbook = Logbook(store, clock, 0)
    holder = Holder(_NODE, store, clock, logbook, app.session.secrets, 0.0, away=lambda _: None, may_act=lambda: True)
    workspaces = Workspaces(Path(), size=1, lease_seconds=1, release_seconds=1, orphan_grace_seconds=0)
    attempts = Unbegun(holder, launchers, scheduling, workspaces)
    return TimedPlacer(
        _NODE,
        store,
        clock,
        scheduling,
        policies.policy(scheduling.policy),
        attempts,
        Delayed(store, clock),
        launchers,
        local_slots=1,
        local_running=lambda: 0,
        host="",
        machines={},
        may_claim=lambda: True,
    )
