"""Tasks that wait for each other, for limits and for time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from interlock.model.task_graph import TaskSpec
from interlock.store.ports.journal import NewTask
from interlock.store.ports.row import Row

DUE_AT_ONCE: Final = 500
"""How many delayed tasks become ready in one transaction, which others wait for."""


class GraphTask(Row, frozen=True, kw_only=True):
    """A task of a graph. `task.run` is the graph's key, `task.effect` the task's number in it.

    `after`: the tasks it waits for; True when it is skipped should that one not succeed. `limits`: the names of those that
    its lease counts against. `ready_at`: not before, None for at once. `spec`: of one that is placed by its needs, whose
    `task` names a lane as its pool. `rank`: the smallest comes first among equal priorities; None for when it was stored.
    """

    task: NewTask
    after: Mapping[str, bool] = {}
    limits: Sequence[str] = ()
    ready_at: float | None = None
    spec: TaskSpec | None = None
    rank: float | None = None


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

    async def next_due(self, now: float | None) -> float | None:
        """Give in how many seconds the next delayed task is due, 0 or less for at once; None when none is delayed."""
        ...

    async def due(self, now: float | None) -> int:
        """Make ready up to DUE_AT_ONCE tasks that were delayed until now; gives how many."""
        ...
