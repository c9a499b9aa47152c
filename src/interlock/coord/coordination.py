"""Coordination alone: locks, workers, shared memory, load balancing and heartbeats over one store, without workflows.

async with Coordination("postgresql://…") as coord:
    async with coord.locks.hold("deploy/eu", ttl="5m") as lock:
        await deploy(fence=lock.fence)
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Final, TypeVar

from interlock import errors
from interlock.coord.balancer import LoadBalancer
from interlock.coord.expiry import Expiry
from interlock.coord.heartbeats import Found, HeartbeatMonitor, Lost
from interlock.coord.locks import TTL_SECONDS, Duration, LockManager
from interlock.coord.memory import MemorySyncManager
from interlock.coord.tidying import Tidying
from interlock.coord.timing import BALANCED, Timing
from interlock.coord.workers import MOST_WORKERS, WorkerRegistry
from interlock.decisions.strategies import Strategy
from interlock.model.json import Json
from interlock.service import Clock, SystemClock
from interlock.store.open import open_store
from interlock.store.ports import Store

T = TypeVar("T")


class Coordination:
    """One process that coordinates with others over a store. It is opened by `async with`, or by `Coordination.open`."""

    def __init__(
        self,
        url: str,
        *,
        worker: str | None = None,
        namespace: str = "default",
        lock_ttl: Duration = TTL_SECONDS,
        metadata: Mapping[str, Json] | None = None,
        memory_cache: int = 0,
        timing: Timing = BALANCED,
        most_workers: int = MOST_WORKERS,
        strategy: Strategy | str = Strategy.LEAST_LOADED,
        lost: Lost | None = None,
        unheard: Lost | None = None,
        recovered: Found | None = None,
        connections: int = 4,
        clock: Clock | None = None,
    ) -> None:
        """Raises Invalid.

        `url`: of the store, such as sqlite:///fleet.db or postgresql://…. `worker`: the name under which this process holds
        locks and is registered; two processes need two, so the default is made of the host and a number of its own.
        `namespace`: the tenant whose locks and memory these are. `lock_ttl`: of locks that name none. `metadata`: told with
        every lock. `memory_cache`: how many cells of shared memory are kept here, see MemorySyncManager. `timing`:
        of heartbeats, see `interlock.coord.timing`. `most_workers`: that may be registered. `strategy`: of the load balancer.
        `lost`: called with the id of this process's worker when another one has its place, or it was given up. `unheard`:
        called with it shortly before others may believe it dead. `recovered`: called with each worker that this process gave
        up. `connections`: to a PostgreSQL store. `clock`: for tests.
        """
        self.url: Final = url
        self.namespace: Final = namespace
        self._clock = clock or SystemClock()
        self.worker: Final = worker or f"{os.uname().nodename}-{self._clock.uuid()}"
        self._lock_ttl = lock_ttl
        self._metadata = metadata
        self._memory_cache = memory_cache
        self._timing = timing
        self._most_workers = most_workers
        self._strategy = strategy
        self._told = (lost, unheard, recovered)
        self._connections = connections
        self._stack = AsyncExitStack()
        self._store: Store | None = None
        self._locks: LockManager | None = None
        self._memory: MemorySyncManager | None = None
        self._workers: WorkerRegistry | None = None
        self._balancer: LoadBalancer | None = None
        self._heartbeats: HeartbeatMonitor | None = None

    @classmethod
    async def open(cls, url: str, **options: Any) -> Coordination:
        """Give the same opened; `close` ends it."""
        return await cls(url, **options).__aenter__()

    async def __aenter__(self) -> Coordination:
        if self._store is not None:
            raise errors.Invalid("this Coordination is open already; make another one")
        try:
            await self._begin()
        except BaseException:
            await self.close()
            raise
        return self

    async def _begin(self) -> None:
        self._store = store = await open_store(self.url, connections=self._connections)
        self._stack.push_async_callback(store.close)
        self._locks = LockManager(
            store,
            self._clock,
            self.worker,
            namespace=self.namespace,
            ttl=self._lock_ttl,
            metadata=self._metadata,
        )
        await self._locks.start()
        self._stack.push_async_callback(self._locks.stop)
        memory = MemorySyncManager(store, self._clock, self.namespace, self.worker, cache=self._memory_cache)
        self._memory = memory
        await memory.start()
        self._stack.push_async_callback(memory.stop)
        expiry = Expiry(store, self._clock, lambda: memory.is_watched)
        await expiry.start()
        self._stack.push_async_callback(expiry.stop)
        self._workers = WorkerRegistry(store, self._clock, most=self._most_workers)
        self._balancer = LoadBalancer(store, self._clock, self._strategy)
        self._stack.push_async_callback(self._balancer.stop)
        lost, unheard, recovered = self._told
        self._heartbeats = HeartbeatMonitor(
            store, self._clock, self._timing, lost=lost, unheard=unheard, recovered=recovered
        )
        self._stack.push_async_callback(self._heartbeats.stop)
        tidying = Tidying(store, self._clock)
        self._stack.push_async_callback(tidying.stop)
        await tidying.start()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Release what is held and close the store; safe to call twice."""
        self._store = self._locks = self._memory = None
        self._workers = self._balancer = self._heartbeats = None
        await self._stack.aclose()

    @property
    def locks(self) -> LockManager:
        """Locks: leases with a number that grows with every grant."""
        return self._opened(self._locks)

    @property
    def memory(self) -> MemorySyncManager:
        """Shared memory: values by space and key, and their changes in one order."""
        return self._opened(self._memory)

    @property
    def workers(self) -> WorkerRegistry:
        """Who takes tasks, and how much of it."""
        return self._opened(self._workers)

    @property
    def balancer(self) -> LoadBalancer:
        """Chooses a worker for a task, or a task for a worker, and reserves it."""
        return self._opened(self._balancer)

    @property
    def heartbeats(self) -> HeartbeatMonitor:
        """Sends the heartbeats of a worker, and finds those that have stopped sending theirs."""
        return self._opened(self._heartbeats)

    @property
    def store(self) -> Store:
        return self._opened(self._store)

    def _opened(self, part: T | None) -> T:
        if part is None:
            raise errors.Invalid(f"the Coordination of {self.url} is not open; use `async with Coordination(...)`")
        return part
