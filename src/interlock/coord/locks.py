"""LockManager: locks that several processes agree on, each for a time, each grant with a number that only grows.

    async with coord.locks.hold("deploy/eu", ttl="5m") as lock:
        await deploy(fence=lock.fence)

A conflict is a value: `acquire` gives None. What is refused raises LockError with a code. Who waits stands in a queue: first
come, first served, readers with readers.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Final

from interlock import errors
from interlock.coord.answers import Undoing, answered
from interlock.coord.lock import Held, Lock
from interlock.coord.lock_metrics import LockMetrics
from interlock.coord.lock_queue import LockQueue
from interlock.coord.lock_request import Duration, Requests, Strategy, backoff, checked, seconds_of
from interlock.coord.renewal import Renewal
from interlock.model.json import Json
from interlock.service import Clock
from interlock.store.ports import LockMode, LockRequest, Released, Store, Taken

TTL_SECONDS: Final = 300.0
ATTEMPTS: Final = 5
_PAGE: Final = 500


class LockManager:
    """The locks of one namespace, as one worker has them. Made and closed by `Coordination`."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        worker: str,
        *,
        namespace: str = "default",
        ttl: Duration = TTL_SECONDS,
        attempts: int = ATTEMPTS,
        metadata: Mapping[str, Json] | None = None,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Raises Invalid.

        `worker`: who holds what is acquired here; two processes have two. `metadata`: told with every lock. `pause`: waits
        between attempts, for tests.
        """
        self.worker: Final = worker
        self.namespace: Final = namespace
        self.metrics: Final = LockMetrics()
        self._store = store
        self._clock = clock
        self._requests = Requests(clock, worker, namespace, ttl, metadata)
        self._attempts = attempts
        self._renewal = Renewal(store, clock)
        self._held: dict[tuple[str, int], Lock] = {}
        self._pause = pause
        self._undoing = Undoing()
        self._queue = LockQueue(store, clock, self.metrics, self._undoing)

    async def start(self) -> None:
        await self._renewal.start()

    async def stop(self) -> None:
        """Release what is held here."""
        await self._undoing.stop()
        try:
            for lock in list(self._held.values()):
                with contextlib.suppress(errors.LockError):  # it was lost: there is nothing to release
                    await lock.release()
        except errors.Environment:  # the store is away: they run out by themselves
            self._held.clear()
        finally:
            await self._renewal.stop()

    # -- acquiring -----------------------------------------------------------------------------------------------

    async def acquire(
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
        """Acquire a lock and keep it until it is released; None when somebody else has it, after what `strategy` says.

        `ttl`: how long it lasts when this process is gone; it is renewed every third of it. `mode`: exclusive, read (against
        exclusive ones only) or counted (by up to `limit` holders at once). `attempts`: in all, of the strategy retry.
        `on_lost`: called when the lock is lost. Raises Invalid, StoreUnavailable.
        """
        request = self._requests.made(name, ttl, mode, limit, metadata, Strategy(strategy))
        tries = (attempts or self._attempts) if Strategy(strategy) is Strategy.RETRY else 1
        began = self._clock.monotonic()
        for attempt in range(tries):
            if attempt:
                self.metrics.retries += 1
                await self._pause(backoff(self._clock, attempt))
            lock = await self._try(request, on_lost)
            if lock is not None:
                self.metrics.acquired(self._clock.monotonic() - began)
                return lock
            self.metrics.conflicts += 1
        self.metrics.failures += 1
        return None

    async def wait(
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
        """Stand in the queue of a lock until it is granted; None after `timeout` (None: for ever).

        First come, first served. Raises LockError ("deadlock") when whoever holds the lock waits, directly or through
        others, for what the present asyncio task holds; of those in such a ring the last one to wait is told.
        """
        request = self._requests.made(name, ttl, mode, limit, metadata, Strategy.FAIL_FAST)
        seconds = None if timeout is None else seconds_of("timeout", timeout, shortest=0.0)
        began = self._clock.monotonic()
        lock = await self._try(request, on_lost)
        if lock is None:
            self.metrics.conflicts += 1
            try:
                async with asyncio.timeout(seconds):
                    lock = await self._queue.turn(request, lambda placed: self._try(placed, on_lost), self._holds)
            except TimeoutError:
                self.metrics.failures += 1
                return None
        self.metrics.acquired(self._clock.monotonic() - began)
        return lock

    @contextlib.asynccontextmanager
    async def hold(
        self,
        name: str,
        *,
        timeout: Duration | None = None,
        ttl: Duration | None = None,
        mode: LockMode | str = LockMode.EXCLUSIVE,
        limit: int = 1,
        metadata: Mapping[str, Json] | None = None,
    ) -> AsyncIterator[Lock]:
        """Hold a lock for a block: waits in its queue, releases it at the end.

        When the lock is lost, the block is cancelled and LeaseLost raised in its place. Raises TimeoutError after `timeout`,
        LockError ("deadlock").
        """
        lock = await self.wait(name, timeout=timeout, ttl=ttl, mode=mode, limit=limit, metadata=metadata)
        if lock is None:
            raise TimeoutError(f"the lock {name!r} was not free within {timeout} s; {await self._told(name)}")
        task = asyncio.current_task()
        assert task is not None
        is_inside, cancelled = True, False

        def stop(lost: Lock) -> None:
            nonlocal cancelled
            if is_inside and asyncio.current_task() is not task:  # else the block is told by what it asked for
                cancelled = True
                task.cancel()

        lock.executing()
        lock.on_lost(stop)
        try:
            yield lock
        except asyncio.CancelledError:
            if cancelled and task.uncancel() == 0:
                raise errors.LeaseLost(
                    f"the lock {name!r} was lost under the number {lock.fence}: its time was over, or another one took it"
                ) from None
            raise
        finally:
            is_inside = False
            if lock.is_held:
                with contextlib.suppress(errors.LockError):  # it was lost in this moment: there is nothing to release
                    await lock.release()
        if cancelled:  # lost at the very end: the block has ended, and its last writes may have been refused
            task.uncancel()
            raise errors.LeaseLost(f"the lock {name!r} was lost under the number {lock.fence} while its block ended")

    async def _try(self, request: LockRequest, on_lost: Callable[[Lock], None] | None) -> Lock | None:
        """Ask once. An answer that was lost is asked for again: by its nonce the store knows what it granted before."""
        sent = self._clock.monotonic()
        taking = answered(lambda again: self._store.locks.take(request, self._clock.stamp()))
        return self._granted(await self._undoing.shielded(taking, self._give_back), sent, on_lost)

    async def _give_back(self, taken: Taken) -> None:
        """Release what was granted to a caller that did not wait for it: nobody else knows of it."""
        if (grant := taken.grant) is not None:
            await self._freed(grant.name, grant.fence)

    def _granted(self, taken: Taken, sent: float, on_lost: Callable[[Lock], None] | None) -> Lock | None:
        if taken.grant is None:
            return None
        if taken.was_stale:
            self.metrics.stale_recovered += 1
        lock = Lock(taken.grant, self)
        if on_lost is not None:
            lock.on_lost(on_lost)
        self._held[lock.name, lock.fence] = lock
        self._renewal.keep(taken.grant, sent, lambda: self._lost(lock))
        return lock

    def _holds(self, session: str) -> bool:
        """Say whether a session holds anything here."""
        return any(lock.session == session for lock in self._held.values())

    def _lost(self, lock: Lock) -> None:
        if self._held.pop((lock.name, lock.fence), None) is not None:
            self.metrics.lost += 1
            lock.lost()

    # -- releasing -----------------------------------------------------------------------------------------------

    async def release(self, lock: Lock | str, *, fence: int | None = None) -> None:
        """Free a lock, by itself or by its name and the number of the grant.

        Raises LockError: "not-found", "invalid-owner" (another one holds it), "lock-expired" (the grant is over);
        StoreUnavailable: nobody renews it any more, so it is free when its time is over.
        """
        name, number = (lock.name, lock.fence) if isinstance(lock, Lock) else (lock, fence)
        if number is None:
            mine = [each for (held, _), each in self._held.items() if held == name]
            if len(mine) != 1:
                raise await self._refused_release(name, mine)
            number = mine[0].fence
        held = self._held.pop((name, number), None)
        if held is not None:
            self._renewal.forget(held.row)  # first: a renewal that met the lock just freed would tell of a loss
        try:
            released = await self._freed(name, number)
        except (errors.StoreUnavailable, asyncio.CancelledError):
            if held is not None:
                held.released()  # as far as this process goes; the store frees it now, or when its time is over
            raise
        if released is Released.RELEASED:
            self.metrics.releases += 1
            if held is not None:
                held.released()
            return
        if held is not None:
            held.lost()
            raise held.expired()
        raise _not_released(name, number, released)

    async def _freed(self, name: str, fence: int) -> Released:
        """Free a grant in the store. One that is not there when it is asked for again was freed by what was asked before."""
        asked_before = False

        async def release(again: bool) -> Released:
            nonlocal asked_before
            asked_before = again
            return await self._store.locks.release(self.namespace, name, self.worker, fence, self._clock.stamp())

        released = await answered(release)
        return Released.RELEASED if asked_before and released is not Released.EXPIRED else released

    async def _refused_release(self, name: str, mine: list[Lock]) -> errors.LockError:
        if mine:
            numbers = ", ".join(str(each.fence) for each in mine)
            return errors.LockError(f"the lock {name!r} is held here under {numbers}: say which", "invalid-owner")
        others = await self.holders(name)
        if not others:
            return errors.LockError(f"nobody holds the lock {name!r}", "not-found")
        return errors.LockError(
            f"the lock {name!r} belongs to {others[0].holder!r}, not to {self.worker!r}", "invalid-owner"
        )

    async def release_worker_locks(self, worker: str) -> int:
        """Free every lock of a worker and give their number; the worker learns it at its next renewal."""
        return await self._store.locks.release_all(self.namespace, worker, stale=False, now=self._clock.stamp())

    async def recover_stale_locks(self, worker: str) -> int:
        """Free those locks of a worker that it has not renewed in time; gives their number."""
        freed = await self._store.locks.release_all(self.namespace, worker, stale=True, now=self._clock.stamp())
        self.metrics.stale_recovered += freed
        return freed

    async def cleanup_stale_locks(self) -> int:
        """Forget the grants whose time is over and give their number. They are free already: this only tidies the list."""
        cleared = await self._store.locks.clear(self.namespace, self._clock.stamp())
        self.metrics.stale_recovered += cleared
        return cleared

    # -- reading -------------------------------------------------------------------------------------------------

    async def is_locked(self, name: str) -> bool:
        """Say whether anybody holds a lock now."""
        return bool(await self.holders(name))

    async def get_lock(self, name: str) -> Held | None:
        """Give who holds a lock now, the longest of several; None when it is free."""
        return next(iter(await self.holders(name)), None)

    async def holders(self, name: str) -> list[Held]:
        """Give all who hold a lock now."""
        rows = await self._store.locks.holders(self.namespace, checked(name), self._clock.stamp())
        return [Held(row) for row in rows]

    async def list_locks(self, *, worker: str | None = None, include_expired: bool = False) -> list[Held]:
        """Give the locks that are held, by their names. `include_expired`: also those whose time is over and that nobody took
        since."""
        found: list[Held] = []
        after: tuple[str, int] | None = None
        while page := await self._store.locks.list(
            self.namespace,
            holder=worker,
            expired=include_expired,
            after=after,
            limit=_PAGE,
            now=self._clock.stamp(),
        ):
            found += [Held(row) for row in page]
            after = (page[-1].name, page[-1].fence)
            if len(page) < _PAGE:
                break
        return found

    async def is_in_force(self, lock: Held) -> bool:
        """Ask the store whether a grant is still in force: its time is not over, and nobody was granted the lock after it."""
        return await self._store.locks.check(self.namespace, lock.name, lock.fence, self._clock.stamp())

    async def _told(self, name: str) -> str:
        held = await self.get_lock(name)
        return "it is free now" if held is None else f"{held.holder!r} holds it under the number {held.fence}"


def _not_released(name: str, fence: int, released: Released) -> errors.LockError:
    if released is Released.NOT_FOUND:
        return errors.LockError(f"nobody holds the lock {name!r}", "not-found")
    if released is Released.EXPIRED:
        return errors.LockError(f"the time of the lock {name!r} under the number {fence} is over", "lock-expired")
    return errors.LockError(
        f"the lock {name!r} is another one's by now, or was never held under {fence}", "invalid-owner"
    )


__all__ = ["ATTEMPTS", "TTL_SECONDS", "Duration", "LockManager", "Strategy"]
