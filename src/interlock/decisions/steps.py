"""What a step of a workflow asks of the pools of a configuration. Pure: nothing is read here.

A step that names a pool stands in the lane of that name, whoever serves it: workers, or a node whose configuration has that
pool. A container needs a pool of containers, which no worker is; so it stands in a lane that only placement reads, with the
name of its pool, if it has one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from interlock.decisions.pools import CONTAINERS, DEFAULT, Asked, unmapped
from interlock.model.call import Requirements
from interlock.model.task import ContainerTarget, PythonTarget, Resources, Target
from interlock.model.task_graph import TaskSpec

PREFIX: Final = "?step=container"
"""What the lanes of containers begin with, and the lane of those whose author named no pool."""
LOCAL: Final = "local"
"""The pool of the node itself, for whose steps no author named one."""
NODE_POOLS: Final = frozenset({LOCAL, "in-process"})
"""Whose lanes are the node's own: it performs their steps itself, whatever pool is called so, but for containers."""
NAMED: Final = ",pool="
"""What stands between PREFIX and the name of a pool."""
NO_CONTAINERS: Final = "no pool of the type docker or kubernetes is configured: add one to agent-pools.yaml"


def lane(pool: str, target: Target) -> str:
    """Give the lane of a step whose author named this pool, or of one for the node itself (`local`)."""
    if not isinstance(target, ContainerTarget):
        return pool
    return PREFIX if pool == LOCAL else f"{PREFIX}{NAMED}{pool}"


def pool_of(lane: str) -> str:
    """Give the pool that a lane of steps names, "" for any pool of containers."""
    return lane.removeprefix(PREFIX).removeprefix(NAMED)


def spec(task: str, target: Target, requires: Requirements | None) -> TaskSpec:
    """Give a step as a pool sees it. Region and type, which workers tell of themselves, are labels of a pool."""
    asks = requires or Requirements()
    kind = (
        "container" if isinstance(target, ContainerTarget) else "python" if isinstance(target, PythonTarget) else "run"
    )
    labels = {"region": asks.region or "", "type": asks.type}
    return TaskSpec(
        id=task,
        digest="",
        kind=kind,
        skills=asks.skills,
        labels={name: value for name, value in labels.items() if value},
        resources=Resources(cpu=asks.cpu, memory=asks.memory),
    )


def asked(lane: str, spec: TaskSpec, types: Mapping[str, str], mapping: Mapping[str, Sequence[str]]) -> Asked:
    """Give the pools that a step may have. `types`: of the pools, by name; `mapping`: pools by skill."""
    named = pool_of(lane)
    containers = tuple(name for name, type in types.items() if type in CONTAINERS)
    how = f"named by the step: {named}" if named else f"every pool of containers: {', '.join(containers) or 'none'}"
    found = (named,) if named else containers
    if not found:
        return Asked((), how, NO_CONTAINERS)
    if not spec.skills:
        return Asked(found, how)
    if set(mapping) <= {DEFAULT}:  # nobody has said which pools have which skills
        return Asked(found, how, unmapped(spec.skills))
    able = tuple(name for name in found if all(name in mapping.get(skill, ()) for skill in spec.skills))
    skills = " and ".join(spec.skills)
    warning = None if able else f"skill_mapping gives the skill {skills} to none of {', '.join(found)}"
    return Asked(able, f"{how}, of which {', '.join(able) or 'none'} has the skill {skills}", warning)
