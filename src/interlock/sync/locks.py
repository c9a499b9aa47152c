"""Locks for programs without an event loop.

Who waits is the thread: what it holds while it waits for more is what a deadlock is made of.
"""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping
from typing import Any, Final, TypeVar

from interlock import errors
from interlock.coord import lock as asynchronous
from interlock.coord import lock_request, locks
from interlock.coord.lock import Held
from interlock.coord.lock_metrics import LockMetrics
from interlock.coord.locks import Duration, Strategy
from interlock.model.json import Json
from interlock.model.lock_state import LockState
from interlock.store.ports import LockMode
from interlock.sync.portal import Portal, within

T = TypeVar("T")

_numbers = itertools.count(1)
_thread = threading.local()


class Lock(Held):
    """A grant; see `interlock.coord.lock.Lock`, of which each method waits here."""

    def __init__(self, portal: Portal, lock: asynchronous.Lock) -> None:
        super().__init__(lock.row)
        self._portal = portal
        self._lock = lock

    @property
    def state(self) -> LockState:
        return self._lock.state

    @property
    def is_held(self) -> bool:
        """Whether it was neither released nor lost, as far as this process knows."""
        return self._lock.is_held

    @property
    def is_lost(self) -> bool:
        return self._lock.is_lost

    def executing(self) -> None:
        self._portal.call(self._executing())

    async def _executing(self) -> None:
        self._lock.executing()

    def release(self) -> None:
        self._portal.call(self._lock.release())

    def check(self) -> bool:
        return self._portal.call(self._lock.check())

    def on_lost(self, callback: Callable[[Lock], None]) -> None:
        """Call `callback` in a thread of its own when the lock is lost, at once if it was."""
        self._portal.call(self.tell(callback))

    def wait_lost(self, timeout: float | None = None) -> bool:
        """Wait until the lock is lost; False when it was not within `timeout` seconds."""
        return self._portal.call(within(self._lock.wait_lost, timeout))

    # -- for the manager, on the loop ------------------------------------------------------------------------------

    async def tell(self, callback: Callable[[Lock], None]) -> None:
        """As `on_lost`. A thread each: what is called back may call in turn, which the loop's thread must not."""

        def lost(_: asynchronous.Lock) -> None:
            threading.Thread(target=callback, args=(self,), name=f"lost-{self.name}", daemon=True).start()

        self._lock.on_lost(lost)


class LockManager:
    """See `interlock.coord.locks.LockManager`, of which each method waits here."""

    def __init__(self, portal: Portal, manager: locks.LockManager) -> None:
        self._portal = portal
        self._manager = manager
        self.worker: Final = manager.worker
        self.namespace: Final = manager.namespace

    @property
    def metrics(self) -> LockMetrics:
        """What this process has done with locks, in numbers."""
        return self._manager.metrics

    def acquire(
        self,
        name: str,
        *,
        ttl: Duration | None = None,
        mode: LockMode | str = LockMode.EXCLUSIVE,
        limit: int = 1,
        strategy: Strategy | str = Strategy.RETRY,
        attempts: int | None = None,
        metadata: Mapping[str, Json] | None = None,
        on_lost: Callable[[Lock], None] | None = None,
    ) -> Lock | None:
        """As `interlock.coord.locks.LockManager.acquire`; `on_lost` is called in a thread of its own."""

        def ask() -> Coroutine[Any, Any, asynchronous.Lock | None]:
            return self._manager.acquire(
                name, ttl=ttl, mode=mode, limit=limit, strategy=strategy, attempts=attempts, metadata=metadata
            )

        return self._call(self._granted(ask, on_lost))

    def wait(
        self,
        name: str,
        *,
        timeout: Duration | None = None,
        ttl: Duration | None = None,
        mode: LockMode | str = LockMode.EXCLUSIVE,
        limit: int = 1,
        metadata: Mapping[str, Json] | None = None,
        on_lost: Callable[[Lock], None] | None = None,
    ) -> Lock | None:
        """As `interlock.coord.locks.LockManager.wait`; `on_lost` is called in a thread of its own."""

        def ask() -> Coroutine[Any, Any, asynchronous.Lock | None]:
            return self._manager.wait(name, timeout=timeout, ttl=ttl, mode=mode, limit=limit, metadata=metadata)

        return self._call(self._granted(ask, on_lost))

    @contextlib.contextmanager
    def hold(
        self,
        name: str,
        *,
        timeout: Duration | None = None,
        ttl: Duration | None = None,
        mode: LockMode | str = LockMode.EXCLUSIVE,
        limit: int = 1,
        metadata: Mapping[str, Json] | None = None,
    ) -> Iterator[Lock]:
        """Hold a lock for a block: waits in its queue, releases it at the end.

        A thread cannot be stopped from outside: when the lock is lost the block goes on, and LeaseLost is raised at its end.
        What must not go on asks `lock.is_held` between its steps, and carries the fence. Raises TimeoutError after
        `timeout`, LockError ("deadlock").
        """
        lock = self.wait(name, timeout=timeout, ttl=ttl, mode=mode, limit=limit, metadata=metadata)
        if lock is None:
            raise TimeoutError(f"the lock {name!r} was not free within {timeout} s; {self._told(name)}")
        try:
            with contextlib.suppress(errors.LockError):  # lost in this moment: the end of the block tells
                lock.executing()
            yield lock
        finally:
            if lock.is_held:
                with contextlib.suppress(errors.LockError):  # it was lost in this moment: there is nothing to release
                    lock.release()
        if lock.is_lost:
            raise errors.LeaseLost(
                f"the lock {name!r} was lost under the number {lock.fence} while its block was at work: its time was over, "
                "or another one took it; what the block did since may have been done by another one too"
            )

    def release(self, lock: Lock | str, *, fence: int | None = None) -> None:
        number = lock.fence if isinstance(lock, Lock) else fence
        self._call(self._manager.release(lock.name if isinstance(lock, Lock) else lock, fence=number))

    def release_worker_locks(self, worker: str) -> int:
        return self._call(self._manager.release_worker_locks(worker))

    def recover_stale_locks(self, worker: str) -> int:
        return self._call(self._manager.recover_stale_locks(worker))

    def cleanup_stale_locks(self) -> int:
        return self._call(self._manager.cleanup_stale_locks())

    def is_locked(self, name: str) -> bool:
        return self._call(self._manager.is_locked(name))

    def get_lock(self, name: str) -> Held | None:
        return self._call(self._manager.get_lock(name))

    def holders(self, name: str) -> list[Held]:
        return self._call(self._manager.holders(name))

    def list_locks(self, *, worker: str | None = None, include_expired: bool = False) -> list[Held]:
        return self._call(self._manager.list_locks(worker=worker, include_expired=include_expired))

    def is_in_force(self, lock: Held) -> bool:
        return self._call(self._manager.is_in_force(lock))

    async def _granted(
        self,
        ask: Callable[[], Coroutine[Any, Any, asynchronous.Lock | None]],
        on_lost: Callable[[Lock], None] | None,
    ) -> Lock | None:
        granted = await ask()
        if granted is None:
            return None
        lock = Lock(self._portal, granted)
        if on_lost is not None:
            await lock.tell(on_lost)
        return lock

    def _told(self, name: str) -> str:
        held = self.get_lock(name)
        return "it is free now" if held is None else f"{held.holder!r} holds it under the number {held.fence}"

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        """Call as this thread; the loop's task for it has the context of the caller."""
        number: int | None = getattr(_thread, "number", None)
        if number is None:
            number = _thread.number = next(_numbers)
        before = lock_request.thread.set(number)
        try:
            return self._portal.call(work)
        finally:
            lock_request.thread.reset(before)
