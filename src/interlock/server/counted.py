"""Counts the requests of one server, by route, method and status; by the route's pattern, since a path may hold a token."""

from __future__ import annotations

from collections import Counter, defaultdict

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from interlock.app.health import Metric
from interlock.service import Clock


class Counted:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._requests: Counter[tuple[str, str, str]] = Counter()
        self._seconds: defaultdict[tuple[str, str], float] = defaultdict(float)

    def metrics(self) -> list[Metric]:
        return [
            Metric(
                name="interlock_http_requests_total",
                kind="counter",
                help="Requests that were answered, by route, method and status.",
                samples=[
                    ({"route": route, "method": method, "status": status}, float(number))
                    for (route, method, status), number in sorted(self._requests.items())
                ],
            ),
            Metric(
                name="interlock_http_seconds_total",
                kind="counter",
                help="Seconds until their answers began, in sum.",
                samples=[
                    ({"route": route, "method": method}, seconds)
                    for (route, method), seconds in sorted(self._seconds.items())
                ],
            ),
        ]

    def note(self, scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "") or "(none)"
        method = scope["method"] if scope["method"] in _METHODS else "(other)"
        self._requests[route, method, str(status)] += 1
        self._seconds[route, method] += seconds

    def around(self, app: ASGIApp) -> ASGIApp:
        """Give an application that is counted."""

        async def counted(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                await app(scope, receive, send)
                return
            began = self._clock.monotonic()

            async def told(message: Message) -> None:
                if message["type"] == "http.response.start":
                    self.note(scope, message["status"], self._clock.monotonic() - began)
                await send(message)

            await app(scope, receive, told)

        return counted


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
