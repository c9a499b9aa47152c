"""The journal on SQL: one compare-and-append per commit, fenced by the run's epoch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from interlock.model import versions
from interlock.model.states import RunStatus
from interlock.store.ports import (
    Batch,
    Committed,
    Definition,
    HistoryRow,
    InboxRow,
    NewEvent,
    NewRun,
    NewTask,
    StoredRun,
)
from interlock.store.sql.transaction import Database, Row, Transaction

_PART_BYTES: Final = 1024 * 1024
"""A large text is written in parts of this size, each in a transaction of its own, so that it delays nobody's commit."""

CHILD_UNWANTED: Final = b'{"kind":"cancel","reason":"the run that started this one no longer waits for it"}'
"""The cause that a child run finds in its inbox when nobody waits for it any more."""

_encode = msgspec.json.Encoder().encode


class SqlJournal:
    def __init__(self, database: Database) -> None:
        self._database = database

    # -- commits -------------------------------------------------------------------------------------------------

    async def commit(self, batch: Batch) -> Committed:
        for digest, text in batch.large.items():
            await self._store_large(batch.run, digest, text, batch.at)
        for child in batch.children:
            for digest, text in child.large.items():
                await self._store_large(child.run, digest, text, batch.at)
        return await self._database.commit(batch)

    async def _store_large(self, run: str, digest: str, text: bytes, at: float) -> None:
        """Store a large text; one that is there already, whole, costs a read."""
        parts = -(-len(text) // _PART_BYTES)

        async def stored(transaction: Transaction) -> bool:
            count, expected = (await transaction.rows("large_count", {"run": run, "digest": digest}))[0]
            return bool(count == expected)

        if await self._database.read(stored, once=True):
            return
        for part in range(parts):
            body = text[part * _PART_BYTES : (part + 1) * _PART_BYTES]
            row = {"run": run, "digest": digest, "part": part, "parts": parts, "body": body, "at": at}

            async def work(transaction: Transaction, row: dict[str, object] = row) -> None:
                await transaction.run("large_add", row)

            await self._database.write(work, counted=False)

    async def sweep(self, before: float) -> int:
        async def work(transaction: Transaction) -> int:
            await transaction.run("inbox_sweep", {})
            swept = await transaction.run("large_sweep", {"before": before})
            return swept + await transaction.run("events_sweep", {"before": before})

        return await self._database.write(work, counted=False)

    # -- reading a run -------------------------------------------------------------------------------------------

    async def load(self, run: str) -> StoredRun | None:
        async def work(transaction: Transaction) -> StoredRun | None:
            rows = await transaction.rows("run_load", {"run": run})
            if not rows:
                return None
            (key, namespace, id_, definition, folder, epoch, seq, status, input_, head, output, fault, parent,
             parent_effect) = rows[0]  # fmt: skip
            scopes = await transaction.rows("scopes_of_run", {"run": run})
            inbox = await transaction.rows("inbox_of_run", {"run": run})
            return StoredRun(
                run=key,
                namespace=namespace,
                id=id_,
                definition=definition,
                folder=folder,
                epoch=epoch,
                seq=seq,
                status=status,
                input=input_,
                head=head,
                scopes={row[0]: row[1] for row in scopes},
                output=output,
                fault=fault,
                inbox=_inbox(inbox),
                parent=parent,
                parent_effect=parent_effect,
            )

        return await self._database.read(work)

    async def texts(self, run: str, digests: Sequence[str]) -> dict[str, bytes]:
        async def work(transaction: Transaction) -> dict[str, bytes]:
            found = {}
            for digest in digests:
                parts = await transaction.rows("large_parts", {"run": run, "digest": digest})
                if parts and len(parts) == parts[0][1]:
                    found[digest] = b"".join(body for _, _, body in parts)
            return found

        return await self._database.read(work)

    async def inbox(self, node: str) -> list[InboxRow]:
        async def work(transaction: Transaction) -> list[InboxRow]:
            return _inbox(await transaction.rows("inbox_of_node", {"node": node}))

        return await self._database.read(work, once=True)

    async def history(self, run: str, after: int, limit: int) -> list[HistoryRow]:
        async def work(transaction: Transaction) -> list[HistoryRow]:
            rows = await transaction.rows("history_page", {"run": run, "after": after, "limit": limit})
            return [HistoryRow(seq=seq, at=at, epoch=epoch, events=events) for seq, at, epoch, events in rows]

        return await self._database.read(work, once=True)

    # -- causes from outside -------------------------------------------------------------------------------------

    async def post(self, run: str, cause_id: str, cause: bytes, actor: str, now: float) -> bool:
        async def work(transaction: Transaction) -> bool:
            if not await transaction.rows("run_is_open", {"run": run}):
                return False
            changed = await transaction.run("inbox_add", {"run": run, "cause_id": cause_id, "cause": cause})
            if changed:
                await audit(transaction, now, actor, cause_id.partition(":")[0], run)
            return True

        return await self._database.write(work)

    async def send(self, event: NewEvent, actor: str, now: float) -> int | None:
        async def work(transaction: Transaction) -> int | None:
            delivered = await _deliver(transaction, event, now)
            if delivered is not None:
                await audit(transaction, now, actor, "send", f"{event.namespace}/{event.type}")
            return delivered

        return await self._database.write(work)

    async def reopen(self, run: str, node: str | None, actor: str, now: float) -> int | None:
        async def work(transaction: Transaction) -> int | None:
            await transaction.run("inbox_clear_stale", {"run": run})
            rows = await transaction.rows("run_reopen", {"run": run, "node": node, "at": now})
            if not rows:
                return None
            cause = _encode({"kind": "reopen"})
            await transaction.run("inbox_add", {"run": run, "cause_id": f"reopen:{rows[0][0]}", "cause": cause})
            await audit(transaction, now, actor, "retry", run)
            epoch: int = rows[0][0]
            return epoch

        return await self._database.write(work)

    # -- definitions ---------------------------------------------------------------------------------------------

    async def define(self, definition: Definition) -> None:
        async def work(transaction: Transaction) -> None:
            await _put_definition(transaction, definition)

        await self._database.write(work, counted=False)

    async def definition(self, digest: str) -> Definition | None:
        async def work(transaction: Transaction) -> Definition | None:
            rows = await transaction.rows("definition_get", {"digest": digest})
            return _definition((*rows[0], None)) if rows else None

        return await self._database.read(work, once=True)

    async def publish(self, definition: Definition, actor: str, now: float) -> str:
        async def work(transaction: Transaction) -> str:
            await _put_definition(transaction, definition)
            name = {"namespace": definition.namespace, "name": definition.name, "version": definition.version}
            if await transaction.run("published_put", name | {"digest": definition.digest, "at": now}):
                await audit(transaction, now, actor, "publish", f"{definition.namespace}/{definition.name}")
            digest: str = (await transaction.rows("published_get", name))[0][0]
            return digest

        return await self._database.write(work)

    async def published(self, namespace: str, name: str, version: str | None) -> Definition | None:
        async def work(transaction: Transaction) -> Definition | None:
            chosen = version
            if chosen is None:
                rows = await transaction.rows("published_versions", {"namespace": namespace, "name": name})
                chosen = versions.newest([row[0] for row in rows])
            rows = await transaction.rows("published_get", {"namespace": namespace, "name": name, "version": chosen})
            return _definition(rows[0]) if rows else None

        return await self._database.read(work)


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
    }
    if batch.accept is not None:
        accepted = _accepted(batch.accept, batch.at) | {"seq": batch.seq + 1}
        if not await transaction.run("run_accept", accepted | fields):
            return Committed.EXISTS
    elif not await transaction.run(
        "run_advance", fields | {"epoch": batch.epoch, "seq": batch.seq, "release": int(batch.release)}
    ):
        return Committed.STALE
    await _append(transaction, batch)
    return Committed.APPLIED


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
    for task in batch.tasks:
        await transaction.run("task_add", task_row(task, batch.at))
    for number in batch.consumed:
        await transaction.run("inbox_consume", {"run": run, "number": number})
    for child in batch.children:
        if await transaction.run("run_accept", _accepted(child, batch.at)):
            for digest in child.large:
                await transaction.run("large_refer", {"run": child.run, "digest": digest})
    for post in batch.posts:
        await transaction.run("inbox_post", {"run": post.run, "cause_id": post.cause_id, "cause": post.cause})
    await _exchange(transaction, batch)
    if batch.ended:
        await transaction.run("inbox_clear", {"run": run})
        await transaction.run("subscriptions_clear", {"run": run})


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
        await _deliver(transaction, event, batch.at)


async def _deliver(transaction: Transaction, event: NewEvent, at: float) -> int | None:
    """Store an event and tell who listens; None when it is there already."""
    names = {"namespace": event.namespace, "source": event.source, "type": event.type}
    if not await transaction.run("event_add", names | {"id": event.id, "body": event.body, "at": at}):
        return None
    cause_id = f"event:{event.source}:{event.id}"
    return await transaction.run("inbox_add_listeners", names | {"cause_id": cause_id, "cause": event.cause})


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
        "at": at,
    }


async def audit(transaction: Transaction, at: float, actor: str, action: str, target: str) -> None:
    """Record who changed what."""
    await transaction.run("audit_add", {"at": at, "actor": actor, "action": action, "target": target, "detail": None})


async def _put_definition(transaction: Transaction, definition: Definition) -> None:
    await transaction.run(
        "definition_put",
        {
            "digest": definition.digest,
            "namespace": definition.namespace,
            "name": definition.name,
            "version": definition.version,
            "source": definition.source,
            "resources": definition.resources,
        },
    )


def _definition(row: Row) -> Definition:
    digest, namespace, name, version, source, resources, published_at = row
    return Definition(
        digest=digest,
        namespace=namespace,
        name=name,
        version=version,
        source=source,
        resources=resources,
        published_at=published_at,
    )


def _inbox(rows: Sequence[Row]) -> list[InboxRow]:
    return [InboxRow(number=number, run=run, cause=cause) for number, run, cause in rows]


__all__ = ["SqlJournal", "apply", "audit", "task_row"]
