"""Read-only answers for people: listings, one run, its tasks, its output. Paged by key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from interlock import errors
from interlock.model.states import RunStatus, TaskState
from interlock.store.ports import Attribute, AuditRow, EventRow, LogLine, PublishedRow, RunRow, TaskRow
from interlock.store.sql import commit
from interlock.store.sql.transaction import Database, Row, Transaction

_SHORTEST_PREFIX: Final = 4
_NEWEST: Final = 2**62  # no row has so high a number
_NODE_TTL_SECONDS: Final = 10.0
"""A lease that ran out was renewed for the last time so long before: the last sign of life."""

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Attribute).decode


class SqlViews:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def run(self, namespace: str | None, id: str) -> RunRow | None:
        async def work(transaction: Transaction) -> RunRow | None:
            rows = await transaction.rows("run_find", {"namespace": namespace, "id": id})
            if not rows and len(id) >= _SHORTEST_PREFIX:
                rows = await transaction.rows(
                    "run_find_prefix", {"namespace": namespace, "id": id, "id_end": id + "\U0010ffff"}
                )
            if len(rows) > 1:
                first, second = (f"{row[2]} in {row[1]}" for row in rows)
                raise errors.Conflict(
                    f"{id!r} fits several runs, such as {first} and {second}; write more of the id, or --namespace"
                )
            return _run(rows[0]) if rows else None

        return await self._database.read(work)

    async def statuses(self, runs: Sequence[str]) -> dict[str, RunStatus]:
        async def work(transaction: Transaction) -> dict[str, RunStatus]:
            rows = await transaction.rows("runs_statuses", {"runs": _encode(runs).decode()})
            return {run: RunStatus(status) for run, status in rows}

        return await self._database.read(work, once=True)

    async def strays(self, after: str, limit: int) -> list[tuple[str, str]]:
        async def work(transaction: Transaction) -> list[tuple[str, str]]:
            rows = await transaction.rows("runs_strayed", {"after": after, "limit": limit})
            return [(run, task) for run, task in rows]

        return await self._database.read(work, once=True)

    async def runs(
        self,
        namespace: str | None,
        status: Sequence[str],
        workflow: str | None,
        before: str | None,
        limit: int,
        *,
        attributes: Mapping[str, Attribute] = {},
    ) -> list[RunRow]:
        parameters: dict[str, object] = {
            "namespace": namespace,
            "status": f",{','.join(status)}," if status else "",
            "workflow": workflow,
            "before": before,
            "limit": limit,
        }

        # Few of many: going through the completed ones would take a second for each million.
        statement = "run_list_unfinished" if status and RunStatus.COMPLETED not in status else "run_list"
        if attributes:
            statement = "run_list_of_attribute_anywhere" if namespace is None else "run_list_of_attribute"
            (name, value), *others = ((name, commit.attribute_text(value)) for name, value in attributes.items())
            parameters |= {"name": name, "value": value, "others": _encode(dict(others)).decode()}

        async def work(transaction: Transaction) -> list[RunRow]:
            return [_run(row) for row in await transaction.rows(statement, parameters)]

        return await self._database.read(work, once=True)

    async def attributes(self, run: str) -> dict[str, Attribute]:
        async def work(transaction: Transaction) -> dict[str, Attribute]:
            rows = await transaction.rows("attributes_of_run", {"run": run})
            return {name: _decode(value) for name, value in rows}

        return await self._database.read(work, once=True)

    async def definitions(
        self,
        namespace: str | None,
        name: str | None,
        version: str | None,
        after: tuple[str, str, str] | None,
        limit: int,
    ) -> list[PublishedRow]:
        # A page that begins where its namespace does reads nothing of others.
        last = after or (namespace or "", "", "")
        asked = {"namespace": namespace, "name": name, "version": version, "limit": limit}
        asked |= dict(zip(("after_namespace", "after_name", "after_version"), last, strict=True))

        async def work(transaction: Transaction) -> list[PublishedRow]:
            return [
                PublishedRow(namespace=of, name=called, version=number, digest=digest, published_at=at)
                for of, called, number, digest, at in await transaction.rows("published_page", asked)
            ]

        return await self._database.read(work, once=True)

    async def tasks(self, run: str) -> list[TaskRow]:
        async def work(transaction: Transaction) -> list[TaskRow]:
            return [_task(row) for row in await transaction.rows("tasks_of_run", {"run": run})]

        return await self._database.read(work, once=True)

    async def logs(self, run: str, after: int, limit: int, path: str | None) -> list[LogLine]:
        async def work(transaction: Transaction) -> list[LogLine]:
            rows = await transaction.rows("log_page", {"run": run, "after": after, "limit": limit, "path": path})
            return [
                LogLine(number=number, path=path_, attempt=attempt, at=at, stream=stream, text=text)
                for number, path_, attempt, at, stream, text in rows
            ]

        return await self._database.read(work, once=True)

    async def events(self, namespace: str | None, type: str | None, before: int | None, limit: int) -> list[EventRow]:
        parameters = {"namespace": namespace, "type": type, "before": before, "limit": limit}

        async def work(transaction: Transaction) -> list[EventRow]:
            return [
                EventRow(number=number, namespace=namespace_, at=at, body=body)
                for number, namespace_, at, body in await transaction.rows("event_list", parameters)
            ]

        return await self._database.read(work)

    async def audit(self, before: int | None, limit: int) -> list[AuditRow]:
        parameters = {"before": _NEWEST if before is None else before, "limit": limit}

        async def work(transaction: Transaction) -> list[AuditRow]:
            return [
                AuditRow(number=number, at=at, actor=actor, action=action, target=target)
                for number, at, actor, action, target in await transaction.rows("audit_list", parameters)
            ]

        return await self._database.read(work)

    async def unattended(self, now: float | None, limit: int) -> list[tuple[RunRow, float]]:
        parameters = {"now": now, "ttl": _NODE_TTL_SECONDS, "limit": limit}

        async def work(transaction: Transaction) -> list[tuple[RunRow, float]]:
            return [(_run(row[:21]), row[21]) for row in await transaction.rows("runs_unattended", parameters)]

        return await self._database.read(work)

    async def undispatched(self, pool: str, now: float | None, limit: int) -> list[tuple[RunRow, float]]:
        parameters = {"pool": pool, "now": now, "limit": limit}

        async def work(transaction: Transaction) -> list[tuple[RunRow, float]]:
            return [(_run(row[:21]), row[21]) for row in await transaction.rows("runs_undispatched", parameters)]

        return await self._database.read(work)

    async def waiting_pools(self) -> list[str]:
        async def work(transaction: Transaction) -> list[str]:
            return [row[0] for row in await transaction.rows("pools_waiting", {})]

        return await self._database.read(work)

    async def oldest_inbox(self) -> float | None:
        async def work(transaction: Transaction) -> float | None:
            oldest: float | None = (await transaction.rows("inbox_oldest", {}))[0][0]
            return oldest

        return await self._database.read(work)

    async def counts(self) -> dict[str, int]:
        names = ("runs", "live runs", "commits", "memos", "tasks", "inbox", "log pieces", "definitions")

        async def work(transaction: Transaction) -> dict[str, int]:
            row = (await transaction.rows("counts", {}))[0]
            return dict(zip(names, row, strict=True))

        return await self._database.read(work, once=True)


def _run(row: Row) -> RunRow:
    (run, namespace, id_, workflow, version, definition, status, partial, epoch, seq, owner, folder, created_at,
     started_at, ended_at, wake_at, output, fault, input_, origin, shown) = row  # fmt: skip
    return RunRow(
        run=run,
        namespace=namespace,
        id=id_,
        workflow=workflow,
        version=version,
        definition=definition,
        status=RunStatus(status),
        partial=bool(partial),
        epoch=epoch,
        seq=seq,
        owner=owner,
        folder=folder,
        created_at=created_at,
        started_at=started_at,
        ended_at=ended_at,
        wake_at=wake_at,
        output=output,
        fault=fault,
        input=input_,
        origin=origin,
        shown=shown,
    )


def _task(row: Row) -> TaskRow:
    task, run, effect, path, pool, state, attempt, holder = row
    return TaskRow(
        task=task,
        run=run,
        effect=effect,
        path=path,
        pool=pool,
        state=TaskState(state),
        attempt=attempt,
        holder=holder,
    )
