"""Limits of leases: how many may name one at a time (concurrency), and how often one may start (rate).

A claim takes tasks first and then asks their limits, which it locks in the order of their names, so that of two claims one
sees what the other leased. What a full limit refuses leaves the ready index (`held`), else a claim would look at it again and
again; the end of a lease that names the limit brings the most urgent one back. Since that end removes its rows before it
waits for the lock, no order of the two leaves a task held while there is room.

A rate is a generic cell rate algorithm (GCRA): the row keeps when the next start would be due if they came evenly, and a
start may come `(burst - 1) * interval` before that.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from interlock.store.sql.transaction import Transaction

_encode = msgspec.json.Encoder().encode


@dataclass(slots=True)
class _Limit:
    """A limit that this transaction holds. `room`: leases that may still name it, None for any number."""

    name: str
    room: int | None
    interval_seconds: float | None
    burst: int
    arrival_at: float
    now: float

    @property
    def starts_at(self) -> float:
        """When the next start is allowed."""
        return self.arrival_at - (self.burst - 1) * (self.interval_seconds or 0.0)

    def take(self) -> None:
        if self.room is not None:
            self.room -= 1
        if self.interval_seconds is not None:
            self.arrival_at = max(self.now, self.arrival_at) + self.interval_seconds


async def admit(transaction: Transaction, tasks: Sequence[str], now: float | None) -> set[str]:
    """Count tasks that were just taken, in their order, against the limits they name; gives those that are refused.

    A refused task is held by the limit that is full, or delayed until its rate allows it.
    """
    named: defaultdict[str, list[str]] = defaultdict(list)
    for task, name in await transaction.rows("limits_of_tasks", {"tasks": _encode(list(tasks)).decode()}):
        named[task].append(name)
    held = {
        name: await _hold(transaction, name, now) for name in sorted({n for names in named.values() for n in names})
    }
    refused: set[str] = set()
    for task in tasks:
        asked = [limit for name in named[task] if (limit := held[name]) is not None]
        full = next((limit for limit in asked if limit.room is not None and limit.room <= 0), None)
        early = max((limit.starts_at for limit in asked if limit.interval_seconds is not None), default=0.0)
        if full is not None:
            await transaction.run("task_hold", {"task": task, "name": full.name})
            refused.add(task)
        elif asked and early > asked[0].now:
            await transaction.run("task_put_off", {"task": task, "ready_at": early})
            refused.add(task)
        else:
            for limit in asked:
                limit.take()
                await transaction.run("lease_limit_add", {"name": limit.name, "task": task})
    for limit in held.values():
        if limit is not None and limit.interval_seconds is not None:
            await transaction.run("limit_arrive", {"name": limit.name, "arrival_at": limit.arrival_at})
    return refused


async def _hold(transaction: Transaction, name: str, now: float | None) -> _Limit | None:
    """Lock a limit and count what names it, in a statement of its own; None for one that was never set."""
    rows = await transaction.rows("limit_lock", {"name": name, "now": now})
    if not rows:
        return None
    capacity, interval_seconds, burst, arrival_at, present = rows[0]
    occupied = (await transaction.rows("limit_occupancy", {"name": name}))[0][0]
    room = None if capacity is None else capacity - occupied
    return _Limit(name, room, interval_seconds, burst, arrival_at, present)


async def release(transaction: Transaction, task: str) -> None:
    """After a lease has ended: free what it named, and bring back one task that waited for each."""
    for name in sorted(row[0] for row in await transaction.rows("lease_limits_end", {"task": task})):
        await readmit(transaction, name)


async def readmit(transaction: Transaction, name: str) -> None:
    """Bring back as many tasks as a limit has room for; those that another limit refuses will be held by that."""
    limit = await _hold(transaction, name, 0.0)
    if limit is None:
        return
    room = limit.room
    while (room is None or room > 0) and await transaction.run("task_readmit", {"name": name}):
        room = None if room is None else room - 1
