"""Waits for the ends of task graphs: which token of a run stands for each graph that a workflow loaded.

    begun (a load is under way) -> loaded -> ended: the end was reported, or nobody waits any more

The row is the one truth about who waits for a graph. A wait whose step is tried again goes on with the token of that attempt;
what ended is begun anew only by the same visit of the same step.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum, auto
from typing import Final, Protocol

from interlock.model.states import TaskState
from interlock.store.ports.row import Row

STOPPED_AT_ONCE: Final = 500
"""How many tasks one transaction cancels, which others wait for."""


class NewWait(Row, frozen=True, kw_only=True):
    """A wait of the step whose execution `visit` names, in the run `run` (its key), by `token`."""

    graph: str
    visit: str
    token: str
    run: str


class Begun(StrEnum):
    """What became of a wait that was to begin."""

    LOADING = auto()
    """The graph is to be loaded, and what did not succeed in it before to be tried again."""
    LOADED = auto()
    """The graph was loaded for this token before."""
    TAKEN = auto()
    """The graph belongs to somebody else: another step, or people."""
    UNWANTED = auto()
    """The token is open no more: nobody waits."""


class DueWait(Row, frozen=True, kw_only=True):
    """A wait with something to do. `effect`: of the run, that waits by the token now; None: there is no such token any more.
    `is_open`: the token waits for its report; `has_open`: tasks of the graph are not over."""

    graph: str
    token: str
    effect: int | None
    is_open: bool
    has_open: bool


class TaskEnd(Row, frozen=True, kw_only=True):
    """How a task of a graph ended. `detail`: of its last attempt, the result or the fault, JSON; None: it had none."""

    number: int
    id: str
    state: TaskState
    optional: bool
    outcome: str | None
    detail: bytes | None


class Waits(Protocol):
    async def begin(self, wait: NewWait, now: float | None) -> Begun:
        """Let a token wait for the end of a graph, before that is loaded. Idempotent."""
        ...

    async def loaded(self, graph: str, token: str) -> bool:
        """Note that the graph is loaded. False: the token waits for it no more; what was loaded is to be cancelled."""
        ...

    async def any_open(self, node: str | None) -> bool:
        """Say whether any wait has not ended; `node`: of the runs that this one owns, None for all."""
        ...

    async def due(self, limit: int, now: float | None) -> list[DueWait]:
        """Give waits whose graph has ended, or whose token is open no more or asked to stop while tasks are not over."""
        ...

    async def stop(self, wait: DueWait, now: float | None) -> int:
        """Cancel up to STOPPED_AT_ONCE tasks of a graph whose wait was due; gives how many were not over and not asked
        before. None are when the step waits anew by now: by another token, or by this one for another effect."""
        ...

    async def end(self, wait: DueWait, now: float | None) -> bool:
        """End a wait that was due. False: it had ended, or the step waits anew, as `stop` has it."""
        ...

    async def ends(self, graph: str, after: int, limit: int) -> Sequence[TaskEnd]:
        """Give how the tasks of a graph stand, in its order, after the number of one."""
        ...
