"""What a load of a graph, or another try of a task, has to do by what is stored, before anything is written. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final

import msgspec

from interlock.model import task_graph
from interlock.model.states import TaskState
from interlock.store.ports import GraphTask, LoadedGraph

OVER: Final = frozenset({TaskState.DONE, TaskState.FAILED, TaskState.CANCELLED, TaskState.SKIPPED})
WITHOUT_SUCCESS: Final = OVER - {TaskState.DONE}
_KEPT: Final = frozenset({TaskState.RUNNING, TaskState.DONE})


class Known(msgspec.Struct, frozen=True):
    """A task as it is stored."""

    task: str
    number: int
    state: TaskState
    spec: task_graph.TaskSpec


class Changes(msgspec.Struct, frozen=True):
    """What a load has to do. `corrected`: changed ones that ended without success; `fresh`: the tasks that it adds."""

    new: Sequence[GraphTask]
    changed: Sequence[GraphTask]
    corrected: Sequence[GraphTask]
    fresh: frozenset[str]
    total: int
    report: LoadedGraph

    def inner(self, each: GraphTask) -> dict[str, bool]:
        """Give what a task waits for that is new itself."""
        return {p: blocking for p, blocking in each.after.items() if p in self.fresh}

    def outer(self, each: GraphTask) -> dict[str, bool]:
        """Give what a task waits for that was stored before, and may end meanwhile."""
        return {p: blocking for p, blocking in each.after.items() if p not in self.fresh}

    def is_gated(self, each: GraphTask) -> bool:
        """Say whether a new task waits for the gate: others wait for one that does."""
        return not self.inner(each) or bool(self.outer(each))


def changes_of(tasks: Sequence[GraphTask], known: Mapping[str, Known]) -> Changes:
    """Find what is new and what has changed; numbers of new tasks go on behind those that are stored."""
    last = max((each.number for each in known.values()), default=0)
    new: list[GraphTask] = []
    changed: list[GraphTask] = []
    corrected: list[GraphTask] = []
    kept: list[str] = []
    same = 0
    for each in tasks:
        assert each.spec is not None
        old = known.get(each.spec.id)
        if old is None:
            last += 1
            numbered = msgspec.structs.replace(each.task, effect=last if known else each.task.effect)
            new.append(msgspec.structs.replace(each, task=numbered))
        elif old.spec.digest == each.spec.digest:
            same += 1
        elif old.state in _KEPT:
            kept.append(each.spec.id)
        elif old.state in WITHOUT_SUCCESS:
            corrected.append(each)
        else:
            changed.append(each)
    named = {each.spec.id for each in tasks if each.spec is not None}
    report = LoadedGraph(
        added=[each.task.path for each in new],
        changed=[each.task.path for each in changed],
        same=same,
        corrected=[each.task.path for each in corrected],
        kept=kept,
        absent=[id for id in known if id not in named],
    )
    fresh = frozenset(each.task.task for each in new)
    return Changes(new, changed, corrected, fresh, len(known) + len(new), report)


class Again(msgspec.Struct, frozen=True):
    """What another try of a task has to do. `behind`: the tasks that were skipped because of it, by key.

    A wait is the key of a predecessor, that of the task, and whether the first has to succeed: `own` are those of the task
    itself and `outer` those of the tasks behind it, both for others, which may be over by the time that this is written;
    `inner` are those among tasks that are tried again.
    """

    behind: Sequence[str]
    own: Sequence[tuple[str, str, bool]]
    inner: Sequence[tuple[str, str, bool]]
    outer: Sequence[tuple[str, str, bool]]


def tried_again(id: str, known: Mapping[str, Known]) -> Again:
    """Find what another try of a task has to do; it may have been given other predecessors since it ended."""
    behind = _behind(id, known)
    tried = {id, *behind}
    waits = sorted(
        (known[predecessor].task, known[name].task, blocking, predecessor in tried)
        for name in tried
        for predecessor, blocking in known[name].spec.dependencies.items()
        if predecessor in tried or known[predecessor].state not in OVER
    )
    task = known[id].task
    return Again(
        behind=[known[name].task for name in behind],
        own=[(before, each, blocking) for before, each, blocking, is_inner in waits if each == task and not is_inner],
        inner=[(before, each, blocking) for before, each, blocking, is_inner in waits if is_inner],
        outer=[(before, each, blocking) for before, each, blocking, is_inner in waits if each != task and not is_inner],
    )


def _behind(id: str, known: Mapping[str, Known]) -> list[str]:
    """Give the tasks that were skipped because of one, directly or behind another such, and because of none that stays so."""
    successors: dict[str, list[str]] = {}
    for name, each in known.items():
        for predecessor, blocking in each.spec.dependencies.items():
            if blocking:
                successors.setdefault(predecessor, []).append(name)
    found = set(_reached(id, successors, known))
    while left := {name for name in found if _stays_skipped(known[name], found | {id}, known)}:
        found -= left
    return sorted(found)


def _reached(id: str, successors: Mapping[str, Sequence[str]], known: Mapping[str, Known]) -> Iterator[str]:
    seen = {id}
    open_ = [id]
    while open_:
        for name in successors.get(open_.pop(), ()):
            if name not in seen and known[name].state is TaskState.SKIPPED:
                seen.add(name)
                open_.append(name)
                yield name


def _stays_skipped(task: Known, tried: Collection[str], known: Mapping[str, Known]) -> bool:
    """Say whether a task has to have another one's success that ended without, and is not tried again."""
    return any(
        blocking and predecessor not in tried and known[predecessor].state in WITHOUT_SUCCESS
        for predecessor, blocking in task.spec.dependencies.items()
    )
