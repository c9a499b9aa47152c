"""Steps of workflows that are ready for the pools of a configuration, as a round of placement sees them.

The steps of a lane ask for different things, other than the tasks of a graph in one lane. So a round sees a lane of its own
for all that ask for the same, and one that asks for too much holds up none of the others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

from interlock.decisions import pools as choosing
from interlock.decisions import steps
from interlock.decisions.pools import Asked, PoolView
from interlock.dispatch.configuration import Scheduling
from interlock.model.task_graph import TaskSpec
from interlock.store.ports import QueuedStep, QueuedTask, Store

_MORE: Final = 100
"""Steps that are read beyond those there is room for: so many may ask for too much, and others are placed all the same."""


@dataclass(slots=True)
class Waiting:
    """Ready steps by what they ask for. `asked`: the pools of each group, by lane; `names`: what people call each step."""

    heads: dict[str, list[QueuedTask]] = field(default_factory=dict)
    asked: dict[str, Asked] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)


async def lanes(store: Store, scheduling: Scheduling) -> list[str]:
    """Give the lanes that a pool of the configuration serves and that have a ready step."""
    served = {name for name, pool in scheduling.pools.items() if pool.type != "worker"}
    containers = [steps.PREFIX, *(f"{steps.PREFIX}{steps.NAMED}{name}" for name in sorted(served))]
    return await store.pools.step_lanes([*sorted(served - steps.NODE_POOLS), *containers])


async def look(
    store: Store, scheduling: Scheduling, lanes: Sequence[str], pools: Mapping[str, PoolView], most: int
) -> Waiting:
    """Give the first ready steps of lanes, at most `most` of each.

    Of a lane without room the first one only, so that what is wrong with it is told.
    """
    types = {name: pool.type for name, pool in scheduling.pools.items()}
    found = Waiting()
    for lane in lanes:
        room = _room(lane, types, pools, most)
        for step in await store.pools.steps(lane, min(room + _MORE, most) if room else 1):
            _add(found, lane, step, types, scheduling)
    return found


def _add(found: Waiting, lane: str, step: QueuedStep, types: Mapping[str, str], scheduling: Scheduling) -> None:
    spec = steps.spec(step.task, step.target, step.requires)
    group = f"{lane} {_asks(spec)}"
    if group not in found.asked:
        found.heads[group] = []
        asked = steps.asked(lane, spec, types, scheduling.mapping)
        found.asked[group] = choosing.preferred(asked, failover=scheduling.failover)
    found.names[step.task] = f"{step.run_id}{step.path}"
    found.heads[group].append(QueuedTask(task=step.task, lane=group, priority=step.priority, rank=step.rank, spec=spec))


def _asks(spec: TaskSpec) -> str:
    return msgspec.json.encode(msgspec.structs.replace(spec, id=""), order="sorted").decode()


def _room(lane: str, types: Mapping[str, str], pools: Mapping[str, PoolView], most: int) -> int:
    """Give how many steps of a lane may find a slot now."""
    name = steps.pool_of(lane)
    names = [name] if name else [name for name, type in types.items() if type in choosing.CONTAINERS]
    total = 0
    for pool in (pools[name] for name in names if name in pools):
        if pool.state == "enabled" and pool.ill is None:
            total += most if pool.room is None else pool.room
    return min(total, most)
