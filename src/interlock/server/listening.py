"""Listens for HTTP, at an address or a Unix socket: a service that has started when it can be reached."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import stat
from pathlib import Path
from typing import Final

import uvicorn
from starlette.types import ASGIApp

from interlock import errors
from interlock.server.gateway import Gateway
from interlock.service import Service

_BACKLOG: Final = 2048
_GRACE_SECONDS: Final = 5
"""For requests that are under way when the server stops; streams are told to end."""
_IDLE_SECONDS: Final = 75
_START_SECONDS: Final = 0.005  # between looks whether it answers
_UNIX: Final = "unix:"


class _Quiet(uvicorn.Server):
    """Leaves the signals of the process to who started it."""

    @contextlib.contextmanager
    def capture_signals(self):  # type: ignore[no-untyped-def]  # as its base has it
        yield


class Place:
    """Where a server listens: bound, so that its address is known, before anything is answered there."""

    def __init__(self, name: str) -> None:
        """`name`: HOST:PORT (port 0: any that is free) or unix:PATH. Raises Invalid where that is not possible."""
        self.name: Final = name
        self.socket: Final = _bound(name)
        self._is_closed = False

    @property
    def url(self) -> str:
        """Give it as a URL; unix:PATH for a socket."""
        if self.name.startswith(_UNIX):
            return self.name
        host, port = self.socket.getsockname()[:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    @property
    def path(self) -> str:
        """Give the absolute path of a Unix socket; "" for an address."""
        return os.path.abspath(self.name.removeprefix(_UNIX)) if self.name.startswith(_UNIX) else ""

    def close(self) -> None:
        """Give the place up; safe to call twice."""
        if not self._is_closed:
            self._is_closed = True
            self.socket.close()
            if self.name.startswith(_UNIX):
                Path(self.name.removeprefix(_UNIX)).unlink(missing_ok=True)


class HttpServer(Service):
    """One application at one place, which it gives up at its end."""

    def __init__(self, app: ASGIApp, gateway: Gateway, place: Place) -> None:
        self._app = app
        self._gateway = gateway
        self.place: Final = place
        self._server: _Quiet | None = None
        self._serving: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to answer."""
        config = uvicorn.Config(
            self._app,
            backlog=_BACKLOG,
            log_config=None,
            access_log=False,
            server_header=False,
            lifespan="off",
            timeout_keep_alive=_IDLE_SECONDS,
            timeout_graceful_shutdown=_GRACE_SECONDS,
            proxy_headers=False,
        )
        self._server = _Quiet(config)
        self._serving = asyncio.create_task(self._server.serve(sockets=[self.place.socket]), name="http-server")
        while not self._server.started:
            if self._serving.done():
                await self._serving
                raise errors.Environment(f"the server at {self.place.name} ended before it began")
            await asyncio.sleep(_START_SECONDS)

    async def stop(self) -> None:
        self._gateway.closing.set()
        serving, self._serving = self._serving, None
        if serving is not None:
            assert self._server is not None
            self._server.should_exit = True
            done, _ = await asyncio.wait({serving}, timeout=2 * _GRACE_SECONDS)
            if not done:
                serving.cancel()
                await asyncio.wait({serving})
        self.place.close()


def _bound(place: str) -> socket.socket:
    """Give a socket that is bound. Raises Invalid."""
    try:
        if place.startswith(_UNIX):
            return _bound_unix(Path(place.removeprefix(_UNIX)))
        host, _, port = place.rpartition(":")
        host = host.strip("[]")
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        # The protocol is named, since asyncio sends without delay (TCP_NODELAY) only where it is: each answer has two writes.
        bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            bound.bind((host, int(port)))
        except BaseException:
            bound.close()
            raise
        return bound
    except OSError as error:
        raise errors.Invalid(
            f"cannot listen on {place}: {error.strerror or error}; choose another place (--listen, server.listen)"
        ) from None


def _bound_unix(path: Path) -> socket.socket:
    """Give a socket in the file system that only its owner may use. One that nobody listens on any more is replaced."""
    if path.exists():
        if not stat.S_ISSOCK(path.stat().st_mode) or _is_answered(path):
            raise OSError(None, "the file is there, and is in use or no socket")
        path.unlink()
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        bound.bind(str(path))
    except BaseException:
        bound.close()
        raise
    finally:
        os.umask(before)
    return bound


def _is_answered(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        return probe.connect_ex(str(path)) == 0
