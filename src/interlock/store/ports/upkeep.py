"""What keeps a store small and safe: removal of what is old, restoring."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from interlock.model.states import RunStatus
from interlock.store.ports.row import Row


class EndedRun(Row, frozen=True, kw_only=True):
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
