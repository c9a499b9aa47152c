"""What the rest of Interlock may ask of a store, split by guarantee.

    Journal   serialisable per run: compare-and-append, fenced by the run's epoch
    Queue     at-least-once, leased, fenced
    Nodes     leases of nodes, and the runs and tasks of the dead
    Bell      wake-ups only; may be lost or doubled
    Views     read-only, may be stale

Every call is one transaction. `now` is UTC seconds; where it may be None, None is the present by the store's own clock, so
that leases do not depend on the clocks of different machines. A call whose store is away raises
StoreUnavailable; nothing of it was applied, or (a lost reply) repeating it changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Protocol

import msgspec

from interlock.model.json import Json
from interlock.model.states import RunStatus, TaskState
from interlock.model.task import Outcome, Target


class _Row(msgspec.Struct, frozen=True, kw_only=True):
    pass


# -- journal ---------------------------------------------------------------------------------------------------------


class NewRun(_Row, frozen=True, kw_only=True):
    """A run to accept. `owner`: the node that will execute it, None for whichever can.

    `origin`: the run whose history it begins with, None for a run of its own.
    """

    run: str
    namespace: str
    id: str
    definition: str
    workflow: str
    version: str
    input: bytes
    folder: str
    owner: str | None
    origin: str | None = None


class NewTask(_Row, frozen=True, kw_only=True):
    """A queued effect: everything that a pool needs to perform it."""

    task: str
    run: str
    effect: int
    path: str
    pool: str
    priority: int
    target: Target
    folder: str
    idempotency_key: str
    attempt: int
    any_exit_code: bool


class Batch(_Row, frozen=True, kw_only=True):
    """One commit of one run: applied whole, or not at all when `epoch` or `seq` is no longer the run's.

    `seq` is the number of commits before this one. `history`: the events of this commit as a JSON array. `scopes`: changed
    scope rows by id, None to delete; the root stands in `head`. `large`: texts by digest, stored before the commit.
    `consumed`: inbox rows that this commit applies. `cancelled_tasks`: effects that nobody waits for any more.
    """

    run: str
    epoch: int
    seq: int
    at: float
    history: bytes
    status: RunStatus
    wake_at: float | None
    head: bytes
    scopes: Mapping[str, bytes | None] = {}
    large: Mapping[str, bytes] = {}
    output: bytes | None = None
    fault: bytes | None = None
    partial: bool = False
    started_at: float | None = None
    ended: bool = False
    tasks: Sequence[NewTask] = ()
    cancelled_tasks: Sequence[int] = ()
    consumed: Sequence[int] = ()
    accept: NewRun | None = None
    """The run begins with this commit: its row is inserted instead of compared."""
    release: bool = False
    """Give the run back: nobody owns it after this commit."""


class Committed(StrEnum):
    APPLIED = "applied"
    STALE = "stale"  # the run has another epoch or seq: the committer must drop it
    EXISTS = "exists"  # `accept` of an id that is taken


class InboxRow(_Row, frozen=True, kw_only=True):
    """Something that happened to a run from outside, in the order of `number`."""

    number: int
    run: str
    cause: bytes


class StoredRun(_Row, frozen=True, kw_only=True):
    """A run as it is loaded for execution; `large`: every text its rows refer to."""

    run: str
    namespace: str
    id: str
    definition: str
    folder: str
    epoch: int
    seq: int
    status: RunStatus
    input: bytes
    head: bytes
    scopes: Mapping[str, bytes]
    output: bytes | None
    fault: bytes | None
    inbox: Sequence[InboxRow]


class HistoryRow(_Row, frozen=True, kw_only=True):
    seq: int
    at: float
    epoch: int
    events: bytes


class Claimed(_Row, frozen=True, kw_only=True):
    """A run that a node now owns. `was_live`: it had begun, so effects may have been in flight."""

    run: str
    epoch: int
    wake_at: float | None
    was_live: bool


class Definition(_Row, frozen=True, kw_only=True):
    digest: str
    namespace: str
    name: str
    version: str
    source: str
    published_at: float | None = None


class Journal(Protocol):
    async def commit(self, batch: Batch) -> Committed:
        """Apply a batch. Durable when it returns APPLIED."""
        ...

    async def sweep(self, before: float) -> int:
        """Delete large texts stored before a moment that no commit came to refer to, and what the inbox holds for runs
        that have ended; gives how many parts of texts."""
        ...

    async def load(self, run: str) -> StoredRun | None:
        """Give a run with its open scopes and its inbox."""
        ...

    async def texts(self, run: str, digests: Sequence[str]) -> dict[str, bytes]:
        """Give large texts of a run by digest; those that do not exist are left out."""
        ...

    async def post(self, run: str, cause_id: str, cause: bytes, actor: str, now: float) -> bool:
        """Put a cause into a run's inbox and into the audit log. False: the run has ended. Idempotent by `cause_id`."""
        ...

    async def reopen(self, run: str, node: str | None, actor: str, now: float) -> int | None:
        """Give a faulted run to a node (None: any) with a new epoch; None when it is not faulted."""
        ...

    async def inbox(self, node: str) -> list[InboxRow]:
        """Give what waits for the runs that a node owns, in order."""
        ...

    async def history(self, run: str, after: int, limit: int) -> list[HistoryRow]:
        """Give commits of a run with seq > `after`, ascending."""
        ...

    async def define(self, definition: Definition) -> None:
        """Store a definition by its digest; idempotent."""
        ...

    async def definition(self, digest: str) -> Definition | None: ...

    async def publish(self, definition: Definition, actor: str, now: float) -> str:
        """Fix `name:version` to a digest; gives the digest that it is fixed to, another one when it was taken."""
        ...

    async def published(self, namespace: str, name: str, version: str | None) -> Definition | None:
        """Give a published definition; `version` None for the newest by semantic version."""
        ...


# -- queue -----------------------------------------------------------------------------------------------------------


class ClaimedTask(_Row, frozen=True, kw_only=True):
    task: str
    run: str
    effect: int
    path: str
    fence: int
    target: Target
    folder: str
    idempotency_key: str
    attempt: int
    any_exit_code: bool
    namespace: str
    """Of its run; empty for a task of a graph, which belongs to no run."""
    run_id: str


class TaskRow(_Row, frozen=True, kw_only=True):
    task: str
    run: str
    effect: int
    path: str
    pool: str
    state: TaskState
    attempt: int
    holder: str | None


class LogLine(_Row, frozen=True, kw_only=True):
    """A piece of output, as it came: not always a whole line. `number` grows and is the cursor.

    When it is written, `number` is the writer's own: from 1, growing with every piece.
    """

    number: int
    path: str
    attempt: int
    at: float
    stream: str
    text: str


class GraphTask(_Row, frozen=True, kw_only=True):
    """A task of a graph. `task.run` is the graph's key, `task.effect` the task's number in it.

    `after`: the tasks it waits for; True when it is skipped should that one not succeed. `limits`: the names of those that
    its lease counts against. `ready_at`: not before, None for at once.
    """

    task: NewTask
    after: Mapping[str, bool] = {}
    limits: Sequence[str] = ()
    ready_at: float | None = None


class TaskGraphs(Protocol):
    """Tasks that wait for each other, for limits and for time. Their claims and settles are the queue's."""

    async def load(self, tasks: Sequence[GraphTask], now: float | None) -> None:
        """Store tasks with what they wait for, all or none; idempotent by task.

        The tasks that they wait for are among them: Raises Invalid else. Cycles are not looked for: they would wait for ever.
        """
        ...

    async def limit(
        self, name: str, capacity: int | None, *, interval_seconds: float | None = None, burst: int = 1
    ) -> None:
        """Let at most `capacity` leases name a limit, and one start per `interval_seconds`, `burst` of them at once."""
        ...

    async def delay(self, task: str, fence: int, until: float) -> bool:
        """End an attempt that is to be made again at `until`. False: the fence is stale; nothing was changed."""
        ...

    async def due(self, now: float | None) -> int:
        """Make ready what was delayed until now; gives how many."""
        ...


class Queue(Protocol):
    async def ready(self, pool: str) -> bool:
        """Say whether a pool has a task to claim: a read, so that looking costs nobody a transaction."""
        ...

    async def claim(
        self, node: str, pool: str, slots: int, limit: int, ttl_seconds: float, now: float | None, *, own: bool
    ) -> list[ClaimedTask]:
        """Lease up to `limit` ready tasks of a pool for a node, never more than `slots` leases in the pool.

        `own`: only tasks of runs that this node owns, for a node that serves its own run.
        """
        ...

    async def settle(self, task: str, fence: int, outcome: Outcome, now: float | None) -> bool:
        """End an attempt and tell its run. False: the fence is stale or the task ended before; nothing was changed."""
        ...

    async def extend(self, node: str, ttl_seconds: float, now: float | None) -> None:
        """Prolong the leases of all attempts of a node."""
        ...

    async def held(self, node: str, pool: str) -> list[ClaimedTask]:
        """Give the attempts of a pool that are leased to a node: after a lost reply, also those it was never told of."""
        ...

    async def cancelled(self, node: str) -> list[str]:
        """Give the tasks that a node runs and nobody waits for any more."""
        ...

    async def expire(self, now: float | None) -> int:
        """End the attempts whose lease ran out as lost, and tell their runs; gives how many."""
        ...

    async def log(self, run: str, lines: Sequence[LogLine], max_bytes: int, writer: str | None = None) -> None:
        """Append output of a run's steps, up to `max_bytes` per attempt; the rest is dropped and counted.

        `writer`: a piece of it that was stored before is not stored again. None: the pieces have no numbers.
        """
        ...


# -- nodes -----------------------------------------------------------------------------------------------------------


class NodeRow(_Row, frozen=True, kw_only=True):
    """A process that shares the store. `boot` and `started` tell apart processes that reuse a pid."""

    node: str
    host: str
    boot: str
    pid: int
    started: float
    roles: str
    version: str
    joined_at: float | None
    """None while it joins: now, by the store's clock."""
    pinned: bool = False
    """It serves only the run that it was started for."""
    expires_at: float = 0.0


class Nodes(Protocol):
    async def join(self, node: NodeRow, ttl_seconds: float) -> None: ...

    async def leave(self, node: str, now: float | None) -> None:
        """End a node's lease and give back what it owns."""
        ...

    async def bury(self, node: str, now: float | None) -> int:
        """Give up a dead node: its runs become free, its attempts are lost; gives the number of runs freed."""
        ...

    async def live(self, now: float | None) -> list[NodeRow]: ...

    async def expired(self, now: float | None) -> list[NodeRow]: ...

    async def ghosts(self) -> list[str]:
        """Give the nodes that own runs without a lease: they were buried while they accepted or claimed them."""
        ...

    async def claim_runs(self, node: str, limit: int, *, only: str | None = None) -> list[Claimed]:
        """Take up to `limit` runs that nobody owns, or just the run `only`, with epoch + 1."""
        ...

    async def owned(self, node: str) -> list[Claimed]: ...


# -- bell and views --------------------------------------------------------------------------------------------------


class Bell(Protocol):
    def listen(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Call `wake` on the event loop after something may have changed; the returned function ends it."""
        ...


class RunRow(_Row, frozen=True, kw_only=True):
    """One line of a listing."""

    run: str
    namespace: str
    id: str
    workflow: str
    version: str
    definition: str
    status: RunStatus
    partial: bool
    epoch: int
    seq: int
    owner: str | None
    folder: str
    created_at: float
    started_at: float | None
    ended_at: float | None
    wake_at: float | None
    output: bytes | None = None
    fault: bytes | None = None
    input: bytes | None = None
    origin: str | None = None


class Views(Protocol):
    async def run(self, namespace: str | None, id: str) -> RunRow | None:
        """Give a run by its id, or by a prefix of it of at least 4 characters; `namespace` None for any.

        Raises Conflict when several runs fit.
        """
        ...

    async def runs(
        self, namespace: str | None, status: Sequence[str], workflow: str | None, before: str | None, limit: int
    ) -> list[RunRow]:
        """Give runs, newest first; `before` is the last `run` of the page before."""
        ...

    async def tasks(self, run: str) -> list[TaskRow]: ...

    async def logs(self, run: str, after: int, limit: int, path: str | None) -> list[LogLine]: ...

    async def counts(self) -> dict[str, int]:
        """Give how many rows of each kind there are, for `doctor`."""
        ...


class Pulse(Protocol):
    """The renewal of a node's leases, blocking, for a thread of its own."""

    def beat(self, node_ttl_seconds: float, attempt_ttl_seconds: float, now: float | None) -> bool:
        """Prolong the node's lease and its attempts'; False when it was given up for dead: it must stop at once."""
        ...

    def close(self) -> None: ...


class Store(Protocol):
    """A store, opened."""

    @property
    def url(self) -> str:
        """Where it is, as people may read it: without a password."""
        ...

    @property
    def journal(self) -> Journal: ...

    @property
    def queue(self) -> Queue: ...

    @property
    def graphs(self) -> TaskGraphs: ...

    @property
    def nodes(self) -> Nodes: ...

    @property
    def bell(self) -> Bell: ...

    @property
    def views(self) -> Views: ...

    async def close(self) -> None: ...

    async def prepare(self, now: float) -> None:
        """Make what the runs of the next weeks need, such as partitions; to be called every hour, cheap when it is there."""
        ...

    def pulse(self, node: str) -> Pulse | None:
        """Give a connection for renewals; None where nothing outlives this process."""
        ...

    async def figures(self) -> dict[str, Json]:
        """Measure what the store costs here: milliseconds of a durable commit, of a read, clock offset in seconds."""
        ...
