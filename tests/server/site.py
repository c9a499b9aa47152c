"""A real server in this process: a store, a node, HTTP on a free port, and keys of every role."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx

from interlock import config
from interlock.app.keys import Keys
from interlock.app.readiness import Readiness
from interlock.app.session import Session
from interlock.client.client import Client
from interlock.model.access import Role
from interlock.server.access import Access
from interlock.server.application import bounded, build
from interlock.server.gateway import Gateway
from interlock.server.listening import HttpServer, Place
from interlock.server.sessions import Sessions

ORDER = """
document: {dsl: 1.0.3, namespace: shop, name: order, version: 1.0.0}
do:
  - price: {set: {total: "${ .amount * 2 }"}}
"""

WAITING = """
document: {dsl: 1.0.3, namespace: shop, name: waiting, version: 1.0.0}
do:
  - hold: {listen: {to: {one: {with: {type: go}}}}}
"""

PRINTING = """
document: {dsl: 1.0.3, namespace: shop, name: printing, version: 1.0.0}
do:
  - say: {run: {shell: {command: "echo one; echo two >&2"}}}
"""

FAILING = """
document: {dsl: 1.0.3, namespace: shop, name: failing, version: 1.0.0}
do:
  - fail: {raise: {error: {type: "urn:oops", status: 422, title: Oops, detail: it broke}}}
"""


@dataclass
class Site:
    """A server. `keys`: the text of a key for each role, once `with_keys` has made them."""

    session: Session
    gateway: Gateway
    sessions: Sessions
    access: Access
    url: str
    keys: dict[Role, str] = field(default_factory=dict)

    async def with_keys(self, *, namespaces: tuple[str, ...] | None = None) -> Mapping[Role, str]:
        """Make a key of every role; from then on nobody is served without one."""
        makes = Keys(self.session.store, self.session.clock)
        for role in Role:
            _, self.keys[role] = await makes.create(f"the-{role}", role, namespaces=namespaces)
        self.access.key_was_made()
        return self.keys

    def http(self, role: Role | None = None, **headers: str) -> httpx.AsyncClient:
        """Give a client of the plain API; `role`: with the key of that role."""
        given = dict(headers)
        if role is not None:
            given["Authorization"] = f"Bearer {self.keys[role]}"
        return httpx.AsyncClient(base_url=self.url, headers=given, timeout=60)

    def client(self, role: Role | None = None, namespace: str | None = None) -> Client:
        return Client(self.url, key=None if role is None else self.keys[role], namespace=namespace)


@asynccontextmanager
async def opened(
    folder: Path,
    *,
    url: str | None = None,
    server: config.Server | None = None,
    artifacts: config.Artifacts | None = None,
    may_be_open: bool = True,
) -> AsyncIterator[Site]:
    """Give a site on a store of its own, or on `url`."""
    settings = config.Settings(
        store=config.Store(url=url or f"sqlite:///{folder}/site.db"),
        server=server or config.Server(),
        artifacts=artifacts or config.Artifacts(),
    )
    place = Place("127.0.0.1:0")
    async with Session.open(settings, public_url=place.url) as session:
        await session.bring_node(pinned=False, allow_all_python=False)
        gateway = Gateway(settings, Readiness(lambda reasons: None), session.clock)
        gateway.open(session)
        sessions = Sessions(session.clock, settings.server.session_seconds, secure=False)
        app = build(gateway, sessions, may_be_open=may_be_open, hosts=frozenset())
        listening = HttpServer(bounded(app), gateway, place)
        await listening.start()
        try:
            yield Site(session, gateway, sessions, app.state.access, listening.place.url)
        finally:
            await listening.stop()
            gateway.close()


def with_rate(per_second: int) -> config.Server:
    return replace(config.Server(), requests_per_second=per_second)
