"""How many Jobs a pool of Kubernetes may have at once moves with what waits, in every store (OP-05)."""

from __future__ import annotations

from typing import Any

from interlock import telemetry
from interlock.app.autoscaling import Autoscaler
from interlock.app.pool_bounds import Bounds
from interlock.decisions.autoscaling import Direction, Terms
from interlock.dispatch.configuration import AutoscalingSettings
from interlock.model.task import Done, Resources
from interlock.service import SystemClock
from interlock.store.ports import DeclaredPool, Placement, Store
from store.rows import graph, graph_task
from store.test_autoscaling import dispatcher

CLOCK = SystemClock()
LANE = "?a"


class Later(SystemClock):
    """A clock that a test moves on."""

    moved = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.moved


def terms(*, up: float = 0.0, down: float = 0.0, lowest: int = 1, highest: int = 4) -> Terms:
    return Terms(
        up=Direction(queue=2, utilisation=0.8, cooldown_seconds=up, step=2),
        down=Direction(queue=2, utilisation=0.3, cooldown_seconds=down),
        lowest=lowest,
        highest=highest,
    )


def bounds(store: Store, given: Terms, clock: Any = CLOCK, most: int | None = 9) -> Bounds:
    return Bounds(store, clock, given, {"k": most}, {"default": ("k",)})


async def begin(store: Store, tasks: int, *, capacity: int | None, running: int) -> list[Any]:
    """Load tasks, and let some of them run in the pool."""
    await store.pools.declare([DeclaredPool(pool="k", type="kubernetes", capacity=capacity)], None)
    await store.tasks.load(graph(), [graph_task(f"t{n}", n, lane=LANE) for n in range(1, tasks + 1)], None)
    wanted = [
        Placement(task=f"default/g/t{n}", pool="k", resources=Resources(), decision=b"{}")
        for n in range(1, running + 1)
    ]
    claimed = list((await store.pools.place("n", wanted, 600.0, None)).claimed)
    assert len(claimed) == running
    return claimed


async def look(store: Store, loop: Bounds) -> int | None:
    await loop.look(await store.pools.all())
    return next(row.capacity for row in await store.pools.all() if row.pool == "k")


async def test_bound_rises_by_steps_while_much_waits_and_cools_down_between(store: Store) -> None:
    clock = Later()
    await begin(store, 8, capacity=1, running=1)
    loop = bounds(store, terms(up=300.0), clock)
    assert await look(store, loop) == 3
    assert await look(store, loop) == 3  # one of three is taken
    more = [Placement(task=f"default/g/t{n}", pool="k", resources=Resources(), decision=b"{}") for n in (2, 3)]
    assert len((await store.pools.place("n", more, 600.0, None)).claimed) == 2
    assert await look(store, loop) == 3  # it cools down
    clock.moved = 301.0
    assert await look(store, loop) == 4  # and never above the highest


async def test_bound_falls_while_little_is_taken_and_what_runs_goes_on(store: Store) -> None:
    (task,) = await begin(store, 1, capacity=4, running=1)
    loop = bounds(store, terms(lowest=2))
    assert [await look(store, loop) for _ in range(3)] == [3, 3, 3]  # a third is taken: more than 30 %
    assert await store.queue.settle(task.task, task.fence, Done(1), None, holder="n")
    assert [await look(store, loop) for _ in range(2)] == [2, 2]


async def test_bound_stays_within_the_places_of_the_pool_and_one_without_gets_one(store: Store) -> None:
    await begin(store, 8, capacity=1, running=1)
    assert await look(store, bounds(store, terms(), most=2)) == 2
    await store.pools.declare([DeclaredPool(pool="k", type="kubernetes")], None)
    assert await look(store, bounds(store, terms(), most=None)) == 4


async def test_bound_that_was_declared_anew_meanwhile_is_not_overwritten(store: Store) -> None:
    await begin(store, 8, capacity=1, running=1)
    assert not await store.pools.resize("k", 7, 3)
    assert not await store.pools.resize("none", None, 3)
    assert await store.pools.resize("k", 1, 3)


async def test_one_dispatcher_moves_the_bounds_and_says_so(store: Store) -> None:
    await begin(store, 8, capacity=1, running=1)
    first, second = sorted([await dispatcher(store), await dispatcher(store)])
    heard: list[Any] = []
    detach = telemetry.attach(lambda name, fields: heard.append(fields) if name == "pool.scaled" else None)
    try:
        for node in (second, first):
            settings = AutoscalingSettings(terms=terms())
            await Autoscaler(
                node, store, CLOCK, settings, [], may_act=lambda: True, bounds=bounds(store, terms())
            ).round()
            assert len(heard) == (node == first)
    finally:
        detach()
    assert (heard[0]["pool"], heard[0]["before"], heard[0]["to"]) == ("k", 1, 3)
