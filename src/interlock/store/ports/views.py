"""Read-only answers for people; they may be stale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from interlock.model.states import RunStatus
from interlock.store.ports.journal import Attribute
from interlock.store.ports.queue import LogLine, TaskRow
from interlock.store.ports.row import Row


class RunRow(Row, frozen=True, kw_only=True):
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
    shown: bytes | None = None
    """What its author shows of it: progress and status, JSON."""


class EventRow(Row, frozen=True, kw_only=True):
    """An event that was sent. `number` grows and is the cursor."""

    number: int
    namespace: str
    at: float
    body: bytes


class AuditRow(Row, frozen=True, kw_only=True):
    """Something that a person, or a program with a key, changed. `actor`: who, such as user:ann or key:ci; `target`: what it
    concerns. `number` grows and is the cursor."""

    number: int
    at: float
    actor: str
    action: str
    target: str


class PublishedRow(Row, frozen=True, kw_only=True):
    """A workflow that can be started by its name. `digest`: of its text."""

    namespace: str
    name: str
    version: str
    digest: str
    published_at: float


class Views(Protocol):
    async def run(self, namespace: str | None, id: str) -> RunRow | None:
        """Give a run by its id, or by a prefix of it of at least 4 characters; `namespace` None for any.

        Raises Conflict when several runs fit.
        """
        ...

    async def statuses(self, runs: Sequence[str]) -> dict[str, RunStatus]:
        """Give how runs stand, by their keys; those that are not there are left out."""
        ...

    async def strays(self, after: str, limit: int) -> list[tuple[str, str]]:
        """Give runs that tasks of graphs started and that go on while their tasks are over, each with its task, by their
        keys. `after`: the last run of the page before, "" for none."""
        ...

    async def runs(
        self,
        namespace: str | None,
        status: Sequence[str],
        workflow: str | None,
        before: str | None,
        limit: int,
        *,
        attributes: Mapping[str, Attribute] = {},
    ) -> list[RunRow]:
        """Give runs, newest first; `before` is the last `run` of the page before. `attributes`: those that a run must have,
        all of them, best the rarest first."""
        ...

    async def attributes(self, run: str) -> dict[str, Attribute]:
        """Give what a run is searched by."""
        ...

    async def definitions(
        self,
        namespace: str | None,
        name: str | None,
        version: str | None,
        after: tuple[str, str, str] | None,
        limit: int,
    ) -> list[PublishedRow]:
        """Give published workflows by namespace, name and version, each as text; None for any. `after`: those of the last
        one of the page before."""
        ...

    async def tasks(self, run: str) -> list[TaskRow]: ...

    async def logs(self, run: str, after: int, limit: int, path: str | None) -> list[LogLine]: ...

    async def events(self, namespace: str | None, type: str | None, before: int | None, limit: int) -> list[EventRow]:
        """Give events that are still kept, newest first; `before` is the last `number` of the page before."""
        ...

    async def audit(self, before: int | None, limit: int) -> list[AuditRow]:
        """Give what was changed by whom, newest first; `before` is the last `number` of the page before."""
        ...

    async def unattended(self, now: float | None, limit: int) -> list[tuple[RunRow, float]]:
        """Give live runs that no node executes, newest first, and for how many seconds; suspended ones rest."""
        ...

    async def undispatched(self, pool: str, now: float | None, limit: int) -> list[tuple[RunRow, float]]:
        """Give live runs, owned by a node, with a task that is ready in a pool, newest first, and for how many seconds."""
        ...

    async def waiting_pools(self) -> list[str]:
        """Give the pools with a task that is ready, by their names."""
        ...

    async def oldest_inbox(self) -> float | None:
        """Give when the oldest cause that is not applied was posted."""
        ...

    async def counts(self) -> dict[str, int]:
        """Give how many rows of each kind there are, for `doctor`."""
        ...
