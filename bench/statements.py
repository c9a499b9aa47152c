"""Counts the statements that PostgreSQL is sent: a proxy before the server that reads the frontend's messages.

Every `Execute` and every simple `Query` counts, of whichever client, but for what only begins or ends a transaction. Source
of the format: PostgreSQL's manual, chapter "Frontend/Backend Protocol".
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Final
from urllib.parse import urlsplit, urlunsplit

_EXECUTE: Final = b"E"
_QUERY: Final = b"Q"
_FRAMES: Final = ("BEGIN", "COMMIT", "ROLLBACK", "START TRANSACTION", "SAVEPOINT", "RELEASE")
_ENCRYPTION_REQUESTS: Final = (80877103, 80877104)
"""SSLRequest and GSSENCRequest, which come before the start-up message, and have no type either."""


class Counting:
    """`count`: the statements so far. `url`: where the same database is reached through this."""

    def __init__(self, url: str) -> None:
        self.count = 0
        self._url = url
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        assert self._server is not None
        parts = urlsplit(self._url)
        port = self._server.sockets[0].getsockname()[1]
        return urlunsplit(parts._replace(netloc=f"{parts.username}@127.0.0.1:{port}"))

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        parts = urlsplit(self._url)
        there, back = await asyncio.open_connection(parts.hostname, parts.port)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._to_server(reader, back))
                group.create_task(_to_client(there, writer))
        except* (OSError, asyncio.IncompleteReadError):
            self._tasks.discard(task)  # how both directions end
        finally:
            writer.transport.abort()
            back.transport.abort()
            self._tasks.discard(task)

    async def _to_server(self, reader: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        has_begun = False
        while True:
            kind = await reader.readexactly(1) if has_begun else b""
            length = await reader.readexactly(4)
            body = await reader.readexactly(int.from_bytes(length) - 4)
            if not has_begun:
                has_begun = int.from_bytes(body[:4]) not in _ENCRYPTION_REQUESTS
            self.count += kind == _EXECUTE or (kind == _QUERY and not frames(body.decode(errors="replace")))
            back.write(kind + length + body)
            await back.drain()


def frames(statement: str) -> bool:
    """Say whether a statement only begins or ends a transaction."""
    return statement.lstrip().upper().startswith(_FRAMES)


async def _to_client(there: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await there.read(1 << 16):
        writer.write(data)
        await writer.drain()
    raise ConnectionResetError("the server closed the connection")


@contextlib.asynccontextmanager
async def counting(url: str) -> AsyncIterator[Counting]:
    """Give a way to a PostgreSQL database that counts."""
    counter = Counting(url)
    await counter.start()
    try:
        yield counter
    finally:
        await counter.stop()
