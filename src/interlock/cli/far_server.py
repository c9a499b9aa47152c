"""A server as the commands see it (--server): what the HTTP API tells, as the values that a store gives."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final, TypeVar

import msgspec

from interlock.app import graphs
from interlock.app.stranded import Stranded
from interlock.app.tokens import TokenView
from interlock.cli import shapes
from interlock.cli.far import of_run
from interlock.cli.options import options
from interlock.client import stream
from interlock.client.client import KEY_VARIABLE
from interlock.client.connection import Connection
from interlock.coord.cell import Change
from interlock.flow.graph import Graph
from interlock.model import json
from interlock.model.event import Event
from interlock.model.fault import Fault
from interlock.model.json import Json
from interlock.model.payload import Payload
from interlock.model.states import RunStatus
from interlock.model.story import Rollback, Story
from interlock.store.ports import Definition, LogLine, RunRow
from interlock.wire import recorded, runs, tokens

T = TypeVar("T")

_TIMEOUT_SECONDS: Final = 30.0
_PAUSES: Final = (0.1, 0.3, 0.6, 1.0)
"""Seconds between tries: somebody waits for the answer."""
_PAGE: Final = 1_000
_END: Final = frozenset({"end"})


class Server:
    """One server."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._wholes: dict[str, runs.RunWhole] = {}

    @property
    def url(self) -> str:
        return self._connection.url

    def now(self) -> float:
        return time.time()  # this machine's: what is told of it are spans, such as "2 m ago"

    async def ask(
        self,
        shape: type[T],
        method: str,
        path: str,
        *,
        body: Any = None,
        query: Mapping[str, Json] | None = None,
        safe: bool | None = None,
        timeout: float | None = None,
    ) -> T:
        """Send a request about the namespace that was asked for; `path` below /api/v1. Raises as `Connection.ask`."""
        where = {"namespace": options.namespace} | dict(query or {})
        return await self._connection.ask(
            shape, method, f"/api/v1{path}", body=body, query=where, safe=safe, timeout=timeout
        )

    def download(self, path: str, query: Mapping[str, Json]) -> AsyncIterator[bytes]:
        """Give a file in pieces; `path` below /api/v1. Raises as `Connection.download`."""
        return self._connection.download(f"/api/v1{path}", {"namespace": options.namespace} | dict(query))

    # -- runs ----------------------------------------------------------------------------------------------------

    async def find(self, namespace: str | None, id: str) -> RunRow:
        whole = await self.ask(runs.RunWhole, "GET", of_run(id), query={"namespace": namespace})
        self._wholes[whole.key] = whole
        return _whole_row(whole)

    async def runs(
        self, status: Sequence[str], workflow: str | None, before: str | None, limit: int, attributes: Mapping[str, Any]
    ) -> Sequence[RunRow]:
        found: list[RunRow] = []
        while len(found) < limit:
            wanted = min(_PAGE, limit - len(found))
            query: dict[str, Json] = {
                "status": list(status) or None,
                "workflow": workflow,
                "before": before,
                "limit": wanted,
                "where": [f"{name}={json.encode(value).decode()}" for name, value in attributes.items()] or None,
            }
            page = await self.ask(runs.RunPage, "GET", "/runs", query=query)
            found += [_row(each) for each in page.items]
            before = page.next
            if before is None:
                break
        return found

    async def stranded(self) -> Sequence[Stranded]:
        found = await self.ask(recorded.StrandedRuns, "GET", "/stranded")
        return [
            Stranded(row=_row(each.run), since=each.since, reason=each.reason, command=each.command)
            for each in found.items
        ]

    async def unattended(self, row: RunRow) -> Stranded | None:
        return next((each for each in await self.stranded() if each.row.run == row.run), None)

    async def history(self, row: RunRow) -> Sequence[Event]:
        found: list[Event] = []
        after: int | None = 0
        while after is not None:
            page = await self.ask(
                recorded.Commits, "GET", f"{of_run(row.id)}/commits", query=_in(row) | {"after": after, "limit": _PAGE}
            )
            for commit in page.items:
                found += recorded.read(commit.events)
            after = page.next
        return found

    async def follow(self, row: RunRow, *, resuming: bool = False) -> AsyncIterator[Sequence[Event]]:
        """Give what happens in a run, commit by commit, until it has ended or is suspended."""
        path = f"/api/v1{of_run(row.id)}/commits/stream"
        query = _in(row) | {"resuming": row.seq if resuming else None}
        async for told in stream.read(self._connection, path, query, ends=_END):
            if told.name == "commit":
                yield recorded.read(told.data["events"])

    async def graph(self, row: RunRow) -> Graph:
        found = await self.ask(recorded.Source, "GET", f"{of_run(row.id)}/definition", query=_in(row))
        return graphs.compiled(
            Definition(
                digest=found.digest,
                namespace=found.namespace,
                name=found.name,
                version=found.version,
                source=found.document,
                resources=json.encode(found.resources) if found.resources else None,
            )
        )

    async def output(self, row: RunRow) -> Payload | None:
        return None if row.status is not RunStatus.COMPLETED else Payload(self._wholes[row.run].output)

    async def rollback(self, row: RunRow) -> Rollback | None:
        if row.status is RunStatus.COMPLETED:
            return None
        story = Story()
        story.tell(await self.history(row))
        return story.rollback

    async def of_itself(self, row: RunRow) -> dict[str, Json]:
        return self._wholes[row.run].shown

    async def attributes(self, row: RunRow) -> Mapping[str, Json]:
        return self._wholes[row.run].attributes

    async def tokens(self, row: RunRow) -> Sequence[TokenView]:
        found = await self.ask(tokens.TokenList, "GET", f"{of_run(row.id)}/tokens", query=_in(row))
        return [shapes.view(each) for each in found.items]

    async def logs(self, row: RunRow, step: str | None, *, follow: bool) -> AsyncIterator[LogLine]:
        path, query = of_run(row.id), _in(row) | {"step": step}
        if follow:
            pieces = stream.read(self._connection, f"/api/v1{path}/logs/stream", query, ends=_END)
            async for told in pieces:
                if told.name == "piece":
                    yield LogLine(**told.data)
            return
        after: int | None = 0
        while after is not None:
            page = await self.ask(runs.Logs, "GET", f"{path}/logs", query=query | {"after": after, "limit": _PAGE})
            for piece in page.items:
                yield LogLine(**msgspec.structs.asdict(piece))
            after = page.next

    def changes(self, path: str, pattern: str, after: str | None) -> Changes:
        """Give the changes of shared memory; `path`: of the space."""
        query = {"namespace": options.namespace, "pattern": pattern, "after": after}
        return Changes(stream.read(self._connection, f"/api/v1{path}/watch", query), after)


class Changes:
    """Changes of shared memory as they come. `cursor`: where watching goes on."""

    def __init__(self, told: AsyncIterator[stream.Told], cursor: str | None) -> None:
        self._told = told
        self.cursor = cursor

    async def __aiter__(self) -> AsyncIterator[Change]:
        async for each in self._told:
            self.cursor = each.id or self.cursor
            if each.name == "change":
                yield Change(**each.data)


@contextlib.asynccontextmanager
async def opened() -> AsyncIterator[Server]:
    """Talk to the server that was named. Raises Invalid for what is no address."""
    assert options.server is not None
    connection = Connection(options.server, os.environ.get(KEY_VARIABLE) or None, _TIMEOUT_SECONDS, _PAUSES)
    try:
        yield Server(connection)
    finally:
        await connection.close()


def _in(row: RunRow) -> dict[str, Json]:
    return {"namespace": row.namespace}


def _row(told: runs.RunTold) -> RunRow:
    """Give a run as a store lists it. Where the API does not say something, nothing of what commands print needs it."""
    return RunRow(
        run=told.key,
        namespace=told.namespace,
        id=told.id,
        workflow=told.workflow,
        version=told.version,
        definition="",
        status=RunStatus(told.status),
        partial=told.partial,
        epoch=0,
        seq=0,
        owner=None,
        folder="",
        created_at=told.created_at,
        started_at=told.started_at,
        ended_at=told.ended_at,
        wake_at=None,
        fault=None if told.error is None else json.encode(_fault(told.error)),
    )


def _whole_row(whole: runs.RunWhole) -> RunRow:
    return msgspec.structs.replace(
        _row(whole), epoch=whole.epoch, seq=whole.commits, folder=whole.folder, origin=whole.forked_from
    )


def _fault(told: runs.Failure) -> Fault:
    return msgspec.convert(msgspec.to_builtins(told), Fault)
