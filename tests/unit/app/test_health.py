"""The answers about a worker's health, over a real socket, also to those who ask badly."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from interlock import errors, telemetry
from interlock.app import health
from interlock.app.health import HealthServer, Metric, Report, prometheus

METRIC = Metric(name="x_total", kind="counter", help="How many.", samples=[({"worker": 'a"b\\c\nd'}, 3.0)])


class Asked:
    def __init__(self) -> None:
        self.reasons: Sequence[str] = ()

    def report(self) -> Report:
        return Report(health={"status": "ok"}, reasons=self.reasons, metrics=[METRIC])


@pytest.fixture
async def asked() -> Asked:
    return Asked()


@pytest.fixture
async def server(asked: Asked) -> AsyncIterator[HealthServer]:
    server = HealthServer("127.0.0.1", 0, asked.report)
    await server.start()
    yield server
    await server.stop()
    await server.stop()


async def send(server: HealthServer, request: bytes) -> tuple[int, str]:
    host, port = server.address.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(request)
    if not request.endswith(b"\n"):
        writer.write_eof()
    async with asyncio.timeout(60):
        answer = await reader.read()
    writer.close()
    head, _, body = answer.decode().partition("\r\n\r\n")
    assert "Connection: close" in head
    return int(head.split()[1]), body


async def get(server: HealthServer, path: str) -> tuple[int, str]:
    return await send(server, f"GET {path} HTTP/1.1\r\nHost: x\r\nAccept: */*\r\n\r\n".encode())


async def test_health_readiness_and_figures_are_told(server: HealthServer, asked: Asked) -> None:
    assert await get(server, "/health") == (200, '{"status":"ok"}')
    assert await get(server, "/ready?x=1") == (200, '{"ready":true,"reasons":[]}')
    asked.reasons = ["draining"]
    assert await get(server, "/ready") == (503, '{"ready":false,"reasons":["draining"]}')
    assert (await get(server, "/health"))[0] == 200
    code, text = await get(server, "/metrics")
    assert (code, text) == (
        200,
        '# HELP x_total How many.\n# TYPE x_total counter\nx_total{worker="a\\"b\\\\c\\nd"} 3\n',
    )


async def test_head_has_no_body(server: HealthServer) -> None:
    assert await send(server, b"HEAD /health HTTP/1.0\r\n\r\n") == (200, "")


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /nowhere HTTP/1.1\r\n\r\n", 404),
        (b"POST /health HTTP/1.1\r\n\r\n", 405),
        (b"hello\r\n", 400),
        (b"GET health HTTP/1.1\r\n\r\n", 400),
        (b"GET /health SMTP\r\n\r\n", 400),
        (b"GET /health HTTP/1.1\r\nHost", 400),
        (b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 101 + b"\r\n", 431),
    ],
)
async def test_what_is_no_proper_question_is_refused(server: HealthServer, request_: bytes, status: int) -> None:
    assert (await send(server, request_))[0] == status


async def test_who_says_nothing_is_let_go(server: HealthServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "_SECONDS", 0.05)
    host, port = server.address.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    async with asyncio.timeout(60):
        assert await reader.read() == b""
    writer.close()
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.close()
    assert (await get(server, "/health"))[0] == 200


async def test_report_that_fails_ends_nothing(server: HealthServer, asked: Asked) -> None:
    told: list[str] = []
    detach = telemetry.attach(lambda name, fields: told.append(name))
    asked.report = None  # type: ignore[assignment, method-assign]  # so that the next one fails
    server._report = asked.report
    host, port = server.address.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"GET /health HTTP/1.1\r\n\r\n")
    async with asyncio.timeout(60):
        assert await reader.read() == b""
    writer.close()
    detach()
    assert told == ["health.failed"]


async def test_place_that_is_taken_is_refused(server: HealthServer, asked: Asked) -> None:
    port = int(server.address.split(":")[1])
    with pytest.raises(errors.Invalid, match=f"cannot listen on 127.0.0.1:{port}"):
        await HealthServer("127.0.0.1", port, asked.report).start()


def test_figure_without_labels_is_written_plainly() -> None:
    plain = Metric(name="x", kind="gauge", help="It.", samples=[({}, 0.5)])
    assert prometheus([plain]) == "# HELP x It.\n# TYPE x gauge\nx 0.5\n"
