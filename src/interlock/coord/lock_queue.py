"""The queue of a lock, as those of one process stand in it: first come, first served.

A place is a lease that is kept while somebody waits; one that was lost is asked for anew, at the end. Whose turn it is, is
looked for when the store tells of locks, when a grant in the way runs out, and in any case now and then.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from interlock import errors, telemetry
from interlock.coord.answers import Undoing
from interlock.coord.deadlock import cycle_of
from interlock.coord.lock import Lock
from interlock.coord.lock_metrics import LockMetrics
from interlock.service import Clock
from interlock.store.ports import LockRequest, Store
from interlock.store.ports.news import LOCKS

_STAY_SECONDS: Final = 10.0  # that a place in a queue lasts when nobody keeps it
_KEEP_SECONDS: Final = 3.0
_NEAR: Final = 2  # places from the head of a queue, where one looks whenever something is heard
_APART_SECONDS: Final = 0.005  # for each place beyond that: as long as it takes at least to have a lock and release it
_LONGEST_REST_SECONDS: Final = 0.25
_SEARCH_SECONDS: Final = 1.0  # between looks for a ring of those who wait for each other


class LockQueue:
    """Waits in the queues of one manager's locks."""

    def __init__(self, store: Store, clock: Clock, metrics: LockMetrics, undoing: Undoing) -> None:
        self._store = store
        self._clock = clock
        self._metrics = metrics
        self._undoing = undoing

    async def turn(
        self, request: LockRequest, take: Callable[[LockRequest], Awaitable[Lock | None]], holds: Callable[[str], bool]
    ) -> Lock:
        """Wait in the queue until it is this request's turn, and `take` gives it the lock.

        `holds`: whether a session holds locks of this manager. Raises LockError ("deadlock").
        """
        locks, woken = self._store.locks, asyncio.Event()
        listening = self._store.bell.listen(woken.set, LOCKS)
        lock: Lock | None = None
        try:
            request = _at(request, await self._stand(request))
            kept = search_at = self._clock.monotonic()
            while True:
                woken.clear()
                met = await locks.turn(request, self._clock.stamp())
                if met.grant is not None or not (met.ahead or met.holders):
                    lock = await take(request)
                    if lock is not None:
                        return lock
                    continue
                if self._clock.monotonic() >= search_at:  # a ring is closed by who comes to wait, mostly
                    search_at = self._clock.monotonic() + _SEARCH_SECONDS
                    await self._refuse_deadlock(request, holds)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(min(max(met.seconds, 0.01), _KEEP_SECONDS)):
                        await woken.wait()
                        await asyncio.sleep(_rest(met.ahead))
                if self._clock.monotonic() - kept >= _KEEP_SECONDS:
                    kept = self._clock.monotonic()
                    if not await locks.stay(request, _STAY_SECONDS, self._clock.stamp()):
                        telemetry.emit("lock.place_lost", lock=request.name, session=request.session)
                        request = _at(request, await self._stand(request))
        finally:
            listening()
            if request.ticket is not None and lock is None:  # a grant has ended the place
                with contextlib.suppress(errors.Environment):  # the place runs out by itself
                    await asyncio.shield(locks.leave(request))

    async def _stand(self, request: LockRequest) -> int:
        """Stand in the queue; gives the place, which nobody has when the caller was cancelled meanwhile."""
        queueing = self._store.locks.queue(request, _STAY_SECONDS, self._clock.stamp())
        return await self._undoing.shielded(queueing, lambda ticket: self._store.locks.leave(_at(request, ticket)))

    async def _refuse_deadlock(self, request: LockRequest, holds: Callable[[str], bool]) -> None:
        """Raise when the request closes a ring of those who wait for each other, and came to it last.

        Who came last holds something that one of the others waits for: nobody stands behind it in a queue before it came. So
        most need not look, which costs as much as there are pairs of waiters.
        """
        if not holds(request.session):
            return
        waits = await self._store.locks.waits(request.namespace, self._clock.stamp())
        ring = cycle_of(waits, request.session)
        if ring and max(ring, key=lambda wait: (wait.since, wait.session)).session == request.session:
            self._metrics.deadlocks += 1
            path = " -> ".join(f"{wait.session} waits for {wait.name!r}" for wait in ring)
            raise errors.LockError(f"waiting for the lock {request.name!r} would never end: {path}", "deadlock")


def _rest(ahead: int) -> float:
    """Give the seconds until a look is worth while after something was heard: of fifty who wait one is served, not fifty."""
    return min(max(ahead - _NEAR, 0) * _APART_SECONDS, _LONGEST_REST_SECONDS)


def _at(request: LockRequest, ticket: int) -> LockRequest:
    return msgspec.structs.replace(request, ticket=ticket)
