"""Random task graphs: what is loaded, and what must hold of it when all has ended."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from interlock.model.task import ShellTarget
from interlock.store.ports import GraphTask, NewTask
from simulation.ledger import Ledger

LIMIT: Final = "simulated graphs"
CAPACITY: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """`after`: the numbers of those it waits for, and whether it is skipped should one of them fail. `wait`: seconds before it
    is ready."""

    seconds: float
    after: tuple[tuple[int, bool], ...]
    limited: bool
    wait: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskGraph:
    """`at`: when it is loaded, in seconds."""

    id: str
    at: float
    tasks: tuple[Task, ...]

    def __str__(self) -> str:
        return f"graph {self.id} (at {self.at:.3f} s): {self.tasks}"

    def name(self, number: int) -> str:
        return f"{self.id}.{number}"

    def rows(self, now: float) -> list[GraphTask]:
        return [self._row(number, task, now) for number, task in enumerate(self.tasks)]

    def _row(self, number: int, task: Task, now: float) -> GraphTask:
        name = self.name(number)
        new = NewTask(
            task=name,
            run=self.id,
            effect=number,
            path=f"/tasks/{number}",
            pool="local",
            priority=number % 3,
            target=ShellTarget(command="simulated", arguments=(name, "1", "1", str(task.seconds))),
            folder="/",
            idempotency_key=name,
            attempt=1,
            any_exit_code=False,
        )
        return GraphTask(
            task=new,
            after={self.name(other): blocking for other, blocking in task.after},
            limits=[LIMIT] if task.limited else [],
            ready_at=now + task.wait if task.wait else None,
        )


def draw(chance: random.Random, id: str) -> TaskGraph:
    count = chance.randint(2, 9)
    return TaskGraph(id=id, at=chance.uniform(0.0, 3.0), tasks=tuple(_task(chance, number) for number in range(count)))


def _task(chance: random.Random, number: int) -> Task:
    before = [other for other in range(number) if chance.random() < 0.4]
    return Task(
        seconds=chance.choice((0.0, 0.01, 0.2, 1.5, 8.0)),
        after=tuple((other, chance.random() < 0.8) for other in before),
        limited=chance.random() < 0.5,
        wait=chance.choice((0.0, 0.0, chance.uniform(0.1, 3.0))),
    )


def smaller(graph: TaskGraph) -> Iterator[TaskGraph]:
    """Give graphs with one task less: the last, which nobody waits for."""
    if len(graph.tasks) > 1:
        yield TaskGraph(id=graph.id, at=graph.at, tasks=graph.tasks[:-1])


def violations(graph: TaskGraph, states: dict[str, str], ledger: Ledger) -> Iterator[str]:
    """What must hold when every task has ended. `states`: by task."""
    for number, task in enumerate(graph.tasks):
        name = graph.name(number)
        entries, state = ledger.of(name), states.get(name)
        before = [(graph.name(other), blocking) for other, blocking in task.after]
        spoiled = [other for other, blocking in before if blocking and states.get(other) != "done"]
        if state is None:
            yield f"the task {name} was loaded, and is not in the store"
        elif (state == "skipped") != bool(spoiled):
            yield f"the task {name} is {state}; of those that it waits for, {spoiled} did not succeed"
        if state == "skipped" and entries:
            yield f"the task {name} was skipped, and performed by {entries[0].actor}"
        if state == "done" and not any(entry.outcome == "done" for entry in entries):
            yield f"the task {name} is done, and nobody performed it"
        for other, _ in before:
            ended = [entry.ended for entry in ledger.of(other) if entry.outcome == "done"]
            if entries and states.get(other) == "done" and (not ended or min(ended) > entries[0].started):  # type: ignore[type-var]
                yield f"the task {name} began before {other}, which it waits for, was done"
