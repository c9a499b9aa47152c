"""Whether a lock can be granted: what is in the way of a request, what it takes away, and the grant itself.

All of it reads the state of one lock. What writes runs in the transaction that has locked the row of the lock before it read
that state: whatever another one granted before is seen then.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from interlock import errors
from interlock.store.ports import LockMode, LockRequest, LockRow, Taken, Taking
from interlock.store.sql import lock_rows
from interlock.store.sql.lock_rows import Lease
from interlock.store.sql.transaction import Transaction

_LOOK_SECONDS: Final = 15.0  # between looks of one who waits, when no lease ends before
_MISSED: Final = 1 / 3  # of its time is left to a grant whose holder has missed two of its renewals
_NOBODY: Final = 2**62  # a place behind everybody


class State(NamedTuple):
    """A lock as it stands: the grants that are in force, the grant that is over but was not released, who waits."""

    grants: list[Lease]
    is_over: bool
    queue: list[Lease]
    now: float | None

    def ahead(self, ticket: int | None) -> list[Lease]:
        return [each for each in self.queue if each.fence < (_NOBODY if ticket is None else ticket)]


async def state_of(transaction: Transaction, request: LockRequest, now: float | None) -> State:
    """Read how the lock stands that is asked for."""
    found = [
        lock_rows.lease_from(row)
        for row in await transaction.rows("lock_state", {"key": lock_rows.key_for(request), "now": now})
    ]
    grants = [each for each in found if lock_rows.is_grant(each)]
    return State(
        grants=[each for each in grants if each.expires_at > each.now],
        is_over=any(each.expires_at <= each.now for each in grants),
        queue=[each for each in found if each.kind == "wait"],
        now=found[0].now if found else None,
    )


def had(request: LockRequest, state: State) -> LockRow | None:
    """Give the grant that this very request was given before, if the answer was lost."""
    if request.nonce:
        for each in state.grants:
            if each.holder == request.holder and lock_rows.told(each).nonce == request.nonce:
                return lock_rows.row_of(request.namespace, request.name, each)
    return None


def conflicts(request: LockRequest, state: State) -> tuple[list[Lease], list[Lease]]:
    """Give the grants that exclude a request, and those that it has to take away to get its way by force."""
    alike = [each for each in state.grants if each.place == request.mode and each.kind == "share"]
    unlike = [each for each in state.grants if each not in alike]
    if request.mode is LockMode.COUNTED:
        for each in alike:
            if (limit := lock_rows.told(each).limit) != request.limit:
                text = f"the lock {request.name!r} is held with the limit {limit}, not {request.limit}"
                raise errors.Invalid(f"{text}; all who use it have to name the same")
        if len(alike) >= request.limit:
            return unlike + alike, unlike + sorted(alike, key=lambda lease: lease.fence)[
                : len(alike) - request.limit + 1
            ]
    return unlike, unlike


async def in_way_of(
    transaction: Transaction, request: LockRequest, state: State, now: float | None
) -> tuple[list[Lease], list[Lease]]:
    """Give the grants that a request has to respect, and those that it takes away."""
    in_way, enough = conflicts(request, state)
    if not in_way or request.taking is Taking.RESPECT:
        return in_way, []
    if request.taking is Taking.FORCE:
        return [], enough
    stale = [each for each in in_way if await _is_stale(transaction, each, now)]
    left = [each for each in in_way if each not in stale]
    if request.mode is LockMode.COUNTED and not [each for each in left if each.place != request.mode]:
        return ([], stale) if len(left) < request.limit else (left, [])
    return left, stale


async def _is_stale(transaction: Transaction, lease: Lease, now: float | None) -> bool:
    if has_missed(lease.expires_at, lease.ttl, lease.now):
        return True
    return bool(await transaction.rows("holder_is_gone", {"holder": lease.holder, "now": now}))


def has_missed(expires_at: float, ttl: float | None, now: float) -> bool:
    """Say whether so little of a grant's time is left that its holder has missed two of its renewals."""
    return ttl is not None and expires_at - now < ttl * _MISSED


async def grant(transaction: Transaction, request: LockRequest, stolen: Sequence[Lease], now: float | None) -> LockRow:
    """Grant a lock whose row this transaction has locked, and end what it is taken away from."""
    key = lock_rows.key_for(request)
    fences = lock_rows.encode([each.fence for each in stolen if each.kind == "share"]).decode()
    await transaction.run("lock_shares_end", {"key": key, "fences": fences, "now": now})
    asked = lock_rows.asked(request, now)
    if request.mode is LockMode.EXCLUSIVE:
        return lock_rows.granted(request, (await transaction.rows("lock_grant", asked))[0])
    fence = (await transaction.rows("lock_share", {"key": key}))[0][0]
    share = asked | {"name": lock_rows.share_of(key, fence), "fence": fence, "place": request.mode}
    return lock_rows.granted(request, (await transaction.rows("lock_share_add", share))[0])


def refused(request: LockRequest, state: State, in_way: Sequence[Lease], ahead: int) -> Taken:
    """Give who is in the way, and when to look again."""
    ends = [each.expires_at for each in [*in_way, *state.ahead(request.ticket)]]
    now = state.now or 0.0
    return Taken(
        grant=None,
        holders=[lock_rows.row_of(request.namespace, request.name, each) for each in in_way],
        ahead=ahead,
        was_stale=state.is_over,
        seconds=min([max(end - now, 0.0) for end in ends] + [_LOOK_SECONDS]) if ends else 0.0,
    )
