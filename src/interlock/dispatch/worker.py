"""Takes the tasks of a pool for one worker: those that it can do, its share of them at once and the rest after a while.

    waiting --the balancer's plan gives it to this worker--> claimed
            --it is for another one, which does not take it for a second--> claimed by whoever can and looks first
            --nobody can do it--> waits, and holds up no other

Every worker of a pool computes the same plan from the same store (`coord.allotment`). Claiming is atomic whatever they saw,
and never takes more than the worker has slots.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from interlock import errors, telemetry
from interlock.coord import allotment
from interlock.coord.balancer import lessons
from interlock.coord.workers import seen
from interlock.decisions import record
from interlock.decisions.record import Decision
from interlock.decisions.strategies import Options, Strategy
from interlock.decisions.task import Task
from interlock.dispatch import attempt_terms, briefing, context, results
from interlock.dispatch.attempt_terms import AttemptTerms
from interlock.dispatch.context import Contexts
from interlock.dispatch.dispatcher import LEASE_SECONDS, Dispatcher
from interlock.dispatch.lanes import SERVES
from interlock.dispatch.logbook import Logbook
from interlock.dispatch.notebook import Notebook
from interlock.model.task import Done, Failed, Outcome, Snoozed, Target
from interlock.model.task_graph import TaskSpec
from interlock.model.worker import Capabilities, Worker
from interlock.pool.launcher import Launch, Launcher
from interlock.secrets.keeper import Keeper
from interlock.service import Clock
from interlock.store.ports import Able, ClaimedTask, Store, WaitingTask, WorkerState

PATIENCE_SECONDS: Final = 1.0
"""How long a task is left to the worker that it is for; a dead one is in the plan until it is found stale."""
AGEING_SECONDS: Final = 600.0
_LOOK_AT: Final = 100  # tasks at least, so that a plan for all workers is more than what this one has slots for
_SNOOZE_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """Who a worker is: its id, the pool it serves, what it can do, and the folder for tasks whose own is not here."""

    worker: str
    pool: str
    slots: int
    capabilities: Capabilities
    folder: str
    strategy: Strategy = Strategy.LEAST_LOADED


class WorkerDispatcher(Dispatcher):
    """Serves the pool of one worker, which is registered with this node as its session."""

    def __init__(
        self,
        node: str,
        store: Store,
        clock: Clock,
        post: Post,
        launcher: Launcher,
        logbook: Logbook,
        secrets: Keeper,
        notebook: Notebook,
        *,
        orphan_grace_seconds: float,
        host: str,
        away: Callable[[errors.Environment], None],
        may_act: Callable[[], bool],
        may_claim: Callable[[], bool],
    ) -> None:
        super().__init__(
            node,
            store,
            clock,
            post.pool,
            launcher,
            logbook,
            secrets,
            slots=post.slots,
            own=False,
            orphan_grace_seconds=orphan_grace_seconds,
            away=away,
            host=host,
            may_act=may_act,
            may_claim=may_claim,
        )
        self._post = post
        self._notebook = notebook
        self._able = _able(post.capabilities)
        self._contexts = Contexts(store, clock, post.pool)
        self._terms = AttemptTerms()
        self._briefs: dict[str, str] = {}
        self._first_seen: dict[str, float] = {}
        self._chosen: list[tuple[str, Decision]] = []
        self._voters: dict[str, Sequence[Strategy]] = {}
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
            self._voters[task.task] = reason.voters if reason.strategy is Strategy.ADAPTIVE else ()
            self._notebook.chose(task.task, record.encode(reason))
        return claimed

    # -- performing ----------------------------------------------------------------------------------------------

    async def _execute(self, task: ClaimedTask, adopted: Mapping[str, int] | None) -> Outcome:
        began = self._clock.monotonic()
        before: results.Mark | None = None
        try:
            if task.spec is not None:
                self._terms = await attempt_terms.declared(self._store)
                if adopted is None:
                    before = await asyncio.to_thread(results.mark, task.spec, self._folder(task.folder))
            if adopted is None:
                await self._contexts.prepare(task, self._called(task))
                await self._brief(task)
            outcome = await super()._execute(task, adopted)
            if task.spec is not None:
                outcome = await asyncio.to_thread(
                    results.with_result, outcome, task.spec, self._folder(task.folder), before
                )
        except (
            errors.Environment,
            OSError,
        ) as error:  # of this worker, not of the attempt: it is made again, free of charge
            telemetry.emit("worker.no_context", worker=self._post.worker, task=task.task, error=error)
            return Snoozed(_SNOOZE_SECONDS)
        finally:
            if not self._lost:  # whoever adopts it still needs the file
                await asyncio.shield(self._contexts.forget(self._called(task)))
            self._briefs.pop(task.task, None)
            voters = self._voters.pop(task.task, ())
        self._note(task, outcome, self._clock.monotonic() - began, voters)
        return outcome

    async def _brief(self, task: ClaimedTask) -> None:
        """Write down what a task of a graph is told; one of a run has its own variables."""
        if task.spec is not None:
            spec = self._terms.applied(task.spec)
            self._briefs[task.task] = await briefing.briefing(self._store, task, spec, None)

    def _note(self, task: ClaimedTask, outcome: Outcome, seconds: float, voters: Sequence[Strategy]) -> None:
        if isinstance(outcome, Done | Failed):
            succeeded = isinstance(outcome, Done)
            self._notebook.ended(succeeded=succeeded, seconds=seconds, lessons=lessons(voters, succeeded=succeeded))
        kind = type(outcome).__name__.lower()
        about = {"worker": self._post.worker, "task": task.task, "run": task.run_id, "outcome": kind}
        telemetry.emit("worker.ended", **about, seconds=round(seconds, 3))
        state = {"worker": self._post.worker, "outcome": kind, "attempt": task.attempt, "seconds": round(seconds, 3)}
        self._notebook.stands(task.namespace or context.NAMESPACE, task.task, state)

    def _launch(self, task: ClaimedTask, target: Target, *, adopting: bool) -> Launch:
        launch = super()._launch(task, target, adopting=adopting)
        more = {"INTERLOCK_WORKER": self._post.worker, "INTERLOCK_POOL": self._pool}
        file = context.path(self._called(task))
        if file.exists():
            more[context.VARIABLE] = str(file)
        folder = self._folder(launch.folder)
        launch = msgspec.structs.replace(launch, folder=folder, environment=launch.environment | more)
        return launch if task.spec is None else self._of_graph(launch, task, task.spec)

    def _folder(self, given: str) -> str:
        """Give where an attempt works: as whoever began it says, where that is on this machine."""
        return given if os.path.isdir(given) else self._post.folder

    def _of_graph(self, launch: Launch, task: ClaimedTask, spec: TaskSpec) -> Launch:
        """Add what the configuration and its author say of a task of a graph, as where a dispatcher launches it."""
        spec = self._terms.applied(spec)
        brief = self._briefs.get(task.task)
        return msgspec.structs.replace(
            launch,
            environment=self._terms.environment | launch.environment | briefing.variables(task, spec, None),
            timeout_seconds=spec.timeout_seconds,
            resources=spec.resources,
            labels=briefing.labels(task),
            files={} if brief is None else {briefing.VARIABLE: brief},
        )


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
