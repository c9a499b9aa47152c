"""Locks for those who are no process of ours: who acquires over HTTP renews by itself, and proves the grant by its fence."""

from __future__ import annotations

from collections.abc import Mapping

from interlock import errors
from interlock.coord.lock import Held
from interlock.coord.lock_request import checked
from interlock.model import json
from interlock.model.json import Json
from interlock.service import Clock
from interlock.store.ports import LockMode, LockRequest, Released, Store, Taking
from interlock.store.sql.lock_rows import lease_of


class RemoteLocks:
    """The locks of one namespace, on behalf of holders elsewhere."""

    def __init__(self, store: Store, clock: Clock, namespace: str) -> None:
        self._store = store
        self._clock = clock
        self._namespace = namespace

    async def acquire(
        self,
        name: str,
        holder: str,
        *,
        ttl_seconds: float,
        mode: str,
        limit: int,
        nonce: str | None,
        metadata: Mapping[str, Json],
    ) -> Held:
        """Acquire a lock that is free. `nonce`: the same one again gives the grant that it was given before.

        Raises Invalid, LockError "lock-held" with who holds it.
        """
        if mode not in list(LockMode):
            raise errors.Invalid(f"{mode[:50]!r} is no mode of a lock; they are {', '.join(LockMode)}")
        if limit > 1 and mode != LockMode.COUNTED:
            raise errors.Invalid(f"limit={limit} is for locks of the mode `counted` only")
        request = LockRequest(
            namespace=self._namespace,
            name=checked(name),
            holder=holder,
            session=f"{holder}/remote",
            ttl_seconds=ttl_seconds,
            mode=LockMode(mode),
            limit=limit,
            metadata=json.encode(dict(metadata)),
            taking=Taking.RESPECT,
            nonce=nonce or self._clock.uuid(),
        )
        taken = await self._store.locks.take(request, self._clock.stamp())
        if taken.grant is None:
            raise _not_free(name, [Held(row) for row in taken.holders])
        return Held(taken.grant)

    async def renew(self, name: str, holder: str, fence: int) -> bool:
        """Keep a grant for its time from now on. False: it is over."""
        now = self._clock.stamp()
        rows = await self._store.locks.holders(self._namespace, checked(name), now)
        leases = [lease_of(row) for row in rows if row.fence == fence and row.holder == holder]
        return bool(leases and await self._store.locks.renew(leases, now))

    async def release(self, name: str, holder: str, fence: int) -> None:
        """Free a grant. Raises NotFound, LockError."""
        stamp = self._clock.stamp()
        released = await self._store.locks.release(self._namespace, checked(name), holder, fence, stamp)
        match released:
            case Released.RELEASED:
                return
            case Released.NOT_FOUND:
                raise errors.NotFound(f"nobody holds the lock {name!r}")
            case Released.NOT_OWNER:
                text, code = f"the lock {name!r} is not {holder!r}'s under the number {fence}", "invalid-owner"
            case Released.EXPIRED:
                text, code = f"the time of {holder!r}'s grant {fence} of the lock {name!r} was over", "lock-expired"
        raise errors.LockError(text, code)


def _not_free(name: str, holders: list[Held]) -> errors.LockError:
    if not holders:
        return errors.LockError(f"the lock {name!r} is free, and others stand in its queue", "lock-queued")
    first = holders[0]
    return errors.LockError(
        f"the lock {name!r} is held by {first.holder!r} under the number {first.fence}", "lock-held"
    )
