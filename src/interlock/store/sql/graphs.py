"""Task graphs on SQL: tasks that wait for each other, for a limit or for a time.

    blocked --its last edge goes--> ready    the settle of the predecessor does it, see `unblock`
    blocked --a blocking predecessor did not succeed--> skipped    and so do the tasks behind it
    ready --claimed while its limit is full--> held --a lease of the limit ends--> ready
    ready --claimed before its rate allows it--> delayed --its time comes--> ready

The end of a lease brings one task back, which may then be cancelled, or be held by another limit: so every look at what is
due also brings back what is held by a limit with room.

There are no counters: what a task waits for is its edges, how full a limit is the rows of live leases that name it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final

import msgspec

from interlock import errors
from interlock.model.states import TaskState
from interlock.store.ports import DUE_AT_ONCE, GraphTask
from interlock.store.sql import limits
from interlock.store.sql.commit import task_row
from interlock.store.sql.transaction import Database, Row, Transaction

_LIMITS_AT_ONCE: Final = 500  # that one look counts; the next one goes on behind them

_encode = msgspec.json.Encoder().encode


class SqlGraphs:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._looked_at = ""
        """The limit up to which `due` has looked for places that nobody was brought back for."""

    async def load(self, tasks: Sequence[GraphTask], now: float | None) -> None:
        names = {each.task.task for each in tasks}
        for each in tasks:
            if missing := each.after.keys() - names:
                raise errors.Invalid(f"the task {each.task.task} waits for {min(missing)}, which is not in its graph")
        waited_for = {name for each in tasks for name in each.after}
        rows = [row_of(each, now, waited_for=each.task.task in waited_for) for each in tasks]
        edges = [
            {"predecessor": predecessor, "task": each.task.task, "blocking": int(blocking)}
            for each in tasks
            for predecessor, blocking in each.after.items()
        ]
        named = [{"task": each.task.task, "name": name} for each in tasks for name in each.limits]

        async def work(transaction: Transaction) -> None:
            # The same tasks again, after a lost reply, may have begun: their edges must not come back.
            if rows and not await transaction.run("graph_task_add", rows[0]):
                return
            await transaction.many("graph_task_add", rows[1:])
            await transaction.many("edge_add", edges)
            await transaction.many("task_limit_add", named)

        await self._database.write(work)

    async def limit(
        self, name: str, capacity: int | None, *, interval_seconds: float | None = None, burst: int = 1
    ) -> None:
        row = {"name": name, "capacity": capacity, "interval_seconds": interval_seconds, "burst": burst}

        async def work(transaction: Transaction) -> None:
            await transaction.run("limit_put", row)
            await limits.readmit(transaction, name)

        await self._database.write(work)

    async def delay(self, task: str, fence: int, until: float, *, holder: str | None = None) -> bool:
        async def work(transaction: Transaction) -> bool:
            lease = {"kind": "attempt", "name": task, "fence": fence, "holder": holder}
            if not await transaction.run("lease_end_fenced", lease):
                return False
            if not await transaction.run("task_delay", {"task": task, "fence": fence, "until": until}):
                return False
            await limits.release(transaction, task)
            return True

        return await self._database.write(work)

    async def next_due(self, now: float | None) -> float | None:
        async def look(transaction: Transaction) -> float | None:
            rows = await transaction.rows("tasks_due_next", {"now": now})
            return rows[0][0] if rows else None

        return await self._database.read(look, once=True)

    async def due(self, now: float | None) -> int:
        async def look(transaction: Transaction) -> list[Row]:
            page = {"after": self._looked_at, "limit": _LIMITS_AT_ONCE}
            return await transaction.rows("limits_waited_for", page)

        seconds = await self.next_due(now)
        delayed = seconds is not None and seconds <= 0.0
        waited_for = await self._database.read(look, once=True)
        self._looked_at = waited_for[-1][0] if len(waited_for) == _LIMITS_AT_ONCE else ""
        free = [name for name, room in waited_for if room > 0]
        if not delayed and not free:
            return 0

        async def work(transaction: Transaction) -> int:
            for name in free:
                await limits.readmit(transaction, name)
            return await transaction.run("tasks_due", {"now": now, "limit": DUE_AT_ONCE})

        return await self._database.write(work)


async def unblock(transaction: Transaction, task: str, succeeded: bool, now: float | None) -> None:
    """After a task has ended: take its edges away, ready what nothing holds back any more, skip what cannot go on."""
    ended = deque([(task, succeeded)])
    while ended:
        predecessor, went_well = ended.popleft()
        if not await transaction.rows("successors_lock", {"predecessor": predecessor}):
            continue
        edges = await transaction.rows("edges_end", {"predecessor": predecessor})
        for successor, blocking in edges:
            if blocking and not went_well and await transaction.run("task_skip", {"task": successor, "now": now}):
                await transaction.run("edges_of_task_end", {"task": successor})
                ended.append((successor, False))
        tasks = _encode([row[0] for row in edges]).decode()
        await transaction.run("tasks_unblock", {"tasks": tasks, "now": now})


def row_of(each: GraphTask, now: float | None, *, waited_for: bool = False) -> dict[str, object]:
    """Give the parameters that store a task of a graph. `waited_for`: by others; a task with a spec may be, later on."""
    state = TaskState.READY if each.ready_at is None else TaskState.DELAYED
    row = task_row(each.task, 0.0)
    return row | {
        "state": TaskState.BLOCKED if each.after else state,
        "ready_at": each.ready_at,
        "linked": int(waited_for or bool(each.limits) or each.spec is not None),
        "rank": each.rank,
        "lane": None if each.spec is None else each.task.pool,
        "spec": None if each.spec is None else _encode(each.spec),
        "now": now,
    }


async def wait_for(transaction: Transaction, predecessor: str, task: str, blocking: bool, now: float | None) -> None:
    """Let a task wait for one that was stored before: one that is over by now skips it, or holds it back no more."""
    if await transaction.run("edge_add_behind", edge(predecessor, task, blocking)) or not blocking:
        return
    rows = await transaction.rows("task_state", {"task": predecessor})
    if rows and rows[0][0] != TaskState.DONE and await transaction.run("task_skip", {"task": task, "now": now}):
        await transaction.run("edges_of_task_end", {"task": task})
        await unblock(transaction, task, False, now)


def edge(predecessor: str, task: str, blocking: bool) -> dict[str, object]:
    """Give a wait as it is stored."""
    return {"predecessor": predecessor, "task": task, "blocking": int(blocking)}
