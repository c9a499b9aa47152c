"""A server for programs without an event loop; see `interlock.Client`, of which each method waits here."""

from __future__ import annotations

import builtins
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Final, Self

from interlock.client import client as asynchronous
from interlock.model.json import Json
from interlock.sync.graphs import RemoteGraphs, RemotePools
from interlock.sync.portal import Portal
from interlock.sync.remote import (
    RemoteArtifacts,
    RemoteDefinitions,
    RemoteDeliveries,
    RemoteFleet,
    RemoteKeys,
    RemoteLocks,
    RemoteMemory,
    RemoteTokens,
    each,
)
from interlock.wire import definitions as defined
from interlock.wire import events as happening
from interlock.wire import recorded, runs, service

_TIMEOUT_SECONDS: Final = 30.0


class Client:
    """A server. It is opened by `with`, or closed by `close`. Any number of threads may use it."""

    def __init__(
        self,
        url: str | None = None,
        *,
        key: str | None = None,
        namespace: str | None = None,
        timeout: float = _TIMEOUT_SECONDS,
    ) -> None:
        """Raises Invalid. As `interlock.Client`."""
        self._client = asynchronous.Client(url, key=key, namespace=namespace, timeout=timeout)
        self._portal = Portal()
        self._tokens = RemoteTokens(self._portal, self._client.tokens)
        self._locks = RemoteLocks(self._portal, self._client.locks)
        self._memory = RemoteMemory(self._portal, self._client.memory)
        self._artifacts = RemoteArtifacts(self._portal, self._client.artifacts)
        self._definitions = RemoteDefinitions(self._portal, self._client.definitions)
        self._deliveries = RemoteDeliveries(self._portal, self._client.deliveries)
        self._fleet = RemoteFleet(self._portal, self._client.fleet)
        self._keys = RemoteKeys(self._portal, self._client.keys)
        self._graphs = RemoteGraphs(self._portal, self._client.graphs)
        self._pools = RemotePools(self._portal, self._client.pools)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections; safe to call twice."""
        if not self._portal.is_closed:
            self._portal.call(self._client.close())
            self._portal.close()

    @property
    def tokens(self) -> RemoteTokens:
        return self._tokens

    @property
    def locks(self) -> RemoteLocks:
        return self._locks

    @property
    def memory(self) -> RemoteMemory:
        return self._memory

    @property
    def artifacts(self) -> RemoteArtifacts:
        return self._artifacts

    @property
    def definitions(self) -> RemoteDefinitions:
        return self._definitions

    @property
    def deliveries(self) -> RemoteDeliveries:
        return self._deliveries

    @property
    def fleet(self) -> RemoteFleet:
        return self._fleet

    @property
    def keys(self) -> RemoteKeys:
        return self._keys

    @property
    def graphs(self) -> RemoteGraphs:
        return self._graphs

    @property
    def pools(self) -> RemotePools:
        return self._pools

    def start(
        self,
        workflow: str | None = None,
        input: Json = None,
        *,
        document: str | None = None,
        id: str | None = None,
        namespace: str | None = None,
        callback: dict[str, Json] | None = None,
    ) -> runs.Started:
        return self._portal.call(
            self._client.start(workflow, input, document=document, id=id, namespace=namespace, callback=callback)
        )

    def start_many(
        self,
        workflow: str,
        inputs: Iterable[Json],
        *,
        ids: Iterable[str] | None = None,
        namespace: str | None = None,
        callbacks: Iterable[dict[str, Json] | None] | None = None,
    ) -> builtins.list[runs.Started]:
        return self._portal.call(
            self._client.start_many(workflow, inputs, ids=ids, namespace=namespace, callbacks=callbacks)
        )

    def get(self, id: str) -> runs.RunWhole:
        return self._portal.call(self._client.get(id))

    def list(
        self,
        *,
        status: Sequence[str] = (),
        workflow: str | None = None,
        where: Mapping[str, str | float | bool] | None = None,
        limit: int = 100,
        before: str | None = None,
    ) -> runs.RunPage:
        return self._portal.call(
            self._client.list(status=status, workflow=workflow, where=where, limit=limit, before=before)
        )

    def result(self, id: str, timeout: float | None = None) -> Json:
        return self._portal.call(self._client.result(id, timeout))

    def cancel(self, id: str, reason: str | None = None, *, rollback: bool = False) -> runs.Acted:
        return self._portal.call(self._client.cancel(id, reason, rollback=rollback))

    def suspend(self, id: str) -> runs.Acted:
        return self._portal.call(self._client.suspend(id))

    def resume(self, id: str) -> runs.Acted:
        return self._portal.call(self._client.resume(id))

    def retry(self, id: str) -> runs.Acted:
        return self._portal.call(self._client.retry(id))

    def fork(self, id: str, step: str, *, new_id: str | None = None) -> runs.Started:
        return self._portal.call(self._client.fork(id, step, new_id=new_id))

    def history(self, id: str, after: int = 0, limit: int = 100) -> runs.History:
        return self._portal.call(self._client.history(id, after, limit))

    def follow(self, id: str, after: int = 0) -> Iterator[runs.Happened]:
        return each(self._portal, self._client.follow(id, after))

    def logs(self, id: str, *, step: str | None = None, after: int = 0, limit: int = 100) -> runs.Logs:
        return self._portal.call(self._client.logs(id, step=step, after=after, limit=limit))

    def follow_logs(self, id: str, *, step: str | None = None, after: int = 0) -> Iterator[runs.LogPiece]:
        return each(self._portal, self._client.follow_logs(id, step=step, after=after))

    def publish(self, document: str) -> defined.Published:
        return self._portal.call(self._client.publish(document))

    def validate(self, document: str) -> defined.Verdict:
        return self._portal.call(self._client.validate(document))

    def send(
        self,
        type: str,
        data: Json = None,
        *,
        source: str | None = None,
        id: str | None = None,
        namespace: str | None = None,
    ) -> happening.Sent:
        return self._portal.call(self._client.send(type, data, source=source, id=id, namespace=namespace))

    def tasks(self, id: str) -> builtins.list[runs.TaskTold]:
        return self._portal.call(self._client.tasks(id))

    def source(self, id: str) -> recorded.Source:
        return self._portal.call(self._client.source(id))

    def commits(self, id: str, after: int = 0, limit: int = 100) -> recorded.Commits:
        return self._portal.call(self._client.commits(id, after, limit))

    def follow_commits(self, id: str, after: int = 0) -> Iterator[recorded.Commit]:
        return each(self._portal, self._client.follow_commits(id, after))

    def stranded(self) -> builtins.list[recorded.StrandedRun]:
        return self._portal.call(self._client.stranded())

    def events(self, *, type: str | None = None, before: int | None = None, limit: int = 100) -> happening.KeptEvents:
        return self._portal.call(self._client.events(type=type, before=before, limit=limit))

    def audit(self, before: int | None = None, limit: int = 100) -> service.AuditPage:
        return self._portal.call(self._client.audit(before, limit))

    def me(self) -> service.Who:
        return self._portal.call(self._client.me())

    def health(self) -> service.ClusterHealth:
        return self._portal.call(self._client.health())
