"""Who sends a request, and what that one may do.

Three ways to be somebody: an API key (`Authorization: Bearer ilk_…`); a session of the dashboard (a signed cookie, and for
changes the proof that the page itself sends them); and, while the store has no key and the server listens on this machine
only, nobody in particular: whoever can connect is `local` and may do everything, as who can read the store's file may.
"""

from __future__ import annotations

import ipaddress
from typing import Annotated, Final
from urllib.parse import urlsplit

from fastapi import Depends, Request

from interlock.app.actor import act_as
from interlock.app.keys import Keys
from interlock.model.access import Principal, Right, Role
from interlock.server.gateway import Gateway
from interlock.server.problems import Refused
from interlock.server.sessions import Sessions

LOCAL: Final = Principal(name="local", role=Role.ADMIN, namespaces=None)

_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_OPEN_SECONDS: Final = 1.0
"""How long it is believed that the store has no key: so long does the first one take to count."""
_LOOPBACK_NAMES: Final = frozenset({"localhost", "127.0.0.1", "::1"})


class Access:
    """Tells who sends requests to one server."""

    def __init__(self, gateway: Gateway, sessions: Sessions, *, may_be_open: bool, hosts: frozenset[str]) -> None:
        """`may_be_open`: without any key in the store nobody has to show one. `hosts`: names of this server, besides those of
        loopback."""
        self._gateway = gateway
        self.sessions: Final = sessions
        self._may_be_open = may_be_open
        self._hosts = hosts | _LOOPBACK_NAMES
        self._keys: Keys | None = None
        self._open_until = 0.0

    async def principal(self, request: Request) -> Principal:
        """Give who sends a request. Raises Refused."""
        header = request.headers.get("authorization")
        if header is not None:
            return await self._by_key(header)
        if (cookie := self.sessions.found(request)) is not None:
            principal = await self.sessions.principal(cookie, self.keys())
            if principal is not None:
                self.check_origin(request)
                self.sessions.check_csrf(request, cookie)
                return principal
        if self._may_be_open and await self._is_open():
            self._check_host(request)
            self.check_origin(request)
            return LOCAL
        raise unauthenticated("send `Authorization: Bearer KEY`; `interlock keys create` makes a key")

    def keys(self) -> Keys:
        """Give the keys of the store. Raises StoreUnavailable."""
        store = self._gateway.session.store
        if self._keys is None or self._keys.store is not store:
            self._keys = Keys(store, self._gateway.clock)
        return self._keys

    def key_was_made(self) -> None:
        """Ask the store anew whether everybody is served."""
        self._open_until = 0.0

    async def _by_key(self, header: str) -> Principal:
        scheme, _, text = header.partition(" ")
        if scheme.lower() != "bearer" or not text.strip():
            raise unauthenticated("the Authorization header is not `Bearer KEY`")
        principal = await self.keys().verify(text.strip())
        if principal is None:
            raise unauthenticated("this API key is unknown, revoked or expired")
        return principal

    async def _is_open(self) -> bool:
        now = self._gateway.clock.monotonic()
        if now < self._open_until:
            return True
        if await self.keys().any():
            return False
        self._open_until = now + _OPEN_SECONDS
        return True

    def _check_host(self, request: Request) -> None:
        """Refuse a name that is not this server's: a page elsewhere whose name was made to lead here (DNS rebinding)."""
        host = urlsplit(f"//{request.headers.get('host', '')}").hostname or ""
        if host.lower() not in self._hosts:
            raise Refused(421, "wrong-host", f"this server is not {host!r}; name it in server.public_url if it is")

    def check_origin(self, request: Request) -> None:
        """Refuse changes that a page of another place sends with this browser's rights."""
        origin = request.headers.get("origin")
        if request.method in _SAFE or origin is None:
            return
        if urlsplit(origin).netloc.lower() != request.headers.get("host", "").lower():
            raise Refused(403, "wrong-origin", f"a page of {origin[:200]!r} may not change anything here")


def is_loopback(host: str) -> bool:
    """Say whether an address or name to listen on can be reached from this machine only."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def unauthenticated(detail: str) -> Refused:
    return Refused(401, "unauthenticated", detail, {"WWW-Authenticate": "Bearer"})


# -- what routes ask for ---------------------------------------------------------------------------------------------


async def authenticated(request: Request) -> Principal:
    """Give who sends a request, known or refused once per request."""
    principal: Principal | None = getattr(request.state, "principal", None)
    if principal is None:
        access: Access = request.app.state.access
        principal = await access.principal(request)
        request.app.state.rates.take(actor(principal))
        request.state.principal = principal
        act_as(actor(principal))
    return principal


Sender = Annotated[Principal, Depends(authenticated)]


async def may_go_on(request: Request) -> bool:
    """Say whether who sent a request is still who it was then: a key may be revoked while a stream is open."""
    access: Access = request.app.state.access
    try:
        found = await access.principal(request)
    except Refused:
        return False
    before: Principal = request.state.principal
    return found == before


def refuse_unless(principal: Principal, right: Right, namespace: str | None) -> None:
    """Raises Refused unless somebody has a right in a namespace; None: in all of them."""
    if principal.may(right, namespace):
        return
    where = "in all namespaces" if namespace is None else f"in the namespace {namespace!r}"
    raise Refused(403, "forbidden", f"{principal.name} ({principal.role}) has no right to {right} {where}")


def chosen(principal: Principal, namespace: str | None) -> str:
    """Give the namespace that a request is about: the one it names, else the sender's only one, else `default`."""
    if namespace is not None:
        return namespace
    if principal.namespaces is not None and len(principal.namespaces) == 1:
        return principal.namespaces[0]
    return "default"


def listed(principal: Principal, namespace: str | None) -> str | None:
    """Give the namespace to list: None for all, which only those may see who have all."""
    if namespace is not None or principal.namespaces is None:
        return namespace
    return chosen(principal, None)


def actor(principal: Principal) -> str:
    """Give the name that changes of somebody are recorded under."""
    return f"key:{principal.name}" if principal != LOCAL else principal.name
