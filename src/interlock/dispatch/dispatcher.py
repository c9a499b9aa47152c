"""Claims ready tasks of a pool, and has them performed (`dispatch.attempts`). While the store is away nothing is claimed.

An attempt may outlive its node: its supervisor goes on for a while. A node of the same host that finds such an orphan takes
its lease over, under the same fence, and then the supervisor; one that nothing is left of is lost at once. The lease comes
first, so two nodes never adopt one attempt, and nothing is tried again while the work of the first try may still go on.

A claim whose reply was lost may have leased tasks that this dispatcher does not know, and the node would keep their leases
alive for ever. So it asks what the node holds, after a claim that failed and every minute, and launches what is unknown.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from interlock import errors, telemetry
from interlock.dispatch.attempts import LEASE_SECONDS, STOP_SECONDS, Attempts
from interlock.dispatch.delayed import Delayed
from interlock.dispatch.placement import is_placed
from interlock.model.task import Snoozed
from interlock.service import RESTING_SECONDS, Clock, Loop
from interlock.store.ports import AttemptId, ClaimedTask, Orphan, Store, news

_POLL_SECONDS: Final = 1.0  # the net under the bell
_RECONCILE_SECONDS: Final = 60.0
_ORPHANS_AT_ONCE: Final = 50


class Dispatcher(Loop):
    """Serves one pool of this node. `own`: only tasks of the runs that this node owns."""

    def __init__(
        self,
        node: str,
        store: Store,
        clock: Clock,
        pool: str,
        attempts: Attempts,
        delayed: Delayed,
        *,
        slots: int,
        own: bool,
        host: str = "",
        wanted: Callable[[], bool] = lambda: True,
        may_claim: Callable[[], bool] = lambda: True,
        readies_delayed: bool = True,
        steps_only: bool = False,
    ) -> None:
        """`host`: whose orphans are looked for. `wanted`: whether there can be tasks for this pool; looking for them costs a
        read per commit. `may_claim`: whether this process has what more attempts need. `readies_delayed`: False when another
        dispatcher of this process does. `steps_only`: another one of this process sees to the tasks of graphs in this pool.
        """
        super().__init__(f"dispatcher-{pool}", _POLL_SECONDS, RESTING_SECONDS)
        self._node = node
        self._store = store
        self._clock = clock
        self._pool = pool
        self._attempts = attempts
        self._slots = slots
        self._own = own
        self._host = host
        self._wanted = wanted
        self._may_claim = may_claim
        self._delayed = delayed
        self._readies_delayed = readies_delayed
        self._steps_only = steps_only
        self._closing = False
        self._missing: set[str] = set()
        self._adopting: set[AttemptId] = set()
        """Those that this node may have adopted, and has not begun to go on with."""
        self._claiming: asyncio.Task[list[ClaimedTask]] | None = None
        self._unlisten: Callable[[], None] | None = None
        self._reconcile_at = clock.monotonic() + _RECONCILE_SECONDS
        attempts.serve(self.wake, delayed.hasten)
        if readies_delayed:
            delayed.serve(self.wake)

    @property
    def active(self) -> int:
        """How many attempts it is at work on."""
        return len(self._attempts)

    async def start(self) -> None:
        await self._attempts.identify()
        self._unlisten = self._store.bell.listen(self.wake, news.TASKS)
        await super().start()

    async def stop(self) -> None:
        """Stop claiming, end what runs and settle it as stopped by us: it will be made again, free of charge."""
        if self._unlisten is not None:
            self._unlisten()
            self._unlisten = None
        if self._readies_delayed:
            self._delayed.close()
        self._attempts.stop_telling()
        await super().stop()
        await self._give_back_claims()
        await self._attempts.stop()

    def lose(self) -> None:
        """This node was given up for dead: leave what can outlive it to others, end the rest, and tell the store nothing."""
        self._attempts.lose()

    async def quiesce(self, seconds: float, hurry: asyncio.Event) -> None:
        """Claim nothing any more and wait until what runs has ended, at most so long, or until `hurry`."""
        self._closing = True
        await self._attempts.wait(seconds, hurry)

    async def busy(self) -> list[str]:
        """Give what this dispatcher is at, or will be as soon as it looks."""
        if self._attempts or self._claiming is not None:
            return [f"the pool {self._pool} runs {len(self._attempts) or 'new'} attempts"]
        if not self._closing and self._wanted() and await self._ready():
            return [f"a task of the pool {self._pool} is ready"]
        return []

    async def adopt_orphans(self) -> None:
        """Go on with the attempts of this host whose node is gone, and end those that nothing is left of.

        A node that serves its own runs cares for theirs only.
        """
        if self._closing:
            return
        await self._attempts.identify()  # a starting node adopts before its loop begins
        before, self._missing = self._missing, set()
        for orphan in await self._store.queue.orphans(_ORPHANS_AT_ONCE):
            if self._may_adopt(orphan) and (not self._own or orphan.owner == self._node):
                await self._adopt(orphan, missed=orphan.task.task in before)

    def _may_adopt(self, orphan: Orphan) -> bool:
        """Say whether what is left of an attempt could be found here."""
        is_other = self._steps_only and is_placed(orphan.task)
        return orphan.pool == self._pool and orphan.host == self._host and not is_other

    async def _held(self) -> list[ClaimedTask]:
        """Give the attempts that this node holds, as the store knows."""
        held = await self._store.queue.held(self._node, self._pool)
        return [task for task in held if not (self._steps_only and is_placed(task))]

    async def _adopt(self, orphan: Orphan, *, missed: bool) -> None:
        """Adopt an attempt, or end it. `missed`: the last round found nothing of it either.

        One look is not enough: its supervisor may have been told what to do in its node's last moment.
        """
        task = orphan.task
        try:
            is_left = await self._attempts.is_left(task)
        except errors.Environment as error:  # nobody knows: it is looked for again
            telemetry.emit("attempt.not_found_out", task=task.task, run=task.run, error=error)
            return
        if not is_left:
            self._missing.add(task.task)
            if missed:
                await self._store.queue.lose(orphan, self._clock.stamp())
                telemetry.emit("attempt.lost", task=task.task, run=task.run, holder=orphan.holder)
            return
        self._adopting.add(
            task.key
        )  # until it has begun: the answer may be lost, and what `_reconcile` finds is no claim
        if await self._store.queue.adopt(orphan, self._node, LEASE_SECONDS, self._clock.stamp()):
            telemetry.emit("attempt.adopted", task=task.task, run=task.run, holder=orphan.holder)
            await self._go_on(task)
        else:
            self._adopting.discard(task.key)

    async def _go_on(self, task: ClaimedTask) -> None:
        """Begin with an adopted attempt, unless that was done while the store was asked."""
        stored = await self._store.queue.logged(task)
        if task.key in self._adopting:
            self._adopting.discard(task.key)
            self._attempts.begin(task, stored)

    async def _give_back_claims(self) -> None:
        """Settle what a claim leased whose round was ended before it learned of it."""
        claiming, self._claiming = self._claiming, None
        if claiming is not None:
            await asyncio.wait([claiming], timeout=STOP_SECONDS)
            if claiming.done() and claiming.exception() is None:
                for task in claiming.result():
                    await self._attempts.give_back(task, Snoozed(0.0))

    async def round(self) -> bool:
        if not self._wanted() and not self._attempts:
            return False
        if running := list(self._attempts.running):  # of this moment: one that begins now is not leased in what is read
            await self._attempts.cancel(await self._store.queue.unwanted(self._node, running))
        await self._attempts.tell_starts()
        if self._clock.monotonic() >= self._reconcile_at:
            await self._reconcile()
        if self._readies_delayed:
            await self._delayed.ready()
        free = self._slots - len(self._attempts)
        if self._closing or free <= 0 or not self._may_claim() or not await self._ready():
            return False
        self._reconcile_at = self._clock.monotonic()  # until this claim has told what it leased
        self._claiming = asyncio.create_task(self._claim(free), name=f"claim-{self._pool}")
        claimed = await asyncio.shield(self._claiming)
        self._claiming = None
        self._reconcile_at = self._clock.monotonic() + _RECONCILE_SECONDS
        for task in claimed:
            self._attempts.begin(task)
        self._delayed.expect()  # a claim puts off what its rate does not allow yet
        return bool(claimed)

    async def _ready(self) -> bool:
        """Say whether there is a task that this node would be given: a claim in vain would ring, and so be made again."""
        return await self._store.queue.ready(self._pool, self._node if self._own else None)

    async def _reconcile(self) -> None:
        """Begin what this node holds and does not know: the reply of the claim or the adoption that leased it was lost."""
        known = set(self._attempts.known)  # before the question: an attempt that ends meanwhile is not unknown
        for task in await self._held():
            if task.key in known or task.key in self._attempts.known:  # the latter: it was adopted since
                continue
            telemetry.emit("dispatcher.unknown", task=task.task, run=task.run)
            if task.key in self._adopting:
                await self._go_on(task)
            else:
                self._attempts.begin(task)
        self._reconcile_at = self._clock.monotonic() + _RECONCILE_SECONDS

    async def _claim(self, free: int) -> list[ClaimedTask]:
        return await self._store.queue.claim(
            self._node, self._pool, self._slots, free, LEASE_SECONDS, self._clock.stamp(), own=self._own
        )
