"""A server for programs without an event loop; see `interlock.Client`, of which each method waits here."""

from __future__ import annotations

import builtins
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Final, Self, TypeVar

from interlock.client import client as asynchronous
from interlock.client import groups
from interlock.client.stream import Told
from interlock.model.json import Json
from interlock.sync.portal import Portal
from interlock.wire import coordination, definitions, events, runs, service, tokens

T = TypeVar("T")

_TIMEOUT_SECONDS: Final = 30.0


def _each(portal: Portal, items: AsyncIterator[T]) -> Iterator[T]:
    """Give what an asynchronous iterator gives; it is closed when nobody reads on."""

    async def following() -> tuple[T] | None:
        try:
            return (await anext(items),)
        except StopAsyncIteration:
            return None

    async def close() -> None:
        await items.aclose()  # type: ignore[attr-defined]  # the generators of the client have it

    try:
        while (found := portal.call(following())) is not None:
            yield found[0]
    finally:
        portal.call(close())


class RemoteTokens:
    """Reports outcomes; see `interlock.Client.tokens`."""

    def __init__(self, portal: Portal, remote: groups.RemoteTokens) -> None:
        self._portal = portal
        self._remote = remote

    def complete(self, token: str, result: Json = None) -> tokens.Reported:
        return self._portal.call(self._remote.complete(token, result))

    def fail(
        self, token: str, message: str, *, type: str = "Failed", retryable: bool = False, details: Json = None
    ) -> tokens.Reported:
        return self._portal.call(self._remote.fail(token, message, type=type, retryable=retryable, details=details))

    def heartbeat(self, token: str, details: Json = None) -> tokens.Heard:
        return self._portal.call(self._remote.heartbeat(token, details))

    def progress(self, token: str, fraction: float | None = None, message: str | None = None) -> tokens.Heard:
        return self._portal.call(self._remote.progress(token, fraction, message))

    def log(self, token: str, text: str) -> tokens.Logged:
        return self._portal.call(self._remote.log(token, text))


class RemoteLocks:
    """Locks; see `interlock.Client.locks`."""

    def __init__(self, portal: Portal, remote: groups.RemoteLocks) -> None:
        self._portal = portal
        self._remote = remote

    def acquire(
        self,
        name: str,
        holder: str,
        *,
        ttl: float = 300.0,
        mode: str = "exclusive",
        limit: int = 1,
        nonce: str | None = None,
    ) -> coordination.HeldLock:
        return self._portal.call(self._remote.acquire(name, holder, ttl=ttl, mode=mode, limit=limit, nonce=nonce))

    def renew(self, name: str, holder: str, fence: int) -> bool:
        return self._portal.call(self._remote.renew(name, holder, fence))

    def release(self, name: str, holder: str, fence: int) -> None:
        self._portal.call(self._remote.release(name, holder, fence))

    def list(self, holder: str | None = None) -> builtins.list[coordination.HeldLock]:
        return self._portal.call(self._remote.list(holder))


class RemoteMemory:
    """Shared memory; see `interlock.Client.memory`."""

    def __init__(self, portal: Portal, remote: groups.RemoteMemory) -> None:
        self._portal = portal
        self._remote = remote

    def get(self, key: str, space: str = "global") -> coordination.CellTold:
        return self._portal.call(self._remote.get(key, space))

    def set(
        self,
        key: str,
        value: Json,
        space: str = "global",
        *,
        ttl: float | None = None,
        base: int | None = None,
        resolver: str | None = None,
    ) -> coordination.CellTold:
        return self._portal.call(self._remote.set(key, value, space, ttl=ttl, base=base, resolver=resolver))

    def delete(self, key: str, space: str = "global", *, base: int | None = None) -> bool:
        return self._portal.call(self._remote.delete(key, space, base=base))

    def list(self, pattern: str = "", space: str = "global") -> builtins.list[coordination.CellTold]:
        return self._portal.call(self._remote.list(pattern, space))

    def watch(self, pattern: str, space: str = "global", *, after: str | None = None) -> Iterator[Told]:
        return _each(self._portal, self._remote.watch(pattern, space, after=after))


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
    ) -> builtins.list[runs.Started]:
        return self._portal.call(self._client.start_many(workflow, inputs, ids=ids, namespace=namespace))

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
        return _each(self._portal, self._client.follow(id, after))

    def logs(self, id: str, *, step: str | None = None, after: int = 0, limit: int = 100) -> runs.Logs:
        return self._portal.call(self._client.logs(id, step=step, after=after, limit=limit))

    def follow_logs(self, id: str, *, step: str | None = None, after: int = 0) -> Iterator[runs.LogPiece]:
        return _each(self._portal, self._client.follow_logs(id, step=step, after=after))

    def publish(self, document: str) -> definitions.Published:
        return self._portal.call(self._client.publish(document))

    def validate(self, document: str) -> definitions.Verdict:
        return self._portal.call(self._client.validate(document))

    def send(
        self,
        type: str,
        data: Json = None,
        *,
        source: str | None = None,
        id: str | None = None,
        namespace: str | None = None,
    ) -> events.Sent:
        return self._portal.call(self._client.send(type, data, source=source, id=id, namespace=namespace))

    def me(self) -> service.Who:
        return self._portal.call(self._client.me())

    def health(self) -> service.ClusterHealth:
        return self._portal.call(self._client.health())
