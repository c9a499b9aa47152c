"""The command `up`: a node with the HTTP API and the dashboard."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Final

from interlock import config, errors, telemetry
from interlock.app import loading, pools
from interlock.app.keys import Keys
from interlock.app.readiness import Readiness
from interlock.app.roles import DISPATCHER, ROLES
from interlock.app.serving import Served, Serving, executing
from interlock.app.session import Session
from interlock.app.shortages import Shortages
from interlock.cli import context
from interlock.cli.node import hearing, log
from interlock.cli.output import note, reserved
from interlock.server import attempt_socket
from interlock.server.access import is_loopback
from interlock.server.application import bounded, build, build_attempts
from interlock.server.gateway import Gateway
from interlock.server.listening import HttpServer, Place
from interlock.server.sessions import Sessions
from interlock.service import SystemClock

SERVER: Final = "server"
_ALL: Final = (*ROLES, SERVER)
_UNIX: Final = "unix:"


async def up(modules: list[str], roles: str, listen: str | None, seconds: float | None) -> int:
    """Serve until SIGTERM, SIGINT, a drain from elsewhere, or `seconds` have passed. Raises Invalid."""
    chosen = _roles(roles)
    loading.load(modules, context.folder())
    settings = context.settings({} if listen is None else {"server.listen": listen})
    if DISPATCHER in chosen:
        pools.find(
            settings.dispatcher, context.folder()
        )  # what a node would refuse is refused before anybody is greeted
    place = Place(settings.server.listen)
    async with AsyncExitStack() as stack:
        stack.callback(place.close)
        near = attempt_socket.place(settings.server.attempt_socket, settings.store.url, place.url)
        if near is not None:
            stack.callback(attempt_socket.leave, near)
        upping = _Up(settings, chosen, place, near)
        stack.callback(telemetry.attach(log))
        await upping.server.start()
        stack.push_async_callback(upping.server.stop)
        if upping.near is not None:
            await upping.near.start()
            stack.push_async_callback(upping.near.stop)
        telemetry.emit("server.listens", url=place.url)
        _greet(upping)
        with reserved(), hearing(upping.serving):
            await upping.serving.run(seconds)
    return 0


class _Up:
    """The parts of one server: what listens, what executes, and the gateway between them."""

    def __init__(self, settings: config.Settings, roles: tuple[str, ...], place: Place, near: Place | None) -> None:
        """`near`: where programs of this machine report."""
        clock = SystemClock()
        host = "" if place.name.startswith(_UNIX) else place.name.rpartition(":")[0].strip("[]").lower()
        self.is_local: Final = not host or is_loopback(host)
        self.url: Final = settings.server.public_url or place.url
        self.serving: Final = Serving(
            settings,
            self._bring,
            public_url=self.url if host else None,
            socket="" if near is None else near.path,
        )
        self.gateway: Final = Gateway(settings, self.serving.readiness, clock)
        self.sessions: Final = Sessions(clock, settings.server.session_seconds, secure=self.url.startswith("https://"))
        app = build(self.gateway, self.sessions, may_be_open=self.is_local, hosts=frozenset({host} - {""}))
        self.server: Final = HttpServer(bounded(app), self.gateway, place)
        self.near: Final = None if near is None else HttpServer(bounded(build_attempts(app)), self.gateway, near)
        self._executing = executing(roles)

    @contextlib.asynccontextmanager
    async def _bring(self, app: Session, readiness: Readiness, shortages: Shortages) -> AsyncIterator[Served]:
        await self._check_keys(app)
        self.sessions.use(await app.secrets.derived("server-sessions"))
        async with self._executing(app, readiness, shortages) as node:
            self.gateway.open(app)
            try:
                yield node
            finally:
                self.gateway.close()

    async def _check_keys(self, app: Session) -> None:
        if self.is_local or await Keys(app.store, app.clock).any():
            return
        raise errors.Invalid(
            f"{self.gateway.settings.server.listen} can be reached from other machines, and the store has no API key: make "
            "one with `interlock keys create NAME --role admin`, or listen on 127.0.0.1"
        )


def _greet(upping: _Up) -> None:
    """Say where the dashboard is. The link signs in once, within ten minutes."""
    if not upping.url.startswith(_UNIX):
        note(f"dashboard: {upping.url}/ui/sign-in?code={upping.sessions.link()}")


def _roles(text: str) -> tuple[str, ...]:
    chosen = tuple(dict.fromkeys(role.strip() for role in text.split(",") if role.strip()))
    for role in chosen:
        if role not in _ALL:
            raise errors.Invalid(f"{role!r} is no role of a node; they are {', '.join(_ALL)}")
    return chosen if SERVER in chosen else (*chosen, SERVER)
