"""Random task graphs that dispatchers place in pools: what is loaded and cancelled, and what must hold when all has ended."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

from interlock.app.tasks import TaskGraphs
from interlock.flow.taskgraph import document
from interlock.flow.taskgraph.document import GraphDocument
from interlock.model.json import Json
from simulation.ledger import Entry, Ledger

KEY: Final = "simulated places"
AT_ONCE: Final = 2
RETRIES: Final = 2
"""Of what fails by itself. What machines lose is tried again as often as it takes."""
_LOSSES: Final = 100
WORKFLOW: Final = json.dumps(
    {
        "document": {"dsl": "1.0.3", "namespace": "default", "name": "placed", "version": "1.0.0"},
        "do": [
            {
                "work": {
                    "run": {
                        "shell": {"command": "simulated", "arguments": [f"${{ .[{number}] }}" for number in range(5)]}
                    },
                    "metadata": {"interlock": {"retry": {"lost": 10, "launch": 10}}},
                }
            }
        ],
    }
)
"""What a task that is a workflow runs: one step that does what the program of another task would."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """`fails`: how often it fails before it succeeds. `after`: as in `graphs`. `limited`: it shares a concurrency of two.
    `is_workflow`: it is a run that does the same."""

    seconds: float
    fails: int
    after: tuple[tuple[int, bool], ...]
    limited: bool
    priority: int
    is_workflow: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedGraph:
    """`at`: when it is loaded, in seconds. `cancels`: the number of a task, and how long after that somebody cancels it."""

    id: str
    at: float
    tasks: tuple[Task, ...]
    cancels: tuple[tuple[int, float], ...] = ()

    def __str__(self) -> str:
        return f"placed graph {self.id} (at {self.at:.3f} s, cancels {self.cancels}): {self.tasks}"

    @property
    def key(self) -> str:
        return f"default/{self.id}"

    def name(self, number: int) -> str:
        return f"{self.key}/t{number}"

    def document(self) -> GraphDocument:
        retry: Json = {
            "initial_interval": "500ms",
            "application": RETRIES,
            "lost": _LOSSES,
            "launch": _LOSSES,
            "preempted": _LOSSES,
        }
        tasks: list[Json] = [self._task(number, task) for number, task in enumerate(self.tasks)]
        return document.graph({"graph": self.id, "defaults": {"retry": retry}, "tasks": tasks})

    def _task(self, number: int, task: Task) -> Json:
        name = self.name(number)
        arguments: list[Json] = [name, "1", "1", str(task.seconds), str(task.fails)]
        target: dict[str, Json] = {"run": {"shell": "simulated", "arguments": arguments}}
        if task.is_workflow:
            target = {"workflow": {"name": "placed", "version": "1.0.0", "input": arguments}}
        told: dict[str, Json] = target | {
            "id": f"t{number}",
            "priority": task.priority,
            "dependencies": [{"id": f"t{other}", "blocking": blocking} for other, blocking in task.after],
        }
        return told | ({"concurrency": {"key": KEY, "limit": AT_ONCE}} if task.limited else {})


async def cancel(graphs: TaskGraphs, graph: PlacedGraph, number: int) -> None:
    await graphs.cancel(await graphs.find(f"{graph.id}/t{number}"))


def draw(seed: int) -> tuple[PlacedGraph, ...]:
    """Give the graphs of a seed; of most there are none. They do not depend on what else is drawn."""
    chance = random.Random(f"placed {seed}")
    return (_graph(chance, f"p{seed}"),) if chance.random() < 0.2 else ()


def _graph(chance: random.Random, id: str) -> PlacedGraph:
    count = chance.randint(2, 9)
    cancels = ((chance.randrange(count), chance.uniform(0.0, 6.0)),) if chance.random() < 0.25 else ()
    workflows = random.Random(f"workflows {id}")
    tasks = tuple(replace(_task(chance, number), is_workflow=workflows.random() < 0.3) for number in range(count))
    return PlacedGraph(id=id, at=chance.uniform(0.0, 3.0), tasks=tasks, cancels=cancels)


def _task(chance: random.Random, number: int) -> Task:
    before = [other for other in range(number) if chance.random() < 0.4]
    return Task(
        seconds=chance.choice((0.0, 0.01, 0.2, 1.5, 8.0)),
        fails=chance.choice((0, 0, 0, 0, 1, RETRIES, RETRIES + 1)),
        after=tuple((other, chance.random() < 0.8) for other in before),
        limited=chance.random() < 0.5,
        priority=chance.randrange(3),
    )


def smaller(graph: PlacedGraph) -> Iterator[PlacedGraph]:
    """Give graphs with less in them: no cancellation, or without the last task, which nobody waits for."""
    if graph.cancels:
        yield replace(graph, cancels=())
    last = len(graph.tasks) - 1
    if last:
        cancels = tuple(each for each in graph.cancels if each[0] < last)
        yield replace(graph, tasks=graph.tasks[:last], cancels=cancels)


def violations(
    graph: PlacedGraph,
    states: dict[str, str],
    decided: Counter[str],
    ledger: Ledger,
    repetitions: int,
    zombies: bool,
    runs: dict[str, Counter[str]],
) -> Iterator[str]:
    """What must hold when every task has ended. `states`: by task. `decided`: how often each was placed, as the decisions
    say. `repetitions`: how often something struck that a task may have been performed again for. `zombies`: nodes were
    stopped, and went on with what others had by then. `runs`: by task, how many runs it had of each status."""
    for number, task in enumerate(graph.tasks):
        name = graph.name(number)
        entries, state = ledger.of(name), states.get(name)
        if state is None:
            yield f"the task {name} was loaded, and is not in the store"
            continue
        yield from _ended(graph, number, state, states, repetitions)
        yield from _performed(name, task, state, entries, repetitions)
        yield from _ran(name, task, state, runs.get(name, Counter()))
        if entries and not decided[name]:
            yield f"the task {name} was performed, and no decision says why there"
        for other, _ in task.after:
            other_name = graph.name(other)
            ended = [entry.ended for entry in ledger.of(other_name) if entry.outcome == "done"]
            if entries and states.get(other_name) == "done" and (not ended or min(ended) > entries[0].started):  # type: ignore[type-var]
                yield f"the task {name} began before {other_name}, which it waits for, was done"
    if not zombies:
        yield from _crowded(graph, ledger)


def _ended(graph: PlacedGraph, number: int, state: str, states: dict[str, str], repetitions: int) -> Iterator[str]:
    """A task ends as what it does and what it waits for say, unless it was cancelled.

    One that fails too often may succeed all the same where a machine was lost: a failure that nobody learnt of counts as that.
    """
    task, name = graph.tasks[number], graph.name(number)
    before = [(graph.name(other), blocking) for other, blocking in task.after]
    spoiled = [other for other, blocking in before if blocking and states.get(other) != "done"]
    may_be_cancelled = any(number == cancelled for cancelled, _ in graph.cancels)
    if state == "cancelled" and may_be_cancelled:
        return
    if state == "done" and not spoiled and task.fails <= RETRIES + repetitions:
        return
    wanted = "skipped" if spoiled else "failed" if task.fails > RETRIES else "done"
    if state != wanted:
        yield f"the task {name} is {state}; it should be {wanted} (it fails {task.fails} times; {spoiled} did not succeed)"


def _performed(name: str, task: Task, state: str, entries: list[Entry], repetitions: int) -> Iterator[str]:
    done = sum(entry.outcome == "done" for entry in entries)
    if state == "skipped" and entries:
        yield f"the task {name} was skipped, and performed by {entries[0].actor}"
    if state == "done" and not done:
        yield f"the task {name} is done, and nobody performed it"
    allowed = 1 + min(task.fails, RETRIES) + repetitions
    if len(entries) > allowed:
        yield f"the task {name} was performed {len(entries)} times; at most {allowed} are explained by faults"


def _ran(name: str, task: Task, state: str, runs: Counter[str]) -> Iterator[str]:
    """A task has a run for each time that it failed, and one more; whoever watched them, and however often that died."""
    if runs and not task.is_workflow:
        yield f"the task {name} is a program, and has the runs {runs}"
    if runs["faulted"] > RETRIES + 1 or runs["completed"] > 1 or runs["cancelled"] > 1:
        yield f"the task {name} has more runs than failures explain: {runs}"
    if task.is_workflow and state == "done" and runs["completed"] != 1:
        yield f"the task {name} is done, and its runs are {runs}"


def _crowded(graph: PlacedGraph, ledger: Ledger) -> Iterator[str]:
    """No more tasks than their concurrency allows are at work at once."""
    limited = {graph.name(number) for number, task in enumerate(graph.tasks) if task.limited}
    working: list[Any] = []
    for entry in ledger.entries:
        if entry.at in limited:
            working = [other for other in working if other.ended is None or other.ended > entry.started] + [entry]
            if len(working) > AT_ONCE:
                yield f"{[other.at for other in working]} were at work at once; {AT_ONCE} may be"
