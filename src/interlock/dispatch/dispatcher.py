"""Claims ready tasks of a pool, launches them, and settles their outcomes.

Every write about an attempt carries its fence. A settle that changes nothing means that the attempt was given up
meanwhile; its runner is ended and its outcome dropped. While the store is away nothing is claimed, and outcomes wait here
until it is back.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final

from interlock import errors, telemetry
from interlock.dispatch.logbook import Logbook
from interlock.model import fault
from interlock.model.fault import Fault
from interlock.model.task import Failed, FailureClass, Outcome, Snoozed
from interlock.pool.launcher import Launch, Launcher, Running
from interlock.service import Clock, Loop
from interlock.store.ports import ClaimedTask, Store

_POLL_SECONDS: Final = 1.0  # the net under the bell
_RETRY_SECONDS: Final = 0.5
_LAST_WORD_SECONDS: Final = 2.0
LEASE_SECONDS: Final = 60.0


class Dispatcher(Loop):
    """Serves one pool of this node. `own`: only tasks of the runs that this node owns."""

    def __init__(
        self,
        node: str,
        store: Store,
        clock: Clock,
        pool: str,
        launcher: Launcher,
        logbook: Logbook,
        *,
        slots: int,
        own: bool,
        orphan_grace_seconds: float,
        away: Callable[[errors.Environment], None],
    ) -> None:
        """`away` hears of every settle that failed because of the store: a node without patience ends then."""
        super().__init__(f"dispatcher-{pool}", _POLL_SECONDS)
        self._node = node
        self._store = store
        self._clock = clock
        self._pool = pool
        self._launcher = launcher
        self._logbook = logbook
        self._slots = slots
        self._own = own
        self._orphan_grace_seconds = orphan_grace_seconds
        self._away = away
        self._attempts: dict[str, asyncio.Task[None]] = {}
        self._running: dict[str, Running] = {}
        self._unlisten: Callable[[], None] | None = None

    async def start(self) -> None:
        self._unlisten = self._store.bell.listen(self.wake)
        await super().start()

    async def stop(self) -> None:
        """Stop claiming, end what runs and settle it as stopped by us: it will be made again, free of charge."""
        if self._unlisten is not None:
            self._unlisten()
            self._unlisten = None
        await super().stop()
        attempts = list(self._attempts.values())
        for attempt in attempts:
            attempt.cancel()
        await asyncio.gather(*attempts, return_exceptions=True)

    async def round(self) -> bool:
        if self._running:
            unwanted = await self._store.queue.cancelled(self._node)
            await asyncio.gather(*(self._running[task].cancel() for task in unwanted if task in self._running))
        free = self._slots - len(self._attempts)
        if free <= 0 or not await self._store.queue.ready(self._pool):
            return False
        claimed = await self._store.queue.claim(
            self._node, self._pool, self._slots, free, LEASE_SECONDS, self._clock.now(), own=self._own
        )
        for task in claimed:
            self._attempts[task.task] = asyncio.create_task(self._attempt(task), name=f"attempt-{task.task}")
        return bool(claimed)

    async def _attempt(self, task: ClaimedTask) -> None:
        try:
            await self._settle(task, await self._execute(task))
        finally:
            self._running.pop(task.task, None)
            self._attempts.pop(task.task, None)
            self.wake()

    async def _execute(self, task: ClaimedTask) -> Outcome:
        def on_output(stream: str, text: str) -> None:
            self._logbook.write(task.run, task.path, task.attempt, stream, text)

        try:
            running = await self._launcher.launch(self._launch(task), on_output)
        except errors.InterlockError as error:
            return _not_launched(str(error))
        self._running[task.task] = running
        try:
            return await running.outcome()
        except asyncio.CancelledError:
            await asyncio.shield(running.cancel())
            with contextlib.suppress(TimeoutError):  # a store that is away finds the attempt lost, and it is made again
                await asyncio.wait_for(self._settle(task, Snoozed(0.0)), _LAST_WORD_SECONDS)
            raise

    def _launch(self, task: ClaimedTask) -> Launch:
        return Launch(
            attempt=f"{task.task}.{task.fence}",
            target=task.target,
            folder=task.folder,
            environment={
                "INTERLOCK_RUN": task.run_id,
                "INTERLOCK_STEP": task.path,
                "INTERLOCK_ATTEMPT": str(task.attempt),
                "INTERLOCK_IDEMPOTENCY_KEY": task.idempotency_key,
            },
            orphan_grace_seconds=self._orphan_grace_seconds,
            any_exit_code=task.any_exit_code,
        )

    async def _settle(self, task: ClaimedTask, outcome: Outcome) -> None:
        """Tell the store, its output first, for as long as it takes."""
        while True:
            try:
                await self._logbook.flush()
                settled = await self._store.queue.settle(task.task, task.fence, outcome, self._clock.now())
            except errors.Environment as error:
                telemetry.emit("dispatcher.settle_failed", task=task.task, error=error)
                self._away(error)
                await asyncio.sleep(_RETRY_SECONDS)
                continue
            telemetry.emit("attempt.settled", task=task.task, run=task.run, outcome=outcome, accepted=settled)
            return


def _not_launched(detail: str) -> Failed:
    return Failed(
        failure=FailureClass.LAUNCH,
        fault=Fault(type=fault.RUNTIME, status=500, title="Not launched", detail=detail),
    )
