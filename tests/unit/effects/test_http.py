"""HTTP calls as workflows see them, against a real server on loopback (OWS 1.0.3, call http)."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator

import msgspec
import pytest

import loopback
from interlock import config
from interlock.effects import http
from interlock.model import fault
from interlock.model.json import Json
from interlock.model.task import Credentials, Done, Failed, FailureClass, HttpTarget, Outcome
from interlock.net.client import Answer, Cause, Client, NoResponse, Request


@pytest.fixture
async def server() -> AsyncIterator[loopback.Server]:
    async with loopback.serving() as server:
        yield server


async def performed(target: HttpTarget, settings: config.Http | None = None) -> Outcome:
    client = Client(settings or config.Http(allow_private=("127.0.0.1",), timeout_seconds=60), max_bytes=1000)
    try:
        return await http.perform(target, "run-1/do/0/call", client)
    finally:
        await client.close()


def done(outcome: Outcome) -> Json:
    assert isinstance(outcome, Done), outcome
    return outcome.value


def failed(outcome: Outcome) -> Failed:
    assert isinstance(outcome, Failed), outcome
    return outcome


@pytest.mark.parametrize(
    ("content_type", "body", "value"),
    [
        ("application/json", b'{"id": 12345678901234567890}', {"id": 12345678901234567890}),
        ("application/json; charset=utf-8", b"[1]", [1]),
        ("application/problem+json", b"null", None),
        ("text/plain", "grün".encode(), "grün"),
        ("text/plain; charset=latin-1", "grün".encode("latin-1"), "grün"),
        ('text/plain; format=flowed; charset="utf-8"', "grün".encode(), "grün"),
        ("text/plain; charset=klingon", "grün".encode(), "grün"),
        ("text/plain", b"\xff", "\ufffd"),
        ("application/xml", b"<a/>", "<a/>"),
        ("application/octet-stream", b"plain", "plain"),
        ("application/octet-stream", b"\xff\x00", base64.b64encode(b"\xff\x00").decode()),
        ("application/json", b"", None),
        ("", b"plain", "plain"),
    ],
)
async def test_content_is_read_as_its_type_says(
    server: loopback.Server, content_type: str, body: bytes, value: Json
) -> None:
    server.replies["/"] = loopback.Reply(200, body, {"Content-Type": content_type})

    assert done(await performed(HttpTarget(method="get", uri=server.url("/")))) == value


async def test_raw_output_is_base64(server: loopback.Server) -> None:
    server.replies["/"] = loopback.Reply(200, b'{"id": 1}', {"Content-Type": "application/json"})

    assert done(await performed(HttpTarget(method="get", uri=server.url("/"), output_format="raw"))) == "eyJpZCI6IDF9"


async def test_response_output_tells_request_and_answer(server: loopback.Server) -> None:
    """The properties that the conformance kit asks for; what authenticates is hidden."""
    server.replies["/pet"] = loopback.Reply(200, b'{"id": 1}', {"Content-Type": "application/json", "X-Page": "2"})
    target = HttpTarget(
        method="get",
        uri=server.url("/pet"),
        query={"status": "sold"},
        headers={"X-Shop": "eu", "Cookie": "session=1"},
        output_format="response",
        credentials=Credentials(scheme="basic", properties={"username": "jo", "password": "secret"}),
    )

    value = done(await performed(target))

    assert value["request"]["method"] == "GET"
    assert value["request"]["uri"] == server.url("/pet?status=sold")
    assert value["request"]["headers"]["x-shop"] == "eu"
    assert value["request"]["headers"]["authorization"] == "***"
    assert value["request"]["headers"]["cookie"] == "***"
    assert (value["statusCode"], value["headers"]["x-page"], value["content"]) == (200, "2", {"id": 1})


@pytest.mark.parametrize(
    ("body", "headers", "sent", "content_type"),
    [
        ({"a": [1, None]}, {}, b'{"a":[1,null]}', "application/json"),
        (None, {}, b"null", "application/json"),
        ("text", {}, b"text", "text/plain; charset=utf-8"),
        ("a=1", {"content-type": "application/x-www-form-urlencoded"}, b"a=1", "application/x-www-form-urlencoded"),
        (msgspec.UNSET, {}, b"", None),
    ],
)
async def test_a_body_is_sent_as_json_unless_it_is_text(
    server: loopback.Server, body: Json, headers: dict[str, str], sent: bytes, content_type: str | None
) -> None:
    server.replies["/"] = loopback.Reply(204)

    assert done(await performed(HttpTarget(method="post", uri=server.url("/"), body=body, headers=headers))) is None

    assert server.asked[0].body == sent
    assert server.asked[0].headers.get("content-type") == content_type


@pytest.mark.parametrize(("headers", "key"), [({}, "run-1/do/0/call"), ({"idempotency-key": "mine"}, "mine")])
async def test_every_call_carries_its_idempotency_key(
    server: loopback.Server, headers: dict[str, str], key: str
) -> None:
    await performed(HttpTarget(method="post", uri=server.url("/"), headers=headers))

    assert server.asked[0].headers["idempotency-key"] == key


@pytest.mark.parametrize(
    ("status", "redirect", "is_error"),
    [
        (200, False, False), (204, False, False), (302, False, True), (304, False, True), (404, False, True),
        (200, True, False), (302, True, False), (304, True, False), (400, True, True), (500, True, True),
    ],
)  # fmt: skip
async def test_redirect_decides_which_statuses_are_errors(
    server: loopback.Server, status: int, redirect: bool, is_error: bool
) -> None:
    server.replies["/"] = loopback.Reply(status, b"", {"Location": "/elsewhere"})

    outcome = await performed(HttpTarget(method="get", uri=server.url("/"), redirect=redirect))

    assert isinstance(outcome, Failed) == is_error
    assert len(server.asked) == 1


async def test_an_error_status_is_the_status_of_the_fault(server: loopback.Server) -> None:
    server.replies["/pet"] = loopback.Reply(404, b"no  such\npet", {"Content-Type": "text/plain"})

    outcome = failed(await performed(HttpTarget(method="get", uri=server.url("/pet?key=secret"))))

    assert outcome.failure is FailureClass.APPLICATION
    assert outcome.fault.type == fault.COMMUNICATION
    assert (outcome.fault.status, outcome.fault.title) == (404, "Not Found")
    assert outcome.fault.detail == f"GET {server.url('/pet')} answered 404 Not Found: no such pet"


async def test_a_long_error_page_is_cut_and_a_binary_one_left_out(server: loopback.Server) -> None:
    server.replies["/page"] = loopback.Reply(500, b"x" * 900, {"Content-Type": "text/html"})
    server.replies["/image"] = loopback.Reply(500, b"\xff", {"Content-Type": "image/png"})
    server.replies["/odd"] = loopback.Reply(raw=b"HTTP/1.1 599 \r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    page, image, odd = [
        failed(await performed(HttpTarget(method="get", uri=server.url(path)))).fault
        for path in ("/page", "/image", "/odd")
    ]

    assert page.detail is not None
    assert page.detail.endswith("xxx…")
    assert len(page.detail) < 300
    assert image.detail == f"GET {server.url('/image')} answered 500 Internal Server Error"
    assert (odd.status, odd.title, odd.detail) == (599, "HTTP 599", f"GET {server.url('/odd')} answered 599")


async def test_no_fault_repeats_what_authenticates(server: loopback.Server) -> None:
    def echo(asked: loopback.Asked) -> loopback.Reply:
        text = f"{asked.headers} hunter2".encode()
        return loopback.Reply(401, text, {"Content-Type": "text/plain"})

    server.replies["/"] = echo
    uri = f"http://amy:wond3r@127.0.0.1:{server.port}/"
    targets = [
        HttpTarget(
            method="get",
            uri=uri,
            credentials=Credentials(scheme="basic", properties={"username": "jo", "password": "hunter2"}),
        ),
        HttpTarget(method="get", uri=uri, credentials=Credentials(scheme="bearer", properties={"token": "hunter2"})),
        HttpTarget(method="get", uri=server.url("/"), headers={"Authorization": "Token hunter2"}),
    ]

    for target in targets:
        shown = repr(failed(await performed(target)))
        assert "hunter2" not in shown
        assert "wond3r" not in shown
        assert base64.b64encode(b"jo:hunter2").decode() not in shown


async def test_an_answer_that_is_not_the_json_it_claims_to_be_fails(server: loopback.Server) -> None:
    server.replies["/"] = loopback.Reply(200, b"<html>", {"Content-Type": "application/json"})

    outcome = failed(await performed(HttpTarget(method="get", uri=server.url("/"))))

    assert (outcome.fault.status, outcome.fault.code) == (500, "invalid-answer")
    assert "answered application/json that cannot be read" in str(outcome.fault)


async def test_silence_is_a_timeout(server: loopback.Server) -> None:
    server.replies["/"] = loopback.Reply(gate=asyncio.Event())

    outcome = failed(
        await performed(
            HttpTarget(method="get", uri=server.url("/")), config.Http(allow_private=True, timeout_seconds=0.05)
        )
    )

    assert outcome.failure is FailureClass.TIMEOUT
    assert (outcome.fault.type, outcome.fault.status) == (fault.TIMEOUT, 408)


@pytest.mark.parametrize(
    ("uri", "failure", "type_", "status", "code"),
    [
        ("http://10.0.0.1/", FailureClass.INVALID, fault.CONFIGURATION, 400, "address-refused"),
        ("ftp://a.example/", FailureClass.INVALID, fault.VALIDATION, 400, "invalid-request"),
        ("http://127.0.0.1:{free}/", FailureClass.APPLICATION, fault.COMMUNICATION, 500, "unreachable"),
        ("http://127.0.0.1:{port}/broken", FailureClass.APPLICATION, fault.COMMUNICATION, 500, "interrupted"),
        ("http://127.0.0.1:{port}/large", FailureClass.INVALID, fault.RUNTIME, 500, "payload-too-large"),
    ],
)
async def test_what_stands_in_the_way_is_named(
    server: loopback.Server, uri: str, failure: FailureClass, type_: str, status: int, code: str
) -> None:
    server.replies["/broken"] = loopback.Reply(raw=b"")
    server.replies["/large"] = loopback.Reply(200, b"x" * 1001)
    async with loopback.serving() as gone:
        free = gone.port

    outcome = failed(await performed(HttpTarget(method="get", uri=uri.format(port=server.port, free=free))))

    assert outcome.failure is failure
    assert (outcome.fault.type, outcome.fault.status, outcome.fault.code) == (type_, status, code)
    assert outcome.fault.detail is not None
    assert outcome.fault.detail.startswith("GET ")


@pytest.mark.parametrize(
    ("cause", "type_", "status", "failure"),
    [
        (Cause.UNAUTHENTICATED, fault.AUTHENTICATION, 401, FailureClass.APPLICATION),
        (Cause.FORBIDDEN, fault.AUTHORIZATION, 403, FailureClass.APPLICATION),
        (Cause.INVALID_CREDENTIALS, fault.AUTHENTICATION, 401, FailureClass.INVALID),
    ],
)
async def test_token_that_cannot_be_had_is_an_error_of_its_own(
    cause: Cause, type_: str, status: int, failure: FailureClass
) -> None:
    class Refusing:
        async def send(self, request: Request) -> Answer:
            return NoResponse(cause, f"no token for {request.uri} with hunter2")

    target = HttpTarget(
        method="GET",
        uri="https://x.example/a",
        credentials=Credentials(
            scheme="oauth2", properties={"client": {"id": "us", "secret": "hunter2"}, "scopes": ["a"]}
        ),
    )
    outcome = failed(await http.perform(target, "key", Refusing()))
    assert (outcome.failure, outcome.fault.type, outcome.fault.status, outcome.fault.code) == (
        failure, type_, status, cause.value,
    )  # fmt: skip
    assert outcome.fault.detail == "GET https://x.example/a: no token for https://x.example/a with ***"
