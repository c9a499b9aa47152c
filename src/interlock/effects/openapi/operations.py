"""Operations of a document, whichever version it is written for, in one form."""

from __future__ import annotations

import re
import urllib.parse
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from interlock.effects.openapi.documents import Document
from interlock.flow import nearest
from interlock.model.json import Json

_METHODS: Final = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
_DEEPEST: Final = 32  # references that lead to references, and schemas within schemas
_JSON: Final = "application/json"
FORM: Final = "application/x-www-form-urlencoded"
MULTIPART: Final = "multipart/form-data"


class Mismatch(Exception):
    """What is called does not fit the document; the message says what is there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """`place`: path, query, header or cookie. `style` and `explode` as in OpenAPI 3; those of 2.0 are translated.

    `as_json`: its value is written as JSON (`content` of OpenAPI 3).
    """

    name: str
    place: str
    required: bool
    style: str
    explode: bool
    as_json: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """`names`: under what the whole may be given. `fields`: parts of it that may be given by their own names."""

    media_type: str
    required: bool
    names: tuple[str, ...]
    fields: tuple[str, ...]
    required_fields: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    id: str
    method: str
    server: str
    path: str
    parameters: tuple[Parameter, ...]
    body: Body | None


def find(document: Document, id: str) -> Operation:
    """Give the operation of this id. Raises Mismatch, which names the nearest one."""
    found = {each[3].get("operationId"): each for each in _operations(document)}
    if id not in found:
        known = [name for name in found if isinstance(name, str)]
        near = nearest.name(id, known)
        advice = f"did you mean {near!r}?" if near else f"it has {', '.join(known[:8]) or 'none'}"
        raise Mismatch(f"there is no operation {id!r}; {advice}")
    path, method, item, content = found[id]
    reader = _Swagger2 if "swagger" in document.content else _OpenApi3
    return reader(document, item, content).operation(id, method, path)


def _operations(document: Document) -> Iterator[tuple[str, str, dict[str, Json], dict[str, Json]]]:
    """Give path, method, path item and content of each operation."""
    for path, item in _map(document.content.get("paths")).items():
        resolved = resolve(document, item)
        for method in _METHODS:
            if isinstance(resolved.get(method), dict):
                yield path, method.upper(), resolved, resolved[method]


def resolve(document: Document, node: Json) -> dict[str, Json]:
    """Give what a node stands for: itself, or what its `$ref` within the document leads to. Raises Mismatch."""
    for _ in range(_DEEPEST):
        if not isinstance(node, dict) or not isinstance(node.get("$ref"), str):
            return _map(node)
        reference = node["$ref"]
        if not reference.startswith("#/"):
            raise Mismatch(f"the reference {reference!r} leads out of the document, which is not followed")
        node = document.content
        for part in reference[2:].split("/"):
            key = urllib.parse.unquote(part).replace("~1", "/").replace("~0", "~")
            if not isinstance(node, dict) or key not in node:
                raise Mismatch(f"the reference {reference!r} leads nowhere")
            node = node[key]
    raise Mismatch("its references lead in a circle")


class _Reader(ABC):
    """What both families of versions share."""

    def __init__(self, document: Document, item: dict[str, Json], content: dict[str, Json]) -> None:
        self._document = document
        self._item = item
        self._content = content

    def operation(self, id: str, method: str, path: str) -> Operation:
        declared = self._declared()
        return Operation(
            id=id,
            method=method,
            server=self._server().rstrip("/"),
            path=path,
            parameters=tuple(
                self._parameter(each) for each in declared if each["in"] in ("path", "query", "header", "cookie")
            ),
            body=self._body(declared),
        )

    def _declared(self) -> list[dict[str, Json]]:
        """Give the parameters of the path and the operation; the operation's replace those of the path."""
        found: dict[tuple[Json, Json], dict[str, Json]] = {}
        for node in [*_list(self._item.get("parameters")), *_list(self._content.get("parameters"))]:
            parameter = resolve(self._document, node)
            if not isinstance(parameter.get("name"), str) or not isinstance(parameter.get("in"), str):
                raise Mismatch("it has a parameter without `name` and `in`")
            found[parameter["name"], parameter["in"]] = parameter
        return list(found.values())

    @abstractmethod
    def _server(self) -> str: ...

    @abstractmethod
    def _parameter(self, content: dict[str, Json]) -> Parameter: ...

    @abstractmethod
    def _body(self, declared: list[dict[str, Json]]) -> Body | None: ...


class _Swagger2(_Reader):
    _STYLES: Final = {
        "csv": ("form", False), "ssv": ("spaceDelimited", False), "tsv": ("tabDelimited", False),
        "pipes": ("pipeDelimited", False), "multi": ("form", True),
    }  # fmt: skip

    def _server(self) -> str:
        """Give scheme, host and base path; those that are not said are those of the document itself."""
        whole = self._document.content
        here = urllib.parse.urlsplit(self._document.uri)
        schemes = _list(self._content.get("schemes")) or _list(whole.get("schemes")) or [here.scheme]
        scheme = "https" if "https" in schemes else str(schemes[0])
        return f"{scheme}://{whole.get('host') or here.netloc}{whole.get('basePath') or ''}"

    def _parameter(self, content: dict[str, Json]) -> Parameter:
        place = content["in"]
        style, explode = self._STYLES.get(content.get("collectionFormat", "csv"), ("form", False))
        return Parameter(
            name=content["name"],
            place=place,
            required=bool(content.get("required")) or place == "path",
            style="simple" if place in ("path", "header") else style,
            explode=explode,
        )

    def _body(self, declared: list[dict[str, Json]]) -> Body | None:
        consumes = _list(self._content.get("consumes")) or _list(self._document.content.get("consumes"))
        for each in declared:
            if each["in"] == "body":
                fields = _properties(self._document, each.get("schema"))
                return Body(
                    media_type=_media_type([kind for kind in consumes if isinstance(kind, str)] or [_JSON]),
                    required=bool(each.get("required")),
                    names=tuple(dict.fromkeys((each["name"], "body"))),
                    fields=fields,
                )
        form = [each for each in declared if each["in"] == "formData"]
        if not form:
            return None
        return Body(
            media_type=MULTIPART if MULTIPART in consumes and FORM not in consumes else FORM,
            required=False,
            names=(),
            fields=tuple(each["name"] for each in form),
            required_fields=tuple(each["name"] for each in form if each.get("required")),
        )


class _OpenApi3(_Reader):
    def _server(self) -> str:
        places = (self._content, self._item, self._document.content)
        servers = next((found for place in places if (found := _list(place.get("servers")))), [{"url": "/"}])
        server = _map(servers[0])
        variables = _map(server.get("variables"))

        def default(match: re.Match[str]) -> str:
            value = _map(variables.get(match.group(1))).get("default")
            if value is None:
                raise Mismatch(f"the server {server.get('url')!r} has no default for {match.group()}")
            return str(value)

        return urllib.parse.urljoin(self._document.uri, re.sub(r"\{([^}]*)\}", default, str(server.get("url", "/"))))

    def _parameter(self, content: dict[str, Json]) -> Parameter:
        place = content["in"]
        style = content.get("style") or ("simple" if place in ("path", "header") else "form")
        return Parameter(
            name=content["name"],
            place=place,
            required=bool(content.get("required")) or place == "path",
            style=style,
            explode=bool(content.get("explode", style == "form")),
            as_json="content" in content,
        )

    def _body(self, declared: list[dict[str, Json]]) -> Body | None:
        if "requestBody" not in self._content:
            return None
        content = resolve(self._document, self._content["requestBody"])
        kinds = _map(content.get("content"))
        if not kinds:
            return None
        media_type = _media_type(list(kinds))
        return Body(
            media_type=media_type,
            required=bool(content.get("required")),
            names=("body",),
            fields=_properties(self._document, _map(kinds[media_type]).get("schema")),
        )


def _media_type(kinds: list[str]) -> str:
    """Choose how a body is written: JSON where it may be, then a form, else what stands first."""
    is_json = [kind for kind in kinds if kind.partition(";")[0].strip() == _JSON or kind.endswith("+json")]
    return next((kind for kind in [*is_json, FORM, MULTIPART] if kind in kinds), kinds[0])


def _properties(document: Document, schema: Json, depth: int = 0) -> tuple[str, ...]:
    """Give the names of the properties that a schema describes, those of its parts (`allOf`) included."""
    if depth > _DEEPEST:
        raise Mismatch("its schemas lead in a circle")
    resolved = resolve(document, schema)
    names = list(_map(resolved.get("properties")))
    for part in _list(resolved.get("allOf")):
        names += _properties(document, part, depth + 1)
    return tuple(dict.fromkeys(names))


def _map(value: Json) -> dict[str, Json]:
    return value if isinstance(value, dict) else {}


def _list(value: Json) -> list[Json]:
    return value if isinstance(value, list) else []
