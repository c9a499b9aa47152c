"""A proxy between HTTP clients and servers that loses one request in five: some on the way there, some on the way back."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field


@dataclass
class Lossy:
    """`url`: of the proxy. `lost`: how many requests never arrived, and how many answers."""

    servers: Sequence[tuple[str, int]]
    share: float
    random: random.Random
    url: str = ""
    passed: int = 0
    lost: list[int] = field(default_factory=lambda: [0, 0])

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request per connection, to whichever server."""
        try:
            request = await _message(reader)
            fate = self.random.random()
            if fate < self.share / 2:
                self.lost[0] += 1
                return
            answer = await self._forwarded(request)
            if fate < self.share:
                self.lost[1] += 1
                return
            self.passed += 1
            writer.write(answer)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()

    async def _forwarded(self, request: bytes) -> bytes:
        host, port = self.random.choice(self.servers)
        reader, writer = await asyncio.open_connection(host, port)
        try:
            writer.write(request)
            await writer.drain()
            return await _message(reader)
        finally:
            writer.close()


async def _message(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    length = next((int(line.partition(":")[2]) for line in lines if line.lower().startswith("content-length:")), 0)
    return head + await reader.readexactly(length)


@contextlib.asynccontextmanager
async def between(servers: Sequence[tuple[str, int]], seed: int, share: float = 0.2) -> AsyncIterator[Lossy]:
    proxy = Lossy(servers, share, random.Random(seed))
    listening = await asyncio.start_server(proxy.serve, "127.0.0.1", 0, backlog=1000)
    proxy.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    try:
        yield proxy
    finally:
        listening.close()
        await listening.wait_closed()
