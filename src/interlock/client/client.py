"""Interlock from elsewhere: the runs, tokens, locks and memory of a server, by its HTTP API.

async with Client("http://127.0.0.1:7070", key="ilk_…") as client:
    await client.start("shop/order", {"order": 7}, id="order-7")
    print(await client.result("order-7", timeout=60))
"""

from __future__ import annotations

import builtins
import os
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Final, Self
from urllib.parse import quote

import msgspec

from interlock import errors
from interlock.client import stream
from interlock.client.connection import Connection
from interlock.client.fleet import RemoteFleet
from interlock.client.graphs import RemoteGraphs, RemotePools
from interlock.client.groups import RemoteLocks, RemoteMemory, RemoteTokens
from interlock.client.records import RemoteArtifacts, RemoteDefinitions, RemoteDeliveries, RemoteKeys
from interlock.model.fault import Fault
from interlock.model.json import Json
from interlock.wire import definitions as defined
from interlock.wire import events as happening
from interlock.wire import recorded, runs, service

SERVER_VARIABLE: Final = "INTERLOCK_SERVER"
KEY_VARIABLE: Final = "INTERLOCK_API_KEY"

_DEFAULT_URL: Final = "http://127.0.0.1:7070"
_TIMEOUT_SECONDS: Final = 30.0
_WAIT_SECONDS: Final = 30.0  # of one request for a result; then it is sent again
_MARGIN_SECONDS: Final = 10.0


class Client:
    """A server. It is opened by `async with`, or closed by `close`. Any number of tasks may use it."""

    def __init__(
        self,
        url: str | None = None,
        *,
        key: str | None = None,
        namespace: str | None = None,
        timeout: float = _TIMEOUT_SECONDS,
    ) -> None:
        """Raises Invalid.

        `url`: of the server, or unix:PATH; INTERLOCK_SERVER, else http://127.0.0.1:7070. `key`: an API key;
        INTERLOCK_API_KEY, else none. `namespace`: of what is asked for; else what the server takes for the key. `timeout`:
        seconds for one request.
        """
        self.url: Final = url or os.environ.get(SERVER_VARIABLE) or _DEFAULT_URL
        self.namespace: Final = namespace
        self._connection = Connection(self.url, key or os.environ.get(KEY_VARIABLE) or None, timeout)
        self._tokens = RemoteTokens(self._connection, namespace)
        self._locks = RemoteLocks(self._connection, namespace)
        self._memory = RemoteMemory(self._connection, namespace)
        self._artifacts = RemoteArtifacts(self._connection, namespace)
        self._definitions = RemoteDefinitions(self._connection, namespace)
        self._deliveries = RemoteDeliveries(self._connection, namespace)
        self._fleet = RemoteFleet(self._connection)
        self._keys = RemoteKeys(self._connection)
        self._graphs = RemoteGraphs(self._connection, namespace)
        self._pools = RemotePools(self._connection)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections; safe to call twice."""
        await self._connection.close()

    @property
    def tokens(self) -> RemoteTokens:
        """Completion tokens; they need no key."""
        return self._tokens

    @property
    def locks(self) -> RemoteLocks:
        """Locks, renewed by whoever holds them."""
        return self._locks

    @property
    def memory(self) -> RemoteMemory:
        """Shared memory."""
        return self._memory

    @property
    def artifacts(self) -> RemoteArtifacts:
        """Files that the attempts of runs kept."""
        return self._artifacts

    @property
    def definitions(self) -> RemoteDefinitions:
        """Published workflows."""
        return self._definitions

    @property
    def deliveries(self) -> RemoteDeliveries:
        """What callers were told of the ends of their runs."""
        return self._deliveries

    @property
    def fleet(self) -> RemoteFleet:
        """Workers and nodes."""
        return self._fleet

    @property
    def keys(self) -> RemoteKeys:
        """API keys, for who administers the store."""
        return self._keys

    @property
    def graphs(self) -> RemoteGraphs:
        """Task graphs."""
        return self._graphs

    @property
    def pools(self) -> RemotePools:
        """The pools that tasks run in."""
        return self._pools

    # -- runs ----------------------------------------------------------------------------------------------------

    async def start(
        self,
        workflow: str | None = None,
        input: Json = None,
        *,
        document: str | None = None,
        id: str | None = None,
        namespace: str | None = None,
        callback: dict[str, Json] | None = None,
    ) -> runs.Started:
        """Start a run. It is durable when this returns; with an id a lost answer is asked for again.

        `workflow`: a published one, as [namespace/]name[:version]. `input`: any JSON. `document`: the text of a workflow,
        instead. `id`: the same id, workflow and input give the run that is there. `namespace`: instead of the workflow's.
        `callback`: whom to tell how it ends, such as {"url": "https://…", "secret": "whsec_…"}.

        Raises Conflict when another run has the id.
        """
        asked = runs.StartRun(
            workflow=workflow,
            document=document,
            input=input,
            id=id,
            namespace=namespace or self.namespace,
            callback=callback,
        )
        return await self._connection.ask(runs.Started, "POST", "/api/v1/runs", body=asked, safe=id is not None)

    async def start_many(
        self,
        workflow: str,
        inputs: Iterable[Json],
        *,
        ids: Iterable[str] | None = None,
        namespace: str | None = None,
        callbacks: Iterable[dict[str, Json] | None] | None = None,
    ) -> builtins.list[runs.Started]:
        """Start up to 1,000 runs of a published workflow.

        `workflow`: as [namespace/]name[:version]. `inputs`: of each run. `ids`: one for each; with them a lost answer is
        asked for again. `namespace`: instead of the workflow's. `callbacks`: whom to tell how each ends, as for `start`.
        """
        given = builtins.list(inputs)
        named: builtins.list[str | None] = [None] * len(given) if ids is None else [*ids]
        if len(named) != len(given):
            raise errors.Invalid(f"start_many: {len(named)} ids for {len(given)} runs; give each run one of its own")
        callers = [None] * len(given) if callbacks is None else [*callbacks]
        if len(callers) != len(given):
            raise errors.Invalid(
                f"start_many: {len(callers)} callbacks for {len(given)} runs; give each run one, or None"
            )
        asked = runs.StartRuns(
            workflow=workflow,
            runs=[
                runs.RunInput(input=each, id=id, callback=caller)
                for each, id, caller in zip(given, named, callers, strict=True)
            ],
            namespace=namespace or self.namespace,
        )
        safe = ids is not None
        answer = await self._connection.ask(runs.StartedRuns, "POST", "/api/v1/runs/bulk", body=asked, safe=safe)
        return answer.runs

    async def get(self, id: str) -> runs.RunWhole:
        """Give a run with its steps. Raises NotFound."""
        return await self._connection.ask(runs.RunWhole, "GET", _path(id), query=self._where())

    async def list(
        self,
        *,
        status: Sequence[str] = (),
        workflow: str | None = None,
        where: Mapping[str, str | float | bool] | None = None,
        limit: int = 100,
        before: str | None = None,
    ) -> runs.RunPage:
        """Give a page of runs, newest first.

        `status`: only those that stand so. `workflow`: only those of this name. `where`: the attributes that they must have.
        `limit`: how many at most. `before`: `next` of the page before.
        """
        query: dict[str, Json] = {
            "status": [*status] or None,
            "workflow": workflow,
            "where": [f"{name}={_text(value)}" for name, value in (where or {}).items()] or None,
            "limit": limit,
            "before": before,
        }
        return await self._connection.ask(runs.RunPage, "GET", "/api/v1/runs", query=query | self._where())

    async def result(self, id: str, timeout: float | None = None) -> Json:
        """Wait for the end of a run and give its output, for so many seconds at most; None for ever.

        Raises TimeoutError, RunFaulted, RunCancelled, NotFound.
        """
        left = timeout
        while True:
            wait = _WAIT_SECONDS if left is None else min(_WAIT_SECONDS, left)
            found = await self._connection.ask(
                runs.Result,
                "GET",
                f"{_path(id)}/result",
                query={"wait": wait} | self._where(),
                timeout=wait + _MARGIN_SECONDS,
            )
            if found.status == "completed":
                return found.output
            if found.status == "faulted":
                raise errors.RunFaulted(_fault(found.error), id)
            if found.status == "cancelled":
                raise errors.RunCancelled(id)
            if left is not None and (left := left - wait) <= 0:
                raise TimeoutError(f"the run {id!r} is {found.status} after {timeout:g} s; it goes on")

    async def cancel(self, id: str, reason: str | None = None, *, rollback: bool = False) -> runs.Acted:
        """Ask for a run to be cancelled, with `rollback` after it has undone what it finished."""
        return await self._act(id, "cancel", runs.Cancel(reason=reason, rollback=rollback))

    async def suspend(self, id: str) -> runs.Acted:
        return await self._act(id, "suspend")

    async def resume(self, id: str) -> runs.Acted:
        return await self._act(id, "resume")

    async def retry(self, id: str) -> runs.Acted:
        """Go on with a faulted run from the step that failed."""
        return await self._act(id, "retry")

    async def _act(self, id: str, action: str, body: object = None) -> runs.Acted:
        path = f"{_path(id)}/{action}"
        return await self._connection.ask(runs.Acted, "POST", path, body=body, query=self._where(), safe=True)

    async def fork(self, id: str, step: str, *, new_id: str | None = None) -> runs.Started:
        """Start a run that shares the history of another one up to `step`."""
        return await self._connection.ask(
            runs.Started,
            "POST",
            f"{_path(id)}/fork",
            body=runs.Fork(step=step, id=new_id),
            query=self._where(),
            safe=new_id is not None,
        )

    async def history(self, id: str, after: int = 0, limit: int = 100) -> runs.History:
        """Give what happened in a run, in pages of commits."""
        query = {"after": after, "limit": limit} | self._where()
        return await self._connection.ask(runs.History, "GET", f"{_path(id)}/history", query=query)

    async def follow(self, id: str, after: int = 0) -> AsyncIterator[runs.Happened]:
        """Give what happens in a run, as it happens, until it has ended or is suspended. Survives restarts of the server."""
        query = {"after": after} | self._where()
        async for told in stream.read(self._connection, f"{_path(id)}/stream", query, ends=_END):
            for each in told.data.get("events", ()):
                yield runs.Happened(seq=each["seq"], type=each["type"], event=each["event"])

    async def logs(self, id: str, *, step: str | None = None, after: int = 0, limit: int = 100) -> runs.Logs:
        """Give what the steps of a run printed, in pages."""
        query = {"step": step, "after": after, "limit": limit} | self._where()
        return await self._connection.ask(runs.Logs, "GET", f"{_path(id)}/logs", query=query)

    async def follow_logs(self, id: str, *, step: str | None = None, after: int = 0) -> AsyncIterator[runs.LogPiece]:
        """Give what the steps of a run print, as they do, until the run has ended."""
        query = {"step": step, "after": after} | self._where()
        async for told in stream.read(self._connection, f"{_path(id)}/logs/stream", query, ends=_END):
            if told.name == "piece":
                yield runs.LogPiece(**told.data)

    async def tasks(self, id: str) -> builtins.list[runs.TaskTold]:
        """Give the tasks that a run has in pools."""
        return (await self._connection.ask(runs.Tasks, "GET", f"{_path(id)}/tasks", query=self._where())).items

    async def source(self, id: str) -> recorded.Source:
        """Give the text that a run executes, and what was fetched for it."""
        return await self._connection.ask(recorded.Source, "GET", f"{_path(id)}/definition", query=self._where())

    async def commits(self, id: str, after: int = 0, limit: int = 100) -> recorded.Commits:
        """Give what the engine recorded of a run, in pages of commits: for programs of the server's version."""
        query = {"after": after, "limit": limit} | self._where()
        return await self._connection.ask(recorded.Commits, "GET", f"{_path(id)}/commits", query=query)

    async def follow_commits(self, id: str, after: int = 0) -> AsyncIterator[recorded.Commit]:
        """Give what the engine records of a run, as it does, until it has ended or is suspended."""
        query = {"after": after} | self._where()
        async for told in stream.read(self._connection, f"{_path(id)}/commits/stream", query, ends=_END):
            if told.name == "commit":
                yield recorded.Commit(**told.data)

    async def stranded(self) -> builtins.list[recorded.StrandedRun]:
        """Give the runs that nobody has executed for a minute, and what helps."""
        return (await self._connection.ask(recorded.StrandedRuns, "GET", "/api/v1/stranded", query=self._where())).items

    # -- definitions, events, the server itself ------------------------------------------------------------------

    async def publish(self, document: str) -> defined.Published:
        """Fix a workflow's name and version to its text. Raises Invalid, Conflict when another text has them."""
        return await self._definitions.publish(document)

    async def validate(self, document: str) -> defined.Verdict:
        """Say everything that is wrong with a workflow."""
        return await self._definitions.validate(document)

    async def send(
        self,
        type: str,
        data: Json = None,
        *,
        source: str | None = None,
        id: str | None = None,
        namespace: str | None = None,
    ) -> happening.Sent:
        """Send an event to the runs that wait for such a one now. With `source` and `id` a lost answer is asked for again."""
        given = {"type": type, "data": data, "source": source, "id": id}
        sent = await self._connection.ask(
            happening.SentMany,
            "POST",
            "/api/v1/events",
            body={name: value for name, value in given.items() if value is not None},
            query={"namespace": namespace or self.namespace},
            safe=id is not None and source is not None,
        )
        return sent.items[0]

    async def events(
        self, *, type: str | None = None, before: int | None = None, limit: int = 100
    ) -> happening.KeptEvents:
        """Give a page of the events of the last day, newest first.

        `type`: only such. `before`: `next` of the page before. `limit`: how many at most.
        """
        query = {"type": type, "before": before, "limit": limit} | self._where()
        return await self._connection.ask(happening.KeptEvents, "GET", "/api/v1/events", query=query)

    async def audit(self, before: int | None = None, limit: int = 100) -> service.AuditPage:
        """Give a page of what people and keys have changed, newest first.

        `before`: `next` of the page before. `limit`: how many at most.
        """
        query = {"before": before, "limit": limit}
        return await self._connection.ask(service.AuditPage, "GET", "/api/v1/audit", query=query)

    async def me(self) -> service.Who:
        """Say who the server takes this client for. Raises Denied."""
        return await self._connection.ask(service.Who, "GET", "/api/v1/me")

    async def health(self) -> service.ClusterHealth:
        """Say how the processes of the store stand."""
        return await self._connection.ask(service.ClusterHealth, "GET", "/cluster/health", safe=False)

    def _where(self) -> dict[str, Json]:
        return {} if self.namespace is None else {"namespace": self.namespace}


_END: Final = frozenset({"end"})


def _path(id: str) -> str:
    return f"/api/v1/runs/{quote(id, safe='')}"


def _text(value: str | float | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _fault(failure: runs.Failure | None) -> Fault:
    return msgspec.convert(msgspec.to_builtins(failure or runs.Failure()), Fault)
