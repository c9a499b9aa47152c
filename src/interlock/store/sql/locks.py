"""Locks on SQL: one row per lock, which is the lock itself while one holder has it, and what its shares are granted under.

An exclusive lock that nobody waits for is one statement (`lock_take`). Everything else is decided in a transaction that
locks the row first and reads after that (`grants`): whatever another one granted before is seen then.

    lock_take: free, alone, no queue -> granted
    lock_guard -> lock_state -> compatible with who holds it, nobody ahead -> lock_grant | lock_share

The row of a lock stays when the lock is free: its fence goes on from there. Rows of free locks are swept after an hour or two
(`sweep`), when `meta.fence_floor` is above all their fences.
"""

from __future__ import annotations

from collections.abc import Sequence

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
from interlock.store.sql import grants, lock_rows
from interlock.store.sql.lock_rows import Lease
from interlock.store.sql.transaction import Database, Row, Transaction, present


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
            await transaction.rows("lock_guard", {"key": lock_rows.key_for(request)})
            state = await grants.state_of(transaction, request, now)
            if had := grants.had(request, state):
                return Taken(grant=had)
            in_way, stolen = await grants.in_way_of(transaction, request, state, now)
            ahead = [] if request.taking is Taking.FORCE else state.ahead(request.ticket)
            if in_way or ahead:
                return grants.refused(request, state, in_way, len(ahead))
            grant = await grants.grant(transaction, request, stolen, now)
            if request.ticket is not None:
                await transaction.run("lock_leave", {"name": lock_rows.place_of(request), "ticket": request.ticket})
            stale = request.taking is Taking.STALE or any(
                grants.has_missed(each.expires_at, each.ttl, each.now) for each in stolen
            )
            return Taken(grant=grant, was_stale=state.is_over or (bool(stolen) and stale))

        return await self._database.write(work, counted=False, tells=news.LOCKS)

    async def _take_free(self, request: LockRequest, now: float | None) -> LockRow | None:
        async def work(transaction: Transaction) -> LockRow | None:
            rows = await transaction.rows("lock_take", lock_rows.asked(request, now))
            return lock_rows.granted(request, rows[0]) if rows else None

        return await self._database.write(work, counted=False, tells=0, once=True)

    async def turn(self, request: LockRequest, now: float | None) -> Taken:
        async def work(transaction: Transaction) -> Taken:
            state = await grants.state_of(transaction, request, now)
            if had := grants.had(request, state):
                return Taken(grant=had)
            in_way, _ = grants.conflicts(request, state)
            ahead = 0 if request.taking is Taking.FORCE else len(state.ahead(request.ticket))
            return grants.refused(request, state, in_way, ahead)

        return await self._database.read(work, once=True)

    # -- the queue -----------------------------------------------------------------------------------------------

    async def queue(self, request: LockRequest, ttl_seconds: float, now: float | None) -> int:
        async def work(transaction: Transaction) -> int:
            await transaction.rows("lock_guard", {"key": lock_rows.key_for(request)})
            place = lock_rows.asked(request, now) | {
                "name": lock_rows.place_of(request),
                "place": request.mode,
                "ttl": ttl_seconds,
            }
            ticket: int = (await transaction.rows("lock_queue", place))[0][0]
            return ticket

        return await self._database.write(work, counted=False, tells=0)

    async def stay(self, request: LockRequest, ttl_seconds: float, now: float | None) -> bool:
        place = {"name": lock_rows.place_of(request), "ticket": request.ticket, "ttl": ttl_seconds, "now": now}

        async def work(transaction: Transaction) -> bool:
            return bool(await transaction.run("lock_stay", place))

        return await self._database.write(work, counted=False, tells=0, once=True)

    async def leave(self, request: LockRequest) -> None:
        async def work(transaction: Transaction) -> None:
            await transaction.run("lock_leave", {"name": lock_rows.place_of(request), "ticket": request.ticket})

        await self._database.write(work, counted=False, tells=news.LOCKS, once=True)

    # -- releasing -----------------------------------------------------------------------------------------------

    async def release(self, namespace: str, name: str, holder: str, fence: int, now: float | None) -> Released:
        key = lock_rows.key_of(namespace, name)
        given = {"key": key, "holder": holder, "fence": fence, "now": now}

        async def whole(transaction: Transaction) -> bool:
            return bool(await transaction.run("lock_release", given))

        if await self._database.write(whole, counted=False, tells=news.LOCKS, once=True):
            return Released.RELEASED

        async def share(transaction: Transaction) -> Released:
            if await transaction.run("lock_share_release", given):
                return Released.RELEASED
            rows = await transaction.rows("lock_state", {"key": key, "now": now})
            granted = [lease for lease in map(lock_rows.lease_from, rows) if lock_rows.is_grant(lease)]
            if any((each.holder, each.fence) == (holder, fence) for each in granted):
                return Released.EXPIRED
            live = [each for each in granted if each.expires_at > each.now]
            return Released.NOT_OWNER if live else Released.NOT_FOUND

        return await self._database.write(share, counted=False, tells=news.LOCKS)

    async def clear(self, namespace: str | None, now: float | None) -> int:
        bounds = lock_rows.bounds(namespace) | {"now": now}

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
            over = lock_rows.bounds(None) | {"now": await present(transaction, now) - kept_seconds}
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
            rows = await transaction.rows("lock_state", {"key": lock_rows.key_of(namespace, name), "now": now})
            live = [
                lease
                for lease in map(lock_rows.lease_from, rows)
                if lock_rows.is_grant(lease) and lease.expires_at > lease.now
            ]
            return [lock_rows.row_of(namespace, name, lease) for lease in sorted(live, key=lambda lease: lease.fence)]

        return await self._database.read(work, once=True)

    async def waits(self, namespace: str, now: float | None) -> list[Wait]:
        async def work(transaction: Transaction) -> list[Wait]:
            rows = await transaction.rows("locks_waits", lock_rows.bounds(namespace) | {"now": now})
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
        wanted = lock_rows.bounds(namespace) | {
            "holder": holder, "expired": int(expired), "after": lock_rows.key_of(namespace, name), "after_fence": fence,
            "limit": limit, "now": now,
        }  # fmt: skip

        async def work(transaction: Transaction) -> list[LockRow]:
            found = []
            for key, who, number, mode, expires_at, ttl, granted_at, detail in await transaction.rows(
                "locks_page", wanted
            ):
                lease = Lease("lock", who, number, mode, expires_at, ttl, granted_at, detail, 0.0)
                found.append(lock_rows.row_of(namespace, key[len(namespace) + 1 :], lease))
            return found

        return await self._database.read(work, once=True)


# -- for others, in their transactions ---------------------------------------------------------------------------


async def is_in_force(transaction: Transaction, namespace: str, name: str, fence: int, now: float | None) -> bool:
    """Say whether a grant is in force."""
    return bool(
        await transaction.rows("lock_check", {"key": lock_rows.key_of(namespace, name), "fence": fence, "now": now})
    )


async def hold(transaction: Transaction, namespace: str, name: str, fence: int, now: float | None) -> bool:
    """Say whether a grant is in force, and keep it from being given to another one until the end of the transaction."""
    await transaction.rows("lock_hold", {"key": lock_rows.key_of(namespace, name)})
    return await is_in_force(transaction, namespace, name, fence, now)


async def renew(transaction: Transaction, held: Sequence[Renewed], now: float | None) -> list[Renewed]:
    """Prolong those grants that are still in force, each by its own time; gives them."""
    given = lock_rows.encode([(each.kind, each.name, each.fence) for each in held]).decode()
    rows = await transaction.rows("locks_renew", {"held": given, "now": now})
    return [Renewed(kind=kind, name=name, fence=fence) for kind, name, fence in rows]


async def release_all(
    transaction: Transaction, namespace: str | None, holder: str, *, stale: bool = False, now: float | None
) -> int:
    """Free the locks of a holder, in one namespace or all; gives how many were in force."""
    bounds = lock_rows.bounds(namespace)
    freed = 0
    for kind, name, fence, expires_at, ttl, target, moment in await transaction.rows(
        "locks_of_holder", {"holder": holder, "now": now}
    ):
        lock = target or name
        if not bounds["low"] <= lock < bounds["high"] or (stale and not grants.has_missed(expires_at, ttl, moment)):
            continue
        given = {"key": lock, "holder": holder, "fence": fence, "now": now}
        freed += await transaction.run("lock_release" if kind == "lock" else "lock_share_release", given)
    return freed


def _edges(namespace: str, rows: Sequence[Row]) -> list[Wait]:
    """Give who waits for whom, without those who can share, and without the choice that a counted lock leaves."""
    found: list[Wait] = []
    counted: dict[tuple[str, int], list[Wait]] = {}
    for target, ticket, mode, since, detail, kind, other_mode, other in rows:
        waiting, holding = lock_rows.detail_of(detail), lock_rows.detail_of(other)
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


__all__ = ["SqlLocks", "hold", "is_in_force", "release_all", "renew"]
