"""The door to the engine: its API through aiodocker, its errors as ours, every answer awaited for a bounded time.

A call that got no answer raises `Unreachable`, and may have been carried out all the same; each of them can be repeated.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import ssl
import tarfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from interlock import errors

try:
    import aiodocker
    import aiohttp
    from aiodocker.stream import Stream
    from yarl import URL
except ImportError as error:
    raise errors.InvalidSettings("pools of the type docker need aiodocker: pip install 'interlock[docker]'") from error

from interlock.pool.output import STREAMS

_ANSWER_SECONDS: Final = 60.0  # an engine on a slow disk makes a container in some seconds
_NOT_FOUND: Final = 404
_CONFLICT: Final = 409
_NOT_MODIFIED: Final = 304
_NO_CONNECTION: Final = 900  # what aiodocker gives where there was no answer
_UNIX: Final = "unix://"
_HEADER_BYTES: Final = 8
_PIECE_BYTES: Final = 64 * 1024
_WORDS: Final = 1000  # of an engine's complaint
_WAIT_INTERVAL: Final = "20ms"  # how often Podman looks, which would be every 250 ms; Docker needs none
_TAR_BYTES: Final = 64 * 1024  # around one small file


class EngineError(Exception):
    """The engine refused; `status` is that of HTTP, 0 within a stream, and the text is its own."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words[:_WORDS].strip())
        self.status = status

    @property
    def is_missing(self) -> bool:
        return self.status == _NOT_FOUND


class Unreachable(EngineError):
    """The engine gave no answer: it is not there, or not in time."""


class Engine:
    """An engine by its address. Connections are made when they are needed, as many as are needed."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._client: aiodocker.Docker | None = None
        self._is_podman: bool | None = None

    @property
    def is_local(self) -> bool:
        """Whether it sees the same files as this process."""
        return self.address.startswith(_UNIX)

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.close()
            await client.connector.close()

    async def ping(self, seconds: float) -> None:
        """Ask whether it is there."""
        async with self._asked(seconds) as client, client.session.get(f"{client.docker_host}/_ping") as answer:
            text = await answer.text()
            if answer.status >= 400:
                raise EngineError(answer.status, text)

    async def info(self, seconds: float) -> Mapping[str, Any]:
        """Give what it tells of itself and its machine: NCPU, MemTotal in bytes, and more."""
        async with self._asked(seconds) as client:
            return await client.system.info()

    async def is_podman(self) -> bool:
        """Say whether it is Podman, which knows some things by other names."""
        if self._is_podman is None:
            async with self._asked() as client:
                components = (await client.version()).get("Components") or []
            self._is_podman = any("podman" in str(each.get("Name", "")).lower() for each in components)
        return self._is_podman

    async def create(self, name: str, body: Mapping[str, Any]) -> str | None:
        """Make a container and give its id; None when there is one of that name."""
        async with self._asked() as client:
            try:
                made = await client.containers.create(dict(body), name=name)
            except aiodocker.DockerError as error:
                # Podman 4 answers 500 where the name is taken
                if error.status == _CONFLICT or "name is already in use" in error.message:
                    return None
                raise
        return made.id

    async def start(self, container: str) -> None:
        async with self._asked() as client:
            try:
                await client.containers.container(container).start()
            except aiodocker.DockerError as error:
                if error.status != _NOT_MODIFIED:
                    raise

    async def inspect(self, container: str) -> dict[str, Any]:
        async with self._asked() as client:
            return await client.containers.container(container).show()

    async def ended(self, container: str, seconds: float) -> bool:
        """Wait until it does not run, so long at most; say whether it does not."""
        async with self._asked(_ANSWER_SECONDS + seconds) as client:
            try:
                async with asyncio.timeout(seconds):
                    await client.containers.container(container).wait(timeout=None, interval=_WAIT_INTERVAL)
            except TimeoutError:
                return False
        return True

    async def kill(self, container: str, signal: str) -> None:
        """Send a signal; nothing happens to one that has ended."""
        async with self._asked() as client:
            try:
                await client.containers.container(container).kill(signal=signal)
            except aiodocker.DockerError as error:
                if error.status not in (_NOT_FOUND, _CONFLICT) and "not running" not in error.message:
                    raise

    async def unpause(self, container: str) -> None:
        async with self._asked() as client:
            await client.containers.container(container).unpause()

    async def remove(self, container: str) -> None:
        """Remove it with its anonymous volumes, running or not; nothing happens when it is gone."""
        async with self._asked() as client:
            try:
                await client.containers.container(container).delete(force=True, v=True)
            except aiodocker.DockerError as error:
                if error.status not in (_NOT_FOUND, _CONFLICT):  # 409: somebody else is removing it
                    raise

    async def labelled(self, label: str) -> list[dict[str, Any]]:
        """Give the containers, running or not, that have a label `name=value`: Id, Labels, State."""
        async with self._asked() as client:
            found = await client.containers.list(all=True, filters=json.dumps({"label": [label]}))
            return [dict(each._container) for each in found]  # aiodocker shows no labels otherwise

    async def pull(self, image: str, seconds: float) -> None:
        async with self._asked(seconds) as client:
            async for _ in client.images.pull(image, stream=True, timeout=None):
                pass

    async def image(self, image: str) -> dict[str, Any]:
        async with self._asked() as client:
            found: dict[str, Any] = await client.images.inspect(image)
            return found

    async def put(self, container: str, folder: str, files: Mapping[str, str]) -> None:
        """Write files into a container that has not started; `out` beside them can be written by anybody there."""
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w") as tar:
            out = tarfile.TarInfo("out")
            out.type, out.mode = tarfile.DIRTYPE, 0o1777
            tar.addfile(out)
            for name, text in files.items():
                data = text.encode("utf-8", "surrogatepass")
                entry = tarfile.TarInfo(name)
                entry.size, entry.mode = len(data), 0o644
                tar.addfile(entry, io.BytesIO(data))
            end = (
                archive.tell()
            )  # without the zeros after it, which Podman does not read, and breaks its own pipe by that
        async with self._asked() as client:
            target = client.containers.container(container)
            await target.put_archive(folder, archive.getvalue()[:end])  # type: ignore[no-untyped-call]  # of aiodocker

    async def get(self, container: str, path: str, limit_bytes: int) -> bytes | None:
        """Give a file of a container, ended or not: None when there is none. No more than a little over the limit is read."""
        async with self._asked() as client:
            url = f"{client.docker_host}/{await _version(client)}/containers/{container}/archive?path={quote(path)}"
            async with client.session.get(URL(url, encoded=True)) as answer:
                if answer.status == _NOT_FOUND:
                    return None
                if answer.status >= 400:
                    raise EngineError(answer.status, await answer.text())
                text = bytearray()
                async for piece in answer.content.iter_chunked(_PIECE_BYTES):
                    text += piece
                    if len(text) > limit_bytes + _TAR_BYTES:
                        break
        with tarfile.open(fileobj=io.BytesIO(text), mode="r:", ignore_zeros=True) as tar:
            entry = tar.next()
            if entry is None or not entry.isfile():
                return None
            start = entry.offset_data
            return bytes(text[start : start + entry.size])

    async def attach(self, container: str, *, stdin: bool) -> Attached:
        """Connect to the streams of a container that has not started, so that nothing of its output is missed.

        Podman gives up a connection whose input is refused, and the output with it: there input has a connection of its own.
        """
        client = self._opened()
        is_apart = stdin and await self.is_podman()
        stream = Attached(client, _streams(container, stdin=stdin and not is_apart, output=True))
        try:
            async with self._asked():
                if is_apart:
                    stream.input = Attached(client, _streams(container, stdin=True, output=False))
                    await stream.input.open()
                await stream.open()
        except BaseException:
            await stream.close()
            raise
        return stream

    async def heard(self, container: str, *, follow: bool) -> AsyncIterator[tuple[str, bytes]]:
        """Give the output of a container from the beginning: the stream and a piece of it. With `follow`, until it ends."""
        client = self._opened()
        wait_seconds = None if follow else _ANSWER_SECONDS  # what is there comes at once
        timeout = aiohttp.ClientTimeout(total=None, sock_read=wait_seconds, sock_connect=_ANSWER_SECONDS)
        with _translated(self.address):
            version = await _version(client)
            url = f"{client.docker_host}/{version}/containers/{container}/logs?stdout=1&stderr=1&follow={int(follow)}"
            async with client.session.get(url, timeout=timeout) as answer:
                if answer.status >= 400:
                    raise EngineError(answer.status, await answer.text())
                try:
                    while True:
                        header = await answer.content.readexactly(_HEADER_BYTES)
                        left = int.from_bytes(header[4:], "big")
                        while left:
                            piece = await answer.content.read(min(left, _PIECE_BYTES))
                            if not piece:
                                return
                            left -= len(piece)
                            yield STREAMS[header[0] == 2], piece
                except asyncio.IncompleteReadError:
                    return

    @contextlib.asynccontextmanager
    async def _asked(self, seconds: float = _ANSWER_SECONDS) -> AsyncIterator[aiodocker.Docker]:
        with _translated(self.address, seconds):
            async with asyncio.timeout(seconds):
                yield self._opened()

    def _opened(self) -> aiodocker.Docker:
        if self._client is None:
            url, connector = _connector(self.address)
            self._client = aiodocker.Docker(url=url, connector=connector)
        return self._client


class Attached(Stream):
    """A connection to the streams of one container. `input`: the one that its input goes by, where that is another one."""

    input: Attached | None = None

    async def open(self) -> None:
        await self._init()

    async def heard(self) -> AsyncIterator[tuple[str, bytes]]:
        """Give what it prints until it ends: the stream and a piece of it."""
        with _translated(self.docker.docker_host):
            while (message := await self.read_out()) is not None:
                yield STREAMS[message.stream == 2], message.data

    async def feed(self, text: str) -> None:
        """Give it its standard input, and end that. One that reads nothing of it is not waited for."""
        into = self.input or self
        data = text.encode("utf-8", "surrogatepass")
        # aiodocker asserts that there is a connection, which the engine of a program that has ended may have ended
        with contextlib.suppress(OSError, RuntimeError, AssertionError, aiohttp.ClientError):
            for start in range(0, len(data), _PIECE_BYTES):
                await into.write_in(data[start : start + _PIECE_BYTES])
            into._end_input()

    def _end_input(self) -> None:
        """Say that no more comes; aiodocker says it by ending the connection."""
        if self._resp is not None and self._resp.connection is not None:
            transport = self._resp.connection.transport
            if transport is not None and transport.can_write_eof():
                transport.write_eof()

    async def close(self) -> None:
        if self.input is not None:
            await self.input.close()
        connection = self._resp.connection if self._resp is not None else None
        if self._resp is not None and connection is None:  # the engine was first
            self._closed = True
            self._resp.close()
            return
        transport = connection.transport if connection is not None else None
        await super().close()
        if transport is not None:
            transport.abort()  # closing waits for input to be taken, and who has ended takes none


def _streams(container: str, *, stdin: bool, output: bool) -> Callable[[], Awaitable[tuple[URL, bytes | None, bool]]]:
    """Give what a connection to some streams of a container asks for, as aiodocker wants it."""
    params: dict[str, str | int] = {
        "detachKeys": "",
        "logs": 0,
        "stdin": int(stdin),
        "stdout": int(output),
        "stderr": int(output),
        "stream": 1,
    }

    async def setup() -> tuple[URL, bytes | None, bool]:
        return URL(f"containers/{container}/attach").with_query(params), None, False

    return setup


@contextlib.contextmanager
def _translated(address: str, seconds: float | None = None) -> Iterator[None]:
    try:
        yield
    except aiodocker.DockerError as error:
        if error.status == _NO_CONNECTION:
            raise Unreachable(0, f"{address} cannot be reached: {error.__context__ or error.message}") from error
        raise EngineError(error.status, error.message) from error
    except TimeoutError as error:
        raise Unreachable(0, f"{address} gave no answer in {seconds or _ANSWER_SECONDS:g} s") from error
    except (aiohttp.ClientError, OSError) as error:
        raise Unreachable(0, f"{address} cannot be reached: {error or type(error).__name__}") from error


async def _version(client: aiodocker.Docker) -> str:
    await client._check_version()  # aiodocker learns it with its first call, and this may be that
    return client.api_version


def _connector(address: str) -> tuple[str, aiohttp.BaseConnector]:
    """Give what to call the engine and how to reach it: without a limit, since each attempt keeps a connection."""
    if address.startswith(_UNIX):
        return f"{_UNIX}localhost", aiohttp.UnixConnector(address.removeprefix(_UNIX), limit=0)
    if os.environ.get("DOCKER_TLS_VERIFY", "0") in ("", "0"):
        return address.replace("tcp://", "http://", 1), aiohttp.TCPConnector(limit=0)
    folder = Path(os.environ.get("DOCKER_CERT_PATH") or Path.home() / ".docker")
    context = ssl.create_default_context(cafile=folder / "ca.pem")
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    url = "https://" + address.partition("://")[2]
    return url, aiohttp.TCPConnector(limit=0, ssl=context)
