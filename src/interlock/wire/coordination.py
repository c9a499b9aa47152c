"""Locks, shared memory, workers and nodes as requests and answers."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from interlock.model.json import Json

Holder = Annotated[str, Meta(min_length=1, max_length=200)]
Seconds = Annotated[float, Meta(ge=1, le=31_536_000)]


class AcquireLock(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """`nonce`: the same for the same request, so that asking again after a lost answer gives the same grant."""

    holder: Holder
    ttl: Seconds = 300.0
    mode: str = "exclusive"
    limit: Annotated[int, Meta(ge=1, le=1_000_000)] = 1
    nonce: Annotated[str, Meta(min_length=1, max_length=200)] | None = None
    metadata: dict[str, Json] = {}


class GrantNumber(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A grant of a lock: who holds it, and its fence."""

    holder: Holder
    fence: Annotated[int, Meta(ge=1, le=2**62)]


class HeldLock(msgspec.Struct, kw_only=True):
    name: str
    holder: str
    fence: int
    mode: str
    limit: int
    acquired_at: float
    expires_at: float
    ttl: float
    metadata: dict[str, Json] = {}


class Locks(msgspec.Struct, kw_only=True):
    items: list[HeldLock]


class LockStanding(msgspec.Struct, kw_only=True):
    """`waiting`: who stands in its queue, in order."""

    name: str
    holders: list[HeldLock]
    waiting: list[str] = []


class Renewal(msgspec.Struct, kw_only=True):
    """`held` false: the grant is over; stop at once."""

    held: bool


class Freed(msgspec.Struct, kw_only=True):
    """How many grants of locks there were, and are no more."""

    count: int


class SetCell(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """`base`: only if this version is there (0: none). `resolver`: what to do when another one is."""

    value: Json
    ttl: Annotated[float, Meta(gt=0, le=31_536_000)] | None = None
    base: Annotated[int, Meta(ge=0, le=2**62)] | None = None
    resolver: str | None = None


class CellTold(msgspec.Struct, kw_only=True):
    space: str
    key: str
    value: Json
    version: int
    stamp: int
    writer: str
    changed_at: float
    expires_at: float | None = None


class Cells(msgspec.Struct, kw_only=True):
    items: list[CellTold]


class DeletedCell(msgspec.Struct, kw_only=True):
    space: str
    key: str
    deleted: bool


class WorkerTold(msgspec.Struct, kw_only=True):
    worker: str
    status: str
    host: str
    pid: int
    capacity: int
    active: int
    free: int
    task_types: list[str]
    skills: list[str]
    region: str | None
    heard_at: float | None
    registered_at: float
    metadata: dict[str, Json]
    cpu_cores: float = 1.0
    memory_mb: float = 0.0
    device: dict[str, Json] = {}
    """How its machine is, as its last heartbeat told."""
    silent_seconds: float | None = None
    may_be_silent_seconds: float = 120.0
    ended_at: float | None = None
    succeeded: int = 0
    failed: int = 0
    busy_seconds: float = 0.0
    assigned: int = 0
    since_failure_seconds: float | None = None


class SlotTold(msgspec.Struct, kw_only=True):
    """A task that a worker was given. `started`: it is at work on it."""

    task: str
    started: bool
    since: float


class WorkerWhole(WorkerTold, kw_only=True):
    """A worker with the tasks that it was given."""

    tasks: list[SlotTold]


class WorkerHappened(msgspec.Struct, kw_only=True):
    number: int
    at: float
    worker: str
    kind: str
    detail: Json = None


class WorkerHistory(msgspec.Struct, kw_only=True):
    """What became of workers in the last day, the oldest first."""

    items: list[WorkerHappened]


class Workers(msgspec.Struct, kw_only=True):
    items: list[WorkerTold]


class NodeTold(msgspec.Struct, kw_only=True):
    node: str
    host: str
    pid: int
    roles: list[str]
    version: str
    state: str
    runs: int
    attempts: int
    since: float | None = None
    pinned: bool = False
    """It serves only the run of a command."""
    unready: list[str] = []
    refusals: dict[str, str] = {}
    """Definitions that it cannot execute, and why."""
    left: float | None = None


class Nodes(msgspec.Struct, kw_only=True):
    items: list[NodeTold]
