"""Watchers learn that the time of a value is over, also when nobody writes any more."""

from __future__ import annotations

import asyncio

import pytest

from coordinating import simulated
from interlock.coord.expiry import EXPIRE_SECONDS, Expiry
from interlock.coord.memory import MemorySyncManager
from interlock.service import Clock
from interlock.store.ports import Store


@pytest.mark.parametrize("lasts", [0.5, 10.0, 45.0])
def test_the_end_of_a_values_time_is_told_within_the_stated_bound(lasts: float) -> None:
    """MS-07"""

    async def work(store: Store, clock: Clock) -> float:
        async with MemorySyncManager(store, clock, "default", "w") as memory:
            assert not memory.is_watched
            expiry = Expiry(store, clock, lambda: memory.is_watched)
            await expiry.start()
            async with memory.watch("*") as changes:
                assert memory.is_watched
                began = clock.monotonic()
                await memory.set("k", 1, ttl=lasts)
                seen = []
                async for change in changes:
                    seen.append((change.value, change.is_deleted))
                    if len(seen) == 2:
                        break
                passed = clock.monotonic() - began
            await expiry.stop()
            assert seen == [(1, False), (None, True)]
            return passed

    assert lasts <= simulated(work) <= lasts + EXPIRE_SECONDS + 5


@pytest.mark.parametrize("wanted", [False, True])
def test_a_process_that_nobody_watches_in_writes_nothing(wanted: bool) -> None:
    async def work(store: Store, clock: Clock) -> list[bytes | None]:
        async with MemorySyncManager(store, clock, "default", "w") as memory:
            start = (await store.cells.changes("default", None, None, 1)).cursor
            await memory.set("k", 1, ttl=1.0)
            await asyncio.sleep(2)
            await Expiry(store, clock, lambda: wanted).round()
            return [change.value for change in (await store.cells.changes("default", None, start, 9)).changes]

    assert simulated(work) == ([b"1", None] if wanted else [b"1"])
