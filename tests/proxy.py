"""A TCP proxy before a server that cuts a connection between a request and its reply."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator


class Proxy:
    """Forwards, until a client sends something that holds `marker`: the server still gets it, the client no reply."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0
        self.marker: bytes | None = None
        self.refuses = False
        """Whether who comes is turned away."""
        self.cuts = 0

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        self.cut_all()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut_all(self) -> None:
        for writer in list(self._writers):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            if self.refuses:
                raise ConnectionRefusedError
            there, back = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:  # the server is away, and so is the client then
            writer.transport.abort()
            self._tasks.discard(task)
            return
        self._writers |= {writer, back}
        cutting = asyncio.Event()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._to_server(reader, back, cutting))
                group.create_task(self._to_client(there, writer, cutting))
        except* OSError:
            pass  # how both directions end
        finally:
            for each in (writer, back):
                each.transport.abort()
                self._writers.discard(each)
            self._tasks.discard(task)

    async def _to_server(
        self, reader: asyncio.StreamReader, back: asyncio.StreamWriter, cutting: asyncio.Event
    ) -> None:
        while data := await reader.read(1 << 20):
            if self.marker is not None and self.marker in data:
                self.marker = None
                cutting.set()
            back.write(data)
            await back.drain()
        raise ConnectionResetError

    async def _to_client(
        self, there: asyncio.StreamReader, writer: asyncio.StreamWriter, cutting: asyncio.Event
    ) -> None:
        while data := await there.read(1 << 20):
            if cutting.is_set():  # the reply is here, so what was asked is done
                self.cuts += 1
                raise ConnectionResetError
            writer.write(data)
            await writer.drain()
        raise ConnectionResetError


@contextlib.asynccontextmanager
async def before(port: int) -> AsyncIterator[Proxy]:
    proxy = Proxy(port)
    await proxy.start()
    try:
        yield proxy
    finally:
        await proxy.stop()
