"""What a door to an engine leaves behind, at one that answers as Podman does."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from interlock.pool.docker import engine as engine_module
from interlock.pool.docker.engine import Attached, Engine, EngineError, Unreachable
from interlock.pool.docker.pool import DockerPool
from interlock.pool.docker.settings import DockerSettings
from pool.conftest import until

VERSION = json.dumps({"ApiVersion": "1.41", "Components": [{"Name": "Podman Engine", "Version": "4.9"}]})
UPGRADED = b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"

Answer: TypeAlias = Callable[[bytes, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
"""Answers a request, of which it is given the first line."""


@contextlib.asynccontextmanager
async def serving(address: Path, answer: Answer) -> AsyncIterator[None]:
    """Have an engine answer so, until the block ends and with it every connection; one also when an answer closes it."""
    answering: set[asyncio.Task[None]] = set()

    async def answered(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while not writer.is_closing() and (line := await reader.readline()):
                while (await reader.readline()).strip():
                    continue
                await answer(line, reader, writer)
        finally:
            writer.close()

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answering.add(asyncio.ensure_future(answered(reader, writer)))

    server = await asyncio.start_unix_server(begin, address)
    try:
        yield
    finally:
        server.close()
        for task in answering:
            task.cancel()
        await asyncio.gather(*answering, return_exceptions=True)


def reply(writer: asyncio.StreamWriter, body: str, status: str = "200 OK") -> None:
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write((head + body).encode())


async def test_connection_for_input_ends_where_the_one_for_output_is_refused(tmp_path: Path) -> None:
    given_up = asyncio.Event()

    async def answer(line: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if b"/version" in line:
            reply(writer, VERSION)
        elif b"stdin=1" in line:
            writer.write(UPGRADED)
            assert not await reader.read()
            given_up.set()
        else:
            reply(writer, '{"message": "no"}', "500 Internal Server Error")

    async with serving(tmp_path / "engine", answer):
        engine = Engine(f"unix://{tmp_path}/engine")
        try:
            with pytest.raises(EngineError, match="no"):
                await engine.attach("c", stdin=True)
            async with asyncio.timeout(60):
                await given_up.wait()
        finally:
            await engine.close()


@pytest.mark.parametrize("body", ["hello", "[]", '{"ApiVersion": "1.41", "NCPU": "many", "MemTotal": 1}'])
async def test_size_of_what_is_no_engine_is_not_known(tmp_path: Path, body: str) -> None:
    """A node that starts asks for it, and what is wrong with an engine is no reason not to start."""

    async def answer(line: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reply(writer, body)

    async with serving(tmp_path / "engine", answer):
        pool = DockerPool(DockerSettings(image="i", host=f"unix://{tmp_path}/engine"), store="s")
        try:
            assert await pool.size() is None
        finally:
            await pool.stop()


async def test_input_for_which_the_engine_has_ended_the_connection_is_dropped(tmp_path: Path) -> None:
    """The program ended at once, before its input was written."""
    over = asyncio.Event()

    async def answer(line: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if b"/version" in line:
            reply(writer, VERSION)
        else:
            writer.write(UPGRADED)
            await over.wait()
            writer.close()

    async with serving(tmp_path / "engine", answer):
        engine = Engine(f"unix://{tmp_path}/engine")
        stream = await engine.attach("c", stdin=True)
        try:
            over.set()
            assert [piece async for piece in stream.heard()] == []
            await until(lambda: stream.input is not None and _is_gone(stream.input), "the connection stays")
            await stream.feed("text")
        finally:
            await stream.close()
            await engine.close()


def _is_gone(stream: Attached) -> bool:
    connection = stream._resp and stream._resp.connection
    return not connection or connection.transport is None


async def test_log_that_is_not_followed_is_not_waited_for_without_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as by a connection whose other end is gone without a word."""
    monkeypatch.setattr(engine_module, "_ANSWER_SECONDS", 0.2)
    heard = asyncio.Event()

    async def answer(line: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if b"/version" in line:
            reply(writer, VERSION)
        else:
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            heard.set()

    async with serving(tmp_path / "engine", answer):
        engine = Engine(f"unix://{tmp_path}/engine")
        try:
            async with asyncio.timeout(60):
                with pytest.raises(Unreachable):
                    await anext(engine.heard("c", follow=False))
            assert heard.is_set()
        finally:
            await engine.close()
