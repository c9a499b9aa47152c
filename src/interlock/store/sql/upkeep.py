"""Upkeep on SQL: old runs are removed in pieces that hold the writer for a moment only; a restored store is made safe.

    ended --removed: one transaction takes the run away and notes it in `removals`--> its rows are deleted in pieces

A run is therefore there as a whole or not at all, whenever the process that removes it dies, and the next one goes on. The
task graphs that it loaded go with it: their tasks name the graph where those of a run name that.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

import msgspec

from interlock.model.states import RunStatus
from interlock.store.ports import EndedRun
from interlock.store.sql import commit, ends
from interlock.store.sql.transaction import Database, Transaction

_encode = msgspec.json.Encoder().encode
_PIECES: Final = {
    "removal_history": 400, "removal_memos": 400, "removal_logs": 100, "removal_scopes": 200, "removal_edges": 200,
    "removal_task_limits": 200, "removal_attempts": 200, "removal_tasks": 200, "removal_inbox": 200,
    "removal_log_writers": 200, "removal_attributes": 200, "removal_tokens": 200, "removal_delivery_attempts": 200,
    "removal_deliveries": 200,
    "removal_large": 4,
}  # fmt: skip
"""Rows per statement: large values are parts of up to 1 MiB, everything else is small. Of history and memos there is room for
eight of each of `_RUNS_AT_ONCE`: a statement that deletes as many as it may has all of them sent again."""
_WRITER_SECONDS: Final = 0.02  # a piece ends after this, so that nobody's commit waits much longer
_RUNS_AT_ONCE: Final = 50
_DEFINITIONS_AT_ONCE: Final = 100
_PAGES_AT_ONCE: Final = 1_000


class SqlUpkeep:
    def __init__(self, database: Database) -> None:
        self._database = database

    # -- retention -----------------------------------------------------------------------------------------------

    async def ended(self, before: float, after: EndedRun | None, limit: int) -> list[EndedRun]:
        page = {
            "before": before,
            "after_at": float("-inf") if after is None else after.ended_at,
            "after_run": "" if after is None else after.run,
            "limit": limit,
        }

        async def work(transaction: Transaction) -> list[EndedRun]:
            return [
                EndedRun(run=run, namespace=namespace, id=id_, workflow=workflow, status=RunStatus(status), ended_at=at)
                for run, namespace, id_, workflow, status, at in await transaction.rows("runs_ended_page", page)
            ]

        return await self._database.read(work)

    async def remove(self, runs: Sequence[str], before: float) -> int:
        removed = 0
        for first in range(0, len(runs), _RUNS_AT_ONCE):
            piece = runs[first : first + _RUNS_AT_ONCE]

            async def work(transaction: Transaction, piece: Sequence[str] = piece) -> int:
                runs = {"runs": _encode(piece).decode()}
                if not await transaction.run("removal_begin", {**runs, "before": before}):
                    return 0
                await transaction.run("removal_graphs_begin", runs)
                await transaction.run("removal_graphs", runs)
                return await transaction.run("removal_run", runs)

            removed += await self._database.write(work, counted=False)
        return removed

    async def drop(self, before: float) -> int:
        """Nothing is stored by weeks here."""
        return 0

    async def clear(self) -> bool:
        async def look(transaction: Transaction) -> bool:
            return bool(await transaction.rows("removals_pending", {"limit": 1}))

        if not await self._database.read(look):
            return False

        async def work(transaction: Transaction) -> None:
            end = time.monotonic() + _WRITER_SECONDS  # what is bounded is real time that others wait
            while rows := await transaction.rows("removals_pending", {"limit": _RUNS_AT_ONCE}):
                await _delete_piece(transaction, [row[0] for row in rows])
                if time.monotonic() > end:
                    return

        await self._database.write(work, counted=False)
        return True

    async def unused_definitions(self, before: float) -> int:
        async def look(transaction: Transaction) -> list[str]:
            found = {"before": before, "limit": _DEFINITIONS_AT_ONCE}
            return [row[0] for row in await transaction.rows("definitions_unused", found)]

        digests = await self._database.read(look)
        if not digests:
            return 0

        async def work(transaction: Transaction) -> int:
            return sum(
                [await transaction.run("definition_remove", {"digest": digest, "before": before}) for digest in digests]
            )

        return await self._database.write(work, counted=False)

    async def compact(self) -> None:
        async def look(transaction: Transaction) -> int:
            free: int = (await transaction.rows("pages_free", {}))[0][0]
            return free

        async def work(transaction: Transaction) -> None:
            end = time.monotonic() + _WRITER_SECONDS
            for _ in range(_PAGES_AT_ONCE):
                await transaction.rows("pages_give_back", {})
                if time.monotonic() > end:
                    return

        left = await self._database.read(look)
        while left:
            await self._database.write(work, counted=False)
            before, left = left, await self._database.read(look)
            if left >= before:
                return  # a store of before, whose pages stay in the file for what comes next

    async def oldest(self) -> list[tuple[str, str, float]]:
        async def work(transaction: Transaction) -> list[tuple[str, str, float]]:
            rows = await transaction.rows("runs_ended_oldest", {})
            return [(namespace, workflow, at) for namespace, workflow, at in rows]

        return await self._database.read(work)

    async def record(self, actor: str, action: str, target: str, now: float) -> None:
        async def work(transaction: Transaction) -> None:
            await commit.audit(transaction, now, actor, action, target)

        await self._database.write(work, counted=False)

    # -- after a restore -----------------------------------------------------------------------------------------

    async def raise_fences(self, step: int, now: float) -> int:
        async def work(transaction: Transaction) -> int:
            return await raise_fences(transaction, step, now)

        return await self._database.write(work, counted=False)


async def raise_fences(transaction: Transaction, step: int, now: float) -> int:
    """Free every run and end every attempt, under numbers that no writer since the backup can hold; all or nothing."""
    await transaction.run("restored_runs", {"step": step, "at": now})
    await transaction.run("restored_tasks", {"step": step})
    running = await transaction.rows("restored_running", {})
    await ends.lost(transaction, [(task, "before the restore", fence) for task, fence in running], now)
    await transaction.run("restored_deliveries", {"step": step})
    await transaction.run("restored_floor", {"step": step})
    await transaction.run("restored_leases", {})
    await transaction.run("restored_nodes", {"at": now})
    await transaction.run("restored_numbers", {"step": step})
    await transaction.run("restored_cells", {"step": step})
    await transaction.run("restored_changes", {})
    await transaction.run("restored_cells_floor", {})
    counts = await transaction.rows("counts", {})
    live: int = counts[0][1]
    return live


async def _delete_piece(transaction: Transaction, runs: Sequence[str]) -> None:
    """Delete some rows of removed runs; those of which nothing is left are done with."""
    chosen = {"runs": _encode(runs).decode()}
    whole = True
    for statement, limit in _PIECES.items():
        whole = await transaction.run(statement, {**chosen, "limit": limit}) < limit and whole
    if whole:
        await transaction.run("removal_waits", chosen)
        await transaction.run("removal_end", chosen)
