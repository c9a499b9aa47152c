"""Errors as HTTP tells them: problem+json (RFC 9457) with the message that the command line prints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from interlock import errors, telemetry
from interlock.model import json
from interlock.model.json import Json

MEDIA_TYPE: Final = "application/problem+json"

_STATUS: Final[tuple[tuple[type[errors.InterlockError], int, str], ...]] = (
    (errors.InvalidDefinition, 422, "invalid-definition"),
    (errors.Invalid, 400, "invalid"),
    (errors.NotFound, 404, "not-found"),
    (errors.TokenError, 409, "conflict"),
    (errors.StaleEpoch, 409, "stale"),
    (errors.Conflict, 409, "conflict"),
    (errors.StoreFull, 507, "store-full"),
    (errors.Environment, 503, "unavailable"),
)
"""The first that fits counts."""

_OVER: Final = {"token-expired": 410, "token-revoked": 410, "token-forbidden": 403}
"""What is gone for good, or not for this, among the problems of tokens."""

_TITLES: Final = {
    "invalid": "The request is wrong; nothing was done",
    "invalid-definition": "The definition has problems; nothing was done",
    "not-found": "There is no such thing",
    "conflict": "The present state forbids it",
    "stale": "Another writer was first",
    "unavailable": "The store, or what new work needs, is not there at this moment",
    "store-full": "The store has no space left; what was acknowledged is safe",
    "unauthenticated": "An API key is needed",
    "forbidden": "The API key may not do this",
    "precondition-failed": "Something else is there than the request expects; nothing was done",
    "too-large": "The request is too large",
    "too-many-requests": "Too many requests",
    "token-unknown": "This is no token",
    "token-expired": "The token's time is over",
    "token-revoked": "Nobody waits for the token any more",
    "token-superseded": "The step was given to somebody else",
    "token-already-completed": "The token was completed before with another result",
    "token-forbidden": "The token is not for this",
    "unexpected": "A mistake in Interlock",
}

_CODES: Final = {
    401: "unauthenticated",
    403: "forbidden",
    404: "not-found",
    405: "method-not-allowed",
    413: "too-large",
    415: "unsupported-media-type",
    421: "wrong-host",
    429: "too-many-requests",
}


@dataclass(slots=True)
class Refused(Exception):
    """A request that is refused for what it is as HTTP, or for who sends it. `code` is the end of the problem's type."""

    status: int
    code: str
    detail: str
    headers: Mapping[str, str] = field(default_factory=dict)
    more: Mapping[str, Json] = field(default_factory=dict)


def response(
    status: int,
    code: str,
    detail: str,
    *,
    headers: Mapping[str, str] | None = None,
    more: Mapping[str, Json] | None = None,
) -> Response:
    """Give a problem as a response. Its `type` is `/problems/CODE`, the same for the same kind of problem for ever."""
    body: dict[str, Json] = {
        "type": f"/problems/{code}",
        "title": _TITLES.get(code, code.replace("-", " ").capitalize()),
        "status": status,
        "detail": detail,
    } | dict(more or {})
    return Response(json.encode(body), status, headers=dict(headers or {}), media_type=MEDIA_TYPE)


def of(error: errors.InterlockError) -> Response:
    """Give the problem that an error is."""
    status, kind = next(((status, kind) for base, status, kind in _STATUS if isinstance(error, base)), (500, "failed"))
    code = str(getattr(error, "code", None) or kind)
    headers = {"Retry-After": "1"} if status == 503 else {}
    more: dict[str, Json] = {}
    if isinstance(error, errors.TokenError):
        status = _OVER.get(error.code, status)
        more = {"state": error.state, "completed_at": error.completed_at, "by": error.by}
        more = {name: value for name, value in more.items() if value}
    if isinstance(error, errors.InvalidDefinition):
        more["problems"] = [_problem(each) for each in error.problems]
    return response(status, code, str(error), headers=headers, more=more)


def _problem(problem: Any) -> Json:
    told: dict[str, Json] = {}
    for name in ("code", "message", "path", "line", "column", "severity", "nearest"):
        value = getattr(problem, name, None)
        if value is not None:
            told[name] = value if isinstance(value, int) else str(value)
    return told


def install(app: FastAPI) -> None:
    """Let every error leave as a problem."""

    async def known(_request: Request, error: Exception) -> Response:
        assert isinstance(error, errors.InterlockError)
        return of(error)

    async def refused(_request: Request, error: Exception) -> Response:
        assert isinstance(error, Refused)
        return response(error.status, error.code, error.detail, headers=error.headers, more=error.more)

    async def plain(_request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        code = _CODES.get(error.status_code, "refused")
        return response(error.status_code, code, str(error.detail), headers=error.headers)

    async def misshapen(_request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        found = [_misfit(each) for each in error.errors()]
        told = "; ".join(f"{each['at']}: {each['message']}" for each in found)
        return response(422, "misshapen", f"the request does not fit: {told}", more={"errors": found})

    async def unexpected(request: Request, error: Exception) -> Response:
        telemetry.emit("server.failed", method=request.method, path=path_of(request), error=error)
        text = f"unexpected {type(error).__name__}; the server's log tells more"
        return response(500, "unexpected", text)

    app.add_exception_handler(errors.InterlockError, known)
    app.add_exception_handler(Refused, refused)
    app.add_exception_handler(HTTPException, plain)
    app.add_exception_handler(RequestValidationError, misshapen)
    app.add_exception_handler(Exception, unexpected)


def path_of(request: Request) -> str:
    """Give the path of a request as logs may have it: that of its route, which names no token."""
    route = request.scope.get("route")
    return getattr(route, "path", "") or "(no route)"


def _misfit(found: Mapping[str, Any]) -> dict[str, Json]:
    """Give one thing that does not fit, without the value itself: it may be a secret."""
    where = [str(part) for part in found.get("loc", ())]
    return {"at": "/".join(where) or "body", "message": str(found.get("msg", "does not fit"))}
