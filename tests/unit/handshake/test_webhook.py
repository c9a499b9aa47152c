"""Webhooks against a real server on loopback; their signatures against the reference library."""

from __future__ import annotations

import asyncio
import base64
import json
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
import standardwebhooks

import loopback
from interlock import config
from interlock.handshake import signature
from interlock.handshake.outcome import Cancelled, Completed, Failed, Letter, Outcome
from interlock.handshake.sender import Accepted, Alive, Answer, Postponed, Refused
from interlock.handshake.webhook import Webhooks, message
from interlock.model import callback
from interlock.model.callback import Webhook
from interlock.net.client import Client
from interlock.service import SystemClock

SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
OPEN = config.Http(allow_private=("127.0.0.1",), timeout_seconds=5)


@pytest.fixture
async def server() -> AsyncIterator[loopback.Server]:
    async with loopback.serving() as server:
        yield server


def letter(outcome: Outcome = Completed(output={"total": 7}), status: str = "completed") -> Letter:  # noqa: B008 (a value)
    return Letter(
        delivery="01a1-d", id="order-1", namespace="shop", workflow="order", version="1.0.0", status=status,
        outcome=outcome, at=1_000.0,
    )  # fmt: skip


async def sent(url: str, settings: config.Http = OPEN, letter: Letter | None = None, **more: Any) -> Answer:
    hook = callback.parse({"url": url} | more)
    assert isinstance(hook, Webhook)
    client = Client(settings, 2**16)
    try:
        return await Webhooks(client, SystemClock()).send(letter or globals()["letter"](), hook)
    finally:
        await client.close()


async def test_outcome_arrives_signed(server: loopback.Server) -> None:
    """TK-04."""
    server.replies["/done"] = loopback.Reply(204)
    told = await sent(server.url("/done?team=a"), secret=SECRET, headers={"X-Team": "a", "Authorization": "Bearer k"})
    assert told == Accepted(status="204")
    (asked,) = server.asked
    assert (asked.method, asked.target, asked.headers["content-type"]) == ("POST", "/done?team=a", "application/json")
    assert (asked.headers["x-team"], asked.headers["authorization"]) == ("a", "Bearer k")
    body = standardwebhooks.Webhook(SECRET).verify(asked.body, asked.headers)
    assert body == {
        "type": "run.completed", "run": "order-1", "namespace": "shop", "workflow": "order", "version": "1.0.0",
        "status": "completed", "ended_at": "1970-01-01T00:16:40+00:00", "output": {"total": 7},
    }  # fmt: skip
    with pytest.raises(standardwebhooks.WebhookVerificationError):
        standardwebhooks.Webhook(SECRET).verify(asked.body + b" ", asked.headers)


async def test_webhook_without_a_secret_is_named_and_not_signed(server: loopback.Server) -> None:
    server.replies["/"] = loopback.Reply()
    await sent(server.url("/"))
    assert server.asked[0].headers["webhook-id"] == "01a1-d"
    assert "webhook-signature" not in server.asked[0].headers


def test_signature_is_that_of_the_reference() -> None:
    from datetime import UTC, datetime

    for body in (b"{}", b'{"a":"\xc3\xa9"}', b""):
        at = datetime(2030, 1, 2, 3, 4, 5, 600_000, UTC)
        expected = standardwebhooks.Webhook(SECRET).sign("id.1", at, body.decode())
        found = signature.headers("id.1", at.timestamp(), body, bytes(range(32)))
        assert found["webhook-signature"] == expected


def test_failures_and_cancellations_say_what_they_are() -> None:
    """TK-04, TK-05."""
    failed = message(letter(Failed(type="timeout", message="late", retryable=True, details={"a": 1}), "faulted"))
    assert (failed["type"], failed["status"]) == ("run.faulted", "faulted")
    assert failed["error"] == {"type": "timeout", "message": "late", "retryable": True, "details": {"a": 1}}
    cancelled = message(letter(Cancelled(message="stopped"), "cancelled"))
    assert (cancelled["type"], cancelled["error"]["type"]) == ("run.cancelled", "cancelled")
    assert "output" not in failed | cancelled
    late = message(letter(Failed(type="deadline", message="late", retryable=True), "running"))
    assert (late["type"], late["status"], late["ended_at"]) == ("run.overdue", "running", None)
    json.dumps([failed, cancelled, late])


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (200, Accepted), (201, Accepted), (204, Accepted),
        (302, Refused), (304, Refused), (307, Refused),
        (400, Refused), (401, Refused), (403, Refused), (404, Refused), (410, Refused), (422, Refused),
        (408, Postponed), (425, Postponed), (429, Postponed), (500, Postponed), (502, Postponed), (503, Postponed),
    ],
)  # fmt: skip
async def test_answers_are_final_or_not(
    server: loopback.Server, status: int, kind: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TK-08."""
    monkeypatch.setitem(loopback.REASONS, status, "As it is")
    server.replies["/"] = loopback.Reply(status, headers={"Location": server.url("/secret")})
    told = await sent(server.url("/"))
    assert isinstance(told, kind)
    assert told.status == str(status)
    assert len(server.asked) == 1  # no redirect was followed


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("7", 7.0), ("999999", 3600.0), ("soon", None), ("", None), ("Fri, 02 Jan 1970 00:00:00 GMT", 0.0), ("-5", None)],
)
async def test_retry_after_is_heeded(server: loopback.Server, text: str, seconds: float | None) -> None:
    server.replies["/"] = loopback.Reply(503, headers={"Retry-After": text})
    told = await sent(server.url("/"))
    assert isinstance(told, Postponed)
    assert told.after_seconds == seconds


async def test_retry_after_may_be_a_date_to_come(server: loopback.Server) -> None:
    server.replies["/"] = loopback.Reply(503, headers={"Retry-After": "Fri, 02 Jan 2099 00:00:00 -0000"})
    told = await sent(server.url("/"))
    assert isinstance(told, Postponed)
    assert told.after_seconds == 3600.0


async def test_receiver_that_is_away_is_tried_again() -> None:
    """TK-08."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        told = await sent(f"http://127.0.0.1:{taken.getsockname()[1]}/hook/secret")
    assert isinstance(told, Postponed)
    assert told.status == "unreachable"
    assert "secret" not in told.detail


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:1/", "http://localhost:1/", "http://[::1]:1/", "http://0x7f000001:1/", "http://2130706433:1/",
        "http://127.1:1/", "http://[::ffff:127.0.0.1]:1/", "http://10.0.0.1/", "http://192.168.1.1/", "http://172.16.0.1/",
        "http://169.254.169.254/latest/meta-data/", "http://0.0.0.0:1/", "http://[fe80::1]/", "http://[fd00::1]/",
        "http://100.64.0.1/", "http://224.0.0.1/", "http://[64:ff9b::7f00:1]/",
    ],
)  # fmt: skip
async def test_private_addresses_are_not_reached(url: str) -> None:
    """OP-13."""
    told = await sent(url, config.Http(timeout_seconds=5))
    assert isinstance(told, Refused)
    assert told.status == "address-refused"


async def test_redirect_to_a_private_address_is_not_followed(server: loopback.Server) -> None:
    """OP-13."""
    server.replies["/"] = loopback.Reply(302, headers={"Location": "http://169.254.169.254/"})
    assert isinstance(await sent(server.url("/")), Refused)


async def test_enormous_answer_is_not_read(server: loopback.Server) -> None:
    """OP-13."""
    endless = b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n" + b"x" * 2**20
    server.replies["/"] = loopback.Reply(raw=endless)
    async with asyncio.timeout(60):
        assert await sent(server.url("/")) == Accepted(status="200")


async def test_receiver_that_says_nothing_is_given_up_in_time(server: loopback.Server) -> None:
    server.replies["/"] = loopback.Reply(gate=asyncio.Event())
    told = await sent(server.url("/"), config.Http(allow_private=True, timeout_seconds=0.2))
    assert isinstance(told, Postponed)
    assert told.status == "timeout"


async def test_webhooks_have_no_heartbeats() -> None:
    client = Client(OPEN, 100)
    webhooks = Webhooks(client, SystemClock())
    hook = callback.parse({"url": "http://caller.example/"})
    assert isinstance(hook, Webhook)
    assert await webhooks.beat("r1", hook) == Alive()
    await webhooks.close()
