"""Sends requests and reads answers, within bounds of address, time and size."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final, TypeAlias

from interlock import config, errors
from interlock.model.task import Credentials
from interlock.net.addresses import AddressPolicy
from interlock.version import VERSION

if TYPE_CHECKING:
    import httpx

    from interlock.net.transport import Resolve

_MAX_REDIRECTS: Final = 10
_AGENT: Final = f"interlock/{VERSION}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request, ready to send. `query` is added to the one in `uri`.

    `credentials`: of the schemes basic, bearer and digest; `authentication.Authenticator` makes these of the others.

    `reads_body`: False for who wants the status and no more: the body is not read, however large it is.

    `follow_redirects`: up to ten, each checked like the first; an `Authorization` goes to no other origin.
    """

    method: str
    uri: str
    headers: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    credentials: Credentials | None = None
    follow_redirects: bool = False
    reads_body: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """An answer, whatever its status. Header names are in lower case; `request_*` describe the last request sent."""

    status: int
    reason: str
    headers: Mapping[str, str]
    body: bytes
    request_method: str
    request_uri: str
    request_headers: Mapping[str, str]

    @property
    def media_type(self) -> str:
        """The content type without its parameters, in lower case; empty when the answer names none."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


class Cause(StrEnum):
    """Why there is no answer."""

    INVALID_REQUEST = "invalid-request"  # no URI, header or method that can be sent
    ADDRESS_REFUSED = "address-refused"  # the host leads to addresses that may not be reached
    UNREACHABLE = "unreachable"  # no name, no connection, no TLS
    TIMEOUT = "timeout"
    INTERRUPTED = "interrupted"  # the connection broke, or what came back is not HTTP
    TOO_LARGE = "too-large"
    UNAUTHENTICATED = "unauthenticated"  # the authority does not know, or does not believe, who asks for a token
    FORBIDDEN = "forbidden"  # the authority knows, and refuses
    INVALID_CREDENTIALS = "invalid-credentials"  # properties of an authentication that cannot be used


@dataclass(frozen=True, slots=True)
class NoResponse:
    """There is no answer. `detail` names no credentials."""

    cause: Cause
    detail: str


Answer: TypeAlias = Response | NoResponse


class UnusableCredentials(ValueError):
    """Properties of an authentication that a request cannot be made with; the message names no secret."""


class Client:
    """A pool of connections, opened with the first request. Use it from one event loop and close it there.

    `max_bytes` bounds the decoded body of an answer.
    """

    def __init__(self, settings: config.Http, max_bytes: int, resolve: Resolve | None = None) -> None:
        self._settings = settings
        self._max_bytes = max_bytes
        self._resolve = resolve
        self._client: httpx.AsyncClient | None = None

    async def close(self) -> None:
        """Close the connections. May be called twice."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def send(self, request: Request) -> Answer:
        """Send `request` and read the answer whole. What can go wrong on the way is a `NoResponse`, not an error.

        Raises Exhausted when this process may open no connection.
        """
        # Not at the top: httpx and what it brings take 100 ms, and most commands never call out.
        import httpcore  # noqa: PLC0415 (start-up)
        import httpx  # noqa: PLC0415 (start-up)

        from interlock.net.transport import AddressRefused  # noqa: PLC0415 (start-up)

        seconds = self._settings.timeout_seconds
        try:
            async with asyncio.timeout(seconds):
                return await self._exchange(request)
        except TimeoutError:
            return NoResponse(Cause.TIMEOUT, f"no whole answer within {seconds:g} s")
        except AddressRefused as error:
            return NoResponse(Cause.ADDRESS_REFUSED, f"{error}; allow it with the setting http.allow_private")
        except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
            if what := errors.short_of(error):
                raise errors.Exhausted(f"this process is short of {what} for the call", short_of=what) from error
            return NoResponse(Cause.UNREACHABLE, str(error) or "the connection was not made in time")
        except (httpcore.UnsupportedProtocol, httpcore.LocalProtocolError) as error:
            return NoResponse(Cause.INVALID_REQUEST, str(error))
        except (
            httpcore.NetworkError,
            httpcore.TimeoutException,
            httpcore.RemoteProtocolError,
            httpx.HTTPError,
        ) as error:
            return NoResponse(Cause.INTERRUPTED, str(error) or "the connection was closed before the answer was whole")
        except httpx.InvalidURL as error:
            quoted = "@" in request.uri  # then the message may quote a part of a password
            return NoResponse(Cause.INVALID_REQUEST, "the URI is malformed" + ("" if quoted else f": {error}"))
        except UnusableCredentials as error:
            return NoResponse(Cause.INVALID_CREDENTIALS, str(error))
        except ValueError as error:
            return NoResponse(Cause.INVALID_REQUEST, str(error))

    async def _exchange(self, request: Request) -> Answer:
        client = self._opened()
        prepared = self._prepared(client, request)
        if prepared.url.scheme not in ("http", "https") or not prepared.url.host:
            return NoResponse(Cause.INVALID_REQUEST, "the URI must be absolute and start with http:// or https://")
        if not 0 < (prepared.url.port or 80) < 65536:
            return NoResponse(Cause.INVALID_REQUEST, f"{prepared.url.port} is no port")
        answer = await self._sent(client, prepared, request)
        try:
            body = await self._read(answer) if request.reads_body else b""
        finally:
            await answer.aclose()
        if body is None:
            return NoResponse(Cause.TOO_LARGE, f"the answer is larger than {self._max_bytes} bytes (payload.max)")
        return Response(
            status=answer.status_code,
            reason=answer.reason_phrase,
            headers=dict(answer.headers),
            body=body,
            request_method=answer.request.method,
            request_uri=str(answer.request.url.copy_with(username=None, password=None)),
            request_headers=dict(answer.request.headers),
        )

    @staticmethod
    async def _sent(client: httpx.AsyncClient, prepared: httpx.Request, request: Request) -> httpx.Response:
        """Send, and for digest credentials send again with the answer to the challenge (RFC 7616).

        httpx would do the same, but read the first answer whole, however large.
        """
        import httpx  # noqa: PLC0415 (see `send`)

        credentials = request.credentials
        if credentials is None or credentials.scheme != "digest":
            return await client.send(prepared, stream=True, follow_redirects=request.follow_redirects)
        flow = httpx.DigestAuth(_property(credentials, "username"), _property(credentials, "password"))
        steps = flow.auth_flow(prepared)
        answer = await client.send(next(steps), stream=True)
        try:
            again = steps.send(answer)
        except StopIteration:  # no challenge: this is the answer
            return answer
        except (KeyError, NotImplementedError) as error:
            await answer.aclose()
            raise UnusableCredentials("the server asks for a kind of digest that is not known here") from error
        await answer.aclose()
        return await client.send(again, stream=True)

    def _opened(self) -> httpx.AsyncClient:
        if self._client is None:
            from http.cookiejar import CookieJar, DefaultCookiePolicy  # noqa: PLC0415 (see `send`)

            import httpx  # noqa: PLC0415 (see `send`)

            from interlock.net import transport  # noqa: PLC0415 (see `send`)

            pinned = transport.PinnedTransport(
                AddressPolicy(self._settings.allow_private), self._settings.hosts, self._resolve or transport.lookup
            )
            self._client = httpx.AsyncClient(
                transport=pinned,
                trust_env=False,  # else passwords come from ~/.netrc
                timeout=self._settings.timeout_seconds,
                max_redirects=_MAX_REDIRECTS,
                headers={"user-agent": _AGENT},
                # A client is shared by all runs, and what one of them was given must not be sent by another.
                cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            )
        return self._client

    @staticmethod
    def _prepared(client: httpx.AsyncClient, request: Request) -> httpx.Request:
        import httpx  # noqa: PLC0415 (see `send`)

        url = httpx.URL(request.uri)
        headers = httpx.Headers(dict(request.headers))
        if request.credentials is not None and request.credentials.scheme != "digest":
            headers["authorization"] = _authorization(request.credentials)
        return client.build_request(
            request.method,
            url.copy_merge_params(request.query) if request.query else url,
            headers=headers,
            content=request.body,
        )

    async def _read(self, answer: httpx.Response) -> bytes | None:
        """Give the decoded body, None when it is larger than allowed; reads no more than one part too much."""
        parts: list[bytes] = []
        size = 0
        async for part in answer.aiter_bytes():
            size += len(part)
            if size > self._max_bytes:
                return None
            parts.append(part)
        return b"".join(parts)


def _authorization(credentials: Credentials) -> str:
    """Give the header of basic or bearer credentials. Raises UnusableCredentials for missing properties."""
    if credentials.scheme == "bearer" and isinstance(credentials.properties, str):
        return f"Bearer {credentials.properties}"
    if credentials.scheme == "bearer":
        return f"Bearer {_property(credentials, 'token')}"
    pair = f"{_property(credentials, 'username')}:{_property(credentials, 'password')}".encode()
    return "Basic " + base64.b64encode(pair).decode("ascii")


def _property(credentials: Credentials, name: str) -> str:
    properties = credentials.properties
    value = properties.get(name) if isinstance(properties, dict) else None
    if not isinstance(value, str):
        raise UnusableCredentials(f"{credentials.scheme} authentication needs the property {name!r} as a text")
    return value
