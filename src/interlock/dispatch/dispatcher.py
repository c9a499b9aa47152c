"""Claims ready tasks of a pool, launches them, and settles their outcomes.

Every write about an attempt carries its fence and names its holder. A settle that changes nothing means that the attempt
was given up meanwhile; its runner is ended and its outcome dropped. While the store is away nothing is claimed, and
outcomes wait here until it is back.

An attempt may outlive its node: its supervisor goes on for a while. A node of the same host that finds such an orphan takes
its lease over, under the same fence, and then the supervisor; one that nothing is left of is lost at once. The lease comes
first, so two nodes never adopt one attempt, and nothing is tried again while the work of the first try may still go on.

A claim whose reply was lost may have leased tasks that this dispatcher does not know, and the node would keep their leases
alive for ever. So it asks what the node holds, after a claim that failed and every minute, and launches what is unknown.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from interlock import errors, telemetry
from interlock.dispatch import attempt_name, told
from interlock.dispatch.logbook import Logbook
from interlock.dispatch.starts import Starts
from interlock.model import fault
from interlock.model.fault import Fault
from interlock.model.task import (
    PROGRAMS,
    ContainerTarget,
    Failed,
    FailureClass,
    Outcome,
    Snoozed,
    Target,
    WorkflowTarget,
)
from interlock.pool.launcher import Launch, Launcher, Running
from interlock.secrets.attempt import AttemptKey
from interlock.secrets.callback import Callback
from interlock.secrets.keeper import Keeper, no_key, no_secret
from interlock.secrets.revealed import Stream
from interlock.service import RESTING_SECONDS, Clock, Loop
from interlock.store.ports import DUE_AT_ONCE, ClaimedTask, Orphan, Store, news

_POLL_SECONDS: Final = 1.0  # the net under the bell
_RETRY_SECONDS: Final = 0.5
_STOP_SECONDS: Final = 5.0  # for what a stopping dispatcher still has to tell a store that is slow or away
_RECONCILE_SECONDS: Final = 60.0
LEASE_SECONDS: Final = 60.0
_ORPHANS_AT_ONCE: Final = 50
_DUE_SECONDS: Final = 1.0  # at most, between looks at what was delayed: the bell does not tell of time
_LATE_SECONDS: Final = 0.002  # so that the clocks of the store and of this process agree that it is due


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
        host: str = "",
        may_act: Callable[[], bool] = lambda: True,
        wanted: Callable[[], bool] = lambda: True,
        may_claim: Callable[[], bool] = lambda: True,
        looks_for_due: bool = True,
        steps_only: bool = False,
    ) -> None:
        """`away` hears of every settle that failed because of the store: a node without patience ends then.

        `host`: whose orphans are looked for. `may_act`: whether the node's lease is beyond doubt. `wanted`: whether there
        can be tasks for this pool; looking for them costs a read per commit. `may_claim`: whether this process has what more
        attempts need. `looks_for_due`: False when another dispatcher of this process does. `steps_only`: another one of this
        process sees to the tasks of graphs in this pool.
        """
        super().__init__(f"dispatcher-{pool}", _POLL_SECONDS, RESTING_SECONDS)
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
        self._host = host
        self._may_act = may_act
        self._wanted = wanted
        self._may_claim = may_claim
        self._looks_for_due = looks_for_due
        self._steps_only = steps_only
        self._identity = ""
        self._closing = False
        self._lost = False
        self._missing: set[str] = set()
        self._attempts: dict[str, asyncio.Task[None]] = {}
        self._running: dict[str, Running] = {}
        self._starts = Starts(store, clock, self.wake)
        self._claiming: asyncio.Task[list[ClaimedTask]] | None = None
        self._unlisten: Callable[[], None] | None = None
        self._reconcile_at = clock.monotonic() + _RECONCILE_SECONDS
        self._due_at = clock.monotonic()
        self._next_due: asyncio.TimerHandle | None = None

    @property
    def active(self) -> int:
        """How many attempts it is at work on."""
        return len(self._attempts)

    async def start(self) -> None:
        self._identity = await self._store.queue.identity()
        self._unlisten = self._store.bell.listen(self.wake, news.TASKS)
        await super().start()

    async def stop(self) -> None:
        """Stop claiming, end what runs and settle it as stopped by us: it will be made again, free of charge."""
        if self._unlisten is not None:
            self._unlisten()
            self._unlisten = None
        if self._next_due is not None:
            self._next_due.cancel()
        self._starts.stop()
        await super().stop()
        await self._give_back_claims()
        attempts = list(self._attempts.values())
        self.abandon()
        await asyncio.gather(*attempts, return_exceptions=True)

    def abandon(self) -> None:
        """End every attempt at once."""
        for attempt in self._attempts.values():
            attempt.cancel()

    def lose(self) -> None:
        """This node was given up for dead: leave what can outlive it to others, end the rest, and tell the store nothing."""
        self._lost = True
        self.abandon()

    async def quiesce(self, seconds: float, hurry: asyncio.Event) -> None:
        """Claim nothing any more and wait until what runs has ended, at most so long, or until `hurry`."""
        self._closing = True
        end = self._clock.monotonic() + seconds
        hurried = asyncio.create_task(hurry.wait())
        try:
            while self._attempts and not hurry.is_set() and (left := end - self._clock.monotonic()) > 0:
                await asyncio.wait(
                    [*self._attempts.values(), hurried], timeout=left, return_when=asyncio.FIRST_COMPLETED
                )
        finally:
            hurried.cancel()

    async def busy(self) -> list[str]:
        """Give what this dispatcher is at, or will be as soon as it looks."""
        if self._attempts or self._claiming is not None:
            return [f"the pool {self._pool} runs {len(self._attempts) or 'new'} attempts"]
        if not self._closing and self._wanted() and await self._ready():
            return [f"a task of the pool {self._pool} is ready"]
        return []

    async def next_moment(self) -> float | None:
        """When, by the clock, a task that was delayed is due; of whatever pool."""
        seconds = await self._store.graphs.next_due(self._clock.stamp())
        return None if seconds is None else self._clock.now() + max(seconds, 0.0) + _LATE_SECONDS

    def look(self) -> None:
        """Look at once at what was delayed: somebody moved the clock."""
        self._due_at = self._clock.monotonic()
        self.wake()

    async def adopt_orphans(self) -> None:
        """Go on with the attempts of this host whose node is gone, and end those that nothing is left of.

        A node that serves its own runs cares for theirs only.
        """
        if self._closing:
            return
        self._identity = await self._store.queue.identity()  # a starting node adopts before its loop begins
        before, self._missing = self._missing, set()
        for orphan in await self._store.queue.orphans(_ORPHANS_AT_ONCE):
            if self._may_adopt(orphan) and (not self._own or orphan.owner == self._node):
                await self._adopt(orphan, missed=orphan.task.task in before)

    def _may_adopt(self, orphan: Orphan) -> bool:
        """Say whether what is left of an attempt could be found here."""
        is_other = self._steps_only and _is_placed(orphan.task)
        return orphan.pool == self._pool and orphan.host == self._host and not is_other

    def _launcher_of(self, task: ClaimedTask) -> Launcher:
        """Give who launches an attempt, or launched it."""
        return self._launcher

    async def _held(self) -> list[ClaimedTask]:
        """Give the attempts that this node holds, as the store knows."""
        held = await self._store.queue.held(self._node, self._pool)
        return [task for task in held if not (self._steps_only and _is_placed(task))]

    async def _adopt(self, orphan: Orphan, *, missed: bool) -> None:
        """Adopt an attempt, or end it. `missed`: the last round found nothing of it either.

        One look is not enough: its supervisor may have been told what to do in its node's last moment.
        """
        task = orphan.task
        launcher = self._launcher_of(task)
        try:
            is_left = await asyncio.to_thread(launcher.is_left, self._launch(task, task.target, adopting=True))
        except errors.Environment as error:  # nobody knows: it is looked for again
            telemetry.emit("attempt.not_found_out", task=task.task, run=task.run, error=error)
            return
        if not is_left:
            self._missing.add(task.task)
            if missed:
                await self._store.queue.lose(orphan, self._clock.stamp())
                telemetry.emit("attempt.lost", task=task.task, run=task.run, holder=orphan.holder)
        elif await self._store.queue.adopt(orphan, self._node, LEASE_SECONDS, self._clock.stamp()):
            telemetry.emit("attempt.adopted", task=task.task, run=task.run, holder=orphan.holder)
            heard = await self._store.queue.logged(task)
            self._attempts[task.task] = asyncio.create_task(self._attempt(task, heard), name=f"attempt-{task.task}")

    async def _give_back_claims(self) -> None:
        """Settle what a claim leased whose round was ended before it learned of it."""
        claiming, self._claiming = self._claiming, None
        if claiming is not None:
            await asyncio.wait([claiming], timeout=_STOP_SECONDS)
            if claiming.done() and claiming.exception() is None:
                for task in claiming.result():
                    await self._give_back(task, Snoozed(0.0))

    async def round(self) -> bool:
        if not self._wanted() and not self._attempts:
            return False
        if self._running:
            unwanted = await self._store.queue.unwanted(self._node, list(self._running))
            await asyncio.gather(*(self._running[task].cancel() for task in unwanted if task in self._running))
        await self._starts.tell()
        if self._clock.monotonic() >= self._reconcile_at:
            await self._reconcile()
        await self._ready_delayed()
        free = self._slots - len(self._attempts)
        if self._closing or free <= 0 or not self._may_claim() or not await self._ready():
            return False
        self._reconcile_at = self._clock.monotonic()  # until this claim has told what it leased
        self._claiming = asyncio.create_task(self._claim(free), name=f"claim-{self._pool}")
        claimed = await asyncio.shield(self._claiming)
        self._claiming = None
        self._reconcile_at = self._clock.monotonic() + _RECONCILE_SECONDS
        for task in claimed:
            self._begin(task)
        self._due_at = self._clock.monotonic()  # a claim puts off what its rate does not allow yet
        return bool(claimed)

    async def _ready(self) -> bool:
        """Say whether there is a task that this node would be given: a claim in vain would ring, and so be made again."""
        return await self._store.queue.ready(self._pool, self._node if self._own else None)

    async def _ready_delayed(self) -> None:
        """Make ready what was delayed until now, in whatever pool: one dispatcher of every node looks, a second apart."""
        if not self._looks_for_due or self._clock.monotonic() < self._due_at:
            return
        while await self._store.graphs.due(self._clock.stamp()) == DUE_AT_ONCE:
            pass  # the others of many, in further transactions
        seconds = await self._store.graphs.next_due(self._clock.stamp())
        wait = _DUE_SECONDS if seconds is None else min(_DUE_SECONDS, max(seconds, 0.0) + _LATE_SECONDS)
        self._due_at = self._clock.monotonic() + wait
        if self._next_due is not None:
            self._next_due.cancel()
            self._next_due = None
        if seconds is not None and seconds < RESTING_SECONDS:
            self._next_due = asyncio.get_running_loop().call_later(max(seconds, 0.0) + _LATE_SECONDS, self.wake)

    def _begin(self, task: ClaimedTask) -> None:
        self._attempts[task.task] = asyncio.create_task(self._attempt(task), name=f"attempt-{task.task}")

    async def _reconcile(self) -> None:
        """Launch what this node holds and does not know: a claim leased it whose reply was lost, so it never began."""
        known = set(self._attempts)  # before the question: an attempt that ends meanwhile is not unknown
        for task in await self._held():
            if task.task not in known:
                telemetry.emit("dispatcher.unknown", task=task.task, run=task.run)
                self._begin(task)
        self._reconcile_at = self._clock.monotonic() + _RECONCILE_SECONDS

    async def _claim(self, free: int) -> list[ClaimedTask]:
        return await self._store.queue.claim(
            self._node, self._pool, self._slots, free, LEASE_SECONDS, self._clock.stamp(), own=self._own
        )

    async def _attempt(self, task: ClaimedTask, adopted: Mapping[str, int] | None = None) -> None:
        """See an attempt to its end. `adopted`: it was begun by another node, and so much of its output is stored."""
        outcome: Outcome = Snoozed(0.0)  # stopped by us: it will be made again, free of charge
        try:
            outcome = await self._execute(task, adopted)
            await self._settle(task, outcome)
            if task.task in self._running:
                await self._running[task.task].forget()
        except asyncio.CancelledError:
            if not self._lost:
                await self._give_back(task, outcome)
            raise
        finally:
            self._running.pop(task.task, None)
            self._starts.forget(task)
            self._attempts.pop(task.task, None)
            self.wake()

    async def _execute(self, task: ClaimedTask, adopted: Mapping[str, int] | None) -> Outcome:
        try:
            revealed = await self._secrets.revealed(task.run, task.target)
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
                self._logbook.write(task.run, task.path, task.attempt, stream, text[known:])

        if adopted is None and not self._may_act():
            return Snoozed(0.0)  # somebody else may be about to begin it
        output = revealed.stream(write)
        try:
            is_adopted = adopted is not None
            return revealed.masked(await self._launched(task, revealed.value, output, callback, adopting=is_adopted))
        finally:
            output.close()

    async def _callback(self, task: ClaimedTask) -> Callback | None:
        """Give what an attempt reports with: by the token that its step waits for, else, a program, by one of its own."""
        if not isinstance(task.target, WorkflowTarget) and task.target.token:
            return await self._secrets.callback(task.namespace, task.target.token)
        if isinstance(task.target, PROGRAMS):
            return await self._secrets.attempt(AttemptKey(task.task, task.fence))
        return None

    async def _launched(
        self, task: ClaimedTask, target: Target, output: Stream, callback: Callback | None, *, adopting: bool
    ) -> Outcome:
        launcher = self._launcher_of(task)
        launch = launcher.adopt if adopting else launcher.launch
        given = self._launch(task, target, adopting=adopting)
        if callback is not None:
            given = msgspec.structs.replace(given, environment=given.environment | callback.environment)
        try:
            running = await launch(given, output.write)
        except errors.InterlockError as error:
            return _not_launched(str(error))
        except Exception as error:  # noqa: BLE001 (an attempt without an outcome would hold its slot for ever)
            telemetry.emit("attempt.broken", task=task.task, run=task.run, error=error)
            return _not_launched(f"the pool met {type(error).__name__}")
        self._running[task.task] = running
        if not adopting:
            self._starts.note(task)
            told.started(task)
        began = self._clock.monotonic()
        try:
            return await running.outcome()
        except asyncio.CancelledError:
            await asyncio.shield(self._let_go(running, target))
            raise
        except errors.LeaseLost as error:  # the store refuses this where another node has adopted it
            return _lost(str(error))
        except Exception as error:  # noqa: BLE001 (as above)
            telemetry.emit("attempt.broken", task=task.task, run=task.run, error=error)
            return _not_launched(f"the pool met {type(error).__name__}")
        finally:
            if not self._lost:  # else it runs on
                told.finished(task, self._clock.monotonic() - began)

    async def _let_go(self, running: Running, target: Target) -> None:
        """End what runs, but for a run, which needs nobody who watches it; one of a node that was given up is left too."""
        if not self._lost:
            await running.cancel()
        if self._lost or isinstance(target, WorkflowTarget):
            await running.detach()

    async def _give_back(self, task: ClaimedTask, outcome: Outcome) -> None:
        """Settle an attempt while this node stops; a store that is away loses it when the lease runs out."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._settle(task, outcome), _STOP_SECONDS)

    def _called(self, task: ClaimedTask) -> str:
        """Give the name of an attempt, unlike that of any other of any store."""
        return attempt_name.name(self._identity, task)

    def _launch(self, task: ClaimedTask, target: Target, *, adopting: bool) -> Launch:
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
            orphan_grace_seconds=LEASE_SECONDS if adopting else self._orphan_grace_seconds,  # the job has its own
            any_exit_code=task.any_exit_code,
        )

    async def _settle(self, task: ClaimedTask, outcome: Outcome) -> None:
        """Tell the store, its output first, for as long as it takes."""
        while True:
            try:
                await self._logbook.flush()
                settled = await self._store.queue.settle(
                    task.task,
                    task.fence,
                    outcome,
                    self._clock.stamp(),
                    holder=self._node,
                    ran=self._starts.ran(task),
                )
            except errors.Environment as error:
                telemetry.emit("dispatcher.settle_failed", task=task.task, error=error)
                self._away(error)
                await asyncio.sleep(_RETRY_SECONDS)
                continue
            telemetry.emit("attempt.settled", task=task.task, run=task.run, outcome=outcome, accepted=settled)
            if settled and isinstance(outcome, Failed | Snoozed):
                self._due_at = self._clock.monotonic()  # it may be tried again sooner than the next look
            if settled:
                await told.settled(self._store, task, outcome)
            return


def _is_placed(task: ClaimedTask) -> bool:
    """Say whether only a placement puts a task into the pool that is called as the node's own."""
    return task.spec is not None or isinstance(task.target, ContainerTarget)


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
