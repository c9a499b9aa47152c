"""Group commit: what is queued when a connection is free goes to the server as one statement, in one round trip.

At most two groups are in flight, on connections of their own. A run has at most one batch in flight and one per group, so the
order of a run's batches is the order in which they were given. A group that fails is repeated member by member, so that a
bad member fails alone; one whose connection broke is not, since it may have been applied: every caller looks for itself.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from interlock import errors
from interlock.store.ports import Batch, Committed
from interlock.store.sql.admission import Admission
from interlock.store.sql.postgresql import commits

_GROUP_MEMBERS: Final = (
    64  # more would have the runs of a group wait for its last one, and the server for the next group
)
_GROUP_BYTES: Final = 4 * 1024 * 1024
_QUEUED_MEMBERS: Final = 5_000  # back-pressure: callers wait for room beyond this
_FLIGHTS: Final = 2  # one is on its way while the server makes the other durable


@dataclass(slots=True)
class _Member:
    batch: Batch
    bytes: int
    future: asyncio.Future[Committed]


class Committer:
    """Collects batches and gives them to `apply`, which sends a group and gives the runs that it was applied to."""

    def __init__(self, apply: Callable[[Sequence[Batch]], Awaitable[set[str]]]) -> None:
        self._apply = apply
        self._queue: deque[_Member] = deque()
        self._admission = Admission(_QUEUED_MEMBERS)
        self._flights: set[asyncio.Task[None]] = set()
        self._flying: set[str] = set()
        self._departure: asyncio.Handle | None = None

    async def commit(self, batch: Batch) -> Committed:
        bytes_ = commits.size(batch)
        await self._admission.enter(len(self._queue))
        loop = asyncio.get_running_loop()
        member = _Member(batch, bytes_, loop.create_future())
        self._queue.append(member)
        if self._departure is None:  # at the end of this turn of the loop, so that what is given together goes together
            self._departure = loop.call_soon(self._depart)
        return await member.future  # a caller that is cancelled learns nothing; the commit goes on without it

    async def close(self) -> None:
        """Wait for what is queued and in flight; every statement ends within its own time."""
        while self._flights or self._queue:
            if not self._flights:
                self._depart()
            await asyncio.wait(self._flights)

    def _depart(self) -> None:
        self._departure = None
        while self._queue and len(self._flights) < _FLIGHTS:
            group = self._take()
            if not group:
                return
            self._flying |= {member.batch.run for member in group}  # before the next group is taken
            flight = asyncio.create_task(self._fly(group), name="group-commit")
            self._flights.add(flight)
            flight.add_done_callback(self._landed)

    def _take(self) -> list[_Member]:
        """Take what may go now: up to the limits, one batch per run, none of a run that is in flight."""
        group: list[_Member] = []
        waiting: deque[_Member] = deque()
        runs: set[str] = set(self._flying)
        bytes_ = 0
        while self._queue and len(group) < _GROUP_MEMBERS and (not group or bytes_ < _GROUP_BYTES):
            member = self._queue.popleft()
            if member.batch.run in runs:
                waiting.append(member)
                continue
            runs.add(member.batch.run)
            bytes_ += member.bytes
            group.append(member)
        self._queue.extendleft(reversed(waiting))
        self._admission.left(len(self._queue))
        return group

    async def _fly(self, group: list[_Member]) -> None:
        try:
            await self._send(group)
        finally:
            self._flying -= {member.batch.run for member in group}

    async def _send(self, group: list[_Member]) -> None:
        try:
            applied = await self._apply([member.batch for member in group])
        except Exception as error:  # noqa: BLE001 (told to the members, or found among them)
            if len(group) == 1 or isinstance(error, errors.Environment):
                for member in group:
                    _fail(member, error)
                return
            for member in group:
                await self._send([member])
            return
        for member in group:
            _answer(member, applied)

    def _landed(self, flight: asyncio.Task[None]) -> None:
        self._flights.discard(flight)
        self._depart()


def _answer(member: _Member, applied: set[str]) -> None:
    if member.batch.run in applied:
        result = Committed.APPLIED
    else:
        result = Committed.STALE if member.batch.accept is None else Committed.EXISTS
    if not member.future.done():
        member.future.set_result(result)


def _fail(member: _Member, error: Exception) -> None:
    if not member.future.done():
        member.future.set_exception(error)
