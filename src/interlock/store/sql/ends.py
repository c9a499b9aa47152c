"""The end of an attempt: its task ends, is tried again or goes back; its outcome reaches its run in the same transaction."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from interlock.model import fault
from interlock.model.fault import Fault
from interlock.model.states import TaskState
from interlock.model.task import Cancelled, Done, Failed, FailureClass, Outcome, Snoozed
from interlock.store.sql import graphs, limits, tries
from interlock.store.sql.inbox import Told
from interlock.store.sql.transaction import Row, Transaction

_encode = msgspec.json.Encoder().encode


def state_of(outcome: Outcome) -> TaskState:
    """Give the state in which an outcome leaves a task that is not tried again."""
    match outcome:
        case Done():
            return TaskState.DONE
        case Cancelled():
            return TaskState.CANCELLED
        case _:
            return TaskState.FAILED


async def lost(transaction: Transaction, leases: Sequence[Row], now: float | None) -> None:
    """End the attempts of leases that were ended because their holders are gone, and tell their runs.

    `leases`: (task, holder, fence). Locks are taken in one order everywhere: a lease, its task, the inbox.
    """
    for task, holder, fence in sorted(tuple(lease) for lease in leases):
        detail = f"its lease ran out: the node {holder} that held it is gone"
        gone = Failed(
            failure=FailureClass.LOST,
            fault=Fault(type=fault.RUNTIME, status=500, title="Lost", detail=detail, code="lost"),
        )
        await end(transaction, task, fence, TaskState.FAILED, gone, now, Told())


async def end(
    transaction: Transaction,
    task: str,
    fence: int,
    state: TaskState,
    outcome: Outcome,
    now: float | None,
    told: Told,
    *,
    killed: bool = False,
    ran: float | None = None,
) -> bool:
    """End an attempt and put its outcome into the run's inbox, unless nobody waits for it any more.

    `killed`: what was lost is the runner alone, whose node still tells of it.
    """
    if isinstance(outcome, Failed | Snoozed):
        is_lost = isinstance(outcome, Failed) and outcome.failure is FailureClass.LOST
        failed = await tries.fail(transaction, task, fence, outcome, now, killed=killed and is_lost, ran=ran)
        if failed is not None:
            return failed
    rows = await transaction.rows("task_end", {"task": task, "fence": fence, "state": state, "now": now})
    if not rows:
        return False
    run, effect, cancel, linked, is_of_graph = rows[0]
    if is_of_graph:
        await tries.end(transaction, task, fence, outcome, now, ran=ran)
    if linked:
        await limits.release(transaction, task)
        await graphs.unblock(transaction, task, state is TaskState.DONE, now)
    if not is_of_graph and not cancel:
        cause = _encode({"kind": "settled", "effect": effect, "outcome": outcome})
        await told.tell(transaction, run, f"effect:{effect}", cause)
    return True
