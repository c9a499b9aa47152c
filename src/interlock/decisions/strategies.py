"""Strategies of the balancer: pure functions from a task and the workers that can have it to an order, the best first.

Whatever a strategy leaves open goes to who was given a task the longest ago, then by id: two processes that see the same
choose the same. Only `capacity_based` draws lots, from the chance that it is given.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, TypeAlias

from interlock import errors
from interlock.decisions import scores
from interlock.decisions.task import Task
from interlock.model import json
from interlock.model.worker import Worker


class Strategy(StrEnum):
    ROUND_ROBIN = "round_robin"
    """Who was given a task the longest ago."""
    LEAST_LOADED = "least_loaded"
    """Who has the smallest share of its slots taken."""
    CAPACITY_BASED = "capacity_based"
    """By lot, in proportion to idle cores and free memory."""
    CAPABILITY_BASED = "capability_based"
    """Whom the task fits most narrowly."""
    AFFINITY = "affinity"
    """Whom the task prefers, else by the fallback."""
    PERFORMANCE_BASED = "performance_based"
    """Who succeeds most, most quickly."""
    ADAPTIVE = "adaptive"
    """By the vote of several, whose weights follow what became of the tasks."""


VOTES: Final[Mapping[Strategy, float]] = {
    Strategy.PERFORMANCE_BASED: 0.4,
    Strategy.CAPABILITY_BASED: 0.3,
    Strategy.LEAST_LOADED: 0.2,
    Strategy.ROUND_ROBIN: 0.1,
}
"""What the voters of `adaptive` count for before anything was learned."""
_FALLBACKS: Final = frozenset(Strategy) - {Strategy.AFFINITY}


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How strategies are tuned. `affinity_key`: of the metadata of tasks and workers. Raises Invalid."""

    weight_by_cpu: float = 0.5
    weight_by_memory: float = 0.5
    affinity_key: str = "project_id"
    fallback: Strategy = Strategy.LEAST_LOADED

    def __post_init__(self) -> None:
        if self.fallback not in _FALLBACKS:
            raise errors.Invalid(f"the fallback of affinity cannot be {self.fallback} itself; name another strategy")
        if min(self.weight_by_cpu, self.weight_by_memory) < 0 or self.weight_by_cpu + self.weight_by_memory <= 0:
            raise errors.Invalid("weight_by_cpu and weight_by_memory must not be negative, and one must be above 0")


Scored: TypeAlias = tuple[Worker, float]


@dataclass(frozen=True, slots=True)
class Ranking:
    """Workers with their scores, the best first. `voters`: by worker, the strategies that would have chosen it."""

    order: Sequence[Scored]
    voters: Mapping[str, Sequence[Strategy]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What a strategy is asked. `able`: those that can have the task now; `fitting`: those that could if they had room.

    `chance`: gives a random number of [0, 1]. `weights`: what the voters count for, as it was learned.
    """

    task: Task
    able: Sequence[Worker]
    fitting: Sequence[Worker]
    options: Options
    chance: Callable[[], float]
    weights: Mapping[str, float] = field(default_factory=dict)


def strategy(name: str) -> Strategy:
    """Give the strategy of a name. Raises Invalid."""
    try:
        return Strategy(name.replace("-", "_"))
    except ValueError:
        raise errors.Invalid(f"there is no strategy {name!r}; there are {', '.join(Strategy)}") from None


def rank(chosen: Strategy, question: Question) -> Ranking:
    """Order the workers that can have a task."""
    if chosen is Strategy.ADAPTIVE:
        return _adaptive(question)
    order = _RANKS[chosen](question)
    return Ranking(order, {order[0][0].id: [chosen]} if order else {})


def weights(learned: Mapping[str, float]) -> dict[Strategy, float]:
    """Give what the voters count for, in sum 1."""
    found = {voter: learned.get(voter, prior) for voter, prior in VOTES.items()}
    total = sum(found.values())
    return {voter: weight / total for voter, weight in found.items()}


# -- one by one ------------------------------------------------------------------------------------------------------


def _turn(worker: Worker) -> tuple[float, int, str]:
    """Sort whoever was given a task the longest ago first."""
    return (-math.inf if worker.assigned_at is None else worker.assigned_at, worker.assigned, worker.id)


def _best(able: Sequence[Worker], score: Callable[[Worker], float]) -> list[Scored]:
    scored = [(worker, score(worker)) for worker in able]
    return sorted(scored, key=lambda each: (-each[1], _turn(each[0])))


def _round_robin(question: Question) -> list[Scored]:
    order = sorted(question.able, key=_turn)
    return [(worker, 1 / (1 + place)) for place, worker in enumerate(order)]


def _least_loaded(question: Question) -> list[Scored]:
    return _best(question.able, lambda worker: 1 - worker.utilisation)


def _performance(question: Question) -> list[Scored]:
    return _best(question.able, scores.performance_of)


def _capability(question: Question) -> list[Scored]:
    return _best(question.able, lambda worker: scores.capability_of(worker, question.task.skills))


def _capacity(question: Question) -> list[Scored]:
    """Draw lots without replacement, each in proportion to its share (Efraimidis and Spirakis 2006)."""
    shares = capacity_shares(question.able, question.options)
    drawn = {
        worker.id: math.log(max(question.chance(), 1e-300)) / shares[worker.id] if shares[worker.id] else -math.inf
        for worker in question.able
    }
    order = sorted(question.able, key=lambda worker: (-drawn[worker.id], _turn(worker)))
    return [(worker, shares[worker.id]) for worker in order]


def capacity_shares(workers: Sequence[Worker], options: Options) -> dict[str, float]:
    """Give each worker's share of the idle cores and of the free memory, in sum 1; nothing idle anywhere: all alike."""
    cores = sum(worker.free_cpu for worker in workers)
    memory = sum(worker.free_memory_mb for worker in workers)
    by_cpu = options.weight_by_cpu if cores else 0.0
    by_memory = options.weight_by_memory if memory else 0.0
    if by_cpu + by_memory == 0:
        return {worker.id: 1 / len(workers) for worker in workers}
    return {
        worker.id: (
            (by_cpu * worker.free_cpu / cores if by_cpu else 0.0)
            + (by_memory * worker.free_memory_mb / memory if by_memory else 0.0)
        )
        / (by_cpu + by_memory)
        for worker in workers
    }


def _affinity(question: Question) -> list[Scored]:
    """Put those that the task prefers first, then the others as the fallback has them."""
    preferred = preferred_by(question)
    fallback = rank(question.options.fallback, question).order
    liked = _best(
        [worker for worker, _ in fallback if worker.id in preferred],
        lambda worker: scores.comprehensive_of(worker, is_preferred=True, is_avoided=False),
    )
    return liked + [each for each in fallback if each[0].id not in preferred]


def preferred_by(question: Question) -> frozenset[str]:
    """Give the workers that a task would rather have: those that it names, those that are marked with its value of the key,
    else the one home that all processes compute for that value."""
    task, key = question.task, question.options.affinity_key
    value = task.metadata.get(key)
    if task.prefers or value is None:
        return task.prefers
    marked = frozenset(worker.id for worker in question.fitting if worker.metadata.get(key) == value)
    if marked or not question.fitting:
        return marked
    # Rendezvous hashing: when workers come and go, only the tasks of those that went get another home.
    return frozenset([max(question.fitting, key=lambda worker: (_hash(value, worker.id), worker.id)).id])


def _hash(value: json.Json, worker: str) -> bytes:
    return hashlib.blake2b(json.encode([value, worker]), digest_size=8).digest()


def _adaptive(question: Question) -> Ranking:
    counted = weights(question.weights)
    voters: dict[str, list[Strategy]] = {}
    for voter in VOTES:
        if order := _RANKS[voter](question):
            voters.setdefault(order[0][0].id, []).append(voter)
    votes = {worker: sum(counted[voter] for voter in found) for worker, found in voters.items()}
    order = sorted(
        ((worker, votes.get(worker.id, 0.0)) for worker in question.able),
        key=lambda each: (-each[1], each[0].utilisation, _turn(each[0])),
    )
    return Ranking(order, voters)


_RANKS: Final[Mapping[Strategy, Callable[[Question], list[Scored]]]] = {
    Strategy.ROUND_ROBIN: _round_robin,
    Strategy.LEAST_LOADED: _least_loaded,
    Strategy.CAPACITY_BASED: _capacity,
    Strategy.CAPABILITY_BASED: _capability,
    Strategy.AFFINITY: _affinity,
    Strategy.PERFORMANCE_BASED: _performance,
}
