"""Bounds of requests: how large, how many, by what name they are found again. Plain ASGI: it is on every request's way."""

from __future__ import annotations

import math
import re
from collections import OrderedDict
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from interlock.server import problems
from interlock.server.problems import Refused
from interlock.service import Clock

REQUEST_ID: Final = "x-request-id"
QUOTED: Final = "quoted"
"""Set in the state of a request whose path is still as it was sent."""
_ARTIFACT: Final = re.compile(r"/api/v1/tokens/[^/]+/artifacts/[^/]+")
_LONGEST_ID: Final = 100
_MOST_KNOWN: Final = 10_000
"""Senders whose rate is remembered; of more, those that were not heard for longest are forgotten."""


class Rates:
    """How often each sender may ask (GCRA: a theoretical arrival time per sender, no counters and no windows)."""

    def __init__(self, clock: Clock, per_second: int) -> None:
        """Twice `per_second` may come at once."""
        self._clock = clock
        self._interval = 1 / per_second
        self._burst = 2.0
        self._arrivals: OrderedDict[str, float] = OrderedDict()

    def take(self, sender: str) -> None:
        """Count a request. Raises Refused with when to come again."""
        now = self._clock.monotonic()
        arrival = max(self._arrivals.get(sender, now), now)
        wait = arrival + self._interval - now - self._burst
        if wait > 0:
            after = str(max(1, math.ceil(wait)))
            raise Refused(
                429, "too-many-requests", f"more requests than the server takes of {sender}", {"Retry-After": after}
            )
        self._arrivals[sender] = arrival + self._interval
        self._arrivals.move_to_end(sender)
        if len(self._arrivals) > _MOST_KNOWN:
            self._arrivals.popitem(last=False)


class Bounds:
    """Refuses bodies that are too large, by what they say or by what they are; gives each request an id; sets the headers
    that tell browsers to be careful."""

    def __init__(self, app: ASGIApp, clock: Clock, max_body_bytes: int, max_artifact_bytes: int) -> None:
        """`max_artifact_bytes`: of an artifact, which is no body that anybody keeps in memory."""
        self._app = app
        self._max_artifact_bytes = max_artifact_bytes
        self._clock = clock
        self._max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        id = _request_id(headers.get(REQUEST_ID)) or self._clock.uuid()
        scope.setdefault("state", {})["request_id"] = id
        _keep_slashes(scope)
        read = 0
        began = False
        is_artifact = scope["method"] == "PUT" and _ARTIFACT.fullmatch(scope["path"]) is not None
        most = self._max_artifact_bytes if is_artifact else self._max_body_bytes

        async def bounded() -> Message:
            nonlocal read
            message = await receive()
            if message["type"] == "http.request":
                read += len(message.get("body", b""))
                if read > most:
                    raise _too_large(most, is_artifact=is_artifact)
            return message

        async def told(message: Message) -> None:
            nonlocal began
            if message["type"] == "http.response.start":
                began = True
                set_headers(MutableHeaders(scope=message), id)
            await send(message)

        try:
            length = headers.get("content-length", "0")
            if not length.isdecimal() or int(length) > most:
                raise _too_large(most, is_artifact=is_artifact)
            await self._app(scope, bounded, told)
        except Refused as error:
            if began:
                raise
            await problems.response(error.status, error.code, error.detail, headers=error.headers)(scope, receive, told)


def set_headers(headers: MutableHeaders, id: str) -> None:
    headers[REQUEST_ID] = id
    headers["X-Content-Type-Options"] = "nosniff"
    headers["X-Frame-Options"] = "DENY"
    headers.setdefault("Referrer-Policy", "no-referrer")  # an address may hold a token
    headers.setdefault("Cache-Control", "no-store")
    headers.setdefault(
        "Content-Security-Policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "font-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    )


def _keep_slashes(scope: Scope) -> None:
    """Leave a path of the API as it was sent when a name in it has a slash: it still is one name; see `asking.RunPath`."""
    raw: bytes = scope.get("raw_path") or b""
    if b"%2f" in raw.lower() and raw.startswith(b"/api/") and raw.isascii():
        scope["path"] = raw.decode("ascii")
        scope["state"][QUOTED] = True


def _request_id(text: str | None) -> str | None:
    """Give the id that a caller chose, if it can stand in a header and a log."""
    if text and len(text) <= _LONGEST_ID and all(character.isalnum() or character in "-_.:" for character in text):
        return text if text.isascii() else None
    return None


def _too_large(most: int, *, is_artifact: bool) -> Refused:
    setting = "artifacts.max_size" if is_artifact else "server.max_body"
    return Refused(413, "too-large", f"the body is larger than {most} bytes ({setting})")
