"""What strangers send: oversized, deep, broken, forged. Each is refused as what it is; nothing is a 500, nothing is applied."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Final

import pytest

from interlock import config
from server import site as sites
from server.site import Site

DEEP: Final = b"[" * 100_000 + b"]" * 100_000
PATHS: Final = (
    "/api/v1/runs",
    "/api/v1/definitions",
    "/api/v1/events",
    "/api/v1/keys",
    "/api/v1/runs/bulk",
    "/api/v1/graphs",
)


@pytest.mark.parametrize(
    "body",
    [DEEP, b'{"a":' * 5000 + b"1" + b"}" * 5000, b"\xff\xfe{}", b'{"workflow": "\xed\xa0\x80"}', b"{", b"null", b"[]", b'"x"',
     b'{"workflow": NaN}', b'{"workflow": 1e999}', b'{"id": "\\ud800"}', b'{"id": "a\\u0000b", "workflow": "shop/order"}', b"",
     b'{"workflow": "shop/order", "workflow": "shop/order", "extra": 1}'],
    ids=lambda body: repr(body[:24]),
)  # fmt: skip
async def test_body_that_is_no_request_is_refused(site: Site, body: bytes) -> None:
    async with site.http() as http:
        for path in PATHS:
            answer = await http.post(path, content=body, headers={"content-type": "application/json"})

            assert 400 <= answer.status_code < 500, path
            assert answer.headers["content-type"] == "application/problem+json", path
            assert json.loads(answer.content)["status"] == answer.status_code, path


async def test_deep_input_of_a_run_is_refused_and_not_half_stored(site: Site) -> None:
    async with site.client() as client:
        await client.publish(sites.ORDER)
    body = b'{"workflow": "shop/order", "id": "deep", "input": ' + DEEP + b"}"
    async with site.http() as http:
        assert (await http.post("/api/v1/runs", content=body)).status_code == 422
        assert (await http.get("/api/v1/runs/deep")).status_code == 404


@pytest.mark.parametrize("announced", [True, False])
async def test_body_that_is_too_large_is_refused_before_it_is_kept(tmp_path: Path, announced: bool) -> None:
    server = config.Server(max_body_bytes=10_000)
    async with sites.opened(tmp_path, server=server) as site, site.http() as http:

        async def pieces() -> object:
            for _ in range(100):
                yield b"x" * 1000

        content = b"x" * 100_000 if announced else pieces()
        answer = await http.post("/api/v1/runs", content=content)  # type: ignore[arg-type]  # a stream of bytes

        assert answer.status_code == 413
        assert answer.json()["type"] == "/problems/too-large"


@pytest.mark.parametrize(
    "raw",
    [b"GET /health HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
     b"GET /health HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
     b"POST /api/v1/runs HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
     b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 200_000 + b"\r\n\r\n",
     b"\x00\x01\x02\r\n\r\n"],
    ids=["negative length", "two lengths", "length and chunks", "long header", "no HTTP"],
)  # fmt: skip
async def test_broken_http_ends_and_harms_nobody(site: Site, raw: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(site.url.rpartition(":")[2]))
    async with asyncio.timeout(60):
        writer.write(raw)
        answer = await reader.read(200)
    writer.close()

    assert answer == b"" or answer.startswith((b"HTTP/1.1 4", b"HTTP/1.1 200"))
    async with site.http() as http:
        assert (await http.get("/health")).status_code == 200


async def test_path_leads_nowhere_else(site: Site) -> None:
    async with site.http() as http:
        for path in ("/api/v1/runs/..%2f..%2fetc%2fpasswd", "/api/v1/runs/%00", "/api/v1/definitions/..%2f/x", "/api/v1/definitions/%2e%2e/x",
     "/ui/static/..%2f..%2fsessions.py", "/ui/static/%2e%2e%2frouting.py", "/ui/icon/..%2fx.svg", "/api/v1/memory/..%2f",
     "/api/v1/graphs/..%2f..%2fkeys", "/api/v1/graphs/g/tasks/%2e%2e", "/api/v1/workers/%2e%2e", "/api/v1/tokens/..%2f..%2fkeys"):  # fmt: skip
            assert (await http.get(path)).status_code in (400, 404, 405, 422), path


async def test_name_of_a_workflow_is_never_a_file(site: Site, tmp_path: Path) -> None:
    """A server's own folder holds files; a caller names published workflows and nothing else."""
    async with site.http() as http:
        for workflow in ("../../etc/passwd", "/etc/passwd", "x.yaml", "file:///etc/passwd", "a\nb", "shop/order:../x"):
            answer = await http.post("/api/v1/runs", json={"workflow": workflow})

            assert answer.status_code == 404, workflow
            assert "root:" not in answer.text


async def test_request_id_is_kept_only_where_it_can_stand_in_a_header(site: Site) -> None:
    async with site.http() as http:
        assert (await http.get("/health", headers={"x-request-id": "abc-1"})).headers["x-request-id"] == "abc-1"
        for bad in ("a b", "x" * 200, "<script>"):
            assert (await http.get("/health", headers={"x-request-id": bad})).headers["x-request-id"] != bad


async def test_event_cannot_smuggle_headers(site: Site) -> None:
    async with site.http() as http:
        answer = await http.post("/api/v1/events", json={"type": "a\r\nx: y", "source": "urn:x y"})

        assert answer.status_code == 400
        assert "x" not in answer.headers


async def test_values_that_do_not_fit_are_not_repeated(site: Site) -> None:
    """A value in the wrong place may be a secret."""
    async with site.http() as http:
        answer = await http.post("/api/v1/runs", json={"workflow": {"secret": "hunter2"}})
        other = await http.get("/api/v1/runs?limit=hunter2")

    assert "hunter2" not in answer.text + other.text


async def test_log_names_the_route_and_not_the_path(site: Site) -> None:
    """A path may hold a token."""
    async with site.http() as http:
        await http.post("/api/v1/tokens/very-secret-token-text/complete", json={})
        metrics = (await http.get("/metrics")).text

    assert "very-secret" not in metrics
    assert "/api/v1/tokens/{token}/complete" in metrics
