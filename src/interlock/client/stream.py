"""Server-sent events as a client reads them, from where the last connection broke."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Final

import httpx

from interlock import errors
from interlock.client import connection as connections
from interlock.client.connection import Connection
from interlock.model import json
from interlock.model.json import Json

_PAUSES: Final = (0.1, 0.5, 1.0, 2.0, 5.0)
_PROBLEM: Final = "problem"


@dataclass(frozen=True, slots=True)
class Told:
    """One event. `id`: where to go on after it."""

    name: str
    data: Json
    id: str


async def read(
    connection: Connection, path: str, query: Mapping[str, Json], *, ends: frozenset[str] = frozenset()
) -> AsyncIterator[Told]:
    """Give the events of a stream, each once, until one of `ends` has come; connections that break are opened again.

    Raises what a problem stands for, StoreUnavailable when no server answers for some seconds.
    """
    last = ""
    failures = 0
    while True:
        headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": last} if last else {})
        try:
            async with connection.stream(path, query, headers) as answer:
                if not answer.is_success:
                    raise connections.problem(answer.status_code, await answer.aread())
                async for told in _events(answer):
                    failures = 0
                    last = told.id or last
                    if told.name == _PROBLEM:
                        raise errors.StoreUnavailable(str(told.data.get("detail")))
                    yield told
                    if told.name in ends:
                        return
        except (httpx.TransportError, errors.StoreUnavailable) as error:
            if failures >= len(_PAUSES):
                raise errors.StoreUnavailable(f"the server {connection.url} does not answer: {error}") from error
        await asyncio.sleep(_PAUSES[min(failures, len(_PAUSES) - 1)])
        failures += 1


async def _events(answer: httpx.Response) -> AsyncIterator[Told]:
    name, id, data = "message", "", ""
    async for line in answer.aiter_lines():
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not line:
            if data:
                yield Told(name, json.decode(data), id)
            name, data = "message", ""
        elif field == "event":
            name = value
        elif field == "id":
            id = value
        elif field == "data":
            data += value
