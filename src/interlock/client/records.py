"""Definitions, deliveries, artifacts and keys of a server."""

from __future__ import annotations

import builtins
from collections.abc import AsyncIterator, Mapping
from typing import Final
from urllib.parse import quote

from interlock.client.connection import Connection
from interlock.model.json import Json
from interlock.wire import artifacts, definitions, events, service

_DEFINITIONS: Final = "/api/v1/definitions"
_DELIVERIES: Final = "/api/v1/deliveries"
_KEYS: Final = "/api/v1/keys"


class RemoteDefinitions:
    """Published workflows. `Client.start` runs one by its name."""

    def __init__(self, connection: Connection, namespace: str | None) -> None:
        self._connection = connection
        self._where: Final[Mapping[str, Json]] = {"namespace": namespace}

    async def publish(self, document: str) -> definitions.Published:
        """Fix a workflow's name and version to its text. Raises Invalid, Conflict when another text has them."""
        asked = definitions.Document(document=document)
        return await self._connection.ask(definitions.Published, "POST", _DEFINITIONS, body=asked, safe=True)

    async def validate(self, document: str) -> definitions.Verdict:
        """Say everything that is wrong with a workflow."""
        asked = definitions.Document(document=document)
        path = f"{_DEFINITIONS}/validate"
        return await self._connection.ask(definitions.Verdict, "POST", path, body=asked, safe=True)

    async def get(self, namespace: str, name: str, version: str | None = None) -> definitions.Definition:
        """Give the text of a published workflow; `version`: None for the newest. Raises NotFound."""
        names = [namespace, name] + ([] if version is None else [version])
        path = "/".join([_DEFINITIONS, *(quote(each, safe="") for each in names)])
        return await self._connection.ask(definitions.Definition, "GET", path)

    async def list(
        self, *, name: str | None = None, version: str | None = None, after: str | None = None, limit: int = 100
    ) -> definitions.Definitions:
        """Give a page of what is published, by name and version. `after`: `next` of the page before."""
        query = {"name": name, "version": version, "after": after, "limit": limit, **self._where}
        return await self._connection.ask(definitions.Definitions, "GET", _DEFINITIONS, query=query)


class RemoteDeliveries:
    """What callers were told of the ends of their runs."""

    def __init__(self, connection: Connection, namespace: str | None) -> None:
        self._connection = connection
        self._where: Final[Mapping[str, Json]] = {"namespace": namespace}

    async def list(
        self, *, run: str | None = None, state: str | None = None, before: str | None = None, limit: int = 100
    ) -> events.Deliveries:
        """Give a page of deliveries, newest first. `run`, `state`: only those; `before`: `next` of the page before."""
        query = {"run": run, "state": state, "before": before, "limit": limit, **self._where}
        return await self._connection.ask(events.Deliveries, "GET", _DELIVERIES, query=query)

    async def get(self, id: str) -> events.DeliveryWhole:
        """Give a delivery with its sendings. Raises NotFound."""
        path = f"{_DELIVERIES}/{quote(id, safe='')}"
        return await self._connection.ask(events.DeliveryWhole, "GET", path, query=self._where)

    async def retry(self, id: str) -> events.DeliveryTold:
        """Send once more what failed or expired, and at once what waits for its next try. Raises NotFound, Conflict."""
        path = f"{_DELIVERIES}/{quote(id, safe='')}/retry"
        return await self._connection.ask(events.DeliveryTold, "POST", path, query=self._where)


class RemoteArtifacts:
    """Files that the attempts of a run kept."""

    def __init__(self, connection: Connection, namespace: str | None) -> None:
        self._connection = connection
        self._where: Final[Mapping[str, Json]] = {"namespace": namespace}

    async def keep(self, token: str, name: str, content: bytes, *, media_type: str = "") -> artifacts.ArtifactTold:
        """Keep a file under the token of an attempt, instead of an older one of that name. The same once more is as good.

        Raises NotFound for what is no token, Conflict for an attempt that is over, Invalid.
        """
        path = f"/api/v1/tokens/{quote(token, safe='')}/artifacts/{quote(name, safe='')}"
        headers = {"Content-Type": media_type or "application/octet-stream"}
        return await self._connection.ask(
            artifacts.ArtifactTold, "PUT", path, content=content, headers=headers, safe=True
        )

    async def list(self, run: str, *, after: str | None = None, limit: int = 100) -> artifacts.ArtifactPage:
        """Give a page of what a run kept. `after`: `next` of the page before. Raises NotFound."""
        query = {"after": after, "limit": limit, **self._where}
        return await self._connection.ask(artifacts.ArtifactPage, "GET", _artifacts(run), query=query)

    async def read(
        self, run: str, name: str, *, step: str | None = None, attempt: int | None = None
    ) -> AsyncIterator[bytes]:
        """Give a file in pieces; of several with the name the newest one, of `step` and `attempt`. Raises NotFound."""
        query = {"step": step, "attempt": attempt, **self._where}
        async for piece in self._connection.download(f"{_artifacts(run)}/{quote(name, safe='')}", query):
            yield piece

    async def get(self, run: str, name: str, *, step: str | None = None, attempt: int | None = None) -> bytes:
        """Give a whole file, which has to fit into memory; otherwise as `read`."""
        return b"".join([piece async for piece in self.read(run, name, step=step, attempt=attempt)])


class RemoteKeys:
    """API keys of the store, for who administers it."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def list(self, *, after: str | None = None, limit: int = 100) -> service.KeyList:
        """Give a page of keys, revoked ones too; none is told whole. `after`: `next` of the page before."""
        return await self._connection.ask(service.KeyList, "GET", _KEYS, query={"after": after, "limit": limit})

    async def create(
        self,
        name: str,
        role: str,
        *,
        namespaces: builtins.list[str] | None = None,
        expires: float | None = None,
    ) -> service.CreatedKey:
        """Make a key; the answer is the only place where it is told.

        `role`: viewer, operator, worker or admin. `namespaces`: None for all. `expires`: in so many seconds; None for never.
        """
        body: dict[str, Json] = {"name": name, "role": role, "namespaces": namespaces, "expires": expires}
        return await self._connection.ask(service.CreatedKey, "POST", _KEYS, body=body)

    async def revoke(self, key: str) -> service.KeyTold:
        """Revoke a key by its id or name, for good. Raises NotFound."""
        path = f"{_KEYS}/{quote(key, safe='')}/revoke"
        return await self._connection.ask(service.KeyTold, "POST", path, safe=True)


def _artifacts(run: str) -> str:
    return f"/api/v1/runs/{quote(run, safe='')}/artifacts"
