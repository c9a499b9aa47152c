"""The queue on SQL: claims lease, settles are fenced, an outcome reaches its run in the transaction that ends the attempt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from interlock.model import fault
from interlock.model.fault import Fault
from interlock.model.states import TaskState
from interlock.model.task import Cancelled, Done, Failed, FailureClass, Outcome, Target
from interlock.store.ports import ClaimedTask, LogLine, Orphan
from interlock.store.sql.transaction import Database, Row, Transaction

ATTEMPT: Final = "attempt"

_encode = msgspec.json.Encoder().encode
_target = msgspec.json.Decoder(Target)


class SqlQueue:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def ready(self, pool: str) -> bool:
        async def work(transaction: Transaction) -> bool:
            return bool(await transaction.rows("task_ready", {"pool": pool}))

        return await self._database.read(work)

    async def claim(
        self, node: str, pool: str, slots: int, limit: int, ttl_seconds: float, now: float, *, own: bool
    ) -> list[ClaimedTask]:
        async def work(transaction: Transaction) -> list[ClaimedTask]:
            occupied = (await transaction.rows("pool_occupancy", {"pool": pool}))[0][0]
            room = min(limit, slots - occupied)
            if room <= 0:
                return []
            statement, parameters = "tasks_claim", {"pool": pool, "limit": room}
            if own:
                statement, parameters = "tasks_claim_own", parameters | {"node": node}
            rows = await transaction.rows(statement, parameters)
            claimed = []
            for row in rows:
                await _lease(transaction, row, node, pool, now + ttl_seconds)
                claimed.append(await _claimed(transaction, row))
            return claimed

        return await self._database.write(work)

    async def settle(self, task: str, fence: int, outcome: Outcome, now: float, *, holder: str | None = None) -> bool:
        state = _end_state(outcome)
        lease = {"kind": ATTEMPT, "name": task, "holder": holder}

        async def work(transaction: Transaction) -> bool:
            if holder is not None and not await transaction.rows("lease_held", lease):
                return False
            rows = await transaction.rows("task_end", {"task": task, "fence": fence, "state": state, "at": now})
            if not rows:
                return False
            await _tell(transaction, task, rows[0], outcome)
            return True

        return await self._database.write(work)

    async def orphans(self, limit: int) -> list[Orphan]:
        async def work(transaction: Transaction) -> list[Orphan]:
            rows = await transaction.rows("attempts_orphaned", {"limit": limit})
            return [
                Orphan(
                    task=await _claimed(transaction, row[:10]),
                    holder=row[10],
                    host=row[11],
                    pool=row[12],
                    owner=row[13],
                )
                for row in rows
            ]

        return await self._database.read(work)

    async def adopt(self, orphan: Orphan, node: str, ttl_seconds: float, now: float) -> bool:
        lease = _of(orphan) | {"node": node, "expires_at": now + ttl_seconds}

        async def work(transaction: Transaction) -> bool:
            return bool(await transaction.run("lease_adopt", lease))

        return await self._database.write(work, counted=False)

    async def lose(self, orphan: Orphan, now: float) -> None:
        lease = {"kind": ATTEMPT, "name": orphan.task.task, "holder": orphan.holder}

        async def work(transaction: Transaction) -> None:
            if await transaction.rows("lease_held", lease):
                await lose(transaction, orphan.task.task, orphan.holder, now)

        await self._database.write(work)

    async def logged(self, task: ClaimedTask) -> dict[str, int]:
        attempt = {"run": task.run, "path": task.path, "attempt": task.attempt}

        async def work(transaction: Transaction) -> dict[str, int]:
            rows = await transaction.rows("log_lengths", attempt)
            return {row[0]: row[1] for row in rows}

        return await self._database.read(work)

    async def extend(self, node: str, ttl_seconds: float, now: float) -> None:
        async def work(transaction: Transaction) -> None:
            await transaction.run("leases_extend", {"holder": node, "kind": ATTEMPT, "expires_at": now + ttl_seconds})

        await self._database.write(work, counted=False)

    async def cancelled(self, node: str) -> list[str]:
        async def work(transaction: Transaction) -> list[str]:
            return [row[0] for row in await transaction.rows("tasks_cancelled", {"node": node})]

        return await self._database.read(work)

    async def expire(self, now: float) -> int:
        async def look(transaction: Transaction) -> bool:
            return bool(await transaction.rows("leases_expired", {"kind": ATTEMPT, "now": now}))

        if not await self._database.read(look):
            return 0

        async def work(transaction: Transaction) -> int:
            rows = await transaction.rows("leases_expired", {"kind": ATTEMPT, "now": now})
            for task, holder in rows:
                await lose(transaction, task, holder, now)
            return len(rows)

        return await self._database.write(work)

    async def log(self, run: str, lines: Sequence[LogLine], max_bytes: int) -> None:
        async def work(transaction: Transaction) -> None:
            sizes: dict[tuple[str, int], int] = {}
            for line in lines:
                await _log_line(transaction, run, line, max_bytes, sizes)

        await self._database.write(work, counted=False)


async def lose(transaction: Transaction, task: str, holder: str, now: float) -> None:
    """End an attempt whose holder is gone, and tell its run."""
    rows = await transaction.rows("task_end_any_fence", {"task": task, "at": now})
    if not rows:
        await transaction.run("lease_end", {"kind": ATTEMPT, "name": task})
        return
    detail = f"its lease ran out: the node {holder} that held it is gone"
    lost = Failed(
        failure=FailureClass.LOST,
        fault=Fault(type=fault.RUNTIME, status=500, title="Lost", detail=detail, code="lost"),
    )
    await _tell(transaction, task, rows[0], lost)


def _of(orphan: Orphan) -> dict[str, object]:
    """Give the parameters that name the lease of an orphan."""
    return {"kind": ATTEMPT, "name": orphan.task.task, "holder": orphan.holder, "fence": orphan.task.fence}


async def _tell(transaction: Transaction, task: str, row: Row, outcome: Outcome) -> None:
    """Free the slot and put the outcome into the run's inbox, unless nobody waits for it any more."""
    run, effect, cancel = row
    await transaction.run("lease_end", {"kind": ATTEMPT, "name": task})
    if cancel or not await transaction.rows("run_is_open", {"run": run}):
        return
    cause = _encode({"kind": "settled", "effect": effect, "outcome": outcome})
    await transaction.run("inbox_add", {"run": run, "cause_id": f"effect:{effect}", "cause": cause})


async def _lease(transaction: Transaction, row: Row, node: str, pool: str, expires_at: float) -> None:
    await transaction.run(
        "lease_put",
        {"kind": ATTEMPT, "name": row[0], "holder": node, "fence": row[4], "place": pool, "expires_at": expires_at},
    )


async def _claimed(transaction: Transaction, row: Row) -> ClaimedTask:
    task, run, effect, path, fence, target, folder, key, attempt, any_exit_code = row
    namespace, run_id = (await transaction.rows("run_name", {"run": run}))[0]
    parsed: Any = _target.decode(target)
    return ClaimedTask(
        task=task,
        run=run,
        effect=effect,
        path=path,
        fence=fence,
        target=parsed,
        folder=folder,
        idempotency_key=key,
        attempt=attempt,
        any_exit_code=bool(any_exit_code),
        namespace=namespace,
        run_id=run_id,
    )


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
    text = line.text
    sizes[key] += len(text)
    if sizes[key] > max_bytes:
        text = f"[the output of this attempt exceeds {max_bytes} bytes; the rest is not kept (logs.max_bytes)]\n"
    await transaction.run("log_add", place | {"at": line.at, "stream": line.stream, "text": text})


def _end_state(outcome: Outcome) -> TaskState:
    match outcome:
        case Done():
            return TaskState.DONE
        case Cancelled():
            return TaskState.CANCELLED
        case _:
            return TaskState.FAILED
