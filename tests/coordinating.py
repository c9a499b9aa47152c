"""A store in memory and time that passes when nobody has anything to do: for tests of what waits, renews and expires."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from interlock.service import Clock
from interlock.store.ports import Store
from interlock.store.sql.store import SqliteStore
from simulation.clock import SimulatedClock
from simulation.loop import SimulatedLoop

T = TypeVar("T")


def simulated(work: Callable[[Store, Clock], Coroutine[Any, Any, T]], *, seconds: float = 1e6) -> T:
    """Run `work` with a store in memory, on a loop whose time is virtual: hours take milliseconds."""
    loop = SimulatedLoop(1)
    clock = SimulatedClock(loop, "test")

    async def whole() -> T:
        store = SqliteStore(":memory:")
        await store.open()
        try:
            return await work(store, clock)
        finally:
            await store.close()

    try:
        result = loop.run(whole(), seconds=seconds, turns=10_000_000)
        assert loop.broken == []
        return result
    finally:
        loop.end()


Work = Callable[[Store, Clock], Awaitable[None]]
