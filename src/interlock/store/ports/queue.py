"""Tasks for pools: at-least-once, leased, fenced; and what they print."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol, TypeAlias

from interlock.model.call import Requirements
from interlock.model.states import TaskState
from interlock.model.task import Outcome, Resources, Target
from interlock.model.task_graph import TaskSpec
from interlock.store.ports.row import Row

AttemptId: TypeAlias = tuple[str, int]
"""A task, and the fence of one of its attempts."""


class ClaimedTask(Row, frozen=True, kw_only=True):
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
    """Of its run, or of its graph; empty for a task that belongs to neither."""
    run_id: str
    """Empty for a task of a graph, which belongs to no run."""
    pool: str
    spec: TaskSpec | None = None
    """Of a task of a graph."""
    devices: tuple[int, ...] = ()
    """The graphics processors of its pool that it was given, by index."""
    resources: Resources = Resources()
    """What it takes of a pool of the configuration."""

    @property
    def key(self) -> AttemptId:
        """Which attempt this is."""
        return self.task, self.fence


class Able(Row, frozen=True, kw_only=True):
    """What a worker can do, for the store to compare with what tasks require. `types` None: tasks of any type."""

    skills: Sequence[str] = ()
    types: Sequence[str] | None = None
    region: str | None = None
    cpu: float = 0.0
    memory: float = 0.0


class WaitingTask(Row, frozen=True, kw_only=True):
    """A task that is ready to be claimed. `since`: UTC seconds."""

    task: str
    priority: int
    since: float
    requires: Requirements


class Orphan(Row, frozen=True, kw_only=True):
    """An attempt whose node is gone. `host`: where that was, None when nobody knows any more. `owner`: the run's node."""

    task: ClaimedTask
    holder: str
    host: str | None
    pool: str
    owner: str | None


class TaskRow(Row, frozen=True, kw_only=True):
    task: str
    run: str
    effect: int
    path: str
    pool: str
    state: TaskState
    attempt: int
    holder: str | None


class AttemptRow(Row, frozen=True, kw_only=True):
    """An attempt in flight. `cancel`: nobody waits for it any more. `report`: what it told of itself last, JSON.

    `namespace` and `run_id` are empty for a task of a graph, which belongs to no run.
    """

    task: str
    run: str
    path: str
    pool: str
    fence: int
    attempt: int
    cancel: bool
    report: bytes | None
    namespace: str
    run_id: str


class LogLine(Row, frozen=True, kw_only=True):
    """A piece of output, as it came: not always a whole line. `number` grows and is the cursor.

    When it is written, `number` is the writer's own: from 1, growing with every piece.
    """

    number: int
    path: str
    attempt: int
    at: float
    stream: str
    text: str


class Queue(Protocol):
    async def identity(self) -> str:
        """Give what tells this store from every other one, 16 hexadecimal digits, the same for ever.

        What attempts leave outside of it is named after it: tasks of graphs in two stores have the same names.
        """
        ...

    async def ready(self, pool: str, owner: str | None = None) -> bool:
        """Say whether a pool has a task to claim: a read, so that looking costs nobody a transaction.

        `owner`: only tasks of runs that this node owns, as with `own` in `claim`.
        """
        ...

    async def waiting(self, pool: str, able: Able, limit: int) -> list[WaitingTask]:
        """Give ready tasks of a pool that somebody can do, the most urgent first; those of others do not count."""
        ...

    async def claim(
        self,
        node: str,
        pool: str,
        slots: int,
        limit: int,
        ttl_seconds: float,
        now: float | None,
        *,
        own: bool,
        only: Sequence[str] | None = None,
    ) -> list[ClaimedTask]:
        """Lease up to `limit` ready tasks of a pool for a node, so that it never holds more than `slots` leases there.

        `own`: only tasks of runs that this node owns, for a node that serves its own run. `only`: these tasks, in this order,
        as far as nobody else has them; not together with `own`.
        """
        ...

    async def began(self, attempts: Sequence[tuple[str, int, float]], now: float | None) -> None:
        """Note when attempts of tasks of graphs began: (task, fence, seconds that it runs by now). May be lost."""
        ...

    async def settle(
        self,
        task: str,
        fence: int,
        outcome: Outcome,
        now: float | None,
        *,
        holder: str | None = None,
        ran: float | None = None,
    ) -> bool:
        """End an attempt and tell its run. False: the fence is stale, the task ended before, or the attempt is no longer
        held by `holder` (None: whoever holds it); nothing was changed. `ran`: seconds since it began, where `began` has not
        told the store."""
        ...

    async def attempt(self, task: str, fence: int) -> AttemptRow | None:
        """Give an attempt in flight; None: it has ended, or another one came after it."""
        ...

    async def report(self, task: str, fence: int, report: bytes) -> bool:
        """Keep what an attempt tells of itself, with its lease, until that ends. False: it has ended."""
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

    async def unwanted(self, node: str, running: Collection[AttemptId]) -> list[AttemptId]:
        """Give the attempts of a node that nobody waits for any more: cancelled, or, of `running`, over by what their program
        or somebody else reported, or made again since. What another node has adopted is that one's affair.
        """
        ...

    async def is_adopted(self, node: str, attempt: AttemptId) -> bool:
        """Say whether another node than this one, which had it, goes on with an attempt."""
        ...

    async def expire(self, now: float | None) -> int:
        """End the attempts whose lease ran out as lost, and tell their runs; gives how many."""
        ...

    async def log(self, run: str, lines: Sequence[LogLine], max_bytes: int, writer: str | None = None) -> None:
        """Append output of a run's steps, up to `max_bytes` per attempt; the rest is dropped and counted.

        `writer`: a piece of it that was stored before is not stored again. None: the pieces have no numbers.
        """
        ...
