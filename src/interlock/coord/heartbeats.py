"""Heartbeats: a worker says that it lives, and everybody looks for those that say it no more.

    sent --the store took it--> waits for the next one
         --refused: given up, or replaced--> lost, told once, and nothing is sent any more
         --the store is away--> again, 3 times 5 s apart, then with the next one; alert at the third failure in a row
    silent for as long as it may be, but for a margin --> unheard, told once: others may take its work from then on
    unheard --the store took one--> heard again: nobody had taken its work

Looking: a worker that is stale is recovered in one transaction that makes sure again that it is; several that look at once
recover it once. That a look failed says nothing about workers: nobody is recovered, and one alert is given. Nobody could be
heard either while the store was away, so nobody is recovered before all had the time to be heard again.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Callable
from typing import Final

from interlock import errors, telemetry
from interlock.coord.timing import BALANCED, Timing
from interlock.coord.vitals import Vitals
from interlock.coord.workers import KEPT_SECONDS, WorkerRegistry, device_body
from interlock.model.worker import Device, Worker, WorkerStatus
from interlock.service import Clock, Loop, Service
from interlock.store.ports import Recovered, Store

ALERT_AFTER: Final = 3
"""Failures in a row, after which somebody is told."""
_MARGIN_SECONDS: Final = 2.0  # before others may take its work, a worker stops by itself
_MARGIN_SHARE: Final = 0.1  # of the silence, where that is less
_SEND_SECONDS: Final = 10.0  # a store that does not answer for so long has not taken a heartbeat
_TIDY_SECONDS: Final = 3600.0
_FAILURES: Final = (errors.Environment, TimeoutError)

Lost = Callable[[str], None]
"""Called with the id of a worker that is this process no more, or that others may believe dead: it stops what it does."""
Found = Callable[[Recovered], None]
"""Called with a worker that this process recovered, once: its tasks are for others."""


class HeartbeatMonitor(Service):
    """Sends the heartbeats of this process's worker, if it has one, and looks for workers that are stale.

    `start(worker)` begins both, `start()` only the looking; `stop` sends a last heartbeat and deregisters the worker.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        timing: Timing = BALANCED,
        *,
        lost: Lost | None = None,
        unheard: Lost | None = None,
        recovered: Found | None = None,
        sample: Callable[[], Device] | None = None,
    ) -> None:
        """`lost`: called once, when the worker has to be registered again. `unheard`: called when the store has taken no
        heartbeat for almost as long as the worker may be silent. `sample`: gives how the machine is; `vitals` when None.
        """
        self._store = store
        self._clock = clock
        self._timing = timing
        self._registry = WorkerRegistry(store, clock)
        self._lost = lost
        self._unheard = unheard
        self._recovered = recovered
        self._sample = sample or Vitals().sample
        self._scan = _Scan(self, timing.scan_seconds)
        self._sender: _Sender | None = None
        self._is_away = False
        self._back_at = -math.inf
        self._tidy_at = clock.monotonic() + _TIDY_SECONDS

    @property
    def timing(self) -> Timing:
        return self._timing

    @property
    def failures(self) -> int:
        """Heartbeats in a row that the store did not take."""
        return 0 if self._sender is None else self._sender.failures

    @property
    def silent_seconds(self) -> float | None:
        """Seconds since the last heartbeat that the store took was sent; None without a worker."""
        return None if self._sender is None else asyncio.get_running_loop().time() - self._sender.heard_at

    # -- life ----------------------------------------------------------------------------------------------------

    async def start(self, worker: Worker | None = None) -> None:
        """Begin. `worker`: as it was registered; its first heartbeat is sent at once.

        Raises Invalid when it may not be silent for as long as two heartbeats take.
        """
        if worker is not None:
            if worker.may_be_silent_seconds < 2 * self._timing.beat_seconds:
                silence, beat = worker.may_be_silent_seconds, self._timing.beat_seconds
                raise errors.Invalid(
                    f"the worker {worker.id!r} may be silent for {silence:g} s and is heard every {beat:g} s only; register "
                    f"it with silent_seconds of {self._timing.stale_seconds:g}"
                )
            told = (self._lost, self._unheard)
            self._sender = _Sender(self._store, self._clock, self._timing, worker, self._sample, *told)
            await self._sender.start()
        await self._scan.start()

    async def stop(self, *, leave: bool = True) -> None:
        """Send a last heartbeat, which says that no more tasks are taken, then deregister the worker and free its locks.

        Not `leave`: the worker stays as it is, such as for a process that takes its place with the same session.
        """
        await self._scan.stop()
        sender, self._sender = self._sender, None
        if sender is None:
            return
        await sender.stop()
        if leave and not sender.is_lost:
            with contextlib.suppress(*_FAILURES):  # the store is away: the worker will be found stale
                async with asyncio.timeout(_SEND_SECONDS):
                    await sender.last()

    # -- sending -------------------------------------------------------------------------------------------------

    async def send_heartbeat(self, worker: Worker, device: Device | None = None) -> bool:
        """Send one heartbeat. False: the worker was given up, or its place was taken. Raises StoreUnavailable."""
        body = device_body(device or self._sample())
        return await self._store.workers.beat(worker.id, worker.session, body, self._clock.stamp())

    # -- looking -------------------------------------------------------------------------------------------------

    async def check_stale_workers(self) -> list[str]:
        """Give the ids of the workers that are stale. Raises StoreUnavailable: then nothing is known of any."""
        return await self._registry.mark_stale()

    async def recover_stale_locks(self, worker: str) -> int:
        """Recover a worker if it is stale; gives how many locks that freed, 0 when it lives or another one was first."""
        found = await self.recover(worker)
        return 0 if found is None else found.locks

    async def recover(self, worker: str) -> Recovered | None:
        """Recover a worker if it is stale, and tell of it. None: it lives, or another one was first."""
        found = await self._registry.recover(worker)
        if found is not None:
            telemetry.emit("worker.recovered", worker=found.worker, locks=found.locks, tasks=list(found.tasks))
            if self._recovered is not None:
                self._recovered(found)
        return found

    async def scan(self) -> list[str]:
        """Look once and recover whoever is stale; gives the ids that this process recovered. Never raises for the store."""
        recovered: list[str] = []
        try:
            stale = await self._registry.list_workers({WorkerStatus.STALE})
            self._note_that_it_works()
            for worker in stale:
                if self._may_trust(worker) and await self.recover(worker.id) is not None:
                    recovered.append(worker.id)
            await self._tidy()
        except _FAILURES as error:
            if not self._is_away:
                telemetry.emit("worker.scan_failed", error=error)
            self._is_away = True
        return recovered

    async def _tidy(self) -> None:
        """Forget, once an hour, who is gone for a day, and what was told and decided before."""
        if self._clock.monotonic() >= self._tidy_at:
            self._tidy_at = self._clock.monotonic() + _TIDY_SECONDS
            await self._store.workers.forget(self._clock.now() - KEPT_SECONDS)

    def _note_that_it_works(self) -> None:
        if self._is_away:
            self._is_away = False
            self._back_at = self._clock.monotonic()
            telemetry.emit("worker.scan_works")

    def _may_trust(self, worker: Worker) -> bool:
        """Say whether a silence means something: since the store is back, the worker had the time to be heard.

        It is heard at least twice in the time that it may be silent; see `Timing`.
        """
        return self._clock.monotonic() - self._back_at >= worker.may_be_silent_seconds / 2


class _Scan(Loop):
    def __init__(self, monitor: HeartbeatMonitor, seconds: float) -> None:
        super().__init__("worker-scan", seconds)
        self._monitor = monitor

    async def round(self) -> bool:
        await self._monitor.scan()
        return False


class _Sender(Loop):
    """Sends the heartbeats of one worker."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        timing: Timing,
        worker: Worker,
        sample: Callable[[], Device],
        lost: Lost | None,
        unheard: Lost | None,
    ) -> None:
        super().__init__(f"heartbeat-{worker.id}", timing.beat_seconds)
        self._store = store
        self._clock = clock
        self._timing = timing
        self._worker = worker
        self._sample = sample
        self._deadline: asyncio.TimerHandle | None = None
        self._lost = lost
        self._unheard = unheard
        self.failures = 0
        self.is_lost = False
        self.heard_at = -math.inf
        """By the clock of the loop."""

    async def start(self) -> None:
        self._heard(asyncio.get_running_loop().time())
        await super().start()

    async def stop(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        await super().stop()

    async def round(self) -> bool:
        """Send one heartbeat, again when it fails."""
        for attempt in range(self._timing.retries + 1):
            if self.is_lost or await self._send():
                break
            if attempt < self._timing.retries:
                await asyncio.sleep(self._timing.retry_seconds)
        return False

    async def last(self) -> None:
        """Say that no more tasks are taken, and go."""
        worker, now = self._worker, self._clock.stamp()
        await self._store.workers.beat(worker.id, worker.session, device_body(Device(accepts=False)), now)
        await self._store.workers.leave(worker.id, worker.session, now)

    async def _send(self) -> bool:
        """Send once. True: there is no need to send it again."""
        sent_at = asyncio.get_running_loop().time()
        body = device_body(self._sample())
        try:
            async with asyncio.timeout(_SEND_SECONDS):
                alive = await self._store.workers.beat(self._worker.id, self._worker.session, body, self._clock.stamp())
        except _FAILURES as error:
            self.failures += 1
            if self.failures == ALERT_AFTER:
                telemetry.emit("worker.heartbeat_failed", worker=self._worker.id, failures=self.failures, error=error)
            return False
        self.failures = 0
        if alive:
            self._heard(sent_at)
        else:
            self._lose()
        return True

    def _heard(self, sent_at: float) -> None:
        """Count the silence that is allowed from when the heartbeat was sent: nobody can have heard it earlier."""
        self.heard_at = sent_at
        if self._deadline is not None:
            self._deadline.cancel()
        silence = self._worker.may_be_silent_seconds
        margin = min(_MARGIN_SECONDS, silence * _MARGIN_SHARE)
        self._deadline = asyncio.get_running_loop().call_at(sent_at + silence - margin, self._tell_unheard)

    def _tell_unheard(self) -> None:
        telemetry.emit("worker.unheard", worker=self._worker.id, failures=self.failures)
        if self._unheard is not None:
            self._unheard(self._worker.id)

    def _lose(self) -> None:
        self.is_lost = True
        if self._deadline is not None:
            self._deadline.cancel()
        telemetry.emit("worker.lost", worker=self._worker.id)
        if self._lost is not None:
            self._lost(self._worker.id)
