"""Keeps grants alive while their holder works, and tells the holder when one is lost.

    held --renewed every third of its time--> held
    held --the store does not know it any more--> lost     another one has it, or somebody cleared it
    held --not renewed for its time less a margin--> lost  whatever the store may think by then

The holder counts from the moment it sent a renewal, on the monotonic clock, so it stops before the store gives the lock to
another one. Where a store outlives this process, a thread with a connection of its own renews: code on the loop that never
yields does not stop it. It stops by itself when the loop has not turned for two minutes: alive but deaf is dead.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from interlock import telemetry
from interlock.service import Clock, Service
from interlock.store.ports import LockRow, Renewals, Renewed, Store
from interlock.store.sql.lock_rows import lease_of

_RENEWALS: Final = 3  # in the time of a grant
_MARGIN: Final = 0.1  # of its time, at most
_MARGIN_SECONDS: Final = 2.0
_RETRY_SECONDS: Final = 1.0
_REST_SECONDS: Final = 60.0  # between looks of a thread that has nothing to keep; it is woken when it gets something
_DEAF_SECONDS: Final = 120.0
_TURN_SECONDS: Final = 1.0


@dataclass(slots=True)
class _Kept:
    lease: Renewed
    ttl: float
    confirmed: float
    """When, on the monotonic clock, the renewal was sent that the store answered."""
    tried: float
    lost: Callable[[], None]

    @property
    def due(self) -> float:
        pause = self.ttl / _RENEWALS
        return self.confirmed + pause if self.tried <= self.confirmed else self.tried + min(_RETRY_SECONDS, pause)

    @property
    def end(self) -> float:
        return self.confirmed + self.ttl - min(_MARGIN_SECONDS, self.ttl * _MARGIN)


class Renewal(Service):
    """The grants of one process that are to be renewed."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._kept: dict[tuple[str, str], _Kept] = {}
        self._changed = threading.Condition()
        self._stopping = False
        self._thread: threading.Thread | None = None
        self._task: asyncio.Task[None] | None = None
        self._woken = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._turned = 0.0
        self._turning: asyncio.TimerHandle | None = None

    # -- life ----------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Begin; the thread and its connection are made when there is something to keep."""
        self._loop = asyncio.get_running_loop()
        self._stopping = False

    async def stop(self) -> None:
        """End without releasing anything: who holds grants releases them, or they run out."""
        self._stopping = True
        if self._turning is not None:
            self._turning.cancel()
        with self._changed:
            self._changed.notify()
        thread, self._thread = self._thread, None
        if thread is not None:
            await asyncio.to_thread(thread.join)
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait({task})

    # -- what is kept --------------------------------------------------------------------------------------------

    def keep(self, grant: LockRow, sent: float, lost: Callable[[], None]) -> None:
        """Renew a grant from now on. `sent`: when it was asked for, on the monotonic clock. `lost` is called on the loop.

        Another grant of the same lock, which this process had before, is lost with that.
        """
        lease = lease_of(grant)
        with self._changed:
            before = self._kept.get((lease.kind, lease.name))
            self._kept[lease.kind, lease.name] = _Kept(lease, grant.ttl_seconds, sent, sent, lost)
            self._changed.notify()
        if before is not None:
            telemetry.emit("lock.lost", lock=lease.name, fence=before.lease.fence, why="this process took it again")
            before.lost()
        self._woken.set()
        self._begin()

    def forget(self, grant: LockRow) -> None:
        """Renew a grant no more."""
        lease = lease_of(grant)
        with self._changed:
            kept = self._kept.get((lease.kind, lease.name))
            if kept is not None and kept.lease.fence == lease.fence:
                del self._kept[lease.kind, lease.name]

    def _begin(self) -> None:
        if self._thread is not None or self._task is not None:
            return
        assert self._loop is not None
        renewals = self._store.renewals()
        if renewals is None:
            self._task = self._loop.create_task(self._renew_on_loop(), name="renew-locks")
            return
        self._turn()
        self._thread = threading.Thread(
            target=self._renew_for_ever, args=(renewals,), name="interlock-locks", daemon=True
        )
        self._thread.start()

    def _turn(self) -> None:
        assert self._loop is not None
        self._turned = self._clock.monotonic()
        self._turning = self._loop.call_later(_TURN_SECONDS, self._turn)

    # -- renewing ------------------------------------------------------------------------------------------------

    def _renew_for_ever(self, renewals: Renewals) -> None:
        try:
            while not self._stopping:
                with self._changed:
                    if not self._stopping:  # else `stop` has notified before this thread waits
                        self._changed.wait(self._pause())
                if due := self._due():
                    self._attempt(due, lambda held: renewals.renew(held, self._clock.stamp()))
                self._give_up()
        finally:
            with contextlib.suppress(Exception):  # (what it held runs out by itself)
                renewals.close()

    def _attempt(self, due: list[_Kept], renew: Callable[[list[Renewed]], list[Renewed]]) -> None:
        sent = self._clock.monotonic()
        try:
            found = renew([kept.lease for kept in due])
        except Exception as error:  # noqa: BLE001 (whatever it is, what is not renewed is lost in time, not forgotten)
            self._missed(due, sent, error)
        else:
            self._renewed(due, sent, found)

    async def _renew_on_loop(self) -> None:
        while True:
            self._woken.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._pause()):
                    await self._woken.wait()
            if due := self._due():
                sent = self._clock.monotonic()
                try:
                    found = await self._store.locks.renew([kept.lease for kept in due], self._clock.stamp())
                except Exception as error:  # noqa: BLE001 (as in the thread)
                    self._missed(due, sent, error)
                else:
                    self._renewed(due, sent, found)
            self._give_up()

    def _pause(self) -> float:
        """Seconds until something is due."""
        deaf = self._is_deaf()
        with self._changed:
            moments = [kept.end if deaf else min(kept.due, kept.end) for kept in self._kept.values()]
        return max(min(moments) - self._clock.monotonic(), 0.0) if moments else _REST_SECONDS

    def _is_deaf(self) -> bool:
        return self._thread is not None and self._clock.monotonic() - self._turned > _DEAF_SECONDS

    def _due(self) -> list[_Kept]:
        """Give what is to be renewed now; with one, what would be due soon."""
        if self._is_deaf():
            return []
        now = self._clock.monotonic()
        with self._changed:
            kept = list(self._kept.values())
        if not any(each.due <= now for each in kept):
            return []
        return [each for each in kept if each.due <= now + each.ttl / (2 * _RENEWALS)]

    def _renewed(self, due: list[_Kept], sent: float, found: list[Renewed]) -> None:
        there = set(found)
        for kept in due:
            if kept.lease in there:
                kept.confirmed = kept.tried = sent
            else:
                self._lose(kept, "the store gave it to another one, or it was cleared")

    def _missed(self, due: list[_Kept], sent: float, error: Exception) -> None:
        telemetry.emit("lock.renewal_failed", locks=[kept.lease.name for kept in due], error=error)
        for kept in due:
            kept.tried = sent + 1e-9

    def _give_up(self) -> None:
        now = self._clock.monotonic()
        with self._changed:
            late = [kept for kept in self._kept.values() if kept.end <= now]
        for kept in late:
            self._lose(kept, f"it was not renewed for {kept.ttl:g} s")

    def _lose(self, kept: _Kept, why: str) -> None:
        with self._changed:
            key = (kept.lease.kind, kept.lease.name)
            if self._kept.get(key) is not kept:
                return  # released meanwhile
            del self._kept[key]
        telemetry.emit("lock.lost", lock=kept.lease.name, fence=kept.lease.fence, why=why)
        assert self._loop is not None
        with contextlib.suppress(RuntimeError):  # the loop is closed: there is nobody to tell
            self._loop.call_soon_threadsafe(kept.lost)
