"""The attempts that a process performs: each is launched, heard to its end, and settled.

Every write about an attempt carries its fence and names its holder. A settle that changes nothing means that the attempt
was given up meanwhile; its runner is ended and its outcome dropped. Where another node has adopted it, since it took this
one for dead, the runner, its workspace and its outcome are that one's, and nothing of them is ended or removed here. While
the store is away, outcomes wait here until it is back.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Collection, Iterable, Mapping, Set
from typing import Final

import msgspec

from interlock import errors, telemetry
from interlock.dispatch import attempt_name, told
from interlock.dispatch.holder import Holder
from interlock.dispatch.starts import Starts
from interlock.model import fault
from interlock.model.fault import Fault
from interlock.model.task import PROGRAMS, Failed, FailureClass, Outcome, Snoozed, Target, WorkflowTarget
from interlock.pool.launcher import Launch, Launcher, Running
from interlock.secrets.attempt import AttemptKey
from interlock.secrets.callback import Callback
from interlock.secrets.keeper import no_key, no_secret
from interlock.secrets.revealed import Stream
from interlock.store.ports import AttemptId, ClaimedTask

LEASE_SECONDS: Final = 60.0
STOP_SECONDS: Final = 5.0  # for what a stopping process still has to tell a store that is slow or away
_RETRY_SECONDS: Final = 0.5


class Attempts:
    """Those of one dispatcher. `launcher_of`: who launches an attempt, or launched it."""

    def __init__(self, holder: Holder, launcher_of: Callable[[ClaimedTask], Launcher]) -> None:
        self._holder = holder
        self._store = holder.store
        self._clock = holder.clock
        self._launcher_of = launcher_of
        self._wake: Callable[[], None] = lambda: None
        self._comes_back: Callable[[], None] = lambda: None
        self._identity = ""
        self._lost = False
        self._tasks: dict[AttemptId, asyncio.Task[None]] = {}
        """By attempt, not by task: one that was given up may still be at its end here while the next one begins."""
        self._running: dict[AttemptId, Running] = {}
        self._unreached: set[AttemptId] = set()
        """Adopted ones at which a runner may be, while nothing here has reached that."""
        self._starts = Starts(holder.store, holder.clock, lambda: self._wake())

    def serve(self, wake: Callable[[], None], comes_back: Callable[[], None]) -> None:
        """Say who gives the attempts. `wake`: to be called when there is room for more, or something to be told;
        `comes_back`: when a task may be tried again."""
        self._wake = wake
        self._comes_back = comes_back

    async def identify(self) -> None:
        """Learn the name of the store, which is part of each attempt's."""
        self._identity = await self._store.queue.identity()

    # -- which there are -----------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self._tasks)

    @property
    def known(self) -> Set[AttemptId]:
        """Those that are at work here; a view, which changes with them."""
        return self._tasks.keys()

    @property
    def running(self) -> Collection[AttemptId]:
        """Those that a pool has begun."""
        return self._running.keys()

    # -- what is done with them ----------------------------------------------------------------------------------

    def begin(self, task: ClaimedTask, adopted: Mapping[str, int] | None = None) -> None:
        """Begin an attempt. `adopted`: go on with one that another node began, of which so much output is stored."""
        if adopted is not None and not isinstance(task.target, WorkflowTarget):  # a run needs nobody who watches it
            self._unreached.add(task.key)
        self._tasks[task.key] = asyncio.create_task(self._attempt(task, adopted), name=f"attempt-{task.task}")

    async def is_left(self, task: ClaimedTask) -> bool:
        """Say whether an attempt of a node that is gone could be gone on with. Raises Environment: nobody knows."""
        given = self.launch_of(task, task.target, adopting=True)
        return await asyncio.to_thread(self._launcher_of(task).is_left, given)

    async def is_left_to_others(self, task: ClaimedTask) -> bool:
        """Say whether others go on with an attempt of this node, or will. False when the store does not say in time."""
        if self._lost or task.key in self._unreached:
            return True
        return await self._is_adopted(task) or self._lost  # which it may have become meanwhile

    async def cancel(self, attempts: Iterable[AttemptId]) -> None:
        """End those that nobody wants any more."""
        await asyncio.gather(*(self._running[key].cancel() for key in attempts if key in self._running))

    async def tell_starts(self) -> None:
        """Tell the store of those that have run for a while."""
        await self._starts.tell()

    async def wait(self, seconds: float, hurry: asyncio.Event) -> None:
        """Wait until all have ended, at most so long, or until `hurry`."""
        end = self._clock.monotonic() + seconds
        hurried = asyncio.create_task(hurry.wait())
        try:
            while self._tasks and not hurry.is_set() and (left := end - self._clock.monotonic()) > 0:
                await asyncio.wait([*self._tasks.values(), hurried], timeout=left, return_when=asyncio.FIRST_COMPLETED)
        finally:
            hurried.cancel()

    def leave(self, attempt: AttemptId) -> None:
        """Let go of one attempt, which is settled as stopped by us."""
        self._tasks[attempt].cancel()

    def abandon(self) -> list[asyncio.Task[None]]:
        """End every attempt at once; gives what is still to be awaited of them."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        return tasks

    def lose(self) -> None:
        """This node was given up for dead: leave what can outlive it to others, end the rest, and tell the store nothing."""
        self._lost = True
        self.abandon()

    async def stop(self) -> None:
        """End what runs and settle it as stopped by us: it will be made again, free of charge."""
        await asyncio.gather(*self.abandon(), return_exceptions=True)

    def stop_telling(self) -> None:
        """Call nobody any more for beginnings that are to be told."""
        self._starts.stop()

    async def give_back(self, task: ClaimedTask, outcome: Outcome) -> None:
        """Settle an attempt while this node stops; a store that is away loses it when the lease runs out."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._settle(task, outcome), STOP_SECONDS)

    # -- what a subclass may add to ------------------------------------------------------------------------------

    def launch_of(self, task: ClaimedTask, target: Target, *, adopting: bool) -> Launch:
        """Give what a pool is told of an attempt."""
        return Launch(
            attempt=self._called(task),
            target=target,
            folder=task.folder,
            environment={
                "INTERLOCK_RUN": task.run_id,
                "INTERLOCK_STEP": task.path,
                "INTERLOCK_ATTEMPT": str(task.attempt),
                "INTERLOCK_IDEMPOTENCY_KEY": task.idempotency_key,
            },
            orphan_grace_seconds=LEASE_SECONDS
            if adopting
            else self._holder.orphan_grace_seconds,  # the job has its own
            any_exit_code=task.any_exit_code,
        )

    async def perform(self, task: ClaimedTask, adopted: Mapping[str, int] | None) -> Outcome:
        """Launch an attempt, or go on with it, and give what came of it."""
        try:
            revealed = await self._holder.secrets.revealed(task.run, task.target)
        except errors.InterlockError as error:
            return no_secret(str(error))
        try:
            callback = await self._callback(task)
        except errors.InterlockError as error:
            return no_key(str(error))
        if callback is not None:
            revealed = revealed.hiding(callback.token)
        stored = dict(adopted or {})

        def write(stream: str, text: str) -> None:
            known = min(stored.get(stream, 0), len(text))
            if known:
                stored[stream] -= known
            if text[known:]:
                self._holder.logbook.write(task.run, task.path, task.attempt, stream, text[known:])

        if adopted is None and not self._holder.may_act():
            return Snoozed(0.0)  # somebody else may be about to begin it
        output = revealed.stream(write)
        try:
            is_adopted = adopted is not None
            return revealed.masked(await self._launched(task, revealed.value, output, callback, adopting=is_adopted))
        finally:
            output.close()

    # -- the life of one -----------------------------------------------------------------------------------------

    async def _attempt(self, task: ClaimedTask, adopted: Mapping[str, int] | None) -> None:
        """See an attempt to its end."""
        outcome: Outcome = Snoozed(0.0)  # stopped by us: it will be made again, free of charge
        try:
            outcome = await self.perform(task, adopted)
            if task.key in self._unreached:
                await self._end(task)
            is_over = await self._settle(task, outcome)
            if is_over and task.key in self._running:
                await self._running[task.key].forget()
        except asyncio.CancelledError:
            if not self._lost and task.key not in self._unreached:  # the next one would work beside it
                await self.give_back(task, outcome)
            raise
        finally:
            self._unreached.discard(task.key)
            self._running.pop(task.key, None)
            self._starts.forget(task)
            self._tasks.pop(task.key, None)
            self._wake()

    async def _is_adopted(self, task: ClaimedTask) -> bool:
        with contextlib.suppress(errors.Environment, TimeoutError):
            async with asyncio.timeout(STOP_SECONDS):
                return await self._store.queue.is_adopted(self._holder.node, task.key)
        return False

    async def _end(self, task: ClaimedTask) -> None:
        """End an attempt of a node that is gone, which cannot be gone on with: the next one must not work beside it."""
        try:
            if not await self._is_adopted(task):
                given = self.launch_of(task, task.target, adopting=True)
                running = await self._launcher_of(task).adopt(given, lambda stream, text: None)
                await running.cancel()
                await running.forget()
        except errors.InterlockError as error:
            telemetry.emit("attempt.not_ended", task=task.task, run=task.run, error=error)
        self._unreached.discard(task.key)

    async def _callback(self, task: ClaimedTask) -> Callback | None:
        """Give what an attempt reports with: by the token that its step waits for, else, a program, by one of its own."""
        if not isinstance(task.target, WorkflowTarget) and task.target.token:
            return await self._holder.secrets.callback(task.namespace, task.target.token)
        if isinstance(task.target, PROGRAMS):
            return await self._holder.secrets.attempt(AttemptKey(task.task, task.fence))
        return None

    async def _launched(
        self, task: ClaimedTask, target: Target, output: Stream, callback: Callback | None, *, adopting: bool
    ) -> Outcome:
        launcher = self._launcher_of(task)
        launch = launcher.adopt if adopting else launcher.launch
        given = self.launch_of(task, target, adopting=adopting)
        if callback is not None:
            given = msgspec.structs.replace(given, environment=given.environment | callback.environment)
        try:
            running = await launch(given, output.write)
        except errors.InterlockError as error:
            return _not_launched(str(error))
        except Exception as error:  # noqa: BLE001 (an attempt without an outcome would hold its slot for ever)
            telemetry.emit("attempt.broken", task=task.task, run=task.run, error=error)
            return _not_launched(f"the pool met {type(error).__name__}")
        self._running[task.key] = running
        self._unreached.discard(task.key)
        if not adopting:
            self._starts.note(task)
            told.started(task)
        began = self._clock.monotonic()
        try:
            return await running.outcome()
        except asyncio.CancelledError:
            await asyncio.shield(self._let_go(task, running, target))
            raise
        except errors.LeaseLost as error:  # the store refuses this where another node has adopted it
            return _lost(str(error))
        except Exception as error:  # noqa: BLE001 (as above)
            telemetry.emit("attempt.broken", task=task.task, run=task.run, error=error)
            return _not_launched(f"the pool met {type(error).__name__}")
        finally:
            if not self._lost:  # else it runs on
                told.finished(task, self._clock.monotonic() - began)

    async def _let_go(self, task: ClaimedTask, running: Running, target: Target) -> None:
        """End what runs, but for a run, which needs nobody who watches it; what others go on with is left too."""
        is_left = await self.is_left_to_others(task)
        if not is_left:
            await running.cancel()
        if is_left or isinstance(target, WorkflowTarget):
            await running.detach()

    async def _settle(self, task: ClaimedTask, outcome: Outcome) -> bool:
        """Tell the store, its output first, for as long as it takes. False: another node goes on with the attempt."""
        while True:
            try:
                await self._holder.logbook.flush()
                settled = await self._store.queue.settle(
                    task.task,
                    task.fence,
                    outcome,
                    self._clock.stamp(),
                    holder=self._holder.node,
                    ran=self._starts.ran(task),
                )
                is_over = settled or not await self._store.queue.is_adopted(self._holder.node, task.key)
            except errors.Environment as error:
                telemetry.emit("dispatcher.settle_failed", task=task.task, error=error)
                self._holder.away(error)
                await asyncio.sleep(_RETRY_SECONDS)
                continue
            telemetry.emit("attempt.settled", task=task.task, run=task.run, outcome=outcome, accepted=settled)
            if settled and isinstance(outcome, Failed | Snoozed):
                self._comes_back()
            if settled:
                await told.settled(self._store, task, outcome)
            return is_over

    def _called(self, task: ClaimedTask) -> str:
        """Give the name of an attempt, unlike that of any other of any store."""
        return attempt_name.name(self._identity, task)


def _lost(detail: str) -> Failed:
    return Failed(
        failure=FailureClass.LOST,
        fault=Fault(type=fault.RUNTIME, status=500, title="Lost", detail=detail, code="lost"),
    )


def _not_launched(detail: str) -> Failed:
    return Failed(
        failure=FailureClass.LAUNCH,
        fault=Fault(type=fault.RUNTIME, status=500, title="Not launched", detail=detail),
    )
