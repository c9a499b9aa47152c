"""Answers whether a worker lives and is ready, and its figures, over HTTP: GET /health, /ready and /metrics, nothing else.

It is no web server: one request per connection, no bodies, lines and headers of bounded length, and little time for each.
What it tells holds no secrets, so it asks for none; it listens on loopback unless it is told to listen elsewhere.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from interlock import errors, telemetry
from interlock.model import json
from interlock.model.json import Json
from interlock.service import Service

_SECONDS: Final = 5.0  # for a request to come, and for its answer to go
_LINE_BYTES: Final = 8192
_HEADERS: Final = 100
_CONNECTIONS: Final = 64
_JSON: Final = "application/json"
_PROMETHEUS: Final = "text/plain; version=0.0.4; charset=utf-8"
_PHRASES: Final = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    431: "Request Header Fields Too Large",
    503: "Service Unavailable",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One figure. `kind`: gauge or counter, as Prometheus has them. `labels`: to its value."""

    name: str
    kind: str
    help: str
    samples: Sequence[tuple[Mapping[str, str], float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """How a worker is. `health`: the body of /health. `reasons`: against its readiness; none when it is ready."""

    health: Mapping[str, Json]
    reasons: Sequence[str]
    metrics: Sequence[Metric]


class _Refused(Exception):
    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status


class HealthServer(Service):
    """Listens on `host` and `port` (0: any that is free); `report` gives how things are when somebody asks."""

    def __init__(self, host: str, port: int, report: Callable[[], Report]) -> None:
        self._host = host
        self._asked_port = port
        self._report = report
        self._server: asyncio.Server | None = None
        self._room = asyncio.Semaphore(_CONNECTIONS)

    @property
    def address(self) -> str:
        """Where it listens, as host:port."""
        assert self._server is not None
        host, port = self._server.sockets[0].getsockname()[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    async def start(self) -> None:
        """Begin to listen. Raises Invalid where that is not possible."""
        try:
            self._server = await asyncio.start_server(self._serve, self._host, self._asked_port, limit=_LINE_BYTES)
        except OSError as error:
            place = f"{self._host}:{self._asked_port}"
            raise errors.Invalid(
                f"cannot listen on {place}: {error.strerror or error}; choose another --listen"
            ) from None

    async def stop(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.close()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_SECONDS):
                    await server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(TimeoutError, ConnectionError):  # who asked is gone, or never came to the point
                async with asyncio.timeout(_SECONDS), self._room:
                    writer.write(await self._answer(reader))
                    await writer.drain()
        except Exception as error:  # noqa: BLE001 (a question must not end the worker)
            telemetry.emit("health.failed", error=error)
        finally:
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader) -> bytes:
        try:
            method, path = await _request(reader)
        except _Refused as refused:
            return _response(refused.status, _JSON, json.encode({"detail": str(refused)}), "GET")
        if method not in ("GET", "HEAD"):
            return _response(405, _JSON, json.encode({"detail": f"{method} is not answered here; use GET"}), "GET")
        report = self._report()
        match path:
            case "/health":
                status, kind, body = 200, _JSON, json.encode(dict(report.health))
            case "/ready":
                status = 503 if report.reasons else 200
                kind, body = _JSON, json.encode({"ready": not report.reasons, "reasons": list(report.reasons)})
            case "/metrics":
                status, kind, body = 200, _PROMETHEUS, prometheus(report.metrics).encode()
            case _:
                detail = "there are /health, /ready and /metrics"
                status, kind, body = 404, _JSON, json.encode({"detail": detail})
        return _response(status, kind, body, method)


async def _request(reader: asyncio.StreamReader) -> tuple[str, str]:
    """Give the method and the path of a request, its headers passed over. Raises _Refused."""
    line = await _line(reader)
    parts = line.split(" ")
    if len(parts) != 3 or not parts[2].startswith("HTTP/1.") or not parts[1].startswith("/"):
        raise _Refused(400, "this is no HTTP/1.1 request")
    for _ in range(_HEADERS):
        if not await _line(reader):
            return parts[0], parts[1].partition("?")[0]
    raise _Refused(431, f"more than {_HEADERS} headers")


async def _line(reader: asyncio.StreamReader) -> str:
    try:
        line = await reader.readuntil(b"\n")
    except asyncio.LimitOverrunError:
        raise _Refused(431, f"a line of more than {_LINE_BYTES} bytes") from None
    except asyncio.IncompleteReadError as error:
        if not error.partial:
            raise ConnectionResetError("closed") from None
        raise _Refused(400, "the request ends in the middle") from None
    return line.decode("latin-1").rstrip("\r\n")


def _response(status: int, kind: str, body: bytes, method: str) -> bytes:
    head = (
        f"HTTP/1.1 {status} {_PHRASES[status]}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
        "Cache-Control: no-store\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + (b"" if method == "HEAD" else body)


def prometheus(metrics: Sequence[Metric]) -> str:
    """Give figures in the text format of Prometheus."""
    lines = []
    for metric in metrics:
        lines += [f"# HELP {metric.name} {metric.help}", f"# TYPE {metric.name} {metric.kind}"]
        for labels, value in metric.samples:
            shown = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
            lines.append(f"{metric.name}{{{shown}}} {value:g}" if shown else f"{metric.name} {value:g}")
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
