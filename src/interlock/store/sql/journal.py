"""The journal on SQL: one compare-and-append per commit, fenced by the run's epoch."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from interlock.model import versions
from interlock.store.ports import (
    Batch,
    Committed,
    Definition,
    HistoryRow,
    InboxRow,
    MemoRow,
    NewEvent,
    StoredRun,
)
from interlock.store.sql import commit
from interlock.store.sql.transaction import Database, Row, Transaction

_PART_BYTES: Final = 1024 * 1024
"""A large text is written in parts of this size, each in a transaction of its own, so that it delays nobody's commit."""

_ACCEPTED_AT_ONCE: Final = 500
"""Runs that are accepted in one transaction: more would delay the commits of others."""

_SWEPT: Final = ("large_sweep", "events_sweep", "cached_sweep")
_LAST: Final = 2**63 - 1  # beyond the number of any memo

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

    async def accept(self, batches: Sequence[Batch]) -> set[str]:
        stored: set[str] = set()
        for first in range(0, len(batches), _ACCEPTED_AT_ONCE):
            part = batches[first : first + _ACCEPTED_AT_ONCE]
            for batch in part:
                for digest, text in batch.large.items():
                    await self._store_large(batch.run, digest, text, batch.at)
            stored |= await self._database.accept(part)
        return stored

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
            return sum([await transaction.run(swept, {"before": before}) for swept in _SWEPT])

        return await self._database.write(work, counted=False)

    # -- reading a run -------------------------------------------------------------------------------------------

    async def load(self, run: str) -> StoredRun | None:
        return (await self.load_all([run])).get(run)

    async def load_all(self, runs: Sequence[str]) -> dict[str, StoredRun]:
        wanted = {"runs": _encode(runs).decode()}

        async def work(transaction: Transaction) -> dict[str, StoredRun]:
            rows = await transaction.rows("runs_load", wanted)
            scopes: dict[str, dict[str, bytes]] = defaultdict(dict)
            for run, scope, body in await transaction.rows("scopes_of_runs", wanted):
                scopes[run][scope] = body
            inbox: dict[str, list[InboxRow]] = defaultdict(list)
            for row in _inbox(await transaction.rows("inbox_of_runs", wanted)):
                inbox[row.run].append(row)
            return {row[0]: _stored(row, scopes[row[0]], inbox[row[0]]) for row in rows}

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

    async def memos(self, run: str, after: int, limit: int) -> list[MemoRow]:
        return await self._memos("memos_page", {"run": run, "after": after, "limit": limit})

    async def undos(self, run: str, before: int | None, limit: int) -> list[MemoRow]:
        page = {"run": run, "before": _LAST if before is None else before, "limit": limit}
        return await self._memos("undos_page", page)

    async def _memos(self, statement: str, page: Mapping[str, object]) -> list[MemoRow]:
        async def work(transaction: Transaction) -> list[MemoRow]:
            return [
                MemoRow(number=number, call=call, body=body, undo=bool(undo))
                for number, call, body, undo in await transaction.rows(statement, page)
            ]

        return await self._database.read(work, once=True)

    async def cached(self, namespace: str, name: str, key: str, now: float) -> bytes | None:
        wanted = {"namespace": namespace, "name": name, "key": key, "now": now}

        async def work(transaction: Transaction) -> bytes | None:
            rows = await transaction.rows("cached_get", wanted)
            return rows[0][0] if rows else None

        return await self._database.read(work, once=True)

    # -- causes from outside -------------------------------------------------------------------------------------

    async def post(self, run: str, cause_id: str, cause: bytes, actor: str, now: float) -> bool:
        async def work(transaction: Transaction) -> bool:
            if not await transaction.rows("run_is_open", {"run": run}):
                return False
            added = await transaction.rows("inbox_add", {"run": run, "cause_id": cause_id, "cause": cause})
            if added:
                await commit.audit(transaction, now, actor, cause_id.partition(":")[0], run)
            return True

        return await self._database.write(work)

    async def send(self, event: NewEvent, actor: str, now: float) -> int | None:
        async def work(transaction: Transaction) -> int | None:
            delivered = await commit.deliver(transaction, event, now)
            if delivered is not None:
                await commit.audit(transaction, now, actor, "send", f"{event.namespace}/{event.type}")
            return delivered

        return await self._database.write(work)

    async def reopen(self, run: str, node: str | None, actor: str, now: float) -> int | None:
        async def work(transaction: Transaction) -> int | None:
            await transaction.run("inbox_clear_stale", {"run": run})
            rows = await transaction.rows("run_reopen", {"run": run, "node": node, "at": now})
            if not rows:
                return None
            cause = _encode({"kind": "reopen"})
            await transaction.rows("inbox_add", {"run": run, "cause_id": f"reopen:{rows[0][0]}", "cause": cause})
            await commit.audit(transaction, now, actor, "retry", run)
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
                await commit.audit(transaction, now, actor, "publish", f"{definition.namespace}/{definition.name}")
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


def _stored(row: Row, scopes: Mapping[str, bytes], inbox: Sequence[InboxRow]) -> StoredRun:
    (run, namespace, id_, definition, folder, epoch, seq, status, input_, head, output, fault, parent,
     parent_effect) = row  # fmt: skip
    return StoredRun(
        run=run,
        namespace=namespace,
        id=id_,
        definition=definition,
        folder=folder,
        epoch=epoch,
        seq=seq,
        status=status,
        input=input_,
        head=head,
        scopes=scopes,
        output=output,
        fault=fault,
        inbox=inbox,
        parent=parent,
        parent_effect=parent_effect,
    )


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
