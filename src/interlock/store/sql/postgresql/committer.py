"""Group commit: what is queued when a connection is free goes to the server as one statement, in one round trip.

At most two groups are in flight, on connections of their own. Of the members with one key, such as the batches of a run, at
most one is in flight and one in a group, so that their order is the order in which they were given. A group that fails is
repeated member by member, so that a bad member fails alone; one whose connection broke is not, since it may have been
applied: every caller looks for itself.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from interlock import errors
from interlock.store.sql.admission import Admission

Item = TypeVar("Item")
Answer = TypeVar("Answer")

_GROUP_MEMBERS: Final = (
    64  # more would have the runs of a group wait for its last one, and the server for the next group
)
_GROUP_BYTES: Final = 4 * 1024 * 1024
_QUEUED_MEMBERS: Final = 5_000  # back-pressure: callers wait for room beyond this
_FLIGHTS: Final = 2  # one is on its way while the server makes the other durable


@dataclass(slots=True)
class _Member(Generic[Item, Answer]):
    item: Item
    key: str
    bytes: int
    future: asyncio.Future[Answer]


class Committer(Generic[Item, Answer]):
    """Collects what is to be committed and gives it to `apply`, which sends a group and gives the answers in its order.

    `key`: see above. `size`: about how many bytes an item sends.
    """

    def __init__(
        self,
        apply: Callable[[Sequence[Item]], Awaitable[Sequence[Answer]]],
        *,
        key: Callable[[Item], str],
        size: Callable[[Item], int],
    ) -> None:
        self._apply = apply
        self._key = key
        self._size = size
        self._queue: deque[_Member[Item, Answer]] = deque()
        self._admission = Admission(_QUEUED_MEMBERS)
        self._flights: set[asyncio.Task[None]] = set()
        self._flying: set[str] = set()
        self._departure: asyncio.Handle | None = None

    async def commit(self, item: Item) -> Answer:
        await self._admission.enter(len(self._queue))
        loop = asyncio.get_running_loop()
        member: _Member[Item, Answer] = _Member(item, self._key(item), self._size(item), loop.create_future())
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
            self._flying |= {member.key for member in group}  # before the next group is taken
            flight = asyncio.create_task(self._fly(group), name="group-commit")
            self._flights.add(flight)
            flight.add_done_callback(self._landed)

    def _take(self) -> list[_Member[Item, Answer]]:
        """Take what may go now: up to the limits, one of each key, none of a key that is in flight."""
        group: list[_Member[Item, Answer]] = []
        waiting: deque[_Member[Item, Answer]] = deque()
        keys: set[str] = set(self._flying)
        bytes_ = 0
        while self._queue and len(group) < _GROUP_MEMBERS and (not group or bytes_ < _GROUP_BYTES):
            member = self._queue.popleft()
            if member.key in keys:
                waiting.append(member)
                continue
            keys.add(member.key)
            bytes_ += member.bytes
            group.append(member)
        self._queue.extendleft(reversed(waiting))
        self._admission.left(len(self._queue))
        return group

    async def _fly(self, group: list[_Member[Item, Answer]]) -> None:
        try:
            await self._send(group)
        finally:
            self._flying -= {member.key for member in group}

    async def _send(self, group: list[_Member[Item, Answer]]) -> None:
        try:
            answers = await self._apply([member.item for member in group])
        except Exception as error:  # noqa: BLE001 (told to the members, or found among them)
            if len(group) == 1 or isinstance(error, errors.Environment):
                for member in group:
                    _fail(member, error)
                return
            for member in group:
                await self._send([member])
            return
        for member, answer in zip(group, answers, strict=True):
            if not member.future.done():
                member.future.set_result(answer)

    def _landed(self, flight: asyncio.Task[None]) -> None:
        self._flights.discard(flight)
        self._depart()


def _fail(member: _Member[Item, Answer], error: Exception) -> None:
    if not member.future.done():
        member.future.set_exception(error)
