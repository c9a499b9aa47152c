"""Workers: processes that take tasks, known to each other by their rows and their leases.

Stored are registered, draining, offline and removed. Active, busy and stale follow from the worker's lease and from what it
holds: a worker is stale when nothing was heard of it for longer than it may be silent, busy when it has no free slot.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Protocol

from interlock.model.worker import WorkerState as WorkerState
from interlock.store.ports.row import Row


class NewWorker(Row, frozen=True, kw_only=True):
    """A process that joins. `session`: an id that no process had before. `silent_seconds`: after which it is stale.
    `capabilities`, `metadata`, `metrics`: JSON."""

    worker: str
    session: str
    host: str
    pid: int
    capacity: int
    silent_seconds: float
    capabilities: bytes = b"{}"
    metadata: bytes = b"{}"
    metrics: bytes = b"{}"


class WorkerRow(Row, frozen=True, kw_only=True):
    """A worker as it is. `heard_at`: of its last heartbeat, None when its lease is gone; `silent_seconds`: since then, by the
    store's clock; `may_be_silent_seconds`: after which it is stale. `active`: slots and attempts that it holds. `assigned`:
    tasks that it was ever given; `busy_seconds`: that they took in sum."""

    worker: str
    session: str
    state: WorkerState
    host: str
    pid: int
    capacity: int
    active: int
    capabilities: bytes
    metadata: bytes
    metrics: bytes
    fence: int
    registered_at: float
    ended_at: float | None
    heard_at: float | None
    silent_seconds: float | None
    may_be_silent_seconds: float
    assigned: int
    assigned_at: float | None
    succeeded: int
    failed: int
    busy_seconds: float
    failed_at: float | None

    @property
    def is_stale(self) -> bool:
        return self.silent_seconds is None or self.silent_seconds > self.may_be_silent_seconds


class Registered(StrEnum):
    REGISTERED = "registered"
    TAKEN = "taken"
    """Another process has this id and is alive."""
    FULL = "full"
    """As many workers as there may be are registered."""


class SlotRow(Row, frozen=True, kw_only=True):
    """A task that a worker holds. `started`: it is at work on it, so it cannot be moved.

    `fence` grows with every task of its worker, so it means something together with the session only. `detail`: what whoever
    gave it told of the task, JSON.
    """

    task: str
    worker: str
    session: str
    fence: int
    started: bool
    reserved_at: float
    detail: bytes


class Lesson(Row, frozen=True, kw_only=True):
    """What an outcome teaches: the weight of a strategy, `prior` at first, is multiplied by a factor, within bounds.

    What several processes learn at once adds up.
    """

    strategy: str
    factor: float
    prior: float
    low: float
    high: float


class Tally(Row, frozen=True, kw_only=True):
    """How many tasks a worker took, how many of its ended how, and how many seconds they took in sum."""

    taken: int = 0
    succeeded: int = 0
    failed: int = 0
    seconds: float = 0.0
    lessons: Sequence[Lesson] = ()


class Recovered(Row, frozen=True, kw_only=True):
    """What was done about a stale worker: how many of its locks were released, and the tasks that others are to take."""

    worker: str
    session: str
    locks: int
    tasks: Sequence[str]


class WorkerEvent(Row, frozen=True, kw_only=True):
    number: int
    at: float
    worker: str
    kind: str
    detail: bytes | None


class Choice(Row, frozen=True, kw_only=True):
    """A recorded decision. `body`: JSON with the candidates, their scores and the reason."""

    number: int
    at: float
    kind: str
    subject: str
    chosen: str | None
    body: bytes


class Slots(Protocol):
    """What workers hold. A slot is a lease: a worker has as many tasks as it has leases, and never more than slots."""

    async def reserve(
        self,
        worker: str,
        session: str,
        task: str,
        now: float | None,
        *,
        detail: bytes = b"{}",
        assigned: int | None = None,
        choice: bytes | None = None,
        again: bool = False,
    ) -> SlotRow | None:
        """Give a task to a worker. None: it has no free slot, takes no tasks, is stale or gone, or the task has a holder.

        `detail`: to be kept with the slot. `assigned`: only if it was given this many tasks so far, for who takes turns.
        `choice`: why it was chosen, JSON, recorded in the same transaction as a choice of the kind `worker`. `again`: it was
        asked for before, with this very detail, which no other reservation has, and the answer was lost."""
        ...

    async def started(self, slot: SlotRow) -> bool:
        """Note that a worker is at work on a task. False: it was moved, or recovered."""
        ...

    async def finish(
        self,
        slot: SlotRow,
        *,
        succeeded: bool | None,
        seconds: float,
        lessons: Sequence[Lesson] = (),
        now: float | None,
    ) -> bool:
        """Free the slot of a task, count its outcome (None: neither) and learn from it, in one transaction.

        False: it is not this worker's any more; nothing is counted and nothing learned."""
        ...

    async def tally(self, worker: str, session: str, tally: Tally, now: float | None) -> bool:
        """Count what a worker did that takes its tasks out of the queue, and learn from it. False: it is not this process."""
        ...

    async def move(self, slot: SlotRow, to: str, session: str, now: float | None) -> SlotRow | None:
        """Give a task that was not started to another worker. None: it was started, has ended, or the other has no slot."""
        ...

    async def slots(self, worker: str | None) -> list[SlotRow]:
        """Give the tasks that a worker holds, or all do, by their names."""
        ...


class Choices(Protocol):
    """What was chosen and why, and what the strategies that choose have learned from the outcomes."""

    async def note(self, kind: str, subject: str, chosen: str | None, body: bytes, now: float | None) -> None:
        """Record a decision."""
        ...

    async def choices(self, kind: str, subject: str | None, limit: int) -> list[Choice]:
        """Give recorded decisions, the newest first."""
        ...

    async def weights(self) -> dict[str, float]:
        """Give what was learned of each strategy that chooses."""
        ...


class Workers(Slots, Choices, Protocol):
    """Who takes tasks, and lives."""

    async def register(self, new: NewWorker, most: int, now: float | None) -> Registered:
        """Register a process. One that has the id and is stale is recovered first and replaced; a live one keeps it."""
        ...

    async def beat(self, worker: str, session: str, metrics: bytes, now: float | None) -> bool:
        """Note that a worker lives, and how it is. False: it was recovered, or replaced; it must stop at once.

        A stale worker that nobody recovered yet is active again."""
        ...

    async def change(
        self,
        worker: str,
        session: str,
        *,
        state: WorkerState | None = None,
        capacity: int | None = None,
        now: float | None = None,
    ) -> bool:
        """Change the state (registered -> draining and back) or the capacity. False: it is gone, or that is not legal."""
        ...

    async def leave(self, worker: str, session: str, now: float | None) -> bool:
        """Remove a worker: its locks and slots are free. False: it was gone before."""
        ...

    async def get(self, worker: str, now: float | None) -> WorkerRow | None: ...

    async def recover(self, worker: str, session: str, now: float | None) -> Recovered | None:
        """Give a stale worker up: it is offline, its locks are free, its tasks are for others, in one transaction that makes
        sure again that it is stale. None: it is not, or another one has done it."""
        ...

    async def forget(self, before: float) -> int:
        """Delete workers that are offline or removed since before a moment, and events and decisions from before it.

        Gives how many workers."""
        ...

    async def events(self, after: int, limit: int) -> list[WorkerEvent]: ...

    async def list(self, states: Sequence[WorkerState], now: float | None) -> list[WorkerRow]:
        """Give the workers that are stored as one of `states`, by their ids."""
        ...
