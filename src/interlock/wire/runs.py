"""Runs as requests and answers."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from interlock.model.json import Json

RunId = Annotated[str, Meta(min_length=1, max_length=128, description="The run's id, unique in its namespace.")]
Namespace = Annotated[str, Meta(min_length=1, max_length=63, pattern="^[A-Za-z0-9-]+$")]

Caller = Annotated[
    dict[str, Json],
    Meta(description="Whom to tell how the run ends: {url, secret, headers, deadline} or {temporal, deadline}."),
]


class StartRun(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What is to be run. The same id, workflow and input give the run that is there."""

    workflow: (
        Annotated[str, Meta(max_length=300, description="A published workflow: [namespace/]name[:version].")] | None
    ) = None
    document: (
        Annotated[
            str, Meta(description="Instead: the text of a workflow, in YAML or JSON. Needs the right to publish.")
        ]
        | None
    ) = None
    input: Annotated[Json, Meta(description="The input, any JSON.")] = None
    id: RunId | None = None
    namespace: Namespace | None = None
    callback: Caller | None = None


class RunInput(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One of many runs of the same workflow."""

    input: Json = None
    id: RunId | None = None
    callback: Caller | None = None


class StartRuns(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Many runs of one published workflow. Each is accepted by itself: `runs` of the answer says how."""

    workflow: Annotated[str, Meta(max_length=300)]
    runs: Annotated[list[RunInput], Meta(min_length=1, max_length=1000)]
    namespace: Namespace | None = None


class Started(msgspec.Struct, kw_only=True):
    """A run that was accepted, durably. `fresh` false: it was there before."""

    id: str
    namespace: str
    fresh: bool
    has_schedule: bool = False
    """Its document has one, which a run that is started does not follow."""


class StartedRuns(msgspec.Struct, kw_only=True):
    """In the order of the request."""

    runs: list[Started]


class Failure(msgspec.Struct, kw_only=True, omit_defaults=True):
    """An error as the specification has it (RFC 9457)."""

    type: str = ""
    status: int = 500
    title: str | None = None
    detail: str | None = None
    instance: str | None = None
    code: str | None = None
    details: Json = None


class RunTold(msgspec.Struct, kw_only=True):
    """A run as it stands. `key`: its own in the whole store."""

    key: str = ""
    id: str
    namespace: str
    workflow: str
    version: str
    status: str
    partial: bool
    created_at: float
    started_at: float | None = None
    ended_at: float | None = None
    output: Json = None
    error: Failure | None = None


class StepTold(msgspec.Struct, kw_only=True):
    """A step as it stands after its latest visit."""

    path: str
    name: str
    status: str
    began: float
    ended: float | None = None
    visits: int = 0
    attempts: int = 0
    error: Failure | None = None
    undo_error: Failure | None = None


class RunWhole(RunTold, kw_only=True):
    """A run with its steps."""

    steps: list[StepTold]
    epoch: int
    commits: int
    folder: str = ""
    rollback: Json = None
    forked_from: str | None = None
    shown: dict[str, Json] = {}
    attributes: dict[str, Json] = {}


class RunPage(msgspec.Struct, kw_only=True):
    """Runs, newest first. `next`: what `before` is for the page after it; null for the last page."""

    items: list[RunTold]
    next: str | None = None


class Cancel(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """`rollback`: what the run finished is undone first."""

    reason: Annotated[str, Meta(max_length=1000)] | None = None
    rollback: bool = False


class Fork(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A new run with a copy of the history up to `step`: its path, or a name that only one step has."""

    step: Annotated[str, Meta(min_length=1, max_length=1000)]
    id: RunId | None = None


class Acted(msgspec.Struct, kw_only=True):
    """`applied` false: the run had ended, or stood so already. What was asked for is durable; the run hears of it at once."""

    id: str
    namespace: str
    status: str
    applied: bool


class Result(msgspec.Struct, kw_only=True):
    """How a run ended. `output` is null unless it completed."""

    id: str
    namespace: str
    status: str
    output: Json = None
    error: Failure | None = None


class Happened(msgspec.Struct, kw_only=True):
    """One event of a history: `type` is its lifecycle name, `event` what it tells, `seq` the commit that it belongs to."""

    seq: int
    type: str
    event: dict[str, Json]


class History(msgspec.Struct, kw_only=True):
    """Events in causal order, whole commits. `next`: what `after` is for what comes after it; null when nothing has yet."""

    items: list[Happened]
    next: int | None = None


class LogPiece(msgspec.Struct, kw_only=True):
    """A piece of output as it came, not always a whole line."""

    number: int
    path: str
    attempt: int
    at: float
    stream: str
    text: str


class Logs(msgspec.Struct, kw_only=True):
    items: list[LogPiece]
    next: int | None = None


class TaskTold(msgspec.Struct, kw_only=True):
    """A task that a run has in a pool."""

    task: str
    path: str
    pool: str
    state: str
    attempt: int
    holder: str | None = None


class Tasks(msgspec.Struct, kw_only=True):
    items: list[TaskTold]
