"""LockManager: locks that several processes agree on, each for a time, each grant with a number that only grows.

    async with coord.locks.hold("deploy/eu", ttl="5m") as lock:
        await deploy(fence=lock.fence)

A conflict is a value: `acquire` gives None. What is refused raises LockError with a code. Who waits stands in a queue: first
come, first served, readers with readers.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextvars import ContextVar
from enum import StrEnum
from typing import Final, TypeAlias

import msgspec

from interlock import errors, telemetry
from interlock.coord.deadlock import cycle_of
from interlock.coord.lock import Held, Lock
from interlock.coord.lock_metrics import LockMetrics
from interlock.coord.renewal import Renewal
from interlock.model import duration, json
from interlock.model.json import Json
from interlock.service import Clock
from interlock.store.ports import LockMode, LockRequest, Released, Store, Taken, Taking
from interlock.store.ports.news import LOCKS

TTL_SECONDS: Final = 300.0
_SHORTEST_SECONDS: Final = 1.0
_BACKOFF_SECONDS: Final = (1.0, 2.0, 4.0, 8.0, 16.0)
JITTER: Final = 0.1  # of a pause, more or less
ATTEMPTS: Final = 5
_STAY_SECONDS: Final = 10.0  # that a place in a queue lasts when nobody keeps it
_KEEP_SECONDS: Final = 3.0
_SEARCH_SECONDS: Final = 1.0  # between looks for a ring of those who wait for each other
_LONGEST_NAME: Final = 200
_PAGE: Final = 500

Duration: TypeAlias = float | int | str


class Strategy(StrEnum):
    """What `acquire` does about a lock that somebody else holds."""

    RETRY = "retry"
    """Asks again after 1, 2, 4, 8, 16 seconds, as often as it may."""
    FAIL_FAST = "fail_fast"
    """Asks once."""
    STEAL_STALE = "steal_stale"
    """Asks once, and takes it from a holder that has missed two renewals or is a worker that was given up."""
    FORCE_ACQUIRE = "force_acquire"
    """Takes it. Its holder is told, and what it writes under its fence is refused."""


_TAKING: Final = {Strategy.STEAL_STALE: Taking.STALE, Strategy.FORCE_ACQUIRE: Taking.FORCE}

_sessions = itertools.count(1)
_session: ContextVar[tuple[object, int] | None] = ContextVar("interlock_lock_session", default=None)
thread: Final[ContextVar[int | None]] = ContextVar("interlock_lock_thread", default=None)
"""The number of a thread that waits for what it calls on the loop: each of its calls is a task, but it is one who waits."""


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
        self._ttl = _seconds("ttl", ttl)
        self._attempts = attempts
        self._metadata = dict(metadata or {})
        self._renewal = Renewal(store, clock)
        self._held: dict[tuple[str, int], Lock] = {}
        self._process = f"{worker}/{clock.uuid()}"
        self._pause = pause
        self._undoing: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        await self._renewal.start()

    async def stop(self) -> None:
        """Release what is held here."""
        if self._undoing:
            await asyncio.wait(self._undoing)
        for lock in list(self._held.values()):
            with contextlib.suppress(errors.LockError, errors.Environment):  # (lost, or it runs out by itself)
                await lock.release()
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
        request = self._request(name, ttl, mode, limit, metadata, Strategy(strategy))
        tries = (attempts or self._attempts) if Strategy(strategy) is Strategy.RETRY else 1
        began = self._clock.monotonic()
        for attempt in range(tries):
            if attempt:
                self.metrics.retries += 1
                await self._pause(self._backoff(attempt))
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
        request = self._request(name, ttl, mode, limit, metadata, Strategy.FAIL_FAST)
        seconds = None if timeout is None else _seconds("timeout", timeout, shortest=0.0)
        began = self._clock.monotonic()
        lock = await self._try(request, on_lost)
        if lock is None:
            self.metrics.conflicts += 1
            try:
                async with asyncio.timeout(seconds):
                    lock = await self._queued(request, on_lost)
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
        cancelled = False

        def stop(lost: Lock) -> None:
            nonlocal cancelled
            cancelled = True
            task.cancel()

        lock.on_lost(stop)
        lock.executing()
        try:
            yield lock
        except asyncio.CancelledError:
            if cancelled and task.uncancel() == 0:
                raise errors.LeaseLost(
                    f"the lock {name!r} was lost under the number {lock.fence}: its time was over, or another one took it"
                ) from None
            raise
        finally:
            if lock.is_held:
                with contextlib.suppress(errors.LockError):  # it was lost in this moment: there is nothing to release
                    await lock.release()
        if cancelled:  # lost at the very end: the block has ended, and its last writes may have been refused
            task.uncancel()
            raise errors.LeaseLost(f"the lock {name!r} was lost under the number {lock.fence} while its block ended")

    async def _try(self, request: LockRequest, on_lost: Callable[[Lock], None] | None) -> Lock | None:
        sent = self._clock.monotonic()
        taking = asyncio.ensure_future(self._store.locks.take(request, self._clock.stamp()))
        try:
            taken = await asyncio.shield(taking)
        except asyncio.CancelledError:  # the store may grant it nevertheless, and nobody would know
            undoing = asyncio.create_task(self._undo(taking), name="release-lock")
            self._undoing.add(undoing)
            undoing.add_done_callback(self._undoing.discard)
            raise
        return self._granted(taken, sent, on_lost)

    async def _undo(self, taking: asyncio.Future[Taken]) -> None:
        """Release what was granted to a caller that did not wait for it."""
        with contextlib.suppress(errors.InterlockError):  # it runs out by itself
            grant = (await taking).grant
            if grant is not None:
                await self._store.locks.release(
                    grant.namespace, grant.name, grant.holder, grant.fence, self._clock.stamp()
                )

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

    def _lost(self, lock: Lock) -> None:
        if self._held.pop((lock.name, lock.fence), None) is not None:
            self.metrics.lost += 1
            lock.lost()

    async def _queued(self, request: LockRequest, on_lost: Callable[[Lock], None] | None) -> Lock:
        """Wait in the queue until it is this request's turn."""
        locks, woken = self._store.locks, asyncio.Event()
        listening = self._store.bell.listen(woken.set, LOCKS)
        try:
            request = _at(request, await locks.queue(request, _STAY_SECONDS, self._clock.stamp()))
            kept = search_at = self._clock.monotonic()
            while True:
                woken.clear()
                met = await locks.turn(request, self._clock.stamp())
                if met.grant is not None or not (met.ahead or met.holders):
                    lock = await self._try(request, on_lost)
                    if lock is not None:
                        return lock
                    continue
                if self._clock.monotonic() >= search_at:  # a ring is closed by who comes to wait, mostly
                    search_at = self._clock.monotonic() + _SEARCH_SECONDS
                    await self._refuse_deadlock(request)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(min(max(met.seconds, 0.01), _KEEP_SECONDS)):
                        await woken.wait()
                if self._clock.monotonic() - kept >= _KEEP_SECONDS:
                    kept = self._clock.monotonic()
                    if not await locks.stay(request, _STAY_SECONDS, self._clock.stamp()):
                        telemetry.emit("lock.place_lost", lock=request.name, session=request.session)
                        request = _at(request, await locks.queue(request, _STAY_SECONDS, self._clock.stamp()))
        finally:
            listening()
            if request.ticket is not None:
                with contextlib.suppress(errors.Environment):  # the place runs out by itself
                    await asyncio.shield(locks.leave(request))

    async def _refuse_deadlock(self, request: LockRequest) -> None:
        """Raise when the request closes a ring of those who wait for each other, and came to it last."""
        waits = await self._store.locks.waits(self.namespace, self._clock.stamp())
        ring = cycle_of(waits, request.session)
        if ring and max(ring, key=lambda wait: (wait.since, wait.session)).session == request.session:
            self.metrics.deadlocks += 1
            path = " -> ".join(f"{wait.session} waits for {wait.name!r}" for wait in ring)
            raise errors.LockError(f"waiting for the lock {request.name!r} would never end: {path}", "deadlock")

    # -- releasing -----------------------------------------------------------------------------------------------

    async def release(self, lock: Lock | str, *, fence: int | None = None) -> None:
        """Free a lock, by itself or by its name and the number of the grant.

        Raises LockError: "not-found", "invalid-owner" (another one holds it), "lock-expired" (the grant is over).
        """
        name, number = (lock.name, lock.fence) if isinstance(lock, Lock) else (lock, fence)
        if number is None:
            mine = [each for (held, _), each in self._held.items() if held == name]
            if len(mine) != 1:
                raise await self._refused_release(name, mine)
            number = mine[0].fence
        released = await self._store.locks.release(self.namespace, name, self.worker, number, self._clock.stamp())
        held = self._held.pop((name, number), None)
        if held is not None:
            self._renewal.forget(held.row)
        if released is Released.RELEASED:
            self.metrics.releases += 1
            if held is not None:
                held.released()
            return
        if held is not None:
            held.lost()
            raise held.expired()
        raise _not_released(name, number, released)

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
        rows = await self._store.locks.holders(self.namespace, _checked(name), self._clock.stamp())
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

    # -- requests ------------------------------------------------------------------------------------------------

    def _request(
        self,
        name: str,
        ttl: Duration | None,
        mode: LockMode | str,
        limit: int,
        metadata: Mapping[str, Json] | None,
        strategy: Strategy,
    ) -> LockRequest:
        mode = LockMode(mode)
        if limit < 1 or (limit > 1 and mode is not LockMode.COUNTED):
            raise errors.Invalid(f"limit={limit}: at least 1, and more only with mode='counted'")
        return LockRequest(
            namespace=self.namespace,
            name=_checked(name),
            holder=self.worker,
            session=self._of_task(),
            ttl_seconds=self._ttl if ttl is None else _seconds("ttl", ttl),
            mode=mode,
            limit=limit,
            metadata=json.encode(
                {"hostname": os.uname().nodename, "pid": os.getpid(), **self._metadata, **(metadata or {})}
            ),
            taking=_TAKING.get(strategy, Taking.RESPECT),
            nonce=self._clock.uuid(),
        )

    def _of_task(self) -> str:
        """Name the present asyncio task, or the thread it works for: what it holds and waits for makes a deadlock."""
        if (number := thread.get()) is not None:
            return f"{self._process}/thread-{number}"
        task = asyncio.current_task()
        known = _session.get()
        if known is None or known[0] is not task:
            known = (task, next(_sessions))
            _session.set(known)
        return f"{self._process}/{known[1]}"

    def _backoff(self, attempt: int) -> float:
        """Give the seconds before an attempt (1 for the second one)."""
        seconds = _BACKOFF_SECONDS[min(attempt, len(_BACKOFF_SECONDS)) - 1]
        return seconds * self._clock.uniform(1 - JITTER, 1 + JITTER)


def _at(request: LockRequest, ticket: int) -> LockRequest:
    return msgspec.structs.replace(request, ticket=ticket)


def _checked(name: str) -> str:
    if not name or len(name) > _LONGEST_NAME or not name.isprintable():
        raise errors.Invalid(
            f"{name[:50]!r} is no name of a lock: 1 to {_LONGEST_NAME} printable characters, such as 'deploy/eu'"
        )
    return name


def _seconds(what: str, value: Duration, shortest: float = _SHORTEST_SECONDS) -> float:
    try:
        seconds = duration.parse(value)
    except ValueError as error:
        raise errors.Invalid(f"{what}={value!r}: {error}") from None
    if seconds < shortest:
        raise errors.Invalid(f"{what}={value!r}: at least {shortest:g} s")
    return seconds


def _not_released(name: str, fence: int, released: Released) -> errors.LockError:
    if released is Released.NOT_FOUND:
        return errors.LockError(f"nobody holds the lock {name!r}", "not-found")
    if released is Released.EXPIRED:
        return errors.LockError(f"the time of the lock {name!r} under the number {fence} is over", "lock-expired")
    return errors.LockError(
        f"the lock {name!r} is another one's by now, or was never held under {fence}", "invalid-owner"
    )
