"""Takes the tasks of a pool for one worker: those that it can do, its share of them at once and the rest after a while.

    waiting --the balancer's plan gives it to this worker--> claimed
            --it is for another one, which does not take it for a second--> claimed by whoever can and looks first
            --nobody can do it--> waits, and holds up no other

Every worker of a pool computes the same plan from the same store (`coord.allotment`). Claiming is atomic whatever they saw,
and never takes more than the worker has slots.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from interlock import telemetry
from interlock.coord import allotment
from interlock.coord.workers import seen
from interlock.decisions import record
from interlock.decisions.record import Decision
from interlock.decisions.strategies import Options, Strategy
from interlock.decisions.task import Task
from interlock.dispatch.attempts import LEASE_SECONDS
from interlock.dispatch.delayed import Delayed
from interlock.dispatch.dispatcher import Dispatcher
from interlock.dispatch.lanes import SERVES
from interlock.dispatch.notebook import Notebook
from interlock.dispatch.post import Post
from interlock.dispatch.worker_attempts import WorkerAttempts
from interlock.model.worker import Capabilities, Worker
from interlock.service import Clock
from interlock.store.ports import Able, ClaimedTask, Store, WaitingTask, WorkerState

PATIENCE_SECONDS: Final = 1.0
"""How long a task is left to the worker that it is for; a dead one is in the plan until it is found stale."""
AGEING_SECONDS: Final = 600.0
_LOOK_AT: Final = 100  # tasks at least, so that a plan for all workers is more than what this one has slots for
_SNOOZE_SECONDS: Final = 2.0


class WorkerDispatcher(Dispatcher):
    """Serves the pool of one worker, which is registered with this node as its session."""

    def __init__(
        self,
        node: str,
        store: Store,
        clock: Clock,
        post: Post,
        attempts: WorkerAttempts,
        notebook: Notebook,
        *,
        host: str,
        may_claim: Callable[[], bool],
    ) -> None:
        super().__init__(
            node,
            store,
            clock,
            post.pool,
            attempts,
            Delayed(store, clock),
            slots=post.slots,
            own=False,
            host=host,
            may_claim=may_claim,
        )
        self._post = post
        self._performed = attempts
        self._notebook = notebook
        self._able = _able(post.capabilities)
        self._first_seen: dict[str, float] = {}
        self._chosen: list[tuple[str, Decision]] = []
        self._again: asyncio.TimerHandle | None = None

    async def stop(self) -> None:
        if self._again is not None:
            self._again.cancel()
        await super().stop()

    # -- choosing ------------------------------------------------------------------------------------------------

    async def _ready(self) -> bool:
        self._chosen = await self._choose(self._slots - len(self._attempts))
        return bool(self._chosen)

    async def _choose(self, free: int) -> list[tuple[str, Decision]]:
        """Give the tasks to claim now, and why; looks again when the next one has waited long enough for others."""
        waiting = await self._store.queue.waiting(self._pool, self._able, max(_LOOK_AT, 2 * self._slots))
        now = self._clock.monotonic()
        self._first_seen = {task.task: self._first_seen.get(task.task, now) for task in waiting}
        if not waiting or free <= 0:
            return []
        workers = await self._workers()
        me = next((worker for worker in workers if worker.session == self._node), None)
        if me is None or not me.has_capacity:
            return []
        plan = await self._plan(waiting, workers)
        chosen = [(task, each.decision()) for task, each in plan.items() if each.worker.id == me.id]
        mine = {task for task, _ in chosen}
        left = [task.task for task in waiting if task.task not in mine]
        patient_until = {task: self._first_seen[task] + PATIENCE_SECONDS for task in left}
        chosen += [(task, record.left_over(me, PATIENCE_SECONDS)) for task in left if patient_until[task] <= now]
        if len(chosen) < min(free, len(waiting)):
            self._look_again(min(end for end in patient_until.values() if end > now) - now)
        return chosen[:free]

    async def _workers(self) -> list[Worker]:
        rows = await self._store.workers.list([WorkerState.REGISTERED], self._clock.stamp())
        now = self._clock.now()
        return [worker for worker in (seen(row, now) for row in rows) if worker.metadata.get(SERVES) == self._pool]

    async def _plan(self, waiting: Sequence[WaitingTask], workers: Sequence[Worker]) -> dict[str, allotment.Allotted]:
        strategy, now = self._post.strategy, self._clock.now()
        weights: Mapping[str, float] = {}
        if strategy is Strategy.ADAPTIVE:
            weights = await self._store.workers.weights()
        tasks = allotment.in_order([_task(each) for each in waiting], now, AGEING_SECONDS)
        return allotment.allot(strategy, tasks, workers, now=now, options=Options(), weights=weights)

    def _look_again(self, seconds: float) -> None:
        if self._again is not None:
            self._again.cancel()
        self._again = asyncio.get_running_loop().call_later(seconds, self.wake)

    async def _claim(self, free: int) -> list[ClaimedTask]:
        reasons = dict(self._chosen[:free])
        claimed = await self._store.queue.claim(
            self._node,
            self._pool,
            self._slots,
            free,
            LEASE_SECONDS,
            self._clock.stamp(),
            own=False,
            only=list(reasons),
        )
        for task in claimed:
            telemetry.emit(
                "worker.took", worker=self._post.worker, task=task.task, run=task.run_id, attempt=task.attempt
            )
            reason = reasons[task.task]
            self._performed.chosen(task, reason.voters if reason.strategy is Strategy.ADAPTIVE else ())
            self._notebook.chose(task.task, record.encode(reason))
        return claimed


def _able(capabilities: Capabilities) -> Able:
    return Able(
        skills=sorted(capabilities.skills),
        types=sorted(capabilities.task_types) or None,
        region=capabilities.region,
        cpu=capabilities.cpu_cores,
        memory=capabilities.memory_mb,
    )


def _task(waiting: WaitingTask) -> Task:
    """Give a waiting task as the balancer sees it."""
    needs = waiting.requires
    return Task(
        id=waiting.task,
        type=needs.type,
        priority=waiting.priority,
        min_cpu_cores=needs.cpu,
        min_memory_mb=needs.memory,
        skills=frozenset(needs.skills),
        region=needs.region,
        created_at=waiting.since,
    )
