"""HTTP calls: what a request and its answer mean to a workflow (OWS 1.0.3, "HTTP Call").

`redirect` decides which statuses are errors and nothing else: the specification asks runtimes to raise outside 200-299,
or outside 200-399 where it is true, so a redirection is a result that the workflow sees (with its `location`, under
`output: response`) and is never followed behind its back.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final, Protocol, assert_never

import msgspec

from interlock.model import fault, json
from interlock.model.fault import Fault
from interlock.model.task import Credentials, Done, Failed, FailureClass, HttpTarget, Outcome
from interlock.net.client import Answer, Cause, NoResponse, Request, Response

_EXCERPT: Final = 200  # characters of an error's body: a message fits, a page does not
_HIDDEN: Final = "***"
_OPEN_PROPERTIES: Final = frozenset(
    {
        "username",
        "authority",
        "endpoints",
        "grant",
        "id",
        "authentication",
        "request",
        "issuers",
        "scopes",
        "type",
        "use",
    }
)
_SENSITIVE: Final = frozenset({"authorization", "proxy-authorization", "cookie", "x-api-key"})


class Sends(Protocol):
    """Sends requests: a client, or one that authenticates in more ways."""

    async def send(self, request: Request) -> Answer: ...


async def perform(
    target: HttpTarget, idempotency_key: str, client: Sends, more: Mapping[str, str] = MappingProxyType({})
) -> Outcome:
    """Send the request, with `more` headers, and give what the step yields, or why it failed.

    `idempotency_key` goes out as `Idempotency-Key` unless the author names that header. No credential is ever part of
    the outcome.
    """
    answer = await client.send(_request(target, idempotency_key, more))
    if isinstance(answer, NoResponse):
        return _without_answer(target, answer)
    if not 200 <= answer.status < (400 if target.redirect else 300):
        return _refused(target, answer)
    try:
        return Done(_output(target, answer))
    except ValueError as error:  # msgspec's decoding errors are ValueErrors too
        detail = f"{_place(target)} answered {answer.media_type} that cannot be read: {error}"
        return _failed(
            FailureClass.APPLICATION, fault.COMMUNICATION, 500, "Unreadable answer", detail, "invalid-answer"
        )


async def fetch(uri: str, credentials: Credentials | None, client: Sends) -> Response | Failed:
    """Give the answer to a GET for a document that a call needs, wherever redirections lead."""
    target = HttpTarget(method="GET", uri=uri, credentials=credentials)
    answer = await client.send(Request(method="GET", uri=uri, credentials=credentials, follow_redirects=True))
    if isinstance(answer, NoResponse):
        return _without_answer(target, answer)
    return answer if 200 <= answer.status < 300 else _refused(target, answer)


def _request(target: HttpTarget, idempotency_key: str, more: Mapping[str, str]) -> Request:
    ours = {name.lower() for name in more}
    headers = {name: value for name, value in target.headers.items() if name.lower() not in ours} | dict(more)
    named = {name.lower() for name in headers}
    if "idempotency-key" not in named:
        headers["Idempotency-Key"] = idempotency_key
    body: bytes | None = None
    if target.body is not msgspec.UNSET:
        as_text = isinstance(target.body, str)
        body = target.body.encode() if as_text else json.encode(target.body)
        if "content-type" not in named:
            headers["Content-Type"] = "text/plain; charset=utf-8" if as_text else "application/json"
    return Request(
        method=target.method,
        uri=target.uri,
        headers=headers,
        query=target.query,
        body=body,
        credentials=target.credentials,
    )


def _output(target: HttpTarget, response: Response) -> json.Json:
    match target.output_format:
        case "raw":
            return _base64(response.body)
        case "response":
            return {
                "request": {
                    "method": response.request_method,
                    "uri": response.request_uri,
                    "headers": _shown(response.request_headers),
                },
                "statusCode": response.status,
                "headers": dict(response.headers),
                "content": _content(response),
            }
        case _:
            return _content(response)


def _content(response: Response) -> json.Json:
    """Give the body as the content type has it: JSON as values, text as text, nothing as null, all else as base64.

    Raises ValueError where the body is not what the content type says.
    """
    if not response.body:
        return None
    if response.media_type == "application/json" or response.media_type.endswith("+json"):
        return json.decode(response.body)
    if response.media_type.startswith("text/") or response.media_type.endswith("xml"):
        return response.body.decode(_charset(response), errors="replace")
    try:
        return response.body.decode()
    except UnicodeDecodeError:
        return _base64(response.body)


def _charset(response: Response) -> str:
    message = response.headers.get("content-type", "")
    for part in message.split(";")[1:]:
        name, _, value = part.partition("=")
        if name.strip().lower() == "charset":
            charset = value.strip().strip('"')
            try:
                "".encode(charset)
            except LookupError:
                break
            return charset
    return "utf-8"


def _base64(body: bytes) -> str:
    return base64.b64encode(body).decode("ascii")


def _shown(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: _HIDDEN if name in _SENSITIVE else value for name, value in headers.items()}


# -- failures --------------------------------------------------------------------------------------------------------


def _refused(target: HttpTarget, response: Response) -> Failed:
    """Give the failure of an answer whose status is an error; the error's status is that of the answer."""
    detail = f"{_place(target)} answered {response.status} {response.reason}".rstrip()
    if excerpt := _excerpt(target, response):
        detail = f"{detail}: {excerpt}"
    title = response.reason or f"HTTP {response.status}"
    return _failed(FailureClass.APPLICATION, fault.COMMUNICATION, response.status, title, detail)


def _without_answer(target: HttpTarget, answer: NoResponse) -> Failed:
    return _failure(answer, _without_secrets(target, f"{_place(target)}: {answer.detail}"))


def _failure(answer: NoResponse, detail: str) -> Failed:
    match answer.cause:
        case Cause.UNAUTHENTICATED:
            return _failed(
                FailureClass.APPLICATION, fault.AUTHENTICATION, 401, "Not authenticated", detail, answer.cause
            )
        case Cause.FORBIDDEN:
            return _failed(FailureClass.APPLICATION, fault.AUTHORIZATION, 403, "Not authorized", detail, answer.cause)
        case Cause.INVALID_CREDENTIALS:
            return _failed(
                FailureClass.INVALID, fault.AUTHENTICATION, 401, "Credentials cannot be used", detail, answer.cause
            )
        case Cause.TIMEOUT:
            return _failed(FailureClass.TIMEOUT, fault.TIMEOUT, 408, "Timeout", detail)
        case Cause.ADDRESS_REFUSED:
            return _failed(FailureClass.INVALID, fault.CONFIGURATION, 400, "Address refused", detail, answer.cause)
        case Cause.INVALID_REQUEST:
            return _failed(FailureClass.INVALID, fault.VALIDATION, 400, "Invalid request", detail, answer.cause)
        case Cause.TOO_LARGE:
            return _failed(FailureClass.INVALID, fault.RUNTIME, 500, "Answer too large", detail, "payload-too-large")
        case Cause.UNREACHABLE:
            return _failed(FailureClass.APPLICATION, fault.COMMUNICATION, 500, "Unreachable", detail, answer.cause)
        case Cause.INTERRUPTED:
            return _failed(FailureClass.APPLICATION, fault.COMMUNICATION, 500, "Interrupted", detail, answer.cause)
        case _:
            assert_never(answer.cause)


def _failed(failure: FailureClass, type_: str, status: int, title: str, detail: str, code: str | None = None) -> Failed:
    return Failed(failure, Fault(type=type_, status=status, title=title, detail=detail, code=code and str(code)))


def _place(target: HttpTarget) -> str:
    """Name the call for a message: method, scheme, host and path. User, password and query may hold secrets."""
    scheme, separator, rest = target.uri.partition("://")
    authority, slash, path = rest.partition("/")
    path = (slash + path).partition("?")[0].partition("#")[0]
    authority = authority.partition("?")[0].rpartition("@")[2]
    return f"{target.method.upper()} {scheme}{separator}{authority}{path}"


def _excerpt(target: HttpTarget, response: Response) -> str:
    """Give the beginning of an error's body where it is text; empty otherwise."""
    if not (response.media_type.startswith("text/") or response.media_type.endswith("json")):
        return ""
    said = response.body.decode(errors="replace")
    text = " ".join(_without_secrets(target, said, response.request_headers).split())
    return text if len(text) <= _EXCERPT else text[: _EXCERPT - 1] + "…"


def _without_secrets(target: HttpTarget, text: str, sent: Mapping[str, str] | None = None) -> str:
    """Hide what authenticates the request, in case the other side (or a library) says it back. `sent`: its headers."""
    headers = {**target.headers, **(sent or {})}
    secrets = {value for name, value in headers.items() if name.lower() in _SENSITIVE}
    secrets |= {value.partition(" ")[2] for value in secrets}
    if target.credentials is not None:
        secrets |= set(_texts(target.credentials.properties))
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        text = text.replace(secret, _HIDDEN)
    return text


def _texts(value: json.Json) -> Iterator[str]:
    """Give every text in the properties of credentials that is no name or address."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            if key not in _OPEN_PROPERTIES:
                yield from _texts(item)
