"""Choosing a pool for a task: which could have it, how they rank, and why each other one lost. Pure: nothing is read here."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from operator import itemgetter
from typing import Final

import msgspec

from interlock.model.task import Resources
from interlock.model.task_graph import TaskSpec

DEFAULT: Final = "default"
"""The entry of a skill mapping for tasks without a skill, and for skills that nothing maps."""
CONTAINERS: Final = frozenset({"docker", "kubernetes"})
"""Types of pools that start containers."""
WORKERS: Final = "worker"
"""The type of pools whose attempts run where `interlock worker` does."""
WORKFLOWS: Final = "workflows"
"""The pool, and its type, of tasks that are workflows: every store has it, and no configuration names it."""
_ROUNDING: Final = 1e-9
_MORE: Final = "ask for less, or give a pool more in agent-pools.yaml"


class PoolStrategy(StrEnum):
    """How a pool is chosen among those that have room for a task."""

    LEAST_LOADED = "least-loaded"
    """The smallest part of it is taken: of its slots, cores or megabytes, whichever is the fullest."""
    ROUND_ROBIN = "round-robin"
    """Which was given a task the longest ago."""
    RANDOM = "random"
    """By lot."""
    COST = "cost"
    """The lowest cost, then the least loaded."""
    ORDERED = "ordered"
    """The first of the list: spot before on-demand, graphics processors before none."""
    FAIR = "fair"
    """The one that runs least for its weight, then by name."""


@dataclass(slots=True, kw_only=True)
class PoolView:
    """A pool as one round sees it; what the round places is added. None: no bound.

    `cpu_each`, `memory_each`: what one attempt may ask for, since the machine where it would run has no more. `turn`: how
    many tasks were placed in it. `ill`: why it cannot launch now. `cost`: of an hour, in whatever currency.
    """

    name: str
    type: str
    running: int = 0
    capacity: int | None = None
    cpu: float | None = None
    cpu_each: float | None = None
    cpu_taken: float = 0.0
    memory: float | None = None
    memory_each: float | None = None
    memory_taken: float = 0.0
    gpus: int = 0
    gpus_taken: int = 0
    turn: int = 0
    state: str = "enabled"
    ill: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    cost: float = 0.0
    weight: float = 1.0

    @property
    def utilisation(self) -> float:
        """Give how much of it is taken, 0 to 1: of its slots, cores or megabytes, whichever is the fullest."""
        used = self.running / self.capacity if self.capacity else 0.0
        if self.cpu:
            used = max(used, self.cpu_taken / self.cpu)
        if self.memory:
            used = max(used, self.memory_taken / self.memory)
        return used

    @property
    def room(self) -> int | None:
        """Give how many more may run there, as far as slots go."""
        return None if self.capacity is None else max(0, self.capacity - self.running)

    def take(self, resources: Resources) -> None:
        """Count one more attempt."""
        self.running += 1
        self.turn += 1
        self.cpu_taken += resources.cpu
        self.memory_taken += resources.memory
        self.gpus_taken += resources.gpus


class PoolCandidate(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`score`: the higher the better; None: it could not have the task, for this `reason`."""

    pool: str
    score: float | None = None
    reason: str = ""


class PoolDecision(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why a task is where it is. `asked`: by what pools were found, such as "skill backend: docker, laptop"."""

    strategy: str
    chosen: str
    reason: str
    asked: str
    candidates: Sequence[PoolCandidate] = ()
    policy: str = ""


@dataclass(frozen=True, slots=True)
class Asked:
    """The pools that a task may have, in their order, how they were found, and what is wrong with that, if anything."""

    pools: tuple[str, ...]
    how: str
    warning: str | None = None


def asked(spec: TaskSpec, mapping: Mapping[str, Sequence[str]]) -> Asked:
    """Give the pools that a task may have: those its author names, else those of its skills, else the default ones.

    Of several skills a pool has to have all. A skill that nothing maps falls back to the default pools, with a warning.
    """
    if spec.kind == "workflow":
        return Asked((WORKFLOWS,), "it is a workflow")
    if spec.pools:
        return Asked(spec.pools, f"named by the task: {', '.join(spec.pools)}")
    default = tuple(mapping.get(DEFAULT, ()))
    if not spec.skills:
        return Asked(default, f"no skill asked, default: {', '.join(default) or 'none'}", _no_default(default))
    unknown = [skill for skill in spec.skills if skill not in mapping]
    if unknown:
        how = f"skill {', '.join(unknown)} is not mapped, default: {', '.join(default) or 'none'}"
        return Asked(default, how, unmapped(unknown))
    first, *others = (mapping[skill] for skill in spec.skills)
    pools = tuple(pool for pool in first if all(pool in other for other in others))
    how = f"skill {' and '.join(spec.skills)}: {', '.join(pools) or 'none'}"
    return Asked(pools, how, None if pools else _no_pool(spec))


def unmapped(skills: Sequence[str]) -> str:
    """Give the warning about skills that no pool is mapped to."""
    return f"no pool is mapped to the skill {', '.join(skills)}: add it to skill_mapping"


def _no_pool(spec: TaskSpec) -> str:
    skills = f"all of the skills {', '.join(spec.skills)}" if len(spec.skills) > 1 else f"the skill {spec.skills[0]}"
    return f"no pool has {skills}: add one to their entries of skill_mapping, or ask for fewer"


def _no_default(default: Sequence[str]) -> str | None:
    return None if default else "skill_mapping has no default: a task without a skill has no pool; add `default` to it"


def preferred(found: Asked, *, failover: bool) -> Asked:
    """Give the pools that count: without failover the first one alone."""
    if failover or len(found.pools) < 2:
        return found
    return Asked(found.pools[:1], f"{found.how}; without failover only {found.pools[0]}", found.warning)


def never(spec: TaskSpec, pool: PoolView) -> str | None:
    """Say why a task can never run in a pool as that is configured; None: it can, when there is room."""
    found = impossible(spec, pool)
    return None if found is None else found[0]


def impossible(spec: TaskSpec, pool: PoolView) -> tuple[str, str] | None:
    """Say why a task can never run in a pool as that is configured, and what helps; None: it can, when there is room."""
    wants = spec.resources
    if pool.type == WORKFLOWS and spec.kind != "workflow":
        return "starts workflows only", "name another pool"
    if spec.kind == "container" and pool.type not in CONTAINERS:
        return f"starts no containers ({pool.type})", "give it a pool of the type docker or kubernetes"
    if spec.kind != "python" and pool.type == "in-process":
        return f"calls Python functions only ({pool.type})", "give it a pool that starts programs"
    if spec.workspace is not None and pool.type == WORKERS:
        return f"has no worktrees, which are where dispatchers are ({pool.type})", "give it a pool of another type"
    if pool.capacity == 0:
        return "has max_concurrency 0", "give it places in agent-pools.yaml"
    if pool.cpu is not None and wants.cpu > pool.cpu + _ROUNDING:
        return f"has {pool.cpu:g} cores, {wants.cpu:g} asked", _MORE
    if pool.memory is not None and wants.memory > pool.memory + _ROUNDING:
        return f"has {pool.memory:g} MB, {wants.memory:g} asked", _MORE
    if (too_much := _beyond_a_machine(wants, pool)) is not None:
        return too_much
    if wants.gpus > pool.gpus:
        return f"has {pool.gpus} graphics processors, {wants.gpus} asked", _MORE
    for name, value in spec.labels.items():
        if pool.labels.get(name) != value:
            return f"is not labelled {name}={value}", "label a pool so in agent-pools.yaml, or ask for other labels"
    return None


def _beyond_a_machine(wants: Resources, pool: PoolView) -> tuple[str, str] | None:
    """Say what one attempt asks for beyond what any machine there has, and what helps."""
    if pool.cpu_each is not None and wants.cpu > pool.cpu_each + _ROUNDING:
        reason = f"has {pool.cpu_each:g} cores on a machine, {wants.cpu:g} asked"
        quota = f"`cpu_quota: {wants.cpu:g}`"
    elif pool.memory_each is not None and wants.memory > pool.memory_each + _ROUNDING:
        reason = f"has {pool.memory_each:.0f} MB on a machine, {math.ceil(wants.memory)} asked"
        quota = f"`memory_quota: {math.ceil(wants.memory)}`"
    else:
        return None
    helps = f"ask for less, have a larger machine serve {pool.name}, or give it {quota} in agent-pools.yaml to overcommit its"
    return reason, f"{helps} machines"


def refusal(spec: TaskSpec, pool: PoolView) -> str | None:
    """Say why a pool cannot have a task now; None: it can."""
    return never(spec, pool) or _occupied(spec, pool)


def _occupied(spec: TaskSpec, pool: PoolView) -> str | None:
    """Say why a pool that could have a task cannot have it now; None: it can."""
    wants = spec.resources
    if pool.state != "enabled":
        return f"is {pool.state}"
    if pool.ill is not None:
        return f"is ill: {pool.ill}"
    if pool.capacity is not None and pool.running >= pool.capacity:
        return f"{pool.running} of {pool.capacity} slots leased"
    if pool.cpu is not None and pool.cpu_taken + wants.cpu > pool.cpu + _ROUNDING:
        return f"{pool.cpu_taken:g} of {pool.cpu:g} cores taken, {wants.cpu:g} asked"
    if pool.memory is not None and pool.memory_taken + wants.memory > pool.memory + _ROUNDING:
        return f"{pool.memory_taken:g} of {pool.memory:g} MB taken, {wants.memory:g} asked"
    if wants.gpus and pool.gpus_taken + wants.gpus > pool.gpus:
        return f"{pool.gpus_taken} of {pool.gpus} graphics processors taken, {wants.gpus} asked"
    return None


def reached(pool: PoolView) -> dict[str, str]:
    """Give the quotas of a pool of which nothing is left, each with its words; places are no quota."""
    found = {}
    if pool.cpu is not None and pool.cpu_taken >= pool.cpu - _ROUNDING:
        found["cpu"] = f"{pool.cpu_taken:g} of {pool.cpu:g} cores are taken"
    if pool.memory is not None and pool.memory_taken >= pool.memory - _ROUNDING:
        found["memory"] = f"{pool.memory_taken:g} of {pool.memory:g} MB are taken"
    return found


def choose(
    strategy: PoolStrategy,
    spec: TaskSpec,
    found: Asked,
    pools: Mapping[str, PoolView],
    chance: Callable[[], float],
) -> PoolDecision | None:
    """Choose a pool among those that a task may have; None: none has room."""
    return choose_among(strategy, spec, contenders(spec, found, pools), found.how, chance)


def contenders(spec: TaskSpec, found: Asked, pools: Mapping[str, PoolView]) -> list[PoolView | PoolCandidate]:
    """Give the pools that a task may have, in their order, and in place of those that never can have it why.

    It holds for all tasks that ask for the same, and while the pools fill.
    """
    result: list[PoolView | PoolCandidate] = []
    for name in found.pools:
        pool = pools.get(name)
        reason = "is not configured" if pool is None else never(spec, pool)
        if pool is None or reason is not None:
            result.append(PoolCandidate(pool=name, reason=reason or ""))
        else:
            result.append(pool)
    return result


def choose_among(
    strategy: PoolStrategy,
    spec: TaskSpec,
    among: Sequence[PoolView | PoolCandidate],
    how: str,
    chance: Callable[[], float],
) -> PoolDecision | None:
    """Choose one of the contenders for a task; None: none has room. `how`: see Asked."""
    refused, able = [], []
    for number, pool in enumerate(among):
        if isinstance(pool, PoolCandidate):
            refused.append(pool)
        elif (reason := _occupied(spec, pool)) is not None:
            refused.append(PoolCandidate(pool=pool.name, reason=reason))
        else:
            used = pool.utilisation
            able.append((_key(strategy, number, pool, used, chance), pool.name, used, pool))
    if not able:
        return None
    able.sort(key=_RANK)
    chosen = able[0][-1]
    return PoolDecision(
        strategy=strategy,
        chosen=chosen.name,
        reason=_reason(strategy, chosen, len(able)),
        asked=how,
        candidates=[_able(name, used) for _, name, used, _ in able] + refused,
    )


_RANK: Final = itemgetter(0, 1)  # by the strategy, then by name


@lru_cache(maxsize=1024)
def _able(name: str, used: float) -> PoolCandidate:
    """Give a candidate with room. Of all pools of a round only the chosen one changes, so most are asked for again."""
    return PoolCandidate(pool=name, score=round(1 - used, 4), reason=_state(used))


def _key(
    strategy: PoolStrategy, number: int, pool: PoolView, used: float, chance: Callable[[], float]
) -> tuple[float, ...]:
    match strategy:
        case PoolStrategy.LEAST_LOADED:
            return (used, number)
        case PoolStrategy.ROUND_ROBIN:
            return (pool.turn,)
        case PoolStrategy.RANDOM:
            return (chance(),)
        case PoolStrategy.COST:
            return (pool.cost, used)
        case PoolStrategy.ORDERED:
            return (number,)
        case PoolStrategy.FAIR:
            return (pool.running / pool.weight,)


def _state(used: float) -> str:
    return f"utilisation {used * 100:.0f} %"


def _reason(strategy: PoolStrategy, pool: PoolView, able: int) -> str:
    if able == 1:
        return "the only one with room"
    match strategy:
        case PoolStrategy.LEAST_LOADED:
            return f"the least loaded of {able}: {pool.utilisation * 100:.0f} % taken"
        case PoolStrategy.ROUND_ROBIN:
            return f"its turn among {able}"
        case PoolStrategy.RANDOM:
            return f"by lot among {able}"
        case PoolStrategy.COST:
            return f"the cheapest of {able}: {pool.cost:g} an hour"
        case PoolStrategy.ORDERED:
            return f"the first of {able} with room"
        case PoolStrategy.FAIR:
            return f"runs least for its weight of {able}: {pool.running} at weight {pool.weight:g}"


encode: Final = msgspec.json.Encoder().encode
decode: Final = msgspec.json.Decoder(PoolDecision).decode
