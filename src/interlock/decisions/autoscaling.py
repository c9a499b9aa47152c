"""How many instances a pool should have: more while work queues and all are busy, fewer while few are. Pure.

    below the minimum -----------------------------------------> the minimum, at once
    above the maximum -----------------------------------------> the maximum, at once
    queue > threshold and utilisation > threshold, cooled down -> up by a step, at most to the maximum
    queue < threshold and utilisation < threshold, cooled down -> down by a step, at least to the minimum

Both thresholds of a direction have to be crossed: a queue alone may wait for something else than room, and a pool that is
busy without a queue is what it should be. The cool-down counts from the last change in either direction, so that what one
change brings about is seen before the next one (checklist OP-05).
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
    if seen.instances < terms.lowest:
        return Scaling(to=terms.lowest, reason=f"it has {seen.instances}, and at least {terms.lowest} are wanted")
    if seen.instances > terms.highest:
        return Scaling(to=terms.highest, reason=f"it has {seen.instances}, and at most {terms.highest} are wanted")
    how = f"{seen.queue} wait, {seen.utilisation * 100:.0f} % taken"
    up, down = terms.up, terms.down
    if seen.queue > up.queue and seen.utilisation > up.utilisation:
        to = min(seen.instances + up.step, terms.highest)
        direction = up
    elif seen.queue < down.queue and seen.utilisation < down.utilisation:
        to = max(seen.instances - down.step, terms.lowest)
        direction = down
    else:
        return None
    since = seen.since_change_seconds
    if to == seen.instances or (since is not None and since < direction.cooldown_seconds):
        return None
    return Scaling(to=to, reason=how)
