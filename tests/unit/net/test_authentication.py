"""The authentications of the specification, against an authority and a resource on loopback."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

import loopback
from interlock import config
from interlock.model.task import Credentials
from interlock.net.authentication import Authenticator
from interlock.net.client import Answer, Cause, Client, NoResponse, Request, Response
from interlock.service import SystemClock
from issuer import EXCHANGE, ID, SECRET, Issuer, answer, digest_guard

CLIENT = {"id": ID, "secret": SECRET}
TOKEN = "urn:ietf:params:oauth:token-type:access_token"


class MovedClock(SystemClock):
    seconds = 0.0

    def monotonic(self) -> float:
        return self.seconds


class Us:
    """A node's side: one authenticator, whose clock can be moved."""

    def __init__(self, client: Client, server: loopback.Server) -> None:
        self.clock = MovedClock()
        self.server = server
        self.issuer = Issuer(server)
        self._authenticator = Authenticator(client, self.clock)

    async def ask(self, scheme: str = "oauth2", place: str = "/resource", **properties: Any) -> Answer:
        given = {"authority": self.issuer.authority, "grant": "client_credentials", "client": CLIENT} | properties
        return await self.send(Credentials(scheme=scheme, properties=given), place)

    async def send(self, credentials: Credentials | None, place: str = "/resource", method: str = "GET") -> Answer:
        body = b"a body" if method == "POST" else None
        request = Request(method=method, uri=self.server.url(place), body=body, credentials=credentials)
        return await self._authenticator.send(request)


@pytest.fixture
async def us() -> AsyncIterator[Us]:
    async with loopback.serving() as server:
        client = Client(config.Http(allow_private=("127.0.0.1",), timeout_seconds=60), max_bytes=2000)
        try:
            yield Us(client, server)
        finally:
            await client.close()


def sent(reply: Answer) -> Any:
    assert isinstance(reply, Response), reply
    assert reply.status == 200
    return json.loads(reply.body)["sent"]


def refused(reply: Answer) -> NoResponse:
    assert isinstance(reply, NoResponse), reply
    return reply


# -- who asks ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "client",
    [
        CLIENT,
        CLIENT | {"authentication": "client_secret_post"},
        CLIENT | {"authentication": "client_secret_basic"},
        CLIENT | {"authentication": "client_secret_jwt"},
        {"id": "public", "authentication": "none"},
        {"id": "public"},
    ],
)
@pytest.mark.parametrize("encoding", ["application/x-www-form-urlencoded", "application/json"])
async def test_client_says_who_it_is(us: Us, client: dict[str, str], encoding: str) -> None:
    assert sent(await us.ask(client=client, request={"encoding": encoding})) == "Bearer token-1"


def _pem(key: Any) -> tuple[str, str]:
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return private.decode(), public.decode()


@pytest.mark.parametrize("key", [rsa.generate_private_key(65537, 2048), ec.generate_private_key(ec.SECP256R1())])
async def test_client_signs_with_its_private_key(us: Us, key: Any) -> None:
    private, us.issuer.public_key = _pem(key)
    client = {"id": ID, "secret": private, "authentication": "private_key_jwt"}
    assert sent(await us.ask(client=client)) == "Bearer token-1"


async def test_client_shows_the_assertion_that_it_was_given(us: Us) -> None:
    client = {"id": ID, "assertion": "made elsewhere", "authentication": "private_key_jwt"}
    assert refused(await us.ask(client=client)).cause is Cause.UNAUTHENTICATED
    assert us.issuer.asked[0]["client_assertion"] == "made elsewhere"


# -- what for ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("properties", "form"),
    [
        ({}, {"grant_type": "client_credentials"}),
        ({"scopes": ["a", "b"], "audiences": ["x", "y"]}, {"scope": "a b", "audience": ["x", "y"]}),
        ({"scopes": [], "audiences": ["x"]}, {"audience": "x"}),
        ({"grant": "password", "username": "jo", "password": "passw0rd"}, {"grant_type": "password", "username": "jo"}),
        ({"grant": "refresh_token", "subject": {"token": "refresh-0", "type": TOKEN}}, {"refresh_token": "refresh-0"}),
        (
            {
                "grant": EXCHANGE,
                "subject": {"token": "theirs", "type": TOKEN},
                "actor": {"token": "ours", "type": TOKEN},
            },
            {"subject_token": "theirs", "subject_token_type": TOKEN, "actor_token": "ours", "actor_token_type": TOKEN},
        ),
        ({"grant": EXCHANGE, "subject": {"token": "theirs", "type": TOKEN}}, {"grant_type": EXCHANGE}),
    ],
)
async def test_grant_is_asked_for_as_it_is_written(us: Us, properties: dict[str, Any], form: dict[str, Any]) -> None:
    assert sent(await us.ask(**properties)) == "Bearer token-1"
    assert {name: us.issuer.asked[0].get(name) for name in form} == form


@pytest.mark.parametrize("path", ["/elsewhere", "elsewhere"])
async def test_token_endpoint_lies_below_the_authority_unless_it_is_written_whole(us: Us, path: str) -> None:
    assert sent(await us.ask(endpoints={"token": path})) == "Bearer token-1"
    assert sent(await us.ask(endpoints={"token": us.issuer.authority + "/elsewhere"})) == "Bearer token-2"


async def test_oidc_endpoint_is_discovered_and_remembered(us: Us) -> None:
    assert sent(await us.ask("oidc", issuers=[us.issuer.authority])) == "Bearer token-1"
    us.clock.seconds = 299
    assert sent(await us.ask("oidc", issuers=[us.issuer.authority])) == "Bearer token-2"
    us.clock.seconds = 600
    assert sent(await us.ask("oidc", issuers=[us.issuer.authority])) == "Bearer token-3"
    asked = [each.target for each in us.server.asked if each.target.endswith("configuration")]
    assert len(asked) == 2


# -- how long ----------------------------------------------------------------------------------------------------------


async def test_token_is_shared_until_shortly_before_it_expires(us: Us) -> None:
    assert sent(await us.ask()) == "Bearer token-1"
    us.clock.seconds = 269
    assert sent(await us.ask()) == "Bearer token-1"
    us.clock.seconds = 270
    assert sent(await us.ask()) == "Bearer token-2"


@pytest.mark.parametrize(("expires_in", "seconds"), [(20, 10), ("60", 30), (None, 270), (True, 270), (-5, 270)])
async def test_lifetime_that_is_short_or_not_said(us: Us, expires_in: Any, seconds: float) -> None:
    us.issuer.expires_in = expires_in
    assert sent(await us.ask()) == "Bearer token-1"
    us.clock.seconds = seconds - 0.1
    assert sent(await us.ask()) == "Bearer token-1"
    us.clock.seconds = seconds
    assert sent(await us.ask()) == "Bearer token-2"


async def test_other_properties_have_another_token(us: Us) -> None:
    assert sent(await us.ask()) == "Bearer token-1"
    assert sent(await us.ask(scopes=["more"])) == "Bearer token-2"
    assert sent(await us.ask()) == "Bearer token-1"


async def test_those_who_ask_at_the_same_time_share_one_request(us: Us) -> None:
    replies = await asyncio.gather(*(us.ask() for _ in range(10)))
    assert {sent(reply) for reply in replies} == {"Bearer token-1"}
    assert us.issuer.granted == ["client_credentials"]


async def test_refresh_token_is_used_when_one_was_given(us: Us) -> None:
    us.issuer.gives_refresh = True
    await us.ask()
    us.clock.seconds = 300
    assert sent(await us.ask()) == "Bearer token-2"
    assert us.issuer.granted == ["client_credentials", "refresh_token"]
    assert us.issuer.asked[1]["refresh_token"] == "refresh-1"


async def test_refused_refresh_token_leads_back_to_the_grant(us: Us) -> None:
    us.issuer.gives_refresh = True
    await us.ask()
    us.clock.seconds = 300
    us.server.replies["/realm/oauth2/token"] = lambda asked: (
        answer({"error": "invalid_grant"}, 400) if b"refresh" in asked.body else us.issuer.token(asked)
    )
    assert sent(await us.ask()) == "Bearer token-2"
    assert us.issuer.granted == ["client_credentials"] * 2


async def test_token_that_the_resource_refuses_is_fetched_anew_once(us: Us) -> None:
    await us.ask()
    us.issuer.valid.clear()
    assert sent(await us.ask()) == "Bearer token-2"
    us.issuer.resource = lambda _: loopback.Reply(401)
    reply = await us.ask()
    assert isinstance(reply, Response)
    assert reply.status == 401
    assert len(us.issuer.granted) == 3


async def test_token_that_several_are_refused_with_is_fetched_anew_once(us: Us) -> None:
    await us.ask()
    us.issuer.valid.clear()
    replies = await asyncio.gather(*(us.ask() for _ in range(5)))
    assert {sent(reply) for reply in replies} == {"Bearer token-2"}
    assert len(us.issuer.granted) == 2


async def test_kept_tokens_are_bounded(us: Us, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("interlock.net.authentication._KEPT", 1)
    await us.ask()
    await us.ask(scopes=["more"])
    assert sent(await us.ask()) == "Bearer token-3"


# -- refusals ----------------------------------------------------------------------------------------------------------


async def test_refusal_of_the_authority_says_what_it_says_and_no_secret(us: Us) -> None:
    reply = refused(await us.ask(client=CLIENT | {"secret": "wr0ng"}))
    assert reply.cause is Cause.UNAUTHENTICATED
    assert reply.detail.endswith("/realm/oauth2/token gave no token: 401 invalid_client who are you?")
    reply = refused(await us.ask(grant="password", username="jo", password="wr0ng"))
    assert (reply.cause, "no such person with ***" in reply.detail) == (Cause.UNAUTHENTICATED, True)
    assert "wr0ng" not in reply.detail


@pytest.mark.parametrize(
    ("reply", "cause"),
    [
        (answer({"error": "access_denied"}, 400), Cause.FORBIDDEN),
        (loopback.Reply(401), Cause.UNAUTHENTICATED),
        (answer({"access_token": 5}), Cause.UNAUTHENTICATED),
        (answer([1]), Cause.UNAUTHENTICATED),
        (loopback.Reply(200, b"<html>"), Cause.UNAUTHENTICATED),
        (loopback.Reply(503), Cause.INTERRUPTED),
        (loopback.Reply(raw=b""), Cause.INTERRUPTED),
    ],
)
async def test_answer_without_a_token_is_no_answer(us: Us, reply: loopback.Reply, cause: Cause) -> None:
    us.issuer.refusal = reply
    assert refused(await us.ask()).cause is cause


async def test_refused_token_request_after_a_401_is_told(us: Us) -> None:
    await us.ask()
    us.issuer.valid.clear()
    us.issuer.refusal = answer({"error": "invalid_client"}, 401)
    assert refused(await us.ask()).cause is Cause.UNAUTHENTICATED


@pytest.mark.parametrize(
    ("properties", "detail"),
    [
        ({"grant": "authorization_code"}, "needs a person with a browser"),
        ({"grant": "implicit"}, "the grant 'implicit' is not known"),
        ({"grant": "password"}, "`username` is missing"),
        ({"authority": None}, "`authority` is missing"),
        ({"grant": "refresh_token"}, "`subject.token` is missing"),
        ({"scopes": "a b"}, "`scopes` must be a list"),
        ({"client": "us"}, "`client` must be a map"),
        ({"client": {"secret": "x"}}, "`client.id` is missing"),
        ({"client": CLIENT | {"authentication": "tls"}}, "the client authentication 'tls' is not known"),
        ({"client": CLIENT | {"authentication": "private_key_jwt"}}, "is no private key in PEM"),
        ({"endpoints": {"token": 5}}, "`endpoints.token` must be a text"),
    ],
)
async def test_properties_that_cannot_be_used_are_named(us: Us, properties: dict[str, Any], detail: str) -> None:
    reply = refused(await us.ask(**properties))
    assert reply.cause is Cause.INVALID_CREDENTIALS
    assert detail in reply.detail
    assert SECRET not in reply.detail
    assert us.server.asked == []


async def test_client_is_not_needed(us: Us) -> None:
    us.issuer.refusal = answer({"id_token": "an id token"})
    us.issuer.valid.add("an id token")
    assert sent(await us.ask(client={})) == "Bearer an id token"


@pytest.mark.parametrize(
    ("configuration", "detail"),
    [
        (loopback.Reply(404), "answered 404 and names no token endpoint"),
        (loopback.Reply(200, b"<html>"), "names no token endpoint"),
        (answer({"issuer": "http://another", "token_endpoint": "http://another/t"}), "calls itself 'http://another'"),
    ],
)
async def test_configuration_that_does_not_fit_is_refused(us: Us, configuration: loopback.Reply, detail: str) -> None:
    us.server.replies["/realm/.well-known/openid-configuration"] = configuration
    assert detail in refused(await us.ask("oidc", issuers=["http://the.one"])).detail
    us.server.replies["/realm/.well-known/openid-configuration"] = loopback.Reply(raw=b"")
    assert refused(await us.ask("oidc", issuers=["http://the.one"])).cause is Cause.INTERRUPTED


async def test_authority_is_behind_the_same_guard_as_every_address(us: Us) -> None:
    reply = refused(await us.ask(authority="http://169.254.169.254"))
    assert reply.cause is Cause.ADDRESS_REFUSED
    assert "asking http://169.254.169.254/oauth2/token for a token" in reply.detail


async def test_secret_that_is_a_text_has_no_properties(us: Us) -> None:
    reply = refused(await us.send(Credentials(scheme="oauth2", properties="text")))
    assert (reply.cause, "write it as JSON" in reply.detail) == (Cause.INVALID_CREDENTIALS, True)


# -- basic, bearer and digest ------------------------------------------------------------------------------------------


async def test_request_without_credentials_is_sent_as_it_is(us: Us) -> None:
    us.server.replies["/open"] = answer({"sent": None})
    assert sent(await us.send(None, "/open")) is None


async def test_bearer_token_may_be_a_secret_text(us: Us) -> None:
    us.issuer.valid.add("t0ken")
    assert sent(await us.send(Credentials(scheme="bearer", properties="t0ken"))) == "Bearer t0ken"


@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256"])
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_digest_answers_the_challenge(us: Us, algorithm: str, method: str) -> None:
    us.server.replies["/digest"] = digest_guard("jo", "passw0rd", algorithm)
    right = Credentials(scheme="digest", properties={"username": "jo", "password": "passw0rd"})
    reply = await us.send(right, "/digest", method)
    assert isinstance(reply, Response)
    assert json.loads(reply.body) == {"user": "jo", "body": "a body" if method == "POST" else ""}
    assert len(us.server.asked) == 2


async def test_digest_that_is_wrong_or_not_asked_for(us: Us) -> None:
    us.server.replies["/digest"] = digest_guard("jo", "passw0rd")
    wrong = Credentials(scheme="digest", properties={"username": "jo", "password": "wr0ng"})
    reply = refused(await us.send(wrong, "/digest"))
    assert reply.cause is Cause.TOO_LARGE  # the page of the refusal, which is larger than allowed here
    us.server.replies["/open"] = answer({"sent": 1})
    us.server.asked.clear()
    assert sent(await us.send(wrong, "/open", "POST")) == 1
    assert len(us.server.asked) == 1


async def test_digest_of_an_unknown_kind_is_refused(us: Us) -> None:
    us.server.replies["/digest"] = loopback.Reply(
        401, b"", {"WWW-Authenticate": 'Digest realm="x", nonce="y", algorithm=SHA-9'}
    )
    reply = refused(
        await us.send(Credentials(scheme="digest", properties={"username": "a", "password": "b"}), "/digest")
    )
    assert (reply.cause, "not known here" in reply.detail) == (Cause.INVALID_CREDENTIALS, True)


@pytest.mark.parametrize("scheme", ["basic", "bearer", "digest"])
@pytest.mark.parametrize("properties", [{"username": "jo"}, {"username": 1, "password": 2, "token": 3}])
async def test_property_that_is_missing_is_named(us: Us, scheme: str, properties: dict[str, Any]) -> None:
    reply = refused(await us.send(Credentials(scheme=scheme, properties=properties)))
    assert (reply.cause, "needs the property" in reply.detail) == (Cause.INVALID_CREDENTIALS, True)
