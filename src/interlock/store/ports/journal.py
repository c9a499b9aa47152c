"""Runs: serialisable per run, compare-and-append, fenced by the run's epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Protocol, TypeAlias

from interlock.model.call import Requirements
from interlock.model.states import RunStatus
from interlock.model.task import Target
from interlock.store.ports.cells import CellWrite
from interlock.store.ports.deliveries import NewDelivery
from interlock.store.ports.row import Row
from interlock.store.ports.tokens import NewToken, RevokedToken

Attribute: TypeAlias = str | float | bool
"""What a run can be searched by: values of different types are never equal."""


class NewRun(Row, frozen=True, kw_only=True):
    """A run to accept. `owner`: the node that will execute it, None for whichever can.

    `origin`: the run whose history it begins with, None for a run of its own. `parent` and `parent_effect`: the run that
    it is a child of, and the effect there that ends with it, None for one that is not awaited. `large`: texts by digest
    that `input` refers to. `callback`: whom to tell how it ends, None for nobody.
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
    callback: NewDelivery | None = None


class NewEvent(Row, frozen=True, kw_only=True):
    """An event to deliver: `body` is its envelope, `cause` what its listeners find in their inbox."""

    namespace: str
    id: str
    source: str
    type: str
    body: bytes
    cause: bytes


class NewSubscription(Row, frozen=True, kw_only=True):
    """A listener of a run wants events; `type` and `source` are empty where it takes any.

    The store looks at nothing else: what does not fit further is consumed by the run without effect.
    """

    namespace: str
    listener: int
    type: str
    source: str


class Post(Row, frozen=True, kw_only=True):
    """A cause for the inbox of a run, this one or another; it counts once by `cause_id`."""

    run: str
    cause_id: str
    cause: bytes


class NewTask(Row, frozen=True, kw_only=True):
    """A queued effect: everything that a pool needs to perform it. `limits`: the names of those that its lease counts
    against; one that was never set is none. `requires`: what the worker that claims it must have."""

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
    limits: Sequence[str] = ()
    requires: Requirements | None = None


class LimitSet(Row, frozen=True, kw_only=True):
    """At most `capacity` leases may name a limit (None: any number), and one start per `interval_seconds` (None: at once),
    `burst` of them together."""

    name: str
    capacity: int | None = None
    interval_seconds: float | None = None
    burst: int = 1


class NewMemo(Row, frozen=True, kw_only=True):
    """What a step gave, or how it is undone. `number` grows within the run and is never used twice between two
    `Batch.forget_memos`; `call`: which call of which step it belongs to."""

    number: int
    call: str
    body: bytes
    undo: bool = False


class MemoRow(Row, frozen=True, kw_only=True):
    """A memo as it was stored."""

    number: int
    call: str
    body: bytes
    undo: bool


class NewCached(Row, frozen=True, kw_only=True):
    """A result that other runs may use until a moment. `body` is whole: a large text belongs to one run."""

    namespace: str
    name: str
    key: str
    body: bytes
    expires_at: float


class NewCells(Row, frozen=True, kw_only=True):
    """Changes of the shared memory of a namespace. They are made whatever is there: a commit is not refused because of them.
    `now`: the present, None for the store's own clock."""

    namespace: str
    now: float | None
    writes: Sequence[CellWrite]


class Batch(Row, frozen=True, kw_only=True):
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
    memos: Sequence[NewMemo] = ()
    """Large texts that they refer to stand in `large`."""
    forget_memos: bool = False
    """Delete the memos that the run has, before `memos` are added: it continues as new."""
    shown: bytes | None = None
    """Progress and status for people, JSON; None leaves what is there."""
    attributes: Mapping[str, Attribute | None] = {}
    """What the run is searched by from now on; None deletes one."""
    tokens: Sequence[NewToken] = ()
    revoked_tokens: Sequence[RevokedToken] = ()
    """Tokens of this run that are not to be completed any more; those that are open when the run ends are revoked, too."""
    asked_tokens: Sequence[RevokedToken] = ()
    """Tokens of this run that stay open, and whose holders are asked to stop, for a reason."""
    end_reason: str | None = None
    """Why the run ended, for who holds a token of it."""
    cached: Sequence[NewCached] = ()
    limits: Sequence[LimitSet] = ()
    """Set before `tasks` are added. What a limit knows of past starts stays."""
    cells: NewCells | None = None


class Committed(StrEnum):
    APPLIED = "applied"
    STALE = "stale"  # the run has another epoch or seq: the committer must drop it
    EXISTS = "exists"  # `accept` of an id that is taken


class InboxRow(Row, frozen=True, kw_only=True):
    """Something that happened to a run from outside, in the order of `number`."""

    number: int
    run: str
    cause: bytes


class StoredRun(Row, frozen=True, kw_only=True):
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


class HistoryRow(Row, frozen=True, kw_only=True):
    seq: int
    at: float
    epoch: int
    events: bytes


class Definition(Row, frozen=True, kw_only=True):
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

    async def accept(self, batches: Sequence[Batch]) -> set[str]:
        """Apply batches that do no more than accept a run each, many in one transaction; gives the runs that are stored.

        The id of another one was taken. Durable when it returns; an error leaves some of them stored, and repeating the
        call stores the rest.
        """
        ...

    async def sweep(self, before: float) -> int:
        """Delete what was stored before a moment and serves nobody: events, and large texts that no commit refers to; also
        what the inbox holds for runs that have ended, and cached results that were over by then. Gives how many events, parts
        of texts and results went.
        """
        ...

    async def load(self, run: str) -> StoredRun | None:
        """Give a run with its open scopes and its inbox."""
        ...

    async def load_all(self, runs: Sequence[str]) -> dict[str, StoredRun]:
        """Give several runs as `load` gives one, as they are at one moment; those that do not exist are left out."""
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

    async def memos(self, run: str, after: int, limit: int) -> list[MemoRow]:
        """Give memos of a run with number > `after`, ascending."""
        ...

    async def undos(self, run: str, before: int | None, limit: int) -> list[MemoRow]:
        """Give memos of a run that undo a step, with number < `before` (None: from the last one), descending."""
        ...

    async def cached(self, namespace: str, name: str, key: str, now: float) -> bytes | None:
        """Give a result that may be used instead of performing a step; None when there is none, or it is over."""
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
