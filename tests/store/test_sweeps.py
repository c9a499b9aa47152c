"""What dead dispatchers left in pools is removed by the store that it belongs to, and by no other."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, cast

from interlock.app.pool_care import Sweeps
from interlock.pool.launcher import Launcher
from interlock.store.ports import Store
from store.rows import accepting, new_task


class Engine:
    """An engine that says what is there by labels, as Docker does."""

    def __init__(self, *names: str) -> None:
        self.names = list(names)

    async def left(self) -> list[Mapping[str, str]]:
        return [{"interlock.attempt": name} for name in self.names]

    async def sweep(self, is_over: Callable[[Mapping[str, str]], bool]) -> int:
        before = len(self.names)
        self.names = [name for name in self.names if not is_over({"interlock.attempt": name})]
        return before - len(self.names)


class Cluster:
    """One that is asked name by name, as Kubernetes is."""

    def __init__(self, *names: str) -> None:
        self.names = list(names)

    async def sweep(self, is_over: Callable[[str], Awaitable[bool]]) -> list[str]:
        over = [name for name in self.names if await is_over(name)]
        self.names = [name for name in self.names if name not in over]
        return over


async def test_only_what_is_over_in_this_store_is_removed(store: Store) -> None:
    """RU-08: attempts of another store have the same tasks and fences, and may be at work."""
    await store.journal.commit(accepting(tasks=[new_task("runs")]))
    await store.queue.claim("n1", "local", 4, 4, 60.0, None, own=False)
    own = await store.queue.identity()
    names = [f"runs.1@{own}", f"over.1@{own}", "over.1@0123456789abcdef", "runs.1", "something else"]
    engine, cluster = Engine(*names), Cluster(*names)
    launchers: dict[str, Any] = {"engine": engine, "cluster": cluster}
    await Sweeps(store, cast("dict[str, Launcher]", launchers)).round()
    assert engine.names == cluster.names == [name for name in names if name != f"over.1@{own}"]


async def test_identity_of_a_store_is_the_same_for_whoever_asks(store: Store) -> None:
    first = await store.queue.identity()
    assert len(first) == 16
    assert int(first, 16) >= 0
    again = type(store.queue)(store.queue._database)  # type: ignore[attr-defined,call-arg]  # as in another process
    assert await again.identity() == first
