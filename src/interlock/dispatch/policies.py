"""Which task comes first: a policy stamps each with two numbers when it is stored, and the store keeps them in order.

`priority` counts first (the higher the sooner), then `rank` (the smaller the sooner), so that no round sorts what waits.
A stamp never changes by itself: age is in it, since a level of priority is worth a time (`ageing`).
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from typing import Final, NamedTuple, Protocol

from interlock import errors
from interlock.decisions.pools import PoolStrategy
from interlock.flow import nearest
from interlock.model.task_graph import TaskSpec

TINY: Final = 1e-6
"""What the place in its graph adds to a task's rank, per task: arrival decides between those that came at one moment."""
_MOST: Final = 2**63 - 1
"""The highest priority that a store can hold."""
_NEVER: Final = 1e18  # the rank of a task without a deadline: after all that have one


class Stamp(NamedTuple):
    """Where a task stands: the higher `priority` first, then the smaller `rank`."""

    priority: int
    rank: float


@dataclass(frozen=True, slots=True)
class Arriving:
    """A task that is about to be stored. `at`: UTC seconds; `place`: its number in its graph; `share`: how far its key has
    come in its share of the pools, see `FairShare`."""

    spec: TaskSpec
    at: float
    place: int
    share: float = 0.0

    @property
    def arrival(self) -> float:
        """When it came, told apart from others of its graph."""
        return self.at + self.place * TINY


class Policy(Protocol):
    """An order of tasks. One of your own is any object with these; see docs/howto/scheduling.md."""

    @property
    def strategy(self) -> PoolStrategy | None:
        """How pools are chosen under this policy; None: as the configuration says."""
        ...

    def stamp(self, task: Arriving) -> Stamp:
        """Say where a task stands."""
        ...


@dataclass(frozen=True, slots=True)
class Fifo:
    """The oldest first, whatever its priority."""

    strategy: PoolStrategy | None = None

    def stamp(self, task: Arriving) -> Stamp:
        return Stamp(0, task.arrival)


@dataclass(frozen=True, slots=True)
class Priority:
    """The highest priority first, then the oldest. `ageing_seconds`: a level is worth so much age; None: strictly."""

    ageing_seconds: float | None = None
    strategy: PoolStrategy | None = None

    def stamp(self, task: Arriving) -> Stamp:
        if self.ageing_seconds is None:
            return Stamp(task.spec.priority, task.arrival)
        return Stamp(0, task.arrival - task.spec.priority * self.ageing_seconds)


@dataclass(frozen=True, slots=True)
class SkillBased:
    """By priority, each task in the least loaded of the pools that have its skills."""

    ageing_seconds: float | None = None
    strategy: PoolStrategy | None = PoolStrategy.LEAST_LOADED

    def stamp(self, task: Arriving) -> Stamp:
        return Priority(self.ageing_seconds).stamp(task)


@dataclass(frozen=True, slots=True)
class FairShare:
    """Keys take turns, by their weights; within a key by age. Pools are filled evenly, by theirs.

    Source of the order: start-time fair queueing (Goyal, Vin, Cheng 1996): each task of a key begins where the one before it
    ends, 1 / weight later, and a key that was away begins where all the others are.
    """

    weights: dict[str, float] = field(default_factory=dict)
    strategy: PoolStrategy | None = PoolStrategy.FAIR

    def stamp(self, task: Arriving) -> Stamp:
        return Stamp(0, task.share)

    def length(self, key: str) -> float:
        """Give how much of its share a task of a key uses."""
        return 1.0 / self.weights.get(key, 1.0)


@dataclass(frozen=True, slots=True)
class Deadline:
    """The earliest deadline first; tasks without one come last, by priority and age."""

    strategy: PoolStrategy | None = None

    def stamp(self, task: Arriving) -> Stamp:
        if task.spec.deadline is not None:
            return Stamp(0, task.spec.deadline + task.place * TINY)
        return Stamp(-1, _NEVER - task.spec.priority * 1e12 + task.arrival)


def stamped(policy: Policy, name: str, task: Arriving) -> Stamp:
    """Give the stamp of a policy, which may be of somebody's own. Raises Invalid where it fails, or gives what no store can
    order tasks by: one task with such a stamp would keep the dispatchers from placing any.
    """
    try:
        found = policy.stamp(task)
    except errors.InterlockError:
        raise
    except (Exception, SystemExit) as error:
        told = f"{type(error).__name__}: {error}"
        raise errors.Invalid(f"the scheduling policy {name} fails for the task {task.spec.id!r}: {told}") from error
    match found:
        case (int(priority), int() | float() as rank) if abs(priority) <= _MOST and math.isfinite(rank):
            return Stamp(int(priority), float(rank))
    advice = "it must be a Stamp of a whole priority and a finite rank; see docs/howto/scheduling.md"
    raise errors.Invalid(f"the scheduling policy {name} gives {found!r} for the task {task.spec.id!r}; {advice}")


ENTRY_POINTS: Final = "interlock.policies"
"""The group of entry points by which an installed package brings policies."""
POLICIES: Final = ("fifo", "priority", "skill-based", "fair-share", "deadline")


def policy(name: str, *, ageing_seconds: float | None = None, weights: dict[str, float] | None = None) -> Policy:
    """Give the policy of a name: one of POLICIES, or `module:attribute` of your own. Raises Invalid."""
    builtin: dict[str, Callable[[], Policy]] = {
        "fifo": Fifo,
        "priority": lambda: Priority(ageing_seconds),
        "skill-based": lambda: SkillBased(ageing_seconds),
        "fair-share": lambda: FairShare(weights or {}),
        "deadline": Deadline,
    }
    if name in builtin:
        return builtin[name]()
    if ":" not in name:
        if (registered := _registered(name)) is not None:
            return registered
        raise errors.Invalid(f"there is no scheduling policy {name!r}; {_advice(name)}, or module:attribute")
    return _own(name)


def named(name: str) -> str:
    """Give the name of a policy that may be chosen at run time: one of POLICIES, or of those that packages bring here.

    A `module:attribute` may not: who chooses may be far away, and would have any module imported. Raises Invalid.
    """
    if name in known():
        return name
    if ":" in name:
        raise errors.Invalid(
            f"the scheduling policy {name!r} can be named in dispatcher.yaml only; at run time there are {', '.join(known())}"
        )
    raise errors.Invalid(f"there is no scheduling policy {name!r}; {_advice(name)}")


def known() -> tuple[str, ...]:
    """Give the names of the policies there are here."""
    return (*POLICIES, *sorted({point.name for point in entry_points(group=ENTRY_POINTS)} - set(POLICIES)))


def _advice(name: str) -> str:
    names = known()
    near = nearest.name(name, names)
    return (f"did you mean {near!r}? " if near else "") + f"there are {', '.join(names)}"


def _registered(name: str) -> Policy | None:
    """Give a policy that an installed package brings under a name. Raises Invalid for one that cannot be imported."""
    for point in entry_points(group=ENTRY_POINTS, name=name):
        try:
            found = point.load()
        except (Exception, SystemExit) as error:  # the module is somebody else's
            raise errors.Invalid(f"the scheduling policy {name!r} is {point.value}, and that fails: {error}") from error
        return _checked(found, name)
    return None


def _own(path: str) -> Policy:
    from interlock.flow import functions  # noqa: PLC0415 (start-up: most go by a policy that is built in)

    try:
        return _checked(functions.find(path, os.getcwd()), path)
    except functions.Unusable as error:
        raise errors.Invalid(f"the scheduling policy {path}: {error}") from None


def _checked(found: object, name: str) -> Policy:
    try:
        made = found() if isinstance(found, type) else found
    except (Exception, SystemExit) as error:
        told = f"{type(error).__name__}: {error}"
        raise errors.Invalid(f"the scheduling policy {name} cannot be made without arguments: {told}") from error
    if not callable(getattr(made, "stamp", None)):
        raise errors.Invalid(f"the scheduling policy {name} has no method `stamp(task)`; see docs/howto/scheduling.md")
    if not hasattr(made, "strategy"):
        advice = "None leaves it to the configuration"
        raise errors.Invalid(f"the scheduling policy {name} has no attribute `strategy`; {advice}")
    if made.strategy is not None and made.strategy not in tuple(PoolStrategy):
        advice = f"None, or one of {', '.join(PoolStrategy)}"
        raise errors.Invalid(f"the scheduling policy {name} has the strategy {made.strategy!r}; {advice}")
    return made  # type: ignore[return-value]  # checked as far as it can be
