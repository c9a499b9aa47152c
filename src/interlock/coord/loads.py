"""How much each worker has to do, whether that is out of balance, and which task to move next. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import msgspec

from interlock.decisions import scores
from interlock.decisions import task as tasks
from interlock.decisions.strategies import Strategy
from interlock.decisions.task import Task
from interlock.model.worker import Worker, WorkerStatus
from interlock.store.ports import SlotRow

_WORKING: Final = (WorkerStatus.ACTIVE, WorkerStatus.BUSY)
_NOTHING: Final = 1e-9  # below the smallest difference that one slot of a million makes


class Given(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is kept with a slot: the task, and the strategies whose vote chose `worker` for it, which learn from the
    outcome. `nonce`: of the reservation, by which it is found again when its answer was lost.
    """

    task: Task
    worker: str = ""
    voters: Sequence[Strategy] = ()
    nonce: str = ""


_given: Final = msgspec.json.Decoder(Given)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerLoad:
    worker: str
    active: int
    capacity: int
    utilisation_percent: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadDistribution:
    """The load of the workers that take tasks. `spread_points`: between the most and the least used one, in percentage
    points.
    """

    capacity: int
    active: int
    utilisation_percent: float
    workers: Sequence[WorkerLoad]
    spread_points: float
    suggests_migration: bool

    @property
    def is_imbalanced(self) -> bool:
        return self.spread_points > scores.IMBALANCE_POINTS


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebalanced:
    """What rebalancing did. `before`, `after`: the loads."""

    tasks_moved: int
    before: LoadDistribution
    after: LoadDistribution

    @property
    def improved_points(self) -> float:
        """By how many percentage points the workers are closer together."""
        return self.before.spread_points - self.after.spread_points


@dataclass(frozen=True, slots=True)
class Move:
    slot: SlotRow
    to: Worker


def distribution(workers: Iterable[Worker]) -> LoadDistribution:
    """Give the load of the workers that take tasks."""
    working = [worker for worker in workers if worker.status in _WORKING]
    loads = [worker.utilisation for worker in working]
    capacity = sum(worker.capacity for worker in working)
    active = sum(worker.active for worker in working)
    return LoadDistribution(
        capacity=capacity,
        active=active,
        utilisation_percent=100 * active / capacity if capacity else 0.0,
        workers=[
            WorkerLoad(
                worker=worker.id,
                active=worker.active,
                capacity=worker.capacity,
                utilisation_percent=100 * worker.utilisation,
            )
            for worker in working
        ],
        spread_points=scores.spread_points(loads),
        suggests_migration=scores.suggests_migration(loads),
    )


def plan(workers: Iterable[Worker], movable: Iterable[SlotRow]) -> list[Move]:
    """Give the moves that bring the workers closer together; none when they are close enough, or when none would.

    Each takes the task that was given last from the most used worker that has one, to the least used one that can have it, as
    long as that evens them out. `movable`: tasks that nobody is at work on.
    """
    now = {worker.id: worker for worker in workers if worker.status in _WORKING and worker.capacity}
    waiting: dict[str, list[SlotRow]] = {}
    for slot in sorted(movable, key=lambda slot: (slot.reserved_at, slot.task)):
        waiting.setdefault(slot.worker, []).append(slot)
    before, moves = _spread(now), list[Move]()
    while _spread(now) > scores.IMBALANCE_POINTS and (move := _next(now, waiting)):
        waiting[move.slot.worker].remove(move.slot)
        now |= _after(now, move)
        moves.append(move)
    return moves if _spread(now) < before else []


def _next(now: Mapping[str, Worker], waiting: Mapping[str, Sequence[SlotRow]]) -> Move | None:
    by_load = sorted(now.values(), key=lambda worker: (worker.utilisation, worker.id))
    for source in reversed(by_load):
        for slot in reversed(waiting.get(source.id, ())):
            for target in by_load:
                move = Move(slot, target)
                if target.id != source.id and tasks.refusal(task_of(slot), target) is None and _helps(now, move):
                    return move
    return None


def _helps(now: Mapping[str, Worker], move: Move) -> bool:
    after = {**now, **_after(now, move)}
    return _unevenness(after) < _unevenness(now) - _NOTHING and _spread(after) <= _spread(now) + _NOTHING


def _after(now: Mapping[str, Worker], move: Move) -> dict[str, Worker]:
    source, target = now[move.slot.worker], now[move.to.id]
    return {source.id: _with(source, source.active - 1), target.id: _with(target, target.active + 1)}


def _with(worker: Worker, active: int) -> Worker:
    is_full = active >= worker.capacity
    return replace(worker, active=active, status=WorkerStatus.BUSY if is_full else WorkerStatus.ACTIVE)


def _spread(now: Mapping[str, Worker]) -> float:
    return scores.spread_points([worker.utilisation for worker in now.values()])


def _unevenness(now: Mapping[str, Worker]) -> float:
    loads = [worker.utilisation for worker in now.values()]
    mean = sum(loads) / len(loads)
    return sum((load - mean) ** 2 for load in loads)


def given(slot: SlotRow) -> Given:
    """Give what a slot was reserved for, as the balancer was told of it."""
    try:
        return _given.decode(slot.detail)
    except msgspec.ValidationError:
        return Given(task=Task(id=slot.task))  # reserved by somebody who told nothing of it


def task_of(slot: SlotRow) -> Task:
    """Give the task that a slot was reserved for."""
    return given(slot).task
