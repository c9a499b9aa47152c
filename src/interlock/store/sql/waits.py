"""Waits for the ends of task graphs on SQL.

Whoever changes what a graph is waited for by locks the row of its wait first. So tasks are never cancelled for a token that
another attempt of its step has just replaced.
"""

from __future__ import annotations

import msgspec

from interlock.model import task_graph
from interlock.model.states import TaskState
from interlock.store.ports import STOPPED_AT_ONCE, Begun, DueWait, NewWait, TaskEnd, TokenState
from interlock.store.sql import tasks, tokens
from interlock.store.sql.transaction import Database, Transaction


class SqlWaits:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def begin(self, wait: NewWait, now: float | None) -> Begun:
        row = msgspec.structs.asdict(wait)

        async def work(transaction: Transaction) -> Begun:
            if not await transaction.rows("wait_token", {"token": wait.token, "run": wait.run}):
                return Begun.UNWANTED
            if not await transaction.rows("graph_of_people", {"graph": wait.graph}):
                await transaction.run("wait_add", row)
            found = await transaction.rows("wait_lock", {"graph": wait.graph})
            if not found or found[0][0] != wait.visit:
                return Begun.TAKEN
            _, token, is_loaded, ended_at = found[0]
            if token == wait.token and ended_at is None:
                return Begun.LOADED if is_loaded else Begun.LOADING
            await transaction.run("wait_again", row)
            return Begun.LOADING

        return await self._database.write(work)

    async def loaded(self, graph: str, token: str) -> bool:
        async def work(transaction: Transaction) -> bool:
            return bool(await transaction.run("wait_loaded", {"graph": graph, "token": token}))

        return await self._database.write(work)

    async def any_open(self, node: str | None) -> bool:
        async def work(transaction: Transaction) -> bool:
            return bool(await transaction.rows("waits_open", {"node": node}))

        return await self._database.read(work, once=True)

    async def due(self, limit: int, now: float | None) -> list[DueWait]:
        async def work(transaction: Transaction) -> list[DueWait]:
            return [
                DueWait(
                    graph=graph, token=token, effect=effect, is_open=state == TokenState.OPEN, has_open=bool(has_open)
                )
                for graph, token, effect, state, has_open in await transaction.rows(
                    "waits_due", {"limit": limit, "now": now}
                )
            ]

        return await self._database.read(work, once=True)

    async def stop(self, wait: DueWait, now: float | None) -> int:
        async def work(transaction: Transaction) -> int:
            if not await _held(transaction, wait):
                return 0
            page = {"graph": wait.graph, "limit": STOPPED_AT_ONCE}
            names = [row[0] for row in await transaction.rows("graph_tasks_to_stop", page)]
            return sum([await tasks.stop(transaction, name, now) for name in sorted(names)])

        return await self._database.write(work)

    async def end(self, wait: DueWait, now: float | None) -> bool:
        ended = {"graph": wait.graph, "token": wait.token, "now": now}

        async def work(transaction: Transaction) -> bool:
            return await _held(transaction, wait) and bool(await transaction.run("wait_end", ended))

        return await self._database.write(work)

    async def ends(self, graph: str, after: int, limit: int) -> list[TaskEnd]:
        page = {"graph": graph, "after": after, "limit": limit}

        async def work(transaction: Transaction) -> list[TaskEnd]:
            return [
                TaskEnd(
                    number=number,
                    id=id,
                    state=TaskState(state),
                    optional=task_graph.decode(spec).optional,
                    outcome=outcome,
                    detail=detail,
                )
                for number, id, state, spec, outcome, detail in await transaction.rows("graph_ends", page)
            ]

        return await self._database.read(work, once=True)


async def _held(transaction: Transaction, wait: DueWait) -> bool:
    """Lock a wait, and say whether it is still what was looked at; who waits anew has to wait for this transaction."""
    if not await transaction.rows("wait_held", {"graph": wait.graph, "token": wait.token}):
        return False
    rows = await transaction.rows("token_get", {"token": wait.token})
    return not rows or tokens.token_row(rows[0]).effect == wait.effect
