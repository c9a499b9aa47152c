"""Locks: rights on a name, for a time, each grant with a number that only grows.

    free --take--> held --release--> free
                   held --its time is over--> free, whoever looks
                   held --take, by force--> held by another one, with a larger number

Times are UTC seconds; `now` None is the store's own clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Protocol

from interlock.store.ports.row import Row


class LockMode(StrEnum):
    EXCLUSIVE = "exclusive"
    READ = "read"
    """Shared with other readers, against writers, who take it exclusively."""
    COUNTED = "counted"
    """Shared by as many as its limit says."""


class Taking(StrEnum):
    """What a taker does about a lock that somebody else holds."""

    RESPECT = "respect"
    STALE = "stale"
    """Takes it from a holder that has missed its renewals, or is a worker that is given up, though its time is not over."""
    FORCE = "force"


class LockRequest(Row, frozen=True, kw_only=True):
    """What is asked for. `session`: who among the tasks of the holder asks, for the search of deadlocks. `limit`: how many
    may hold a counted lock. `ticket`: the place in the queue that the request has. `nonce`: of this request; one that is made
    again, since the answer was lost, gets the grant of before."""

    namespace: str
    name: str
    holder: str
    session: str
    ttl_seconds: float
    mode: LockMode = LockMode.EXCLUSIVE
    limit: int = 1
    metadata: bytes = b"{}"
    ticket: int | None = None
    nonce: str = ""
    taking: Taking = Taking.RESPECT


class LockRow(Row, frozen=True, kw_only=True):
    """A grant. `fence` grows with every grant of the name; `expires_at` is not part of its time any more."""

    namespace: str
    name: str
    holder: str
    session: str
    mode: LockMode
    limit: int
    fence: int
    granted_at: float
    expires_at: float
    ttl_seconds: float
    metadata: bytes


class Taken(Row, frozen=True, kw_only=True):
    """The answer to a request: the grant, or None and who is in its way. `was_stale`: its holder before had not released it.

    `seconds`: until a look is worth while, if nothing is heard before.
    """

    grant: LockRow | None
    holders: Sequence[LockRow] = ()
    ahead: int = 0
    was_stale: bool = False
    seconds: float = 0.0


class Released(StrEnum):
    RELEASED = "released"
    NOT_FOUND = "not-found"
    """Nobody holds the lock."""
    NOT_OWNER = "not-owner"
    """Another one holds it, or the holder itself by a later grant."""
    EXPIRED = "expired"
    """The grant was the holder's, but its time was over."""


class Wait(Row, frozen=True, kw_only=True):
    """One who waits: `session` waits for the session `other`, which holds the lock or is ahead in its queue."""

    name: str
    ticket: int
    session: str
    since: float
    other: str


class Renewed(Row, frozen=True, kw_only=True):
    """A lease that is to be prolonged, or was."""

    kind: str
    name: str
    fence: int


class Locks(Protocol):
    async def take(self, request: LockRequest, now: float | None) -> Taken:
        """Take a lock if it is free and nobody is ahead in the queue; a grant ends the request's place in the queue.

        Atomic: of two takers one gets an exclusive lock. Raises Invalid when a counted lock has another limit.
        """
        ...

    async def queue(self, request: LockRequest, ttl_seconds: float, now: float | None) -> int:
        """Stand in the queue of a lock and give the place. It is lost when it is not kept by `stay` for `ttl_seconds`."""
        ...

    async def stay(self, request: LockRequest, ttl_seconds: float, now: float | None) -> bool:
        """Keep a place in the queue. False: it was lost."""
        ...

    async def turn(self, request: LockRequest, now: float | None) -> Taken:
        """Say, without a transaction, what `take` would meet: who holds the lock and how many are ahead."""
        ...

    async def leave(self, request: LockRequest) -> None:
        """Give a place in the queue up."""
        ...

    async def release(self, namespace: str, name: str, holder: str, fence: int, now: float | None) -> Released: ...

    async def holders(self, namespace: str, name: str, now: float | None) -> list[LockRow]:
        """Give those who hold a lock now, the longest first."""
        ...

    async def clear(self, namespace: str | None, now: float | None) -> int:
        """Forget grants whose time is over; gives how many."""
        ...

    async def release_all(self, namespace: str, holder: str, *, stale: bool, now: float | None) -> int:
        """Free the locks of a holder; gives how many. `stale`: only those that have missed their renewals."""
        ...

    async def waits(self, namespace: str, now: float | None) -> list[Wait]:
        """Give who waits for whom."""
        ...

    async def renew(self, held: Sequence[Renewed], now: float | None) -> list[Renewed]:
        """Prolong those leases that are still in force, each by its own time; gives them."""
        ...

    async def sweep(self, now: float | None, kept_seconds: float) -> int:
        """Forget free locks, and what has been over for `kept_seconds`; to be called every hour and not more often.

        Gives how many locks are forgotten. Fences go on above theirs.
        """
        ...

    async def check(self, namespace: str, name: str, fence: int, now: float | None) -> bool:
        """Say whether a grant is in force: nothing was granted after it, and its time is not over."""
        ...

    async def list(
        self,
        namespace: str,
        *,
        holder: str | None,
        expired: bool,
        after: tuple[str, int] | None,
        limit: int,
        now: float | None,
    ) -> list[LockRow]:
        """Give grants by the names of their locks and their fences, those after `after`. `expired`: also those whose time is
        over, that nobody took or cleared since."""
        ...


class Renewals(Protocol):
    """The renewal of a process's locks, blocking, for a thread of its own."""

    def renew(self, held: Sequence[Renewed], now: float | None) -> list[Renewed]:
        """Prolong those leases that are still in force, each by its own time; gives them."""
        ...

    def close(self) -> None: ...
