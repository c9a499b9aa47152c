"""Locks on SQL: one row per lock, which is the lock itself while one holder has it, and what its shares are granted under.

An exclusive lock that nobody waits for is one statement (`lock_take`). Everything else is decided here, in a transaction that
locks the row first and reads after that: whatever another one granted before is seen then.

    lock_take: free, alone, no queue -> granted
    lock_guard -> lock_state -> compatible with who holds it, nobody ahead -> lock_grant | lock_share

The row of a lock stays when the lock is free: its fence goes on from there. Rows of free locks are swept after an hour or two
(`sweep`), when `meta.fence_floor` is above all their fences.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgspec

from interlock import errors
from interlock.store.ports import (
    LockMode,
    LockRequest,
    LockRow,
    Released,
    Renewed,
    Taken,
    Taking,
    Wait,
    news,
)
from interlock.store.sql.transaction import Database, Row, Transaction, present

_MARK: Final = "\x1f"  # between a lock and what names its shares and its queue; in no name
_LOOK_SECONDS: Final = 15.0  # between looks of one who waits, when no lease ends before
_MISSED: Final = 1 / 3  # of its time is left to a grant whose holder has missed two of its renewals
_NOBODY: Final = 2**62  # a place behind everybody


class _Detail(msgspec.Struct, frozen=True):
    session: str
    nonce: str = ""
    limit: int = 1
    metadata: msgspec.Raw = msgspec.Raw(b"{}")


_encode = msgspec.json.Encoder().encode
_detail = msgspec.json.Decoder(_Detail)


class _Lease(NamedTuple):
    kind: str
    holder: str
    fence: int
    place: str
    expires_at: float
    ttl: float | None
    granted_at: float | None
    detail: bytes | None
    now: float


class _State(NamedTuple):
    """A lock as it stands: the grants that are in force, the grant that is over but was not released, who waits."""

    grants: list[_Lease]
    is_over: bool
    queue: list[_Lease]
    now: float | None

    def ahead(self, ticket: int | None) -> list[_Lease]:
        return [each for each in self.queue if each.fence < (_NOBODY if ticket is None else ticket)]


class SqlLocks:
    def __init__(self, database: Database) -> None:
        self._database = database

    # -- taking --------------------------------------------------------------------------------------------------

    async def take(self, request: LockRequest, now: float | None) -> Taken:
        fast = request.mode is LockMode.EXCLUSIVE and request.ticket is None and request.taking is not Taking.FORCE
        if fast and (grant := await self._take_free(request, now)):
            return Taken(grant=grant)
        met = await self.turn(request, now)  # so that who is refused costs nobody a transaction
        if met.grant is not None or met.ahead or (met.holders and request.taking is Taking.RESPECT):
            return met

        async def work(transaction: Transaction) -> Taken:
            await transaction.rows("lock_guard", {"key": _key(request)})
            state = await _state(transaction, request, now)
            if had := _had(request, state):
                return Taken(grant=had)
            in_way, stolen = await _in_way(transaction, request, state, now)
            ahead = [] if request.taking is Taking.FORCE else state.ahead(request.ticket)
            if in_way or ahead:
                return _refused(request, state, in_way, len(ahead))
            grant = await _grant(transaction, request, stolen, now)
            if request.ticket is not None:
                await transaction.run("lock_leave", {"name": _place(request), "ticket": request.ticket})
            stale = request.taking is Taking.STALE or any(
                _has_missed(each.expires_at, each.ttl, each.now) for each in stolen
            )
            return Taken(grant=grant, was_stale=state.is_over or (bool(stolen) and stale))

        return await self._database.write(work, counted=False, tells=news.LOCKS)

    async def _take_free(self, request: LockRequest, now: float | None) -> LockRow | None:
        async def work(transaction: Transaction) -> LockRow | None:
            rows = await transaction.rows("lock_take", _asked(request, now))
            return _granted(request, rows[0]) if rows else None

        return await self._database.write(work, counted=False, tells=0, once=True)

    async def turn(self, request: LockRequest, now: float | None) -> Taken:
        async def work(transaction: Transaction) -> Taken:
            state = await _state(transaction, request, now)
            if had := _had(request, state):
                return Taken(grant=had)
            in_way, _ = _conflicts(request, state)
            ahead = 0 if request.taking is Taking.FORCE else len(state.ahead(request.ticket))
            return _refused(request, state, in_way, ahead)

        return await self._database.read(work, once=True)

    # -- the queue -----------------------------------------------------------------------------------------------

    async def queue(self, request: LockRequest, ttl_seconds: float, now: float | None) -> int:
        async def work(transaction: Transaction) -> int:
            await transaction.rows("lock_guard", {"key": _key(request)})
            place = _asked(request, now) | {"name": _place(request), "place": request.mode, "ttl": ttl_seconds}
            ticket: int = (await transaction.rows("lock_queue", place))[0][0]
            return ticket

        return await self._database.write(work, counted=False, tells=0)

    async def stay(self, request: LockRequest, ttl_seconds: float, now: float | None) -> bool:
        place = {"name": _place(request), "ticket": request.ticket, "ttl": ttl_seconds, "now": now}

        async def work(transaction: Transaction) -> bool:
            return bool(await transaction.run("lock_stay", place))

        return await self._database.write(work, counted=False, tells=0, once=True)

    async def leave(self, request: LockRequest) -> None:
        async def work(transaction: Transaction) -> None:
            await transaction.run("lock_leave", {"name": _place(request), "ticket": request.ticket})

        await self._database.write(work, counted=False, tells=news.LOCKS, once=True)

    # -- releasing -----------------------------------------------------------------------------------------------

    async def release(self, namespace: str, name: str, holder: str, fence: int, now: float | None) -> Released:
        key = key_of(namespace, name)
        given = {"key": key, "holder": holder, "fence": fence, "now": now}

        async def whole(transaction: Transaction) -> bool:
            return bool(await transaction.run("lock_release", given))

        if await self._database.write(whole, counted=False, tells=news.LOCKS, once=True):
            return Released.RELEASED

        async def share(transaction: Transaction) -> Released:
            if await transaction.run("lock_share_release", given):
                return Released.RELEASED
            grants = [_Lease(*row) for row in await transaction.rows("lock_state", {"key": key, "now": now})]
            grants = [each for each in grants if each.kind != "wait" and each.holder]
            if any((each.holder, each.fence) == (holder, fence) for each in grants):
                return Released.EXPIRED
            live = [each for each in grants if each.expires_at > each.now]
            return Released.NOT_OWNER if live else Released.NOT_FOUND

        return await self._database.write(share, counted=False, tells=news.LOCKS)

    async def clear(self, namespace: str | None, now: float | None) -> int:
        bounds = _bounds(namespace) | {"now": now}

        async def work(transaction: Transaction) -> int:
            cleared = await transaction.run("locks_clear", bounds)
            cleared += await transaction.run("locks_clear_kind", bounds | {"kind": "share"})
            await transaction.run("locks_clear_kind", bounds | {"kind": "wait"})
            return cleared

        return await self._database.write(work, counted=False, tells=news.LOCKS)

    async def release_all(self, namespace: str, holder: str, *, stale: bool, now: float | None) -> int:
        async def work(transaction: Transaction) -> int:
            return await release_all(transaction, namespace, holder, stale=stale, now=now)

        return await self._database.write(work, counted=False, tells=news.LOCKS)

    async def renew(self, held: Sequence[Renewed], now: float | None) -> list[Renewed]:
        async def work(transaction: Transaction) -> list[Renewed]:
            return await renew(transaction, held, now)

        return await self._database.write(work, counted=False, tells=0, once=True)

    async def sweep(self, now: float | None, kept_seconds: float) -> int:
        async def work(transaction: Transaction) -> int:
            over = _bounds(None) | {"now": await present(transaction, now) - kept_seconds}
            await transaction.run("locks_clear", over)
            for kind in ("share", "wait"):
                await transaction.run("locks_clear_kind", over | {"kind": kind})
            await transaction.run("locks_unshare", {})
            swept = await transaction.run("locks_floor", {})
            await transaction.run("locks_floor_raise", {})
            return swept

        return await self._database.write(work, counted=False, tells=0)

    # -- reading -------------------------------------------------------------------------------------------------

    async def holders(self, namespace: str, name: str, now: float | None) -> list[LockRow]:
        async def work(transaction: Transaction) -> list[LockRow]:
            rows = await transaction.rows("lock_state", {"key": key_of(namespace, name), "now": now})
            live = [lease for lease in map(_lease, rows) if _is_grant(lease) and lease.expires_at > lease.now]
            return [_row(namespace, name, lease) for lease in sorted(live, key=lambda lease: lease.fence)]

        return await self._database.read(work, once=True)

    async def waits(self, namespace: str, now: float | None) -> list[Wait]:
        async def work(transaction: Transaction) -> list[Wait]:
            rows = await transaction.rows("locks_waits", _bounds(namespace) | {"now": now})
            return _edges(namespace, rows)

        return await self._database.read(work, once=True)

    async def check(self, namespace: str, name: str, fence: int, now: float | None) -> bool:
        async def work(transaction: Transaction) -> bool:
            return await is_in_force(transaction, namespace, name, fence, now)

        return await self._database.read(work, once=True)

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
        name, fence = after or ("", 0)
        wanted = _bounds(namespace) | {
            "holder": holder, "expired": int(expired), "after": key_of(namespace, name), "after_fence": fence,
            "limit": limit, "now": now,
        }  # fmt: skip

        async def work(transaction: Transaction) -> list[LockRow]:
            found = []
            for key, who, number, mode, expires_at, ttl, granted_at, detail in await transaction.rows(
                "locks_page", wanted
            ):
                lease = _Lease("lock", who, number, mode, expires_at, ttl, granted_at, detail, 0.0)
                found.append(_row(namespace, key[len(namespace) + 1 :], lease))
            return found

        return await self._database.read(work, once=True)


# -- for others, in their transactions ---------------------------------------------------------------------------


async def is_in_force(transaction: Transaction, namespace: str, name: str, fence: int, now: float | None) -> bool:
    """Say whether a grant is in force."""
    return bool(await transaction.rows("lock_check", {"key": key_of(namespace, name), "fence": fence, "now": now}))


async def hold(transaction: Transaction, namespace: str, name: str, fence: int, now: float | None) -> bool:
    """Say whether a grant is in force, and keep it from being given to another one until the end of the transaction."""
    await transaction.rows("lock_hold", {"key": key_of(namespace, name)})
    return await is_in_force(transaction, namespace, name, fence, now)


async def renew(transaction: Transaction, held: Sequence[Renewed], now: float | None) -> list[Renewed]:
    """Prolong those grants that are still in force, each by its own time; gives them."""
    given = _encode([(each.kind, each.name, each.fence) for each in held]).decode()
    rows = await transaction.rows("locks_renew", {"held": given, "now": now})
    return [Renewed(kind=kind, name=name, fence=fence) for kind, name, fence in rows]


async def release_all(
    transaction: Transaction, namespace: str | None, holder: str, *, stale: bool = False, now: float | None
) -> int:
    """Free the locks of a holder, in one namespace or all; gives how many were in force."""
    bounds = _bounds(namespace)
    freed = 0
    for kind, name, fence, expires_at, ttl, target, moment in await transaction.rows(
        "locks_of_holder", {"holder": holder, "now": now}
    ):
        lock = target or name
        if not bounds["low"] <= lock < bounds["high"] or (stale and not _has_missed(expires_at, ttl, moment)):
            continue
        given = {"key": lock, "holder": holder, "fence": fence, "now": now}
        freed += await transaction.run("lock_release" if kind == "lock" else "lock_share_release", given)
    return freed


def key_of(namespace: str, name: str) -> str:
    """Give what a lock's row is named by. Namespaces have no slash, so no two locks share a row."""
    return f"{namespace}/{name}"


def lease_of(row: LockRow) -> Renewed:
    """Give the lease that a grant is, as renewals name it."""
    key = key_of(row.namespace, row.name)
    if row.mode is LockMode.EXCLUSIVE:
        return Renewed(kind="lock", name=key, fence=row.fence)
    return Renewed(kind="share", name=_share(key, row.fence), fence=row.fence)


# -- deciding ----------------------------------------------------------------------------------------------------


async def _state(transaction: Transaction, request: LockRequest, now: float | None) -> _State:
    found = [_lease(row) for row in await transaction.rows("lock_state", {"key": _key(request), "now": now})]
    grants = [each for each in found if _is_grant(each)]
    return _State(
        grants=[each for each in grants if each.expires_at > each.now],
        is_over=any(each.expires_at <= each.now for each in grants),
        queue=[each for each in found if each.kind == "wait"],
        now=found[0].now if found else None,
    )


def _had(request: LockRequest, state: _State) -> LockRow | None:
    """Give the grant that this very request was given before, if the answer was lost."""
    if request.nonce:
        for each in state.grants:
            if each.holder == request.holder and _told(each).nonce == request.nonce:
                return _row(request.namespace, request.name, each)
    return None


def _conflicts(request: LockRequest, state: _State) -> tuple[list[_Lease], list[_Lease]]:
    """Give the grants that exclude a request, and those that it has to take away to get its way by force."""
    alike = [each for each in state.grants if each.place == request.mode and each.kind == "share"]
    unlike = [each for each in state.grants if each not in alike]
    if request.mode is LockMode.COUNTED:
        for each in alike:
            if (limit := _told(each).limit) != request.limit:
                text = f"the lock {request.name!r} is held with the limit {limit}, not {request.limit}"
                raise errors.Invalid(f"{text}; all who use it have to name the same")
        if len(alike) >= request.limit:
            return unlike + alike, unlike + sorted(alike, key=lambda lease: lease.fence)[
                : len(alike) - request.limit + 1
            ]
    return unlike, unlike


async def _in_way(
    transaction: Transaction, request: LockRequest, state: _State, now: float | None
) -> tuple[list[_Lease], list[_Lease]]:
    """Give the grants that a request has to respect, and those that it takes away."""
    in_way, enough = _conflicts(request, state)
    if not in_way or request.taking is Taking.RESPECT:
        return in_way, []
    if request.taking is Taking.FORCE:
        return [], enough
    stale = [each for each in in_way if await _is_stale(transaction, each, now)]
    left = [each for each in in_way if each not in stale]
    if request.mode is LockMode.COUNTED and not [each for each in left if each.place != request.mode]:
        return ([], stale) if len(left) < request.limit else (left, [])
    return left, stale


async def _is_stale(transaction: Transaction, lease: _Lease, now: float | None) -> bool:
    if _has_missed(lease.expires_at, lease.ttl, lease.now):
        return True
    return bool(await transaction.rows("holder_is_gone", {"holder": lease.holder, "now": now}))


def _has_missed(expires_at: float, ttl: float | None, now: float) -> bool:
    return ttl is not None and expires_at - now < ttl * _MISSED


async def _grant(
    transaction: Transaction, request: LockRequest, stolen: Sequence[_Lease], now: float | None
) -> LockRow:
    key = _key(request)
    fences = _encode([each.fence for each in stolen if each.kind == "share"]).decode()
    await transaction.run("lock_shares_end", {"key": key, "fences": fences, "now": now})
    asked = _asked(request, now)
    if request.mode is LockMode.EXCLUSIVE:
        return _granted(request, (await transaction.rows("lock_grant", asked))[0])
    fence = (await transaction.rows("lock_share", {"key": key}))[0][0]
    share = asked | {"name": _share(key, fence), "fence": fence, "place": request.mode}
    return _granted(request, (await transaction.rows("lock_share_add", share))[0])


def _refused(request: LockRequest, state: _State, in_way: Sequence[_Lease], ahead: int) -> Taken:
    ends = [each.expires_at for each in [*in_way, *state.ahead(request.ticket)]]
    now = state.now or 0.0
    return Taken(
        grant=None,
        holders=[_row(request.namespace, request.name, each) for each in in_way],
        ahead=ahead,
        was_stale=state.is_over,
        seconds=min([max(end - now, 0.0) for end in ends] + [_LOOK_SECONDS]) if ends else 0.0,
    )


def _edges(namespace: str, rows: Sequence[Row]) -> list[Wait]:
    """Give who waits for whom, without those who can share, and without the choice that a counted lock leaves."""
    found: list[Wait] = []
    counted: dict[tuple[str, int], list[Wait]] = {}
    for target, ticket, mode, since, detail, kind, other_mode, other in rows:
        waiting, holding = _detail.decode(detail), _detail.decode(other)
        wait = Wait(
            name=target[len(namespace) + 1 :],
            ticket=ticket,
            session=waiting.session,
            since=since,
            other=holding.session,
        )
        if kind == "share" and mode == other_mode == LockMode.COUNTED:
            counted.setdefault((target, ticket), []).append(wait)
        elif not (kind == "share" and mode == other_mode):
            found.append(wait)
    # Whichever holder of a counted lock goes first lets the next one in: it is certain only where all of them are one.
    return found + [waits[0] for waits in counted.values() if len({wait.other for wait in waits}) == 1]


# -- rows --------------------------------------------------------------------------------------------------------


def _key(request: LockRequest) -> str:
    return key_of(request.namespace, request.name)


def _share(key: str, fence: int) -> str:
    return f"{key}{_MARK}{fence}"


def _place(request: LockRequest) -> str:
    return f"{_key(request)}{_MARK}{request.session}"


def _asked(request: LockRequest, now: float | None) -> dict[str, object]:
    detail = _Detail(request.session, request.nonce, request.limit, msgspec.Raw(request.metadata))
    return {
        "key": _key(request), "holder": request.holder, "ttl": request.ttl_seconds, "detail": _encode(detail), "now": now,
    }  # fmt: skip


def _bounds(namespace: str | None) -> dict[str, Any]:
    if namespace is None:
        return {"low": "", "high": "\U0010ffff"}
    return {"low": f"{namespace}/", "high": f"{namespace}0"}  # 0 comes after the slash


def _lease(row: Row) -> _Lease:
    return _Lease(*row)


def _is_grant(lease: _Lease) -> bool:
    return lease.kind != "wait" and bool(lease.holder)


def _told(lease: _Lease) -> _Detail:
    assert lease.detail is not None
    return _detail.decode(lease.detail)


def _row(namespace: str, name: str, lease: _Lease) -> LockRow:
    told = _told(lease)
    assert lease.ttl is not None
    assert lease.granted_at is not None
    return LockRow(
        namespace=namespace,
        name=name,
        holder=lease.holder,
        session=told.session,
        mode=LockMode(lease.place),
        limit=told.limit,
        fence=lease.fence,
        granted_at=lease.granted_at,
        expires_at=lease.expires_at,
        ttl_seconds=lease.ttl,
        metadata=bytes(told.metadata),
    )


def _granted(request: LockRequest, row: Row) -> LockRow:
    fence, granted_at, expires_at = row
    return LockRow(
        namespace=request.namespace,
        name=request.name,
        holder=request.holder,
        session=request.session,
        mode=request.mode,
        limit=request.limit,
        fence=fence,
        granted_at=granted_at,
        expires_at=expires_at,
        ttl_seconds=request.ttl_seconds,
        metadata=request.metadata,
    )


__all__ = ["SqlLocks", "hold", "is_in_force", "key_of", "lease_of", "release_all", "renew"]
