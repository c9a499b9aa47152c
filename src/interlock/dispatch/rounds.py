"""One round of placement, in memory: heads of lanes go to pools with room. Pure; the store counts again afterwards."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import msgspec

from interlock.decisions import obstacles
from interlock.decisions import pools as choosing
from interlock.decisions.pools import Asked, PoolDecision, PoolStrategy, PoolView
from interlock.model.task_graph import TaskSpec
from interlock.store.ports import Placement, QueuedTask


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How a round places. `mapping`: pools by skill, the preferred one first. `chance`: gives a random number of [0, 1]."""

    mapping: Mapping[str, Sequence[str]]
    strategy: PoolStrategy
    chance: Callable[[], float]
    failover: bool = True
    policy: str = ""


@dataclass(frozen=True, slots=True)
class Stuck:
    """A lane whose tasks wait. `warning`: what somebody has to change; None: they only have to wait for room."""

    lane: str
    task: str
    warning: str | None


@dataclass(slots=True)
class Round:
    """What a round came to."""

    placements: list[Placement] = field(default_factory=list)
    stuck: list[Stuck] = field(default_factory=list)


def room(spec: TaskSpec, found: Asked, pools: Mapping[str, PoolView], most: int) -> int:
    """Give how many tasks like this one may find a place now, at most `most`."""
    total = 0
    for name in found.pools:
        pool = pools.get(name)
        if pool is not None and choosing.refusal(spec, pool) is None:
            total += most if pool.room is None else pool.room
    return min(total, most)


def stuck(lane: str, head: QueuedTask, found: Asked, pools: Mapping[str, PoolView]) -> Stuck:
    """Say whether the tasks of a lane wait for somebody."""
    return Stuck(lane, head.task, obstacles.standing(head.spec, found, pools))


def place(
    heads: Mapping[str, Sequence[QueuedTask]],
    pools: Mapping[str, PoolView],
    rules: Rules,
    most: int,
    known: Mapping[str, Asked] = MappingProxyType({}),
    cut: Collection[str] = (),
) -> Round:
    """Place tasks in the order of all lanes together, at most `most`, as long as there is room.

    A lane whose first task finds none is closed for this round: the others ask for the same. `pools` count what is placed.
    `known`: the pools of lanes whose tasks do not say by themselves which they may have. `cut`: lanes with more tasks than
    these: when all of one of them are placed the round is over, so that nothing passes its others by.
    """
    result = Round()
    asked = {
        lane: known.get(lane)
        or choosing.preferred(choosing.asked(tasks[0].spec, rules.mapping), failover=rules.failover)
        for lane, tasks in heads.items()
        if tasks
    }
    among = {lane: choosing.contenders(tasks[0].spec, asked[lane], pools) for lane, tasks in heads.items() if tasks}
    order = [(_key(tasks[0]), lane, 0) for lane, tasks in heads.items() if tasks]
    heapq.heapify(order)
    while order and len(result.placements) < most:
        _, lane, number = heapq.heappop(order)
        task = heads[lane][number]
        found = asked[lane]
        decision = choosing.choose_among(rules.strategy, task.spec, among[lane], found.how, rules.chance)
        if decision is None:
            result.stuck.append(stuck(lane, task, found, pools))
            continue
        pool = pools[decision.chosen]
        pool.take(task.spec.resources)
        result.placements.append(_placement(task, pool, decision, rules.policy))
        if number + 1 < len(heads[lane]):
            heapq.heappush(order, (_key(heads[lane][number + 1]), lane, number + 1))
        elif lane in cut:
            break
    return result


def _key(task: QueuedTask) -> tuple[int, float, str]:
    return (-task.priority, task.rank, task.task)


def _placement(task: QueuedTask, pool: PoolView, decision: PoolDecision, policy: str) -> Placement:
    body = choosing.encode(msgspec.structs.replace(decision, policy=policy))
    return Placement(
        task=task.task,
        pool=pool.name,
        resources=task.spec.resources,
        decision=body,
        workers=pool.type == choosing.WORKERS,
    )
