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
_UNIX: Final = "unix:"


class _Quiet(uvicorn.Server):
    """Leaves the signals of the process to who started it."""

    @contextlib.contextmanager
    def capture_signals(self):  # type: ignore[no-untyped-def]  # as its base has it
        yield


class HttpServer(Service):
    """One application at one place. `place`: HOST:PORT (port 0: any that is free) or unix:PATH."""

    def __init__(self, app: ASGIApp, gateway: Gateway, place: str) -> None:
        self._app = app
        self._gateway = gateway
        self._place = place
        self._socket: socket.socket | None = None
        self._server: _Quiet | None = None
        self._serving: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """Where it listens, as a URL; unix:PATH for a socket."""
        assert self._socket is not None
        if self._place.startswith(_UNIX):
            return self._place
        host, port = self._socket.getsockname()[:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    async def start(self) -> None:
        """Begin to listen. Raises Invalid where that is not possible."""
        self._socket = _bound(self._place)
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
        self._serving = asyncio.create_task(self._server.serve(sockets=[self._socket]), name="http-server")
        while not self._server.started:
            if self._serving.done():
                await self._serving
                raise errors.Environment(f"the server at {self._place} ended before it began")
            await asyncio.sleep(0.005)

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
        if self._socket is not None:
            self._socket.close()
            self._socket = None
            if self._place.startswith(_UNIX):
                Path(self._place.removeprefix(_UNIX)).unlink(missing_ok=True)


def _bound(place: str) -> socket.socket:
    """Give a socket that is bound. Raises Invalid."""
    try:
        if place.startswith(_UNIX):
            return _bound_unix(Path(place.removeprefix(_UNIX)))
        host, _, port = place.rpartition(":")
        host = host.strip("[]")
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        bound = socket.socket(family, socket.SOCK_STREAM)
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
