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
from interlock.model.task import Failed, FailureClass, Outcome, Snoozed, Target
from interlock.pool.launcher import Launch, Launcher, Running
from interlock.secrets.keeper import Keeper, no_secret
from interlock.secrets.revealed import Stream
from interlock.service import Clock, Loop
from interlock.store.ports import ClaimedTask, Store

_POLL_SECONDS: Final = 1.0  # the net under the bell
_RETRY_SECONDS: Final = 0.5
_STOP_SECONDS: Final = 5.0  # for what a stopping dispatcher still has to tell a store that is slow or away
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
        secrets: Keeper,
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
        self._secrets = secrets
        self._slots = slots
        self._own = own
        self._orphan_grace_seconds = orphan_grace_seconds
        self._away = away
        self._attempts: dict[str, asyncio.Task[None]] = {}
        self._running: dict[str, Running] = {}
        self._claiming: asyncio.Task[list[ClaimedTask]] | None = None
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
        await self._give_back_claims()
        attempts = list(self._attempts.values())
        self.abandon()
        await asyncio.gather(*attempts, return_exceptions=True)

    def abandon(self) -> None:
        """End every attempt at once."""
        for attempt in self._attempts.values():
            attempt.cancel()

    async def _give_back_claims(self) -> None:
        """Settle what a claim leased whose round was ended before it learned of it."""
        claiming, self._claiming = self._claiming, None
        if claiming is not None:
            await asyncio.wait([claiming], timeout=_STOP_SECONDS)
            if claiming.done() and claiming.exception() is None:
                for task in claiming.result():
                    await self._give_back(task, Snoozed(0.0))

    async def round(self) -> bool:
        if self._running:
            unwanted = await self._store.queue.cancelled(self._node)
            await asyncio.gather(*(self._running[task].cancel() for task in unwanted if task in self._running))
        free = self._slots - len(self._attempts)
        if free <= 0 or not await self._store.queue.ready(self._pool):
            return False
        self._claiming = asyncio.create_task(self._claim(free), name=f"claim-{self._pool}")
        claimed = await asyncio.shield(self._claiming)
        self._claiming = None
        for task in claimed:
            self._attempts[task.task] = asyncio.create_task(self._attempt(task), name=f"attempt-{task.task}")
        return bool(claimed)

    async def _claim(self, free: int) -> list[ClaimedTask]:
        return await self._store.queue.claim(
            self._node, self._pool, self._slots, free, LEASE_SECONDS, self._clock.now(), own=self._own
        )

    async def _attempt(self, task: ClaimedTask) -> None:
        outcome: Outcome = Snoozed(0.0)  # stopped by us: it will be made again, free of charge
        try:
            outcome = await self._execute(task)
            await self._settle(task, outcome)
        except asyncio.CancelledError:
            await self._give_back(task, outcome)
            raise
        finally:
            self._running.pop(task.task, None)
            self._attempts.pop(task.task, None)
            self.wake()

    async def _execute(self, task: ClaimedTask) -> Outcome:
        try:
            revealed = await self._secrets.revealed(task.run, task.target)
        except errors.InterlockError as error:
            return no_secret(str(error))

        def write(stream: str, text: str) -> None:
            self._logbook.write(task.run, task.path, task.attempt, stream, text)

        output = revealed.stream(write)
        try:
            return revealed.masked(await self._launched(task, revealed.value, output))
        finally:
            output.close()

    async def _launched(self, task: ClaimedTask, target: Target, output: Stream) -> Outcome:
        try:
            running = await self._launcher.launch(self._launch(task, target), output.write)
        except errors.InterlockError as error:
            return _not_launched(str(error))
        except Exception as error:  # noqa: BLE001 (an attempt without an outcome would hold its slot for ever)
            telemetry.emit("attempt.broken", task=task.task, run=task.run, error=error)
            return _not_launched(f"the pool met {type(error).__name__}")
        self._running[task.task] = running
        try:
            return await running.outcome()
        except asyncio.CancelledError:
            await asyncio.shield(running.cancel())
            raise
        except Exception as error:  # noqa: BLE001 (as above)
            telemetry.emit("attempt.broken", task=task.task, run=task.run, error=error)
            return _not_launched(f"the pool met {type(error).__name__}")

    async def _give_back(self, task: ClaimedTask, outcome: Outcome) -> None:
        """Settle an attempt while this node stops; a store that is away loses it when the lease runs out."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._settle(task, outcome), _STOP_SECONDS)

    def _launch(self, task: ClaimedTask, target: Target) -> Launch:
        return Launch(
            attempt=f"{task.task}.{task.fence}",
            target=target,
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
