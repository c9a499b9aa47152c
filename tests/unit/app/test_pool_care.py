"""Pools that cannot launch are given nothing, and are tried again later (PO-05)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from interlock.app.pool_care import Health
from interlock.dispatch.configuration import PoolSettings
from interlock.dispatch.outlook import view
from interlock.pool.local import LocalPool
from interlock.store.open import open_store
from interlock.store.ports import DeclaredPool, Store
from interlock.testing.clock import VirtualClock


class Probing(LocalPool):
    """A launcher that is as well as it is told to be."""

    def __init__(self) -> None:
        super().__init__()
        self.answer: str | Exception | None = None
        self.asked: list[float] = []

    async def probe(self, seconds: float) -> str | None:
        self.asked.append(seconds)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class World:
    def __init__(self, store: Store) -> None:
        self.store = store
        self.clock = VirtualClock()
        self.first, self.second = Probing(), Probing()
        self.changes = 0
        self.health = Health(
            "n1", store, self.clock, {"first": self.first, "second": self.second}, interval_seconds=30.0,
            timeout_seconds=10.0, again_seconds=300.0, changed=self._changed,
        )  # fmt: skip

    def _changed(self) -> None:
        self.changes += 1

    async def after(self, seconds: float) -> None:
        self.clock.move_to(self.clock.now() + seconds)
        await self.health.round()

    async def ills(self) -> dict[str, Any]:
        """Why a round of placing would give nothing to each pool."""
        found = {}
        for row in await self.store.pools.all():
            ill = view(row, PoolSettings(name=row.pool, type=row.type), "n1", self.clock.now()).ill
            if ill is not None:
                found[row.pool] = ill
        return found


@pytest.fixture
async def world() -> AsyncIterator[World]:
    store = await open_store("sqlite:///:memory:")
    await store.pools.declare([DeclaredPool(pool=name, type="docker") for name in ("first", "second")], None)
    yield World(store)
    await store.close()


async def test_pool_that_is_not_well_gets_nothing_until_it_was_tried_again_and_is(world: World) -> None:
    """PO-05: every 30 s for at most 10 s; one that failed after 300 s, and not before it is known to be well."""
    world.first.answer = "no engine"
    await world.after(30)
    assert (await world.ills(), world.changes) == ({"first": "no engine"}, 1)
    for _ in range(9):
        await world.after(30)
    assert (world.first.asked, world.second.asked) == ([10.0], [10.0] * 10)

    world.clock.move_to(world.clock.now() + 31)  # its time is over, but nobody has tried it again
    assert await world.ills() == {"first": "no engine"}
    await world.after(0)
    assert (world.first.asked, await world.ills()) == ([10.0] * 2, {"first": "no engine"})

    world.first.answer = None
    await world.after(300)
    assert (world.first.asked, await world.ills(), world.changes) == ([10.0] * 3, {}, 3)
    await world.after(30)
    assert (len(world.first.asked), world.changes) == (4, 3)


async def test_launcher_that_breaks_is_ill_and_keeps_no_other_one_from_being_tried(world: World) -> None:
    world.first.answer = TypeError("takes 1 positional argument but 2 were given")
    world.second.answer = "no engine"
    await world.after(30)
    assert await world.ills() == {
        "first": "it met TypeError: takes 1 positional argument but 2 were given", "second": "no engine",
    }  # fmt: skip


async def test_node_that_stops_leaves_no_pool_ill(world: World) -> None:
    world.first.answer = "no engine"
    await world.after(30)
    await world.health.stop()
    assert await world.ills() == {}


async def test_pools_are_tried_before_the_node_can_place_anything_there(world: World) -> None:
    """The next service to start is the one that places: it placed in a pool whose engine was known to be away a moment later."""
    world.first.answer = "no engine"
    await world.health.start()
    assert await world.ills() == {"first": "no engine"}
    await world.health.stop()
    assert (world.first.asked, world.second.asked) == ([10.0], [10.0])
