"""What a client has, for programs without an event loop: each method waits for the one of the same name."""

from __future__ import annotations

import builtins
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import TypeVar

from interlock.client import fleet, groups, records
from interlock.client.stream import Told
from interlock.model.json import Json
from interlock.sync.portal import Portal
from interlock.wire import artifacts, coordination, definitions, events, service, tokens

T = TypeVar("T")


def each(portal: Portal, items: AsyncIterator[T]) -> Iterator[T]:
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

    def show(self, token: str) -> tokens.TokenTold:
        return self._portal.call(self._remote.show(token))

    def of_run(self, run: str) -> builtins.list[tokens.TokenTold]:
        return self._portal.call(self._remote.of_run(run))

    def of_step(self, run: str, step: str) -> tokens.TokenTold:
        return self._portal.call(self._remote.of_step(run, step))

    def complete_step(self, run: str, step: str, result: Json = None) -> tokens.Reported:
        return self._portal.call(self._remote.complete_step(run, step, result))

    def fail_step(
        self, run: str, step: str, message: str, *, type: str = "Failed", retryable: bool = False, details: Json = None
    ) -> tokens.Reported:
        return self._portal.call(
            self._remote.fail_step(run, step, message, type=type, retryable=retryable, details=details)
        )

    def heartbeat_step(self, run: str, step: str, details: Json = None) -> tokens.Heard:
        return self._portal.call(self._remote.heartbeat_step(run, step, details))

    def progress_step(
        self, run: str, step: str, fraction: float | None = None, message: str | None = None
    ) -> tokens.Heard:
        return self._portal.call(self._remote.progress_step(run, step, fraction, message))


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

    def standing(self, name: str) -> coordination.LockStanding:
        return self._portal.call(self._remote.standing(name))

    def release_all(self, holder: str) -> int:
        return self._portal.call(self._remote.release_all(holder))

    def clear(self) -> int:
        return self._portal.call(self._remote.clear())


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
        return each(self._portal, self._remote.watch(pattern, space, after=after))


class RemoteDefinitions:
    """Published workflows; see `interlock.Client.definitions`."""

    def __init__(self, portal: Portal, remote: records.RemoteDefinitions) -> None:
        self._portal = portal
        self._remote = remote

    def publish(self, document: str) -> definitions.Published:
        return self._portal.call(self._remote.publish(document))

    def validate(self, document: str) -> definitions.Verdict:
        return self._portal.call(self._remote.validate(document))

    def get(self, namespace: str, name: str, version: str | None = None) -> definitions.Definition:
        return self._portal.call(self._remote.get(namespace, name, version))

    def list(
        self, *, name: str | None = None, version: str | None = None, after: str | None = None, limit: int = 100
    ) -> definitions.Definitions:
        return self._portal.call(self._remote.list(name=name, version=version, after=after, limit=limit))


class RemoteDeliveries:
    """What callers were told; see `interlock.Client.deliveries`."""

    def __init__(self, portal: Portal, remote: records.RemoteDeliveries) -> None:
        self._portal = portal
        self._remote = remote

    def list(
        self, *, run: str | None = None, state: str | None = None, before: str | None = None, limit: int = 100
    ) -> events.Deliveries:
        return self._portal.call(self._remote.list(run=run, state=state, before=before, limit=limit))

    def get(self, id: str) -> events.DeliveryWhole:
        return self._portal.call(self._remote.get(id))

    def retry(self, id: str) -> events.DeliveryTold:
        return self._portal.call(self._remote.retry(id))


class RemoteArtifacts:
    """Files of runs; see `interlock.Client.artifacts`."""

    def __init__(self, portal: Portal, remote: records.RemoteArtifacts) -> None:
        self._portal = portal
        self._remote = remote

    def keep(self, token: str, name: str, content: bytes, *, media_type: str = "") -> artifacts.ArtifactTold:
        return self._portal.call(self._remote.keep(token, name, content, media_type=media_type))

    def list(self, run: str, *, after: str | None = None, limit: int = 100) -> artifacts.ArtifactPage:
        return self._portal.call(self._remote.list(run, after=after, limit=limit))

    def read(self, run: str, name: str, *, step: str | None = None, attempt: int | None = None) -> Iterator[bytes]:
        return each(self._portal, self._remote.read(run, name, step=step, attempt=attempt))

    def get(self, run: str, name: str, *, step: str | None = None, attempt: int | None = None) -> bytes:
        return self._portal.call(self._remote.get(run, name, step=step, attempt=attempt))


class RemoteKeys:
    """API keys; see `interlock.Client.keys`."""

    def __init__(self, portal: Portal, remote: records.RemoteKeys) -> None:
        self._portal = portal
        self._remote = remote

    def list(self, *, after: str | None = None, limit: int = 100) -> service.KeyList:
        return self._portal.call(self._remote.list(after=after, limit=limit))

    def create(
        self, name: str, role: str, *, namespaces: builtins.list[str] | None = None, expires: float | None = None
    ) -> service.CreatedKey:
        return self._portal.call(self._remote.create(name, role, namespaces=namespaces, expires=expires))

    def revoke(self, key: str) -> service.KeyTold:
        return self._portal.call(self._remote.revoke(key))


class RemoteFleet:
    """Workers and nodes; see `interlock.Client.fleet`."""

    def __init__(self, portal: Portal, remote: fleet.RemoteFleet) -> None:
        self._portal = portal
        self._remote = remote

    def workers(
        self,
        *,
        status: Sequence[str] = (),
        free: bool = False,
        type: str | None = None,
        skills: Sequence[str] = (),
        region: str | None = None,
    ) -> list[coordination.WorkerTold]:
        return self._portal.call(
            self._remote.workers(status=status, free=free, type=type, skills=skills, region=region)
        )

    def worker(self, id: str) -> coordination.WorkerWhole:
        return self._portal.call(self._remote.worker(id))

    def drain_worker(self, id: str) -> coordination.WorkerTold:
        return self._portal.call(self._remote.drain_worker(id))

    def undrain_worker(self, id: str) -> coordination.WorkerTold:
        return self._portal.call(self._remote.undrain_worker(id))

    def worker_events(self, after: int = 0, limit: int = 100) -> list[coordination.WorkerHappened]:
        return self._portal.call(self._remote.worker_events(after, limit))

    def nodes(self) -> list[coordination.NodeTold]:
        return self._portal.call(self._remote.nodes())

    def drain_node(self, node: str) -> list[coordination.NodeTold]:
        return self._portal.call(self._remote.drain_node(node))
