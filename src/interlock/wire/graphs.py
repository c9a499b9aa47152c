"""Task graphs, their tasks and pools as requests and answers. A state is a word: blocked, ready, held, running, delayed,
quarantined, done, failed, cancelled or skipped."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from interlock.model.json import Json


class LoadGraph(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A task graph: its document as JSON, or its text in YAML or JSON. `folder`: on the server's machine, absolute, where its
    tasks start; null for the server's own."""

    document: dict[str, Json] | str
    folder: Annotated[str, Meta(min_length=1, max_length=4096)] | None = None


class LoadedTold(msgspec.Struct, kw_only=True):
    """What a load did, by the ids of tasks. `same`: how many were as before. `corrected`: changed, and over without success,
    so that it counts when they are tried again. `kept`: they run or are done, so that a changed definition is not taken.
    `absent`: in the store, and not in the document any more: they stay. `folder`: where tasks start. `served`: a node places
    tasks now."""

    graph: str
    namespace: str
    added: list[str]
    changed: list[str]
    same: int
    kept: list[str]
    absent: list[str]
    folder: str
    served: bool
    corrected: list[str] = []


class GraphTold(msgspec.Struct, kw_only=True):
    """A graph. `tasks`: how many it has; `states`: how many are in each state that one is in. `loads`: how often it was
    loaded, 0 while its first load is under way. `run`: the id of the run that loaded it and goes on when it has ended, null
    for none."""

    graph: str
    namespace: str
    tasks: int
    states: dict[str, int]
    loads: int
    loaded_at: float | None
    digest: str
    run: str | None = None


class GraphWhole(GraphTold, kw_only=True):
    """A graph, where its tasks start, and whether a node places tasks now (`served`)."""

    folder: str
    served: bool


class GraphSource(msgspec.Struct, kw_only=True):
    """What the author of a graph wrote, as JSON: that of the last load."""

    graph: str
    namespace: str
    digest: str
    document: Json


class Graphs(msgspec.Struct, kw_only=True):
    """By namespace and name. `next`: `after` for the page that follows; null for none."""

    items: list[GraphTold]
    next: str | None = None


class GraphTaskTold(msgspec.Struct, kw_only=True):
    """A task of a graph. `task`: GRAPH/ID. `number`: its place in the graph. `pool`: where it runs or ran, else null.
    `attempts`: how often its work may be executed. `retries`: those that it had, by failure class. `held_by`: the limit that
    is full. `node`: which has its lease. `cancel`: it was asked to stop. `lane`: while it is ready, what it asks of pools;
    tasks with the same one wait for the same."""

    task: str
    id: str
    graph: str
    namespace: str
    number: int
    state: str
    pool: str | None
    attempt: int
    attempts: int
    priority: int
    retries: dict[str, int]
    node: str | None
    created_at: float
    ready_at: float | None
    ended_at: float | None
    held_by: str | None
    cancel: bool
    title: str
    dependencies: list[str]
    skills: list[str]
    lane: str | None = None


class GraphTasks(msgspec.Struct, kw_only=True):
    """In the order of the graph. `next`: `after` for the page that follows; null for none."""

    items: list[GraphTaskTold]
    next: int | None = None


class TryTold(msgspec.Struct, kw_only=True):
    """One attempt. `outcome` null: it is not over. `detail`: its result or its fault. `placed_at`: when it was given its
    place; `started_at`: when the pool had begun it, null: not yet, or never, or nobody lived to tell."""

    attempt: int
    fence: int
    pool: str
    node: str
    placed_at: float
    started_at: float | None
    ended_at: float | None
    outcome: str | None
    failure: str | None
    detail: Json = None


class TaskEventTold(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What happened to a task: `type` is task.assigned, runner.started, runner.finished, task.completed, task.failed or
    task.cancelled. `seconds`: how long the attempt ran, and at the end of the task since its first attempt was placed."""

    type: str
    time: float
    attempt: int
    runner: str | None = None
    pool: str | None = None
    node: str | None = None
    seconds: float | None = None
    outcome: str | None = None
    failure: str | None = None
    retries: int | None = None


class GraphTaskWhole(GraphTaskTold, kw_only=True):
    """A task with what its author wrote of it, its last attempts, the latest first, and the events of these, the first one
    first. `memory`: megabytes."""

    kind: str
    description: str
    pools: list[str]
    labels: dict[str, str]
    cpu: float
    memory: float
    gpus: int
    key: str
    optional: bool
    timeout_seconds: float | None
    deadline: float | None
    expected_seconds: float | None
    inputs: Json
    metadata: dict[str, Json]
    tries: list[TryTold]
    events: list[TaskEventTold]


class CandidateTold(msgspec.Struct, kw_only=True, omit_defaults=True):
    """`score`: the higher the better; null: the pool could not have the task, for this `reason`."""

    pool: str
    score: float | None = None
    reason: str = ""


class PlacementTold(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Why an attempt was where it was."""

    strategy: str
    chosen: str
    reason: str
    asked: str
    candidates: list[CandidateTold] = []
    policy: str = ""


class Budget(msgspec.Struct, kw_only=True):
    """Retries for a class of failure: how many were used of how many."""

    used: int
    of: int


class Explained(GraphTaskTold, kw_only=True):
    """Why a task is where it is. `policy`: which orders what waits. `asked`: by what its pools were found; `warning`: what is
    wrong with that. `waits_for`: other tasks. `now`: why each pool that it may have could not take it at present; null: it
    could. `placements`: of its attempts, the latest first. `budgets`: of the classes in which its attempts failed."""

    asked: str
    warning: str | None
    waits_for: list[str]
    now: dict[str, str | None]
    placements: list[PlacementTold]
    tries: list[TryTold]
    budgets: dict[str, Budget]
    policy: str = ""


class StepExplained(msgspec.Struct, kw_only=True):
    """Why the task of a step of a run is there. `pool`: where it runs or ran, else null. `asked`: by what its pools were
    found, empty once it does not wait; `warning`: what is wrong with that. `now`: why each pool that it may have, or each
    worker of the pool that it names, could not take it at present; null: it could. `placements`: in pools of nodes'
    configurations, the latest first; workers claim by themselves."""

    run: str
    namespace: str
    path: str
    task: str
    state: str
    pool: str | None
    node: str | None
    attempt: int
    asked: str
    warning: str | None
    now: dict[str, str | None]
    placements: list[PlacementTold]


class Reprioritise(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The higher the sooner."""

    priority: Annotated[int, Meta(ge=-1_000_000, le=1_000_000)]


class CancelledTasks(msgspec.Struct, kw_only=True):
    """How many tasks were cancelled, or asked to stop."""

    count: int


class IllTold(msgspec.Struct, kw_only=True):
    """A node that cannot launch in a pool, and when it tries again."""

    node: str
    reason: str
    again_at: float


class PoolTold(msgspec.Struct, kw_only=True):
    """A pool and what live attempts take of it; null: no bound. `state`: enabled, disabled or draining. `placed`: how many
    tasks were placed in it. `routed`: those that wait for its workers. `memory`: megabytes. `warnings`: quotas that are used
    up. `served`: false where nodes are live and none of them has it in its configuration."""

    pool: str
    type: str
    state: str
    running: int
    capacity: int | None
    cpu: float | None
    cpu_taken: float
    memory: float | None
    memory_taken: float
    gpus: int | None
    devices_taken: list[int]
    placed: int
    routed: int
    ills: list[IllTold]
    warnings: list[str]
    served: bool = True


class Pools(msgspec.Struct, kw_only=True):
    """`running`: attempts of graphs in all pools together; `capacity`: how many there may be, null for no bound. `policy`: by
    which tasks are ordered; `configured`: the one that the nodes' configuration names."""

    items: list[PoolTold]
    running: int = 0
    capacity: int | None = None
    policy: str = ""
    configured: str = ""


class ChoosePolicy(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A scheduling policy; null for the configured one."""

    policy: Annotated[str, Meta(min_length=1, max_length=200)] | None


class PolicyChosen(msgspec.Struct, kw_only=True):
    """The policy in force. `changed` false: it was so before. `stamped`: how many tasks got a new place in the order."""

    policy: str
    configured: str
    changed: bool
    stamped: int


class PoolMoved(PoolTold, kw_only=True):
    """A pool as it is now. `changed` false: it was so before."""

    changed: bool
