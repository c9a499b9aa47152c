"""From an operation and the parameters that were given to the request: where each goes, and how it is written.

Source: OpenAPI 3.1, "Style Values" and "Encoding Object"; RFC 6570 where it refers to that.
"""

from __future__ import annotations

import secrets
import urllib.parse
from typing import Final

import msgspec
from msgspec import UNSET, UnsetType

from interlock.effects.openapi.operations import FORM, MULTIPART, Body, Mismatch, Operation, Parameter
from interlock.flow import nearest
from interlock.model import json
from interlock.model.json import Json
from interlock.model.task import HttpTarget, OpenApiTarget

_SEPARATORS: Final = {"form": ",", "spaceDelimited": "%20", "pipeDelimited": "|", "tabDelimited": "%09"}


def build(operation: Operation, target: OpenApiTarget) -> HttpTarget:
    """Give the request of a call. Raises Mismatch for parameters that are missing or that the operation does not have."""
    given = {name: value for name, value in target.parameters.items() if value is not None}
    _check_names(operation, given)
    path, query, headers, cookies = operation.path, [], {}, []
    for parameter in operation.parameters:
        if parameter.name not in given:
            if parameter.required:
                raise Mismatch(
                    f"the operation {operation.id!r} needs the {parameter.place} parameter {parameter.name!r}"
                )
            continue
        value = given[parameter.name]
        match parameter.place:
            case "path":
                path = path.replace(f"{{{parameter.name}}}", _in_path(parameter, value))
            case "query":
                query += _in_query(parameter, value)
            case "header":
                headers[parameter.name] = _joined(value, ",", quoted=False, explode=parameter.explode)
            case _:
                cookies += _in_query(parameter, value)
    if "{" in path:
        raise Mismatch(f"the path {path!r} of {operation.id!r} has a part that no parameter describes")
    if cookies:
        headers["Cookie"] = "; ".join(cookies)
    body, media_type = _body(operation, given)
    if media_type:
        headers["Content-Type"] = media_type
    return HttpTarget(
        method=operation.method,
        uri=operation.server + "/" + path.lstrip("/") + ("?" + "&".join(query) if query else ""),
        headers=headers,
        body=body,
        output_format=target.output_format,
        redirect=target.redirect,
        credentials=target.credentials,
    )


def _check_names(operation: Operation, given: dict[str, Json]) -> None:
    known = [parameter.name for parameter in operation.parameters]
    if operation.body is not None:
        known += [*operation.body.names, *operation.body.fields]
    for name in given:
        if name not in known:
            near = nearest.name(name, known)
            has = f"did you mean {near!r}?" if near else f"it has {', '.join(known) or 'none'}"
            raise Mismatch(f"the operation {operation.id!r} has no parameter {name!r}; {has}")


# -- parameters ------------------------------------------------------------------------------------------------------


def _in_path(parameter: Parameter, value: Json) -> str:
    if parameter.as_json:
        return _quoted(json.encode(value).decode())
    name = _quoted(parameter.name)
    match parameter.style:
        case "label":
            return "." + _joined(value, "." if parameter.explode else ",", explode=parameter.explode)
        case "matrix" if parameter.explode and isinstance(value, list):
            return "".join(f";{name}={_quoted(_text(item))}" for item in value)
        case "matrix" if parameter.explode and isinstance(value, dict):
            return ";" + _joined(value, ";", explode=True)
        case "matrix":
            return f";{name}={_joined(value, ',')}"
        case _:
            return _joined(value, ",", explode=parameter.explode)


def _in_query(parameter: Parameter, value: Json) -> list[str]:
    """Give the pairs that a parameter becomes: none for an empty array, several for an exploded one."""
    name = _quoted(parameter.name)
    if parameter.as_json:
        return [f"{name}={_quoted(json.encode(value).decode())}"]
    if parameter.style == "deepObject" and isinstance(value, dict):
        return [f"{name}%5B{_quoted(key)}%5D={_quoted(_text(item))}" for key, item in value.items()]
    if parameter.explode and isinstance(value, list):
        return [f"{name}={_quoted(_text(item))}" for item in value]
    if parameter.explode and isinstance(value, dict):
        return [f"{_quoted(key)}={_quoted(_text(item))}" for key, item in value.items()]
    return [f"{name}={_joined(value, _SEPARATORS.get(parameter.style, ','))}"]


def _joined(value: Json, separator: str, *, quoted: bool = True, explode: bool = False) -> str:
    """Give an array as its items, an object as its names and values, all else as itself."""

    def write(item: Json) -> str:
        return _quoted(_text(item)) if quoted else _text(item)

    if isinstance(value, list):
        return separator.join(write(item) for item in value)
    if isinstance(value, dict):
        between = "=" if explode else separator
        return separator.join(f"{write(key)}{between}{write(item)}" for key, item in value.items())
    return write(value)


def _quoted(text: str) -> str:
    return urllib.parse.quote(text, safe="")


def _text(value: Json) -> str:
    return value if isinstance(value, str) else json.encode(value).decode()


# -- the body --------------------------------------------------------------------------------------------------------


def _body(operation: Operation, given: dict[str, Json]) -> tuple[str | UnsetType, str]:
    """Give the text of the body and its content type; none where nothing was given for it."""
    body = operation.body
    if body is None:
        return UNSET, ""
    value = _given(body, given, {parameter.name for parameter in operation.parameters})
    if isinstance(value, UnsetType):
        if body.required:
            names = ", ".join((*body.names, *body.fields))
            raise Mismatch(f"the operation {operation.id!r} needs a body: {names}")
        return UNSET, ""
    missing = [name for name in body.required_fields if name not in value]
    if missing:
        raise Mismatch(f"the operation {operation.id!r} needs the parameter {missing[0]!r}")
    return _written(body.media_type, value)


def _given(body: Body, given: dict[str, Json], taken: set[str]) -> Json | UnsetType:
    whole = next((name for name in body.names if name in given and name not in taken), None)
    parts = {name: given[name] for name in body.fields if name in given and name not in taken and name != whole}
    if whole is not None and parts:
        raise Mismatch(f"the body is given twice: as {whole!r} and by its property {next(iter(parts))!r}")
    if whole is not None:
        return given[whole]
    return parts if parts or body.required_fields else UNSET


def _written(media_type: str, value: Json) -> tuple[str, str]:
    kind = media_type.partition(";")[0].strip()
    if kind == FORM and isinstance(value, dict):
        fields = {
            name: [_text(part) for part in item] if isinstance(item, list) else _text(item)
            for name, item in value.items()
        }
        return urllib.parse.urlencode(fields, doseq=True), media_type
    if kind == MULTIPART and isinstance(value, dict):
        return _multipart(value)
    if isinstance(value, str) and not (kind == "application/json" or kind.endswith("+json")):
        return value, media_type
    return msgspec.json.encode(value).decode(), media_type


def _multipart(value: dict[str, Json]) -> tuple[str, str]:
    boundary = secrets.token_hex(16)
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{urllib.parse.quote(name)}"\r\n\r\n{_text(item)}\r\n'
        for name, item in value.items()
    ]
    return "".join(parts) + f"--{boundary}--\r\n", f"{MULTIPART}; boundary={boundary}"
