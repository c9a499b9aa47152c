"""What the rest of Interlock may ask of a store, split by guarantee.

    Journal   serialisable per run: compare-and-append, fenced by the run's epoch
    Queue     at-least-once, leased, fenced
    Nodes     leases of nodes, and the runs and tasks of the dead
    Bell      wake-ups only; may be lost or doubled
    Upkeep    what keeps a store small and safe: removal of what is old, copies, restoring
    Views     read-only, may be stale

Every call is one transaction. `now` is UTC seconds; where it may be None, None is the present by the store's own clock, so
that leases do not depend on the clocks of different machines. A call whose store is away raises
StoreUnavailable; nothing of it was applied, or (a lost reply) repeating it changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Final, Protocol

import msgspec

from interlock.model.json import Json
from interlock.model.states import RunStatus, TaskState
from interlock.model.task import Outcome, Target


class _Row(msgspec.Struct, frozen=True, kw_only=True):
    pass


# -- journal ---------------------------------------------------------------------------------------------------------


class NewRun(_Row, frozen=True, kw_only=True):
    """A run to accept. `owner`: the node that will execute it, None for whichever can.

    `origin`: the run whose history it begins with, None for a run of its own. `parent` and `parent_effect`: the run that
    it is a child of, and the effect there that ends with it, None for one that is not awaited. `large`: texts by digest
    that `input` refers to.
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
    parent: str | None = None
    parent_effect: int | None = None
    large: Mapping[str, bytes] = {}


class NewEvent(_Row, frozen=True, kw_only=True):
    """An event to deliver: `body` is its envelope, `cause` what its listeners find in their inbox."""

    namespace: str
    id: str
    source: str
    type: str
    body: bytes
    cause: bytes


class NewSubscription(_Row, frozen=True, kw_only=True):
    """A listener of a run wants events; `type` and `source` are empty where it takes any.

    The store looks at nothing else: what does not fit further is consumed by the run without effect.
    """

    namespace: str
    listener: int
    type: str
    source: str


class Post(_Row, frozen=True, kw_only=True):
    """A cause for the inbox of a run, this one or another; it counts once by `cause_id`."""

    run: str
    cause_id: str
    cause: bytes


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
    `consumed`: inbox rows that this commit applies. `cancelled_tasks`: effects that nobody waits for any more, their tasks
    and child runs. `subscriptions` are stored before `emitted` is matched, so that a run hears what it sends itself.
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
    children: Sequence[NewRun] = ()
    emitted: Sequence[NewEvent] = ()
    subscriptions: Sequence[NewSubscription] = ()
    unsubscribed: Sequence[int] = ()
    posts: Sequence[Post] = ()
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
    parent: str | None = None
    parent_effect: int | None = None


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
    """`resources`: what it needs from elsewhere, a JSON map of URI to text; None for nothing."""

    digest: str
    namespace: str
    name: str
    version: str
    source: str
    published_at: float | None = None
    resources: bytes | None = None


class Journal(Protocol):
    async def commit(self, batch: Batch) -> Committed:
        """Apply a batch. Durable when it returns APPLIED."""
        ...

    async def sweep(self, before: float) -> int:
        """Delete what was stored before a moment and serves nobody: events, and large texts that no commit refers to; also
        what the inbox holds for runs that have ended. Gives how many events and parts of texts went.
        """
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

    async def send(self, event: NewEvent, actor: str, now: float) -> int | None:
        """Store an event and put it into the inbox of every run that listens; gives how many do.

        None: an event with its source and id is there already, and was not delivered again.
        """
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


class Orphan(_Row, frozen=True, kw_only=True):
    """An attempt whose node is gone. `host`: where that was, None when nobody knows any more. `owner`: the run's node."""

    task: ClaimedTask
    holder: str
    host: str | None
    pool: str
    owner: str | None


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


DUE_AT_ONCE: Final = 500
"""How many delayed tasks become ready in one transaction, which others wait for."""


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

    async def delay(self, task: str, fence: int, until: float, *, holder: str | None = None) -> bool:
        """End an attempt that is to be made again at `until`. False: the fence is stale, or the attempt is no longer held by
        `holder` (None: whoever holds it); nothing was changed."""
        ...

    async def due(self, now: float | None) -> int:
        """Make ready up to DUE_AT_ONCE tasks that were delayed until now; gives how many."""
        ...


class Queue(Protocol):
    async def ready(self, pool: str) -> bool:
        """Say whether a pool has a task to claim: a read, so that looking costs nobody a transaction."""
        ...

    async def claim(
        self, node: str, pool: str, slots: int, limit: int, ttl_seconds: float, now: float | None, *, own: bool
    ) -> list[ClaimedTask]:
        """Lease up to `limit` ready tasks of a pool for a node, so that it never holds more than `slots` leases there.

        `own`: only tasks of runs that this node owns, for a node that serves its own run.
        """
        ...

    async def settle(
        self, task: str, fence: int, outcome: Outcome, now: float | None, *, holder: str | None = None
    ) -> bool:
        """End an attempt and tell its run. False: the fence is stale, the task ended before, or the attempt is no longer
        held by `holder` (None: whoever holds it); nothing was changed."""
        ...

    async def orphans(self, limit: int) -> list[Orphan]:
        """Give attempts whose node has no lease any more, which another one may adopt or end."""
        ...

    async def adopt(self, orphan: Orphan, node: str, ttl_seconds: float, now: float | None) -> bool:
        """Give an orphan to a node, under the same fence. False: it has ended, or another node was first."""
        ...

    async def lose(self, orphan: Orphan, now: float | None) -> None:
        """End an orphan that nothing is left of as lost, and tell its run; nothing when another node has it by now."""
        ...

    async def logged(self, task: ClaimedTask) -> dict[str, int]:
        """Give how many characters of an attempt's output are stored, by stream."""
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


class NodeState(_Row, frozen=True, kw_only=True):
    """A node as others see it. `refusals`: digest of a definition to why it cannot execute it. `unready`: what keeps it
    from working. `runs`, `attempts`: how many it owns.

    `lease_seconds`: what is left of its lease by the store's clock, negative when it ran out, None when it has none.
    """

    node: NodeRow
    lease_seconds: float | None
    left_at: float | None
    drain_at: float | None
    refusals: Mapping[str, str]
    unready: Sequence[str]
    runs: int
    attempts: int


class Nodes(Protocol):
    async def join(self, node: NodeRow, ttl_seconds: float) -> None: ...

    async def leave(self, node: str, now: float | None) -> None:
        """End a node's lease and give back what it owns."""
        ...

    async def bury(self, node: str, now: float | None) -> int:
        """Give up a dead node: its runs become free; gives how many. Its attempts are lost when it was pinned; those of
        others may outlive it and wait for `Queue.adopt` or for the end of their leases."""
        ...

    async def live(self, now: float | None) -> list[NodeRow]: ...

    async def expired(self, now: float | None) -> list[NodeRow]: ...

    async def ghosts(self) -> list[str]:
        """Give the nodes that own runs without a lease: they were buried while they accepted or claimed them."""
        ...

    async def claim_runs(
        self, node: str, limit: int, *, only: str | None = None, refused: Sequence[str] = ()
    ) -> list[Claimed]:
        """Take up to `limit` runs that nobody owns, or just the run `only`, with epoch + 1.

        `refused`: digests of definitions that the node cannot execute.
        """
        ...

    async def unowned(self, refused: Sequence[str]) -> bool:
        """Say whether there is a run to claim: a read, so that looking costs nobody a transaction."""
        ...

    async def release(self, node: str, run: str, epoch: int, now: float) -> bool:
        """Give one run back. False: it belongs to another node by now, or has ended."""
        ...

    async def states(self, now: float | None) -> list[NodeState]:
        """Give every node that is known, the oldest first; those that left are forgotten after a while."""
        ...

    async def drain(self, node: str | None, now: float) -> int:
        """Ask a node, or all with None, to drain; gives how many were asked. Pinned nodes end with their runs."""
        ...

    async def is_asked_to_drain(self, node: str) -> bool: ...

    async def note(self, node: str, refusals: Mapping[str, str], unready: Sequence[str]) -> None:
        """Write down what a node cannot execute and what keeps it from working."""
        ...

    async def forget(self, before: float) -> int:
        """Delete the rows of nodes that left before a moment and own nothing."""
        ...

    async def owned(self, node: str) -> list[Claimed]: ...


# -- upkeep ----------------------------------------------------------------------------------------------------------


class EndedRun(_Row, frozen=True, kw_only=True):
    """A run that retention may remove."""

    run: str
    namespace: str
    id: str
    workflow: str
    status: RunStatus
    ended_at: float


class Upkeep(Protocol):
    async def drop(self, before: float) -> int:
        """Remove at once what is stored together and ended before a moment as a whole; gives the number of runs.

        Cheap whatever it holds. What is left of that time is removed run by run.
        """
        ...

    async def ended(self, before: float, after: EndedRun | None, limit: int) -> list[EndedRun]:
        """Give runs that ended before a moment, the longest ended first; `after`: the last one of the page before."""
        ...

    async def remove(self, runs: Sequence[str], before: float) -> int:
        """Remove runs that ended before a moment; gives how many. What is left of them is deleted by `clear`."""
        ...

    async def clear(self) -> bool:
        """Delete a piece of what is left of removed runs, in a short transaction. False: nothing is left."""
        ...

    async def unused_definitions(self, before: float) -> int:
        """Delete definitions that nobody asked for since a moment, with no run and not published; gives how many."""
        ...

    async def compact(self) -> None:
        """Give free pages back where the store can do so without stopping others."""
        ...

    async def oldest(self) -> list[tuple[str, str, float]]:
        """Give namespace, workflow and the earliest end of its runs. Reads everything: for people."""
        ...

    async def record(self, actor: str, action: str, target: str, now: float) -> None:
        """Put a change by a person into the audit log."""
        ...

    async def raise_fences(self, step: int, now: float) -> int:
        """After a restore: free every run and end every attempt, under numbers that nobody had since the backup; gives
        how many runs go on."""
        ...


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


class EventRow(_Row, frozen=True, kw_only=True):
    """An event that was sent. `number` grows and is the cursor."""

    number: int
    namespace: str
    at: float
    body: bytes


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

    async def events(self, namespace: str | None, type: str | None, before: int | None, limit: int) -> list[EventRow]:
        """Give events that are still kept, newest first; `before` is the last `number` of the page before."""
        ...

    async def unattended(self, now: float | None, limit: int) -> list[tuple[RunRow, float]]:
        """Give live runs that no node executes, newest first, and for how many seconds; suspended ones rest."""
        ...

    async def undispatched(self, pool: str, now: float | None, limit: int) -> list[tuple[RunRow, float]]:
        """Give live runs, owned by a node, with a task that is ready in a pool, newest first, and for how many seconds."""
        ...

    async def oldest_inbox(self) -> float | None:
        """Give when the oldest cause that is not applied was posted."""
        ...

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
    def upkeep(self) -> Upkeep: ...

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
