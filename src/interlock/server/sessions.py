"""Sessions of the dashboard: a signed cookie that says who is signed in, and the proof that a change comes from a page.

A cookie is `payload.mac`; the payload names the API key it stands for (or that it is the local one) and when it is over.
Nothing is stored: any server with the same key reads it. A revoked API key ends its sessions, since each use asks for it.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import Any, Final

import msgspec
from fastapi import Request
from starlette.responses import Response

from interlock.app.keys import Keys
from interlock.model.access import Principal, Role
from interlock.server.problems import Refused
from interlock.service import Clock

COOKIE: Final = "interlock_session"
CSRF_HEADER: Final = "x-interlock-csrf"
LOCAL: Final = "local"
"""What the session of who started the server stands for, in place of a key."""

_SIGN_IN_SECONDS: Final = 600.0
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_LONGEST: Final = 1024


class Session(msgspec.Struct, frozen=True):
    """`key`: the id of an API key, or LOCAL. `until`: UTC seconds. `nonce`: makes each one different."""

    key: str
    until: float
    nonce: str


class Sessions:
    """Makes and reads the cookies of the servers of one store."""

    def __init__(self, clock: Clock, seconds: float, *, secure: bool) -> None:
        """`seconds`: how long somebody stays signed in. `secure`: the browser sends the cookie over TLS only."""
        self._clock = clock
        self._secret = secrets.token_bytes(32)
        self._seconds = seconds
        self._secure = secure
        self._links: dict[str, float] = {}

    def use(self, secret: bytes | None) -> None:
        """Sign with what all servers of the store know; None: with what only this process does."""
        if secret is not None:
            self._secret = secret

    # -- signing in ----------------------------------------------------------------------------------------------

    def link(self) -> str:
        """Give a code that signs in once, within ten minutes, as who started the server."""
        now = self._clock.monotonic()
        self._links = {code: until for code, until in self._links.items() if until > now}
        code = secrets.token_urlsafe(24)
        self._links[code] = now + _SIGN_IN_SECONDS
        return code

    def redeem(self, code: str) -> bool:
        """Use a code. False: it is none, was used, or is too old."""
        until = self._links.pop(code, None)
        return until is not None and until > self._clock.monotonic()

    def sign_in(self, response: Response, key: str) -> None:
        """Let a response sign the browser in. `key`: the id of an API key, or LOCAL."""
        session = Session(key=key, until=self._clock.now() + self._seconds, nonce=secrets.token_hex(8))
        body = msgspec.json.encode(session).hex()  # no character of it has a meaning in a cookie
        response.set_cookie(
            COOKIE,
            f"{body}.{self._mac('session', body)}",
            max_age=int(self._seconds),
            httponly=True,
            samesite="lax",
            secure=self._secure,
            path="/",
        )

    def sign_out(self, response: Response) -> None:
        response.delete_cookie(COOKIE, path="/", httponly=True, samesite="lax", secure=self._secure)

    # -- reading -------------------------------------------------------------------------------------------------

    def found(self, request: Request) -> Session | None:
        """Give the session of a request; None without one that is genuine and not over."""
        text = request.cookies.get(COOKIE, "")
        body, _, mac = text.rpartition(".")
        if len(text) > _LONGEST or not hmac.compare_digest(self._mac("session", body).encode(), mac.encode()):
            return None
        try:
            session = msgspec.json.decode(bytes.fromhex(body), type=Session)
        except (ValueError, msgspec.MsgspecError):
            return None
        return session if session.until > self._clock.now() else None

    async def principal(self, session: Session, keys: Keys) -> Principal | None:
        """Give who a session stands for; None when its key was revoked or is over."""
        if session.key == LOCAL:
            return Principal(name=LOCAL, role=Role.ADMIN, namespaces=None)
        return await keys.holder(session.key)

    def csrf(self, session: Session | None) -> str:
        """Give what pages of a session send back with every change; None: of who need not sign in."""
        return self._mac("csrf", "" if session is None else session.nonce)

    def check_csrf(self, request: Request, session: Session) -> None:
        """Refuse a change without the proof. Forms have it as a field, which their route checks with `proves`."""
        if request.method in _SAFE or _is_form(request):
            return
        if not self.proves(session, request.headers.get(CSRF_HEADER, "")):
            raise Refused(403, "csrf", f"a change in a signed-in browser needs the header {CSRF_HEADER} of its page")

    def proves(self, session: Session, csrf: str) -> bool:
        return hmac.compare_digest(self.csrf(session).encode(), csrf.encode())

    def _mac(self, *parts: str) -> str:
        return hmac.new(self._secret, "\0".join(parts).encode(), hashlib.sha256).hexdigest()


def _is_form(request: Request) -> bool:
    path: Any = request.scope.get("path", "")
    return isinstance(path, str) and path.startswith("/ui/")
