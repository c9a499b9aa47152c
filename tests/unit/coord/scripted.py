"""A store whose port of workers can be away, and tells what it was asked."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from interlock import errors
from interlock.store.open import open_store


class ScriptedWorkers:
    """The port, but for what a test has planned. `away`: names of methods that raise; `after`: called when one was done."""

    def __init__(self, port: Any, now: Callable[[], float]) -> None:
        self._port = port
        self._now = now
        self.away: set[str] = set()
        self.fails = 0
        """Heartbeats that are still to fail."""
        self.calls: list[tuple[float, str]] = []
        self.after: dict[str, Callable[[], Awaitable[object]]] = {}

    def times(self, method: str) -> list[float]:
        return [at for at, name in self.calls if name == method]

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._port, name)

        async def called(*args: Any, **kwargs: Any) -> Any:
            self.calls.append((self._now(), name))
            if name in self.away or (name == "beat" and self.fails):
                self.fails -= name == "beat" and self.fails > 0
                raise errors.StoreUnavailable("the store of this test is away")
            given = await call(*args, **kwargs)
            if name in self.after:
                await self.after.pop(name)()
            return given

        return called


class ScriptedStore:
    def __init__(self, store: Any, now: Callable[[], float]) -> None:
        self._store = store
        self.workers = ScriptedWorkers(store.workers, now)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


@contextlib.asynccontextmanager
async def scripted(now: Callable[[], float] = lambda: 0.0) -> AsyncIterator[Any]:
    """Open a store in memory that a test can break."""
    store = await open_store("sqlite:///:memory:")
    try:
        yield ScriptedStore(store, now)
    finally:
        await store.close()
