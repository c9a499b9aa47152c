"""The client against a real server on loopback."""

from __future__ import annotations

import asyncio
import gzip
import resource
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

import loopback
from interlock import config, errors
from interlock.model.task import Credentials
from interlock.net.client import Answer, Cause, Client, NoResponse, Request, Response


@pytest.fixture
async def server() -> AsyncIterator[loopback.Server]:
    async with loopback.serving() as server:
        yield server


def resolving(table: dict[str, list[str]]) -> Callable[[str], Awaitable[list[str]]]:
    """Give a name service that knows `table`, and answers an address with itself."""

    async def resolve(host: str) -> list[str]:
        if host not in table and host != "127.0.0.1":
            raise socket.gaierror(-2, "Name or service not known")
        return table.get(host, [host])

    return resolve


OPEN = config.Http(allow_private=("127.0.0.1",), timeout_seconds=60)


async def sent(request: Request, settings: config.Http = OPEN, max_bytes: int = 10_000, **names: list[str]) -> Answer:
    client = Client(settings, max_bytes, resolving({name.replace("_", "."): found for name, found in names.items()}))
    try:
        return await client.send(request)
    finally:
        await client.close()


def answered(answer: Answer) -> Response:
    assert isinstance(answer, Response), answer
    return answer


def refused(answer: Answer) -> NoResponse:
    assert isinstance(answer, NoResponse), answer
    return answer


async def test_a_request_arrives_as_it_was_asked_for(server: loopback.Server) -> None:
    server.replies["/orders"] = loopback.Reply(201, b'{"id": 1}', {"Content-Type": "Application/JSON; charset=utf-8"})

    answer = answered(
        await sent(
            Request(
                method="post",
                uri=server.url("/orders?a=1"),
                headers={"X-Shop": "eu"},
                query={"b": "ä &"},
                body=b"{}",
                credentials=Credentials(scheme="bearer", properties={"token": "t0ken"}),
            )
        )
    )

    asked = server.asked[0]
    assert (asked.method, asked.target, asked.body) == ("POST", "/orders?a=1&b=%C3%A4+%26", b"{}")
    assert asked.headers["x-shop"] == "eu"
    assert asked.headers["authorization"] == "Bearer t0ken"
    assert asked.headers["user-agent"].startswith("interlock/")
    assert (answer.status, answer.reason, answer.body) == (201, "Created", b'{"id": 1}')
    assert answer.media_type == "application/json"
    assert answer.request_method == "POST"
    assert answer.request_uri == server.url("/orders?a=1&b=%C3%A4+%26")


async def test_basic_credentials_are_encoded(server: loopback.Server) -> None:
    credentials = Credentials(scheme="basic", properties={"username": "jo", "password": "pä:ss"})

    await sent(Request(method="get", uri=server.url("/"), credentials=credentials))

    assert server.asked[0].headers["authorization"] == "Basic am86cMOkOnNz"


async def test_passwords_in_the_address_do_not_come_back(server: loopback.Server) -> None:
    answer = answered(await sent(Request(method="get", uri=f"http://jo:secret@127.0.0.1:{server.port}/x")))

    assert server.asked[0].headers["authorization"] == "Basic am86c2VjcmV0"
    assert answer.request_uri == server.url("/x")


@pytest.mark.parametrize(
    "uri",
    [
        "http://127.0.0.1/",
        "http://127.1/",
        "http://2130706433/",
        "http://0x7f000001/",
        "http://localhost/",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://0.0.0.0/",
        "http://169.254.169.254/latest/meta-data/",
        "http://10.0.0.1:22/",
        "https://192.168.0.1/",
        "http://user@127.0.0.1/",
        "http://[fe80::1]/",
        "http://[fc00::1]/",
    ],
)
async def test_no_spelling_of_a_closed_address_passes(uri: str) -> None:
    """OP-07, OP-13: the system's own look-up, as a definition would meet it."""
    client = Client(config.Http(), 1000)

    answer = refused(await client.send(Request(method="get", uri=uri)))
    await client.close()

    # Where the system's look-up does not know a spelling or has no such protocol, nothing is reached either.
    assert answer.cause in (Cause.ADDRESS_REFUSED, Cause.UNREACHABLE)
    assert answer.cause is Cause.ADDRESS_REFUSED or "cannot be looked up" in answer.detail


async def test_a_public_name_with_a_private_record_is_refused() -> None:
    answer = refused(await sent(Request(method="get", uri="http://shop.example/"), shop_example=["10.0.0.7"]))

    assert answer.cause is Cause.ADDRESS_REFUSED
    assert answer.detail == (
        "shop.example leads to 10.0.0.7 (a private address); allow it with the setting http.allow_private"
    )


async def test_the_connection_goes_to_the_address_that_was_checked(server: loopback.Server) -> None:
    """A name that would resolve differently the second time (DNS rebinding) is asked once."""
    server.replies["/"] = loopback.Reply(200, b"ok")
    looked_up: list[str] = []

    async def rebinding(host: str) -> list[str]:
        looked_up.append(host)
        return ["127.0.0.1"] if len(looked_up) == 1 else ["10.0.0.1"]

    client = Client(OPEN, 1000, rebinding)
    answer = answered(await client.send(Request(method="get", uri=f"http://shop.example:{server.port}/")))
    await client.close()

    assert (answer.body, looked_up) == (b"ok", ["shop.example"])
    assert server.asked[0].headers["host"] == f"shop.example:{server.port}"


async def test_an_address_that_does_not_answer_gives_way_to_the_next(server: loopback.Server) -> None:
    server.replies["/"] = loopback.Reply(200, b"ok")
    settings = config.Http(allow_private=("127.0.0.0/8",))

    request = Request(method="get", uri=f"http://shop.example:{server.port}/")
    answer = answered(await sent(request, settings, shop_example=["10.0.0.1", "127.0.0.2", "127.0.0.1"]))

    assert answer.body == b"ok"


async def test_redirects_are_followed_only_when_asked(server: loopback.Server) -> None:
    server.replies["/old"] = loopback.Reply(302, b"", {"Location": "/new"})
    server.replies["/new"] = loopback.Reply(200, b"here")

    kept = answered(await sent(Request(method="get", uri=server.url("/old"))))
    followed = answered(await sent(Request(method="get", uri=server.url("/old"), follow_redirects=True)))

    assert (kept.status, kept.headers["location"]) == (302, "/new")
    assert (followed.status, followed.body, followed.request_uri) == (200, b"here", server.url("/new"))


async def test_a_redirect_into_a_closed_place_is_refused(server: loopback.Server) -> None:
    server.replies["/old"] = loopback.Reply(302, b"", {"Location": "http://metadata.example/"})

    answer = refused(
        await sent(
            Request(method="get", uri=server.url("/old"), follow_redirects=True),
            metadata_example=["169.254.169.254"],
        )
    )

    assert answer.cause is Cause.ADDRESS_REFUSED
    assert "169.254.169.254 (a link-local address)" in answer.detail


async def test_credentials_do_not_follow_to_another_origin(server: loopback.Server) -> None:
    server.replies["/old"] = loopback.Reply(307, b"", {"Location": f"http://other.example:{server.port}/new"})
    credentials = Credentials(scheme="bearer", properties={"token": "t0ken"})

    request = Request(method="get", uri=server.url("/old"), credentials=credentials, follow_redirects=True)
    await sent(request, other_example=["127.0.0.1"])

    assert ["authorization" in asked.headers for asked in server.asked] == [True, False]


@pytest.mark.parametrize("location", ["file:///etc/passwd", "gopher://127.0.0.1/"])
async def test_a_redirect_to_another_protocol_is_not_taken(server: loopback.Server, location: str) -> None:
    server.replies["/old"] = loopback.Reply(302, b"", {"Location": location})

    answer = refused(await sent(Request(method="get", uri=server.url("/old"), follow_redirects=True)))

    assert answer.cause is Cause.INVALID_REQUEST


async def test_endless_redirects_end(server: loopback.Server) -> None:
    server.replies["/loop"] = loopback.Reply(302, b"", {"Location": "/loop"})

    answer = refused(await sent(Request(method="get", uri=server.url("/loop"), follow_redirects=True)))

    assert answer.cause is Cause.INTERRUPTED
    assert len(server.asked) == 11


@pytest.mark.parametrize(
    "uri", ["ftp://a.example/", "/path", "http://", "not a uri", "http://[::1", "http://a:99999/", "http://0177.0.0.1/"]
)
async def test_what_is_no_http_uri_is_invalid(uri: str) -> None:
    assert refused(await sent(Request(method="get", uri=uri))).cause is Cause.INVALID_REQUEST


async def test_a_malformed_uri_is_not_quoted_where_it_may_hold_a_password() -> None:
    plain = refused(await sent(Request(method="get", uri="http://a:b/")))
    secret = refused(await sent(Request(method="get", uri="http://jo:hunter2/x@a.example/")))

    assert plain.detail == "the URI is malformed: Invalid port: 'b'"
    assert secret == NoResponse(Cause.INVALID_REQUEST, "the URI is malformed")


@pytest.mark.parametrize("value", ["a\r\nX-Injected: 1", "a\nb", "☃"])
async def test_a_header_cannot_smuggle_another(server: loopback.Server, value: str) -> None:
    """OP-07"""
    answer = await sent(Request(method="get", uri=server.url("/"), headers={"X-Name": value}))

    assert refused(answer).cause is Cause.INVALID_REQUEST
    assert not server.asked


async def test_an_answer_within_the_bound_is_read_and_a_larger_one_is_not(server: loopback.Server) -> None:
    server.replies["/small"] = loopback.Reply(200, b"x" * 1000)
    server.replies["/large"] = loopback.Reply(200, b"x" * 1001)
    server.replies["/bomb"] = loopback.Reply(200, gzip.compress(b"x" * 10_000_000), {"Content-Encoding": "gzip"})

    small, large, bomb = [
        await sent(Request(method="get", uri=server.url(path)), max_bytes=1000)
        for path in ("/small", "/large", "/bomb")
    ]

    assert len(answered(small).body) == 1000
    assert refused(large) == NoResponse(Cause.TOO_LARGE, "the answer is larger than 1000 bytes (payload.max)")
    assert refused(bomb).cause is Cause.TOO_LARGE


async def test_silence_ends_at_the_deadline(server: loopback.Server) -> None:
    server.replies["/"] = loopback.Reply(gate=asyncio.Event())
    settings = config.Http(allow_private=True, timeout_seconds=0.05)

    answer = refused(await sent(Request(method="get", uri=server.url("/")), settings))

    assert answer == NoResponse(Cause.TIMEOUT, "no whole answer within 0.05 s")


@pytest.mark.parametrize(
    "raw",
    [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 two\r\n\r\n"],
)
async def test_a_broken_answer_is_an_interruption(server: loopback.Server, raw: bytes) -> None:
    server.replies["/"] = loopback.Reply(raw=raw)

    answer = refused(await sent(Request(method="get", uri=server.url("/"))))

    assert answer.cause is Cause.INTERRUPTED
    assert answer.detail


async def test_a_body_that_does_not_decode_is_an_interruption(server: loopback.Server) -> None:
    server.replies["/"] = loopback.Reply(200, b"plain", {"Content-Encoding": "gzip"})

    assert refused(await sent(Request(method="get", uri=server.url("/")))).cause is Cause.INTERRUPTED


async def test_nobody_there_is_unreachable() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    closed = refused(await sent(Request(method="get", uri=f"http://127.0.0.1:{port}/")))
    unknown = refused(await sent(Request(method="get", uri="http://nowhere.example/")))

    assert closed.cause is Cause.UNREACHABLE
    assert unknown.cause is Cause.UNREACHABLE
    assert unknown.detail == "the name nowhere.example cannot be looked up: Name or service not known"


async def test_a_server_without_tls_is_unreachable_by_https() -> None:
    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example ESMTP\r\n")
        writer.close()

    listener = await asyncio.start_server(plain, "127.0.0.1", 0)
    async with listener:
        port = listener.sockets[0].getsockname()[1]
        answer = refused(await sent(Request(method="get", uri=f"https://127.0.0.1:{port}/")))

    assert answer.cause is Cause.UNREACHABLE


async def test_cookies_of_one_call_are_not_sent_by_the_next(server: loopback.Server) -> None:
    server.replies["/"] = loopback.Reply(200, b"", {"Set-Cookie": "session=1; Path=/"})
    client = Client(OPEN, 1000)

    for _ in range(2):
        await client.send(Request(method="get", uri=server.url("/")))
    await client.close()
    await client.close()

    assert ["cookie" in asked.headers for asked in server.asked] == [False, False]


async def test_a_mapped_host_is_called_on_loopback_without_tls(server: loopback.Server) -> None:
    """How the conformance kit runs offline."""
    server.replies["/v2/pet/1"] = loopback.Reply(200, b"{}")
    settings = config.Http(hosts={"petstore.swagger.io": f"127.0.0.1:{server.port}"})

    answer = answered(await sent(Request(method="get", uri="https://petstore.swagger.io/v2/pet/1"), settings))

    assert answer.status == 200
    assert answer.request_uri == "https://petstore.swagger.io/v2/pet/1"
    assert server.asked[0].headers["host"] == "petstore.swagger.io"


def test_importing_the_door_does_not_import_the_house() -> None:
    """A command that calls nobody must not pay for the HTTP library."""
    code = "import sys, interlock.net.client, interlock.effects.http; sys.exit('httpx' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


async def test_process_that_may_open_no_socket_says_so(server: loopback.Server) -> None:
    client = Client(OPEN, 10_000, resolving({"other.example": ["127.0.0.1"]}))
    try:
        await client.send(Request(method="get", uri=server.url("/")))  # so that everything is imported
        before = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, before[1]))
        try:
            with pytest.raises(errors.Exhausted) as refused:
                await client.send(Request(method="get", uri=server.url("/").replace("127.0.0.1", "other.example")))
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, before)
    finally:
        await client.close()
    assert refused.value.short_of == errors.DESCRIPTORS
