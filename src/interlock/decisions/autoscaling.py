"""How many instances a pool should have: more while work queues and all are busy, fewer while few are. Pure.

    below the minimum -------------------------> the minimum
    above the maximum -------------------------> the maximum
    queue and utilisation above the thresholds -> up by a step, at most to the maximum
    queue and utilisation below the thresholds -> down by a step, at least to the minimum

Both thresholds of a direction have to be crossed: a queue alone may wait for something else than room, and a pool that is
busy without a queue is what it should be. The cool-down of a direction counts from the last change in either one, so that
what a change brings about is seen before the next: machines take their time to come (checklist OP-05).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Direction:
    """When to go one way. `queue`: tasks that wait; `utilisation`: 0 to 1; `step`: instances at a time."""

    queue: int
    utilisation: float
    cooldown_seconds: float
    step: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """When a pool grows and shrinks, and its bounds, both ends included. Defaults: requirements 3.4."""

    up: Direction = Direction(queue=10, utilisation=0.8, cooldown_seconds=300.0)
    down: Direction = Direction(queue=10, utilisation=0.3, cooldown_seconds=600.0)
    lowest: int = 1
    highest: int = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A pool as it is. `queue`: tasks that wait for it; `since_change_seconds`: None when nothing was changed yet."""

    instances: int
    queue: int
    utilisation: float
    since_change_seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaling:
    """A change: to how many instances, and why."""

    to: int
    reason: str


def decide(terms: Terms, seen: Seen) -> Scaling | None:
    """Give the change that a pool needs now, or None."""
    found = _wanted(terms, seen)
    if found is None or found.to == seen.instances:
        return None
    direction = terms.up if found.to > seen.instances else terms.down
    since = seen.since_change_seconds
    return None if since is not None and since < direction.cooldown_seconds else found


def _wanted(terms: Terms, seen: Seen) -> Scaling | None:
    """Give what a pool should have, whenever it was changed last."""
    if seen.instances < terms.lowest:
        return Scaling(to=terms.lowest, reason=f"it has {seen.instances}, and at least {terms.lowest} are wanted")
    if seen.instances > terms.highest:
        return Scaling(to=terms.highest, reason=f"it has {seen.instances}, and at most {terms.highest} are wanted")
    how = f"{seen.queue} wait, {seen.utilisation * 100:.0f} % taken"
    if seen.queue > terms.up.queue and seen.utilisation > terms.up.utilisation:
        return Scaling(to=min(seen.instances + terms.up.step, terms.highest), reason=how)
    if seen.queue < terms.down.queue and seen.utilisation < terms.down.utilisation:
        return Scaling(to=max(seen.instances - terms.down.step, terms.lowest), reason=how)
    return None
