"""Tries of tasks of graphs: a row for each, and what follows one that did not succeed.

A task of a run is tried again by its run; one of a graph by the transaction that ends its attempt, so that no retry is ever
counted twice or forgotten.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from interlock.model import task_graph
from interlock.model.states import TaskState
from interlock.model.task import Cancelled, Done, Failed, FailureClass, Outcome, Snoozed
from interlock.model.task_graph import Again
from interlock.store.ports import ClaimedTask
from interlock.store.sql import graphs, limits
from interlock.store.sql.transaction import Transaction, present

_encode = msgspec.json.Encoder().encode


async def begin(transaction: Transaction, tasks: Sequence[ClaimedTask], node: str, now: float | None) -> None:
    """Note the attempts that begin with a claim."""
    rows = [
        {"task": task.task, "fence": task.fence, "attempt": task.attempt, "pool": task.pool}
        for task in tasks
        if task.spec is not None
    ]
    if rows:
        await transaction.insert("attempts_add", {"holder": node, "now": now}, rows)


async def end(
    transaction: Transaction, task: str, fence: int, outcome: Outcome, now: float | None, *, ran: float | None
) -> None:
    """Note how an attempt ended. `ran`: for how many seconds, for one whose start the store was not told; None: unknown."""
    row: dict[str, object] = {"task": task, "fence": fence, "failure": None, "detail": None, "now": now, "ran": ran}
    match outcome:
        case Done():
            row |= {"outcome": "done", "detail": _encode(outcome.value)}
        case Failed():
            row |= {"outcome": "failed", "failure": outcome.failure, "detail": _encode(outcome.fault)}
        case Snoozed():
            row |= {"outcome": "snoozed"}
        case Cancelled():
            row |= {"outcome": "cancelled"}
    await transaction.run("attempt_end", row)


async def fail(
    transaction: Transaction,
    task: str,
    fence: int,
    outcome: Failed | Snoozed,
    now: float | None,
    *,
    killed: bool,
    ran: float | None,
) -> bool | None:
    """End an attempt that did not succeed: its task is tried again, or is over. None: it is no task of a graph.

    `killed`: the runner died over it while its node lived. Somebody who asked for its end gets that instead of a retry.
    """
    rows = await transaction.rows("task_terms", {"task": task, "fence": fence})
    if not rows:
        return None
    spec, used, cancel, _ = rows[0]
    await end(transaction, task, fence, outcome, now, ran=ran)
    place = {"task": task, "fence": fence, "now": now}
    counts = task_graph.decode_used(used) if used else {}
    if cancel:
        return await _over(transaction, place | {"state": TaskState.CANCELLED, "used": used}, now)
    terms = task_graph.decode(spec)
    if terms.kind == "workflow" and isinstance(outcome, Failed) and outcome.failure is FailureClass.LOST:
        outcome = Snoozed(0.0)  # only who watched its run is gone; the run goes on, and the next attempt joins it
    next_ = task_graph.after(terms.retry, counts, outcome, killed=killed)
    kept = _encode(next_.used).decode()
    if isinstance(next_, Again):
        until = await present(transaction, now) + next_.seconds
        await transaction.run("task_again", place | {"until": until, "counts": int(next_.counts), "used": kept})
        await limits.release(transaction, task)
        return True
    state = TaskState.QUARANTINED if next_.poisoned else TaskState.FAILED
    return await _over(transaction, place | {"state": state, "used": kept}, now)


async def _over(transaction: Transaction, row: dict[str, object], now: float | None) -> bool:
    """End a task for good, and those that cannot go on without it; one in quarantine keeps them waiting."""
    if not await transaction.rows("task_over", row):
        return False
    task = str(row["task"])
    await limits.release(transaction, task)
    if row["state"] is not TaskState.QUARANTINED:
        await graphs.unblock(transaction, task, False, now)
    return True
