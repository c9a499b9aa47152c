"""The queue on SQL: claims lease, settles are fenced, an outcome reaches its run in the transaction that ends the attempt."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from typing import Final

import msgspec

from interlock.model.call import Requirements
from interlock.model.task import Outcome, Resources, Target
from interlock.store.ports import Able, AttemptId, AttemptRow, ClaimedTask, LogLine, Orphan, WaitingTask, news
from interlock.store.sql import attempt_rows, ends, limits, tries
from interlock.store.sql.inbox import Post, Told
from interlock.store.sql.transaction import Database, Row, Transaction

ATTEMPT: Final = "attempt"

_encode = msgspec.json.Encoder().encode
_target = msgspec.json.Decoder(Target)
_requirements = msgspec.json.Decoder(Requirements)
_NOTHING: Final = Requirements()
_IDENTITY_BYTES: Final = 8
_FREED: Final = news.ANYTHING & ~news.INBOX
"""What the end of an attempt concerns besides its run: its place is free, others wait for it."""
_devices = msgspec.json.Decoder(tuple[int, ...])


class SqlQueue:
    def __init__(self, database: Database, post: Post | None = None) -> None:
        """`post`: who is handed at once how an attempt ended, for its run; None: it looks."""
        self._database = database
        self._post = post
        self._identity = ""

    async def identity(self) -> str:
        if not self._identity:
            self._identity = await self._database.read(_identity) or await self._named()
        return self._identity

    async def _named(self) -> str:
        async def work(transaction: Transaction) -> str:
            await transaction.run("identity_put", {"identity": os.urandom(_IDENTITY_BYTES).hex()})
            return await _identity(transaction)  # of whoever was first

        return await self._database.write(work, counted=False, tells=0)

    async def ready(self, pool: str, owner: str | None = None) -> bool:
        async def work(transaction: Transaction) -> bool:
            if owner is not None:
                return bool(await transaction.rows("task_ready_own", {"pool": pool, "node": owner}))
            return bool(await transaction.rows("task_ready", {"pool": pool}))

        return await self._database.read(work, once=True)

    async def waiting(self, pool: str, able: Able, limit: int) -> list[WaitingTask]:
        asked = {
            "pool": pool,
            "skills": _json(able.skills),
            "types": None if able.types is None else _json(able.types),
            "region": able.region,
            "cpu": able.cpu,
            "memory": able.memory,
            "limit": limit,
        }

        async def work(transaction: Transaction) -> list[WaitingTask]:
            return [
                WaitingTask(
                    task=task,
                    priority=priority,
                    since=since,
                    requires=_NOTHING if needs is None else _requirements.decode(needs),
                )
                for task, priority, since, needs in await transaction.rows("tasks_waiting", asked)
            ]

        return await self._database.read(work, once=True)

    async def claim(
        self,
        node: str,
        pool: str,
        slots: int,
        limit: int,
        ttl_seconds: float,
        now: float | None,
        *,
        own: bool,
        only: Sequence[str] | None = None,
    ) -> list[ClaimedTask]:
        async def work(transaction: Transaction) -> list[ClaimedTask]:
            place = {"pool": pool, "node": node}
            await transaction.run("pool_lock", place)
            occupied = (await transaction.rows("pool_occupancy", place))[0][0]
            room = min(limit, slots - occupied)
            if only is not None:
                return await _take_named(transaction, node, pool, only, room, ttl_seconds, now)
            return await _take(transaction, node, pool, room, ttl_seconds, now, own=own)

        return await self._database.write(work)

    async def began(self, attempts: Sequence[tuple[str, int, float]], now: float | None) -> None:
        rows = [{"task": task, "fence": fence, "ran": ran, "now": now} for task, fence, ran in sorted(attempts)]

        async def work(transaction: Transaction) -> None:
            await transaction.many("attempt_begin", rows)

        await self._database.write(work, counted=False, tells=0)  # nobody waits for it: who wants to know looks

    async def settle(
        self,
        task: str,
        fence: int,
        outcome: Outcome,
        now: float | None,
        *,
        holder: str | None = None,
        ran: float | None = None,
    ) -> bool:
        state = ends.state_of(outcome)
        told = Told()

        async def work(transaction: Transaction) -> bool:
            told.clear()
            lease = {"kind": ATTEMPT, "name": task, "fence": fence, "holder": holder}
            return bool(await transaction.run("lease_end_fenced", lease)) and await ends.end(
                transaction, task, fence, state, outcome, now, told, killed=True, ran=ran
            )

        return await self._database.write(work, tells=lambda: told.handed(self._post, _FREED))

    async def attempt(self, task: str, fence: int) -> AttemptRow | None:
        async def work(transaction: Transaction) -> AttemptRow | None:
            rows = await transaction.rows("attempt_get", {"task": task, "fence": fence})
            return attempt_rows.in_flight(rows[0]) if rows else None

        return await self._database.read(work, once=True)

    async def report(self, task: str, fence: int, report: bytes) -> bool:
        async def work(transaction: Transaction) -> bool:
            return bool(await transaction.run("attempt_report", {"task": task, "fence": fence, "report": report}))

        return await self._database.write(work, counted=False, tells=0)  # nobody waits for it: who wants to know looks

    async def orphans(self, limit: int) -> list[Orphan]:
        async def work(transaction: Transaction) -> list[Orphan]:
            rows = await transaction.rows("attempts_orphaned", {"limit": limit})
            return [
                Orphan(
                    task=attempt_rows.leased(row),
                    holder=row[15],
                    host=row[16],
                    pool=row[17],
                    owner=row[18],
                )
                for row in rows
            ]

        return await self._database.read(work)

    async def adopt(self, orphan: Orphan, node: str, ttl_seconds: float, now: float | None) -> bool:
        lease = _of(orphan) | {"node": node, "ttl": ttl_seconds, "now": now}

        async def work(transaction: Transaction) -> bool:
            return bool(await transaction.run("lease_adopt", lease))

        return await self._database.write(work, counted=False)

    async def lose(self, orphan: Orphan, now: float | None) -> None:
        async def work(transaction: Transaction) -> None:
            if await transaction.run("lease_end_fenced", _of(orphan)):
                await ends.lost(transaction, [(orphan.task.task, orphan.holder, orphan.task.fence)], now)

        await self._database.write(work)

    async def logged(self, task: ClaimedTask) -> dict[str, int]:
        attempt = {"run": task.run, "path": task.path, "attempt": task.attempt}

        async def work(transaction: Transaction) -> dict[str, int]:
            rows = await transaction.rows("log_lengths", attempt)
            return {row[0]: row[1] for row in rows}

        return await self._database.read(work)

    async def extend(self, node: str, ttl_seconds: float, now: float | None) -> None:
        async def work(transaction: Transaction) -> None:
            await transaction.run("leases_extend", {"holder": node, "kind": ATTEMPT, "ttl": ttl_seconds, "now": now})

        await self._database.write(work, counted=False)

    async def held(self, node: str, pool: str) -> list[ClaimedTask]:
        async def work(transaction: Transaction) -> list[ClaimedTask]:
            rows = await transaction.rows("tasks_held", {"node": node, "pool": pool})
            return [
                msgspec.structs.replace(
                    (task := attempt_rows.leased(row)),
                    resources=Resources(cpu=row[15], memory=row[16], gpus=len(task.devices)),
                )
                for row in rows
            ]

        return await self._database.read(work, once=True)

    async def unwanted(self, node: str, running: Collection[AttemptId]) -> list[AttemptId]:
        async def work(transaction: Transaction) -> list[AttemptId]:
            rows = await transaction.rows("tasks_leased", {"node": node})
            leased = {(task, fence) for task, fence, _ in rows}
            cancelled = [(task, fence) for task, fence, cancel in rows if cancel]
            gone = [attempt for attempt in running if attempt not in leased]
            return cancelled + [attempt for attempt in gone if not await _is_adopted(transaction, node, attempt)]

        return await self._database.read(work, once=True)

    async def is_adopted(self, node: str, attempt: AttemptId) -> bool:
        async def work(transaction: Transaction) -> bool:
            return await _is_adopted(transaction, node, attempt)

        return await self._database.read(work, once=True)

    async def expire(self, now: float | None) -> int:
        async def look(transaction: Transaction) -> bool:
            return bool(await transaction.rows("leases_expired", {"kind": ATTEMPT, "now": now}))

        if not await self._database.read(look, once=True):
            return 0

        async def work(transaction: Transaction) -> int:
            rows = await transaction.rows("leases_end_expired", {"kind": ATTEMPT, "now": now})
            await ends.lost(transaction, rows, now)
            return len(rows)

        return await self._database.write(work)

    async def log(self, run: str, lines: Sequence[LogLine], max_bytes: int, writer: str | None = None) -> None:
        async def work(transaction: Transaction) -> None:
            sizes: dict[tuple[str, int], int] = {}
            stored = -1
            await transaction.rows("log_lock", {"run": run})
            if writer is not None:
                stored = (await transaction.rows("log_writer", {"run": run, "writer": writer}))[0][0]
            for line in lines:
                if line.number > stored:
                    await _log_line(transaction, run, line, max_bytes, sizes)
            if writer is not None and lines:
                last = {"run": run, "writer": writer, "last": max(stored, lines[-1].number)}
                await transaction.run("log_writer_move", last)

        await self._database.write(work, counted=False)


async def _is_adopted(transaction: Transaction, node: str, attempt: AttemptId) -> bool:
    task, fence = attempt
    return bool(await transaction.rows("attempt_adopted", {"task": task, "fence": fence, "node": node}))


async def _identity(transaction: Transaction) -> str:
    rows = await transaction.rows("identity_get", {})
    return str(rows[0][0]) if rows else ""


async def _take(
    transaction: Transaction, node: str, pool: str, room: int, ttl_seconds: float, now: float | None, *, own: bool
) -> list[ClaimedTask]:
    """Take ready tasks while there is room; those that a limit refuses leave the ready index, so that others follow."""
    lease = {"kind": ATTEMPT, "holder": node, "place": pool, "ttl": ttl_seconds, "now": now}
    claimed: list[ClaimedTask] = []
    while room > 0:
        place = {"pool": pool, "limit": room}
        rows = await transaction.rows(*(("tasks_claim_own", place | {"node": node}) if own else ("tasks_claim", place)))
        taken, is_any_refused = await _lease(transaction, rows, lease, now)
        claimed += taken
        room -= len(taken)
        if not is_any_refused:
            break
    return claimed


async def _take_named(
    transaction: Transaction,
    node: str,
    pool: str,
    wanted: Sequence[str],
    room: int,
    ttl_seconds: float,
    now: float | None,
) -> list[ClaimedTask]:
    """Take tasks by their names while there is room, as many more as others have taken or a limit has refused."""
    lease = {"kind": ATTEMPT, "holder": node, "place": pool, "ttl": ttl_seconds, "now": now}
    claimed: list[ClaimedTask] = []
    left = list(wanted)
    while room > 0 and left:
        asked, left = left[:room], left[room:]
        rows = await transaction.rows("tasks_claim_named", {"pool": pool, "tasks": _json(asked)})
        taken, _ = await _lease(transaction, rows, lease, now)
        claimed += taken
        room -= len(taken)
    return claimed


async def _lease(
    transaction: Transaction, rows: Sequence[Row], lease: dict[str, object], now: float | None
) -> tuple[list[ClaimedTask], bool]:
    """Lease tasks that were taken, but those that a limit refuses; says whether there were such."""
    taken = await admitted(transaction, sorted(rows, key=lambda row: (-row[-1], row[0])), now)
    await transaction.many("lease_put", [lease | {"name": task.task, "fence": task.fence} for task in taken])
    await tries.begin(transaction, taken, str(lease["holder"]), now)
    return taken, len(taken) < len(rows)


async def admitted(transaction: Transaction, rows: Sequence[Row], now: float | None) -> list[ClaimedTask]:
    """Give the tasks of rows that were just taken, but those that a limit refuses: they go back, held or delayed."""
    linked = [row[0] for row in rows if row[-2]]
    refused = await limits.admit(transaction, linked, now) if linked else set()
    return [attempt_rows.claimed(row) for row in rows if row[0] not in refused]


def _json(values: Sequence[str]) -> str:
    return _encode(values).decode()


def _of(orphan: Orphan) -> dict[str, object]:
    """Give the parameters that name the lease of an orphan."""
    return {"kind": ATTEMPT, "name": orphan.task.task, "holder": orphan.holder, "fence": orphan.task.fence}


async def _log_line(
    transaction: Transaction, run: str, line: LogLine, max_bytes: int, sizes: dict[tuple[str, int], int]
) -> None:
    """Append a piece of output while the attempt's share lasts; the piece that exceeds it says so instead."""
    key = (line.path, line.attempt)
    place = {"run": run, "path": line.path, "attempt": line.attempt}
    if key not in sizes:
        sizes[key] = (await transaction.rows("log_size", place))[0][0]
    if sizes[key] > max_bytes:
        return
    text = line.text.replace("\0", "\N{SYMBOL FOR NULL}")  # PostgreSQL keeps no NUL in a text
    sizes[key] += len(text)
    if sizes[key] > max_bytes:
        text = f"[the output of this attempt exceeds {max_bytes} bytes; the rest is not kept (logs.max_bytes)]\n"
    await transaction.run(
        "log_add", place | {"at": line.at, "stream": line.stream, "text": text, "characters": len(text)}
    )
