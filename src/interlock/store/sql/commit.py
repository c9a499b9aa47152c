"""What a batch does, statement by statement, and the rows that it is made of.

PostgreSQL does the same in one statement for a whole group, see postgresql/commits; the rows are the same.
"""

from __future__ import annotations

import math
from typing import Final

import msgspec

from interlock import errors
from interlock.model.states import RunStatus
from interlock.store.ports import (
    Attribute,
    Batch,
    Committed,
    LimitSet,
    NewCells,
    NewDelivery,
    NewEvent,
    NewMemo,
    NewRun,
    NewTask,
    TokenState,
)
from interlock.store.sql import cells
from interlock.store.sql.transaction import Transaction

CHILD_UNWANTED: Final = b'{"kind":"cancel","reason":"the run that started this one no longer waits for it"}'
"""The cause that a child run finds in its inbox when nobody waits for it any more."""

_ATTRIBUTE_BYTES: Final = 1024  # what one entry of an index holds is less than 2,700

_encode = msgspec.json.Encoder().encode


async def apply(transaction: Transaction, batch: Batch) -> Committed:
    """Apply one batch inside a transaction. Changes nothing when it gives STALE or EXISTS."""
    fields = {
        "run": batch.run,
        "at": batch.at,
        "status": batch.status,
        "wake_at": batch.wake_at,
        "head": batch.head,
        "output": batch.output,
        "fault": batch.fault,
        "partial": int(batch.partial),
        "started_at": batch.started_at,
        "ended_at": batch.at if batch.ended else None,
        "shown": batch.shown,
    }
    if batch.accept is not None:
        if not await transaction.run("run_accept", _accepted(batch.accept, batch.at) | {"seq": batch.seq + 1} | fields):
            return Committed.EXISTS
    else:
        leaves = batch.ended or batch.release
        expected = {"epoch": batch.epoch, "seq": batch.seq, "release": int(batch.release)}
        if not await transaction.run("run_advance" if leaves else "run_step", fields | expected):
            return Committed.STALE
    await _append(transaction, batch)
    return Committed.APPLIED


def accepted_row(batch: Batch) -> dict[str, object]:
    """Give the parameters that store the run of a batch that does no more than accept it."""
    assert batch.accept is not None
    return _accepted(batch.accept, batch.at)


def is_plain(batch: Batch) -> bool:
    """Say whether a batch that accepts a run is no more than its row."""
    return not batch.large and (batch.accept is None or batch.accept.callback is None)


def _accepted(new: NewRun, at: float) -> dict[str, object]:
    """Give the row of a run that was accepted and has not begun."""
    return {
        "run": new.run,
        "namespace": new.namespace,
        "id": new.id,
        "definition": new.definition,
        "workflow": new.workflow,
        "version": new.version,
        "folder": new.folder,
        "origin": new.origin,
        "owner": new.owner,
        "parent": new.parent,
        "parent_effect": new.parent_effect,
        "input": new.input,
        "status": RunStatus.PENDING,
        "wake_at": None,
        "head": b"",
        "output": None,
        "fault": None,
        "partial": 0,
        "started_at": None,
        "ended_at": None,
        "shown": None,
        "seq": 1,
        "at": at,
    }


async def _append(transaction: Transaction, batch: Batch) -> None:
    run = batch.run
    if batch.history:
        await transaction.run(
            "history_add",
            {"run": run, "seq": batch.seq + 1, "at": batch.at, "epoch": batch.epoch, "events": batch.history},
        )
    await _remember(transaction, batch)
    for scope, body in batch.scopes.items():
        if body is None:
            await transaction.run("scope_delete", {"run": run, "scope": scope})
        else:
            await transaction.run("scope_put", {"run": run, "scope": scope, "body": body})
    for digest in batch.large:
        await transaction.run("large_refer", {"run": run, "digest": digest})
    for effect in batch.cancelled_tasks:
        key = {"run": run, "effect": effect}
        if not await transaction.run("task_cancel_ready", key | {"at": batch.at}):
            await transaction.run("task_cancel_running", key)
        await transaction.run("child_cancel", key | {"cause": CHILD_UNWANTED})
    for limit in batch.limits:
        await transaction.run("limit_set", limit_row(limit))
    for task in batch.tasks:
        await transaction.run("task_add", task_row(task, batch.at))
        for name in task.limits:
            await transaction.run("task_limit_add", {"task": task.task, "name": name})
    for number in batch.consumed:
        await transaction.run("inbox_consume", {"run": run, "number": number})
    for child in batch.children:
        if await transaction.run("run_accept", _accepted(child, batch.at)):
            for digest in child.large:
                await transaction.run("large_refer", {"run": child.run, "digest": digest})
    for post in batch.posts:
        await transaction.run("inbox_post", {"run": post.run, "cause_id": post.cause_id, "cause": post.cause})
    await _exchange(transaction, batch)
    await _show(transaction, batch)
    await _issue(transaction, batch)
    if (row := called_back_row(batch)) is not None:
        await transaction.run("delivery_add", row)
    if batch.cells is not None:
        await write_cells(transaction, batch.cells)
    if batch.ended:
        await transaction.run("tokens_close", {"run": run, "at": batch.at, "reason": batch.end_reason})
        await transaction.run("inbox_clear", {"run": run})
        await transaction.run("subscriptions_clear", {"run": run})


async def write_cells(transaction: Transaction, new: NewCells) -> None:
    """Change shared memory in the transaction of a commit."""
    await cells.apply(transaction, new.namespace, new.writes, new.now)


async def _remember(transaction: Transaction, batch: Batch) -> None:
    """Write what steps gave, for this run and for others."""
    if batch.forget_memos:
        await transaction.run("memos_forget", {"run": batch.run})
    for memo in batch.memos:
        await transaction.run("memo_add", memo_row(batch.run, memo))
    for each in batch.cached:
        await transaction.run("cached_put", msgspec.structs.asdict(each))


async def _issue(transaction: Transaction, batch: Batch) -> None:
    """Issue tokens, or open those again that a retry asks for again; revoke those that nobody waits for."""
    for row in token_rows(batch):
        if not await transaction.run("token_reopen", row):
            key = {"run": batch.run, "token": row["token"], "effect": row["effect"]}
            if not await transaction.run("token_tell", key):
                await transaction.run("token_add", row)
    for row in revoked_rows(batch):
        await transaction.run("token_revoke", row)
    for asked in batch.asked_tokens:
        key = {"run": batch.run, "token": asked.token}
        await transaction.run("token_ask", key | {"reason": asked.reason})


async def _show(transaction: Transaction, batch: Batch) -> None:
    """Write what the run is searched by."""
    for name, value in batch.attributes.items():
        key = {"run": batch.run, "name": name}
        if value is None:
            await transaction.run("attribute_delete", key)
        else:
            await transaction.run("attribute_put", key | attribute_row(value))


async def _exchange(transaction: Transaction, batch: Batch) -> None:
    """Take listeners in and out, then deliver what the run sends."""
    for listener in batch.unsubscribed:
        await transaction.run("subscription_delete", {"run": batch.run, "listener": listener})
    for wanted in batch.subscriptions:
        await transaction.run(
            "subscription_add",
            {
                "run": batch.run,
                "namespace": wanted.namespace,
                "listener": wanted.listener,
                "type": wanted.type,
                "source": wanted.source,
            },
        )
    for event in batch.emitted:
        await deliver(transaction, event, batch.at)


async def deliver(transaction: Transaction, event: NewEvent, at: float) -> int | None:
    """Store an event and tell who listens; None when it is there already."""
    names = {"namespace": event.namespace, "source": event.source, "type": event.type}
    if not await transaction.run("event_add", names | {"id": event.id, "body": event.body, "at": at}):
        return None
    cause_id = f"event:{event.source}:{event.id}"
    return await transaction.run("inbox_add_listeners", names | {"cause_id": cause_id, "cause": event.cause})


# -- rows --------------------------------------------------------------------------------------------------------------


def task_row(task: NewTask, at: float) -> dict[str, object]:
    """Give the parameters that store a task."""
    return {
        "task": task.task,
        "run": task.run,
        "effect": task.effect,
        "path": task.path,
        "pool": task.pool,
        "priority": task.priority,
        "attempt": task.attempt,
        "target": _encode(task.target),
        "folder": task.folder,
        "idempotency_key": task.idempotency_key,
        "any_exit_code": int(task.any_exit_code),
        "linked": int(bool(task.limits)),
        "needs": None if task.requires is None else _encode(task.requires).decode(),
        "at": at,
    }


def limit_row(limit: LimitSet) -> dict[str, object]:
    """Give the parameters that set a limit."""
    return {
        "name": limit.name,
        "capacity": limit.capacity,
        "interval_seconds": limit.interval_seconds,
        "burst": limit.burst,
    }


def memo_row(run: str, memo: NewMemo) -> dict[str, object]:
    """Give the parameters that store a memo."""
    return {"run": run, "number": memo.number, "call": memo.call, "undo": int(memo.undo), "body": memo.body}


def attribute_row(value: Attribute) -> dict[str, object]:
    """Give how a value is stored: as JSON text, in which values of different types differ, and as a number if it is one.

    Raises Invalid for what an index cannot hold.
    """
    text = attribute_text(value)
    if len(text.encode()) > _ATTRIBUTE_BYTES:
        raise errors.Invalid(
            f"a search attribute has {len(text.encode())} bytes ({text[:40]}...); keep it under {_ATTRIBUTE_BYTES}, "
            "and put long values into the run's output"
        )
    number = None if isinstance(value, (str, bool)) else float(value)
    return {"value": text, "number": number}


def attribute_text(value: Attribute) -> str:
    """Give the JSON text of a value; numbers as floats, so that equal ones are the same text. Raises Invalid."""
    if not isinstance(value, (str, bool)) and not math.isfinite(value):
        raise errors.Invalid(f"a search attribute is {value}, which no search finds; give a finite number")
    return _encode(value if isinstance(value, (str, bool)) else float(value)).decode()


def token_rows(batch: Batch) -> list[dict[str, object]]:
    """Give the parameters that store the tokens of a batch; one that is over with this very commit was never open."""
    revoked = {token.token for token in batch.tokens if batch.ended} | {gone.token for gone in batch.revoked_tokens}
    return [
        {
            "token": token.token,
            "run": batch.run,
            "effect": token.effect,
            "name": token.name,
            "state": TokenState.REVOKED if token.token in revoked else TokenState.OPEN,
            "expires_at": token.expires_at,
            "at": batch.at,
            "step": token.step,
            "terms": token.terms,
            "heartbeat_seconds": token.heartbeat_seconds,
        }
        for token in batch.tokens
    ]


def revoked_rows(batch: Batch) -> list[dict[str, object]]:
    """Give the parameters that revoke the tokens of a batch."""
    return [
        {
            "token": gone.token,
            "run": batch.run,
            "at": batch.at,
            "reason": gone.reason,
            "superseded": int(gone.superseded),
        }
        for gone in batch.revoked_tokens
    ]


def called_back_row(batch: Batch) -> dict[str, object] | None:
    """Give the parameters that store who is to be told how a run ends that begins with this commit; None for nobody."""
    if batch.accept is None or batch.accept.callback is None:
        return None
    return delivery_row(batch.run, batch.accept.callback, batch.at, ended=batch.ended)


def delivery_row(run: str, new: NewDelivery, at: float, *, ended: bool) -> dict[str, object]:
    """Give the parameters that store a delivery; of a run that has `ended` it is due at once."""
    due_at = at if ended or new.beat_seconds is not None else new.deadline
    return {
        "delivery": new.delivery,
        "run": run,
        "namespace": new.namespace,
        "kind": new.kind,
        "target": new.target,
        "receiver": new.receiver,
        "identity": new.identity,
        "sealed": new.sealed,
        "waiting": int(not ended),
        "due_at": due_at,
        "deadline": new.deadline,
        "beat_seconds": new.beat_seconds,
        "at": at,
    }


async def audit(transaction: Transaction, at: float, actor: str, action: str, target: str) -> None:
    """Record who changed what."""
    await transaction.run("audit_add", {"at": at, "actor": actor, "action": action, "target": target, "detail": None})
