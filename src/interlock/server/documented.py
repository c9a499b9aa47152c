"""The OpenAPI document: the shapes of `wire`, and what each route takes and gives.

The framework knows the paths and their parameters. Bodies are read and written by msgspec, which is stricter and several
times faster than what the framework would do, so that their shapes are told to it here.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any, Final

import msgspec
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from interlock.model.json import Json
from interlock.server.problems import MEDIA_TYPE
from interlock.version import VERSION
from interlock.wire import artifacts, coordination, definitions, events, graphs, recorded, runs, service, tokens

JSON: Final = "application/json"
_MODULES: Final[Sequence[ModuleType]] = (
    runs,
    artifacts,
    recorded,
    definitions,
    tokens,
    events,
    coordination,
    graphs,
    service,
)
_REFERENCE: Final = "#/components/schemas/{name}"
_PROBLEM: Final[dict[str, Json]] = {
    "type": "object",
    "description": "What is wrong, as RFC 9457 has it.",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string", "description": "/problems/CODE, the same for the same kind of problem."},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
    },
}
_SAID: Final = {
    400: "The request is wrong; nothing was done.",
    401: "Who sends it is not known.",
    403: "Who sends it has no right to this.",
    404: "There is no such thing.",
    409: "The present state forbids it.",
    410: "It is over.",
    412: "What was to be there, by If-Match or If-None-Match, is not.",
    413: "The body is too large.",
    415: "The body is of another type.",
    421: "The server has another name.",
    422: "The request does not have the shape that is asked for.",
    429: "Too many requests; Retry-After says when to come again.",
    503: "The store is not there at this moment; Retry-After says when to come again.",
    507: "The store is full.",
}
_ALWAYS: Final = (400, 401, 403, 413, 421, 422, 429, 503, 507)


def documented(
    gives: type[msgspec.Struct] | None = None,
    *,
    takes: type[msgspec.Struct] | None = None,
    example: Json = None,
    status: int = 200,
    also: Mapping[int, str] | None = None,
    problems: Sequence[int] = (),
    media_type: str = JSON,
    optional: bool = False,
) -> dict[str, Any]:
    """Give what a route decorator is told of bodies and answers.

    `takes`: the shape of the body; `optional`: it may be left out. `also`: other good answers of the same shape, to what
    they mean. `problems`: that this route has besides those of every route.
    """
    content = {} if gives is None else {media_type: {"schema": _of(gives)}}
    if gives is None and media_type != JSON:
        content = {media_type: {"schema": {"type": "string"}}}
    responses: dict[int | str, dict[str, Any]] = {status: {"description": "Done.", "content": content}}
    for code, said in (also or {}).items():
        responses[code] = {"description": said} | ({"content": content} if code not in (204, 304) else {})
    for code in sorted({*_ALWAYS, *problems}):
        responses[code] = {
            "description": _SAID[code],
            "content": {MEDIA_TYPE: {"schema": {"$ref": _REFERENCE.format(name="Problem")}}},
        }
    told: dict[str, Any] = {"status_code": status, "responses": responses, "response_model": None}
    if takes is not None:
        body: dict[str, Any] = {"schema": _of(takes)} | ({} if example is None else {"example": example})
        told["openapi_extra"] = {"requestBody": {"required": not optional, "content": {JSON: body}}}
    return told


def _of(shape: type[msgspec.Struct]) -> dict[str, Any]:
    return {"$ref": _REFERENCE.format(name=shape.__name__)}


def shapes() -> list[type[msgspec.Struct]]:
    """Give every shape of the API."""
    found: dict[str, type[msgspec.Struct]] = {}
    for module in _MODULES:
        for name, shape in inspect.getmembers(module, inspect.isclass):
            if issubclass(shape, msgspec.Struct) and shape is not msgspec.Struct:
                assert found.setdefault(name, shape) is shape, f"two shapes are called {name}"
    return list(found.values())


def install(app: FastAPI) -> None:
    """Let an application tell its whole OpenAPI document."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # how the framework wants it to be replaced


def _document(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(
        title="Interlock",
        version=VERSION,
        summary="Runs work that must not be lost.",
        description="Times are UTC seconds since 1970. Errors are problem+json (RFC 9457). An API key is sent as "
        "`Authorization: Bearer KEY`; a completion token is right enough for its own paths.",
        routes=app.routes,
    )
    _, schemas = msgspec.json.schema_components(shapes(), ref_template=_REFERENCE)
    components = document.setdefault("components", {})
    # The framework adds shapes of errors that it never sends here.
    components["schemas"] = {"Problem": _PROBLEM} | schemas
    components["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer", "description": "An API key."}}
    document["security"] = [{"key": []}, {}]
    return document
