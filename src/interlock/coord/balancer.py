"""The load balancer: which worker has a task, which task a worker has next, and who has too many.

    filter: able, has a slot -> rank by the strategy -> reserve the slot of the best -> taken meanwhile: the next best

A choice is worth something only with the slot: the reservation is the same transaction as the record of why, and of two that
choose the last slot of a worker one gets it. A task that nobody can have is None, to be asked for again when the store's bell
tells of workers.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from interlock import errors, telemetry
from interlock.coord import allotment
from interlock.coord.answers import Undoing, answered
from interlock.coord.loads import Given, LoadDistribution, Rebalanced, distribution, given, plan
from interlock.coord.workers import seen
from interlock.decisions import record, strategies
from interlock.decisions import task as tasks
from interlock.decisions.record import Decision
from interlock.decisions.strategies import VOTES, Options, Question, Ranking, Strategy
from interlock.decisions.task import Task
from interlock.model.worker import Worker, WorkerStatus
from interlock.service import Clock
from interlock.store.ports import Lesson, SlotRow, Store, WorkerState

CHOICE: Final = "worker"
"""The kind of decisions that say which worker has a task."""
_LOOKS: Final = 5  # at the workers, for one task: others choose at the same time
_REWARD: Final = 1.05  # for a strategy whose choice did well, and the same down for one that did not
_LEAST: Final = 0.1  # times what a strategy counts for at first: it is never silenced
_MOST: Final = 2.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """A task that a worker was given; its slot is reserved until `finish`, or until the worker is gone."""

    task: Task
    worker: Worker
    slot: SlotRow
    decision: Decision

    @property
    def worker_id(self) -> str:
        return self.worker.id


class LoadBalancer:
    def __init__(
        self,
        store: Store,
        clock: Clock,
        strategy: Strategy | str = Strategy.LEAST_LOADED,
        options: Options | None = None,
        *,
        ageing_seconds: float | None = 600.0,
    ) -> None:
        """`ageing_seconds`: a task gains one level of priority for each that it waits; None for strict priorities."""
        if ageing_seconds is not None and ageing_seconds <= 0:
            raise errors.Invalid(f"ageing needs a time above 0 s, not {ageing_seconds:g} s; None turns it off")
        self._store = store
        self._clock = clock
        self._options = options or Options()
        self._ageing_seconds = ageing_seconds
        self._strategy = strategies.strategy(strategy)
        self._undoing = Undoing()

    async def stop(self) -> None:
        """Wait until no slot is left reserved for a caller that was cancelled."""
        await self._undoing.stop()

    @property
    def strategy(self) -> Strategy:
        return self._strategy

    def set_strategy(self, name: Strategy | str) -> None:
        """Choose by another strategy from now on. Raises Invalid for one that does not exist."""
        self._strategy = strategies.strategy(name)

    # -- choosing ------------------------------------------------------------------------------------------------

    async def select_worker(self, task: Task, among: Iterable[str] | None = None) -> Assignment | None:
        """Choose a worker for a task and reserve its slot. `among`: ids, all workers when None.

        None: nobody can have it now, or it has a worker already.
        """
        names = None if among is None else frozenset(among)
        decision: Decision | None = None
        for look in range(_LOOKS):
            workers = await self._workers(names)
            ranking = await self._rank(task, workers)
            if not ranking.order:
                decision = record.decision(self._strategy, task, ranking, None, workers)
                break
            # Whoever takes turns must not take one that another process took since the look; in the end any slot will do.
            in_turn = self._strategy is Strategy.ROUND_ROBIN and look + 1 < _LOOKS
            for worker, _ in ranking.order[: 1 if in_turn else None]:
                why = record.decision(self._strategy, task, ranking, worker, workers)
                if found := await self._reserve(task, worker, why, in_turn=in_turn):
                    return found
            if await self._has_holder(task.id):
                break
        telemetry.emit("balancer.unplaced", task=task.id, decision=decision)
        return None

    async def get_next_task(self, worker: str, waiting: Sequence[Task]) -> Assignment | None:
        """Choose the next task of a worker and reserve its slot: the most urgent one that it can have, the oldest first.

        Age counts as urgency, so that with time everything has its turn. None: there is none, or the worker has no slot.
        """
        now = self._clock.now()
        puller, held = await self._worker(worker, now), frozenset[str]()
        for task in self.in_order(waiting, now):
            if task.id in held or tasks.refusal(task, puller) is not None:
                continue
            why = record.pulled(puller, tasks.urgency(task, now, self._ageing_seconds), len(waiting))
            if found := await self._reserve(task, puller, why, in_turn=False):
                return found
            # Others choose at the same time: look again, instead of trying whatever they have by now.
            puller = await self._worker(worker, now)
            held = frozenset(slot.task for slot in await self._store.workers.slots(None))
        return None

    def in_order(self, waiting: Sequence[Task], now: float) -> list[Task]:
        """Give tasks in the order in which they are to be done."""
        return allotment.in_order(waiting, now, self._ageing_seconds)

    async def explain(self, task: Task, among: Iterable[str] | None = None) -> Decision:
        """Say who would have a task now and why, and why the others cannot; reserves nothing."""
        workers = await self._workers(None if among is None else frozenset(among))
        ranking = await self._rank(task, workers)
        return record.decision(self._strategy, task, ranking, ranking.order[0][0] if ranking.order else None, workers)

    # -- what becomes of it --------------------------------------------------------------------------------------

    async def started(self, slot: SlotRow) -> bool:
        """Note that the worker is at work on a task, so that it is not moved. False: it was moved, or recovered."""
        return await self._store.workers.started(slot)

    async def finish(self, slot: SlotRow, *, succeeded: bool | None, seconds: float = 0.0) -> bool:
        """Free the slot of a task, count its outcome (None: neither) and let those that voted for this worker learn from it.

        False: the task is not this worker's any more, and its outcome must not be used.
        """
        lessons = [] if succeeded is None else _lessons(slot, succeeded=succeeded)
        return await self._store.workers.finish(
            slot, succeeded=succeeded, seconds=seconds, lessons=lessons, now=self._clock.stamp()
        )

    async def weights(self) -> Mapping[Strategy, float]:
        """Give what the voters of `adaptive` count for now, in sum 1."""
        return strategies.weights(await self._store.workers.weights())

    async def decisions(self, task: str | None = None, limit: int = 100) -> list[Decision]:
        """Give why tasks have the workers that they have, the newest first."""
        return [record.decode(row.body) for row in await self._store.workers.choices(CHOICE, task, limit)]

    # -- balance -------------------------------------------------------------------------------------------------

    async def get_load_distribution(self) -> LoadDistribution:
        return distribution(await self._workers(None))

    async def rebalance(self) -> Rebalanced:
        """Move tasks that were given and not started from the most to the least used workers, while that evens them out."""
        workers = await self._workers(None)
        before = distribution(workers)
        slots = await self._store.workers.slots(None)
        moved = 0
        for move in plan(workers, [slot for slot in slots if not slot.started]):
            to, now = move.to, self._clock.stamp()
            if await self._store.workers.move(move.slot, to.id, to.session, now) is not None:
                moved += 1
                why = record.encode(record.moved(move.slot.worker, to))
                await self._store.workers.note(CHOICE, move.slot.task, to.id, why, now)
        after = distribution(await self._workers(None)) if moved else before
        return Rebalanced(tasks_moved=moved, before=before, after=after)

    # -- steps ---------------------------------------------------------------------------------------------------

    async def _worker(self, id: str, now: float) -> Worker:
        row = await self._store.workers.get(id, self._clock.stamp())
        if row is None:
            raise errors.NotFound(f"there is no worker {id!r}; `interlock workers list` shows those there are")
        return seen(row, now)

    async def _workers(self, among: frozenset[str] | None) -> list[Worker]:
        rows = await self._store.workers.list([WorkerState.REGISTERED, WorkerState.DRAINING], self._clock.stamp())
        now = self._clock.now()
        return [seen(row, now) for row in rows if among is None or row.worker in among]

    async def _rank(self, task: Task, workers: Sequence[Worker]) -> Ranking:
        able = [worker for worker in workers if tasks.refusal(task, worker) is None]
        if not able:
            return Ranking([])
        here = (WorkerStatus.ACTIVE, WorkerStatus.BUSY)
        fitting = [worker for worker in workers if worker.status in here and tasks.misfit(task, worker) is None]
        learned = await self._store.workers.weights() if self._strategy is Strategy.ADAPTIVE else {}
        question = Question(
            task=task,
            able=able,
            fitting=fitting,
            options=self._options,
            chance=lambda: self._clock.uniform(0.0, 1.0),
            weights=learned,
        )
        return strategies.rank(self._strategy, question)

    async def _reserve(self, task: Task, worker: Worker, decision: Decision, *, in_turn: bool) -> Assignment | None:
        """Reserve a slot, once: also when the answer is lost, or the caller is cancelled before it comes."""
        voters = decision.voters if decision.strategy is Strategy.ADAPTIVE else ()
        detail = tasks.encode(Given(task=task, worker=worker.id, voters=voters, nonce=self._clock.uuid()))
        reserving = answered(
            lambda again: self._store.workers.reserve(
                worker.id,
                worker.session,
                task.id,
                self._clock.stamp(),
                detail=detail,
                assigned=worker.assigned if in_turn else None,
                choice=record.encode(decision),
                again=again,
            )
        )
        slot = await self._undoing.shielded(reserving, self._give_back)
        if slot is None:
            return None
        return Assignment(task=task, worker=worker, slot=slot, decision=decision)

    async def _give_back(self, slot: SlotRow | None) -> None:
        if slot is not None:
            await self.finish(slot, succeeded=None)

    async def _has_holder(self, task: str) -> bool:
        return any(slot.task == task for slot in await self._store.workers.slots(None))


def _lessons(slot: SlotRow, *, succeeded: bool) -> list[Lesson]:
    """Give what the voters that chose this worker learn; nothing when the task was moved there, or nobody voted."""
    chosen = given(slot)
    return lessons(chosen.voters, succeeded=succeeded) if slot.worker == chosen.worker else []


def lessons(voters: Collection[Strategy], *, succeeded: bool) -> list[Lesson]:
    """Give what the strategies that voted for a worker learn from what became of its task."""
    factor = _REWARD if succeeded else 1 / _REWARD
    return [
        Lesson(strategy=voter, factor=factor, prior=prior, low=prior * _LEAST, high=prior * _MOST)
        for voter, prior in VOTES.items()
        if voter in voters
    ]
