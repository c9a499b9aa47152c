"""Coordination alone, for programs without an event loop.

with Coordination("postgresql://…") as coord:
    with coord.locks.hold("deploy/eu", ttl="5m") as lock:
        deploy(fence=lock.fence)
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Final, TypeVar

from interlock import errors
from interlock.coord import coordination as asynchronous
from interlock.coord.heartbeats import Found, Lost
from interlock.coord.locks import TTL_SECONDS, Duration
from interlock.coord.timing import BALANCED, Timing
from interlock.coord.workers import MOST_WORKERS
from interlock.decisions.strategies import Strategy
from interlock.model.json import Json
from interlock.service import Clock
from interlock.sync.fleet import HeartbeatMonitor, LoadBalancer, WorkerRegistry
from interlock.sync.locks import LockManager
from interlock.sync.memory import MemorySyncManager
from interlock.sync.portal import Portal

T = TypeVar("T")
A = TypeVar("A")


class Coordination:
    """See `interlock.Coordination`, of which each method of each part waits here."""

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
        """As `interlock.Coordination`; `lost`, `unheard` and `recovered` are called in threads of their own."""
        self._coordination = asynchronous.Coordination(
            url,
            worker=worker,
            namespace=namespace,
            lock_ttl=lock_ttl,
            metadata=metadata,
            memory_cache=memory_cache,
            timing=timing,
            most_workers=most_workers,
            strategy=strategy,
            lost=_in_thread(lost),
            unheard=_in_thread(unheard),
            recovered=_in_thread(recovered),
            connections=connections,
            clock=clock,
        )
        self.url: Final = self._coordination.url
        self.namespace: Final = self._coordination.namespace
        self.worker: Final = self._coordination.worker
        self._portal: Portal | None = None
        self._parts: dict[type[Any], Any] = {}

    @classmethod
    def open(cls, url: str, **options: Any) -> Coordination:
        """Give the same opened; `close` ends it."""
        return cls(url, **options).__enter__()

    def __enter__(self) -> Coordination:
        if self._portal is not None:
            raise errors.Invalid("this Coordination is open already; make another one")
        portal = Portal()
        try:
            portal.call(self._coordination.__aenter__())
        except BaseException:
            portal.close()
            raise
        self._portal = portal
        inner = self._coordination
        self._parts = {
            LockManager: LockManager(portal, inner.locks),
            MemorySyncManager: MemorySyncManager(portal, inner.memory),
            WorkerRegistry: WorkerRegistry(portal, inner.workers),
            LoadBalancer: LoadBalancer(portal, inner.balancer),
            HeartbeatMonitor: HeartbeatMonitor(portal, inner.heartbeats),
        }
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Release what is held and close the store; safe to call twice."""
        portal, self._portal = self._portal, None
        self._parts = {}
        if portal is not None:
            try:
                portal.call(self._coordination.close())
            finally:
                portal.close()

    @property
    def locks(self) -> LockManager:
        """Locks: leases with a number that grows with every grant."""
        return self._part(LockManager)

    @property
    def memory(self) -> MemorySyncManager:
        """Shared memory: values by space and key, and their changes in one order."""
        return self._part(MemorySyncManager)

    @property
    def workers(self) -> WorkerRegistry:
        """Who takes tasks, and how much of it."""
        return self._part(WorkerRegistry)

    @property
    def balancer(self) -> LoadBalancer:
        """Chooses a worker for a task, or a task for a worker, and reserves it."""
        return self._part(LoadBalancer)

    @property
    def heartbeats(self) -> HeartbeatMonitor:
        """Sends the heartbeats of a worker, and finds those that have stopped sending theirs."""
        return self._part(HeartbeatMonitor)

    def _part(self, kind: type[T]) -> T:
        if kind not in self._parts:
            raise errors.Invalid(f"the Coordination of {self.url} is not open; use `with Coordination(...)`")
        found: T = self._parts[kind]
        return found


def _in_thread(callback: Callable[[A], object] | None) -> Callable[[A], None] | None:
    """Give a callback that runs in a thread of its own: it may call in turn, which the loop's thread must not."""
    if callback is None:
        return None

    def call(about: A) -> None:
        threading.Thread(target=callback, args=(about,), name="interlock-told", daemon=True).start()

    return call
