"""What a definition needs from elsewhere: functions by URI or from catalogs, schemas and scripts by their source.

They are fetched once, when a run is started or a definition published, and kept with the definition, so that every node
and every resumption sees the same. Nothing here fetches: a tree goes in, what it needs comes out, each known by its URI.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import msgspec

from interlock.flow import document as doc
from interlock.flow import yaml
from interlock.flow.meaning import references

_GITHUB: Final = re.compile(r"https://github\.com/([^/]+)/([^/]+?)(?:\.git)?(?:/(?:tree|blob)/(.+?))?/?\Z")
_BRANCH: Final = "main"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A text to fetch. `thing`: what it is, for messages. `is_function`: it is a task, which may want more."""

    uri: str
    thing: str
    is_function: bool = False
    authentication: doc.Authentication | doc.AuthenticationReference | None = None


def wanted(node: object, use: doc.Use) -> list[Wanted]:
    """Give what a workflow, or a task, needs from elsewhere, each once. `use`: that of the workflow."""
    return list({each.uri: each for each in _wanted(node, use)}.values())


def function(name: str, use: doc.Use) -> doc.Endpoint | None:
    """Give where the function of a `call` is fetched from; None for one that is not fetched."""
    if references.is_uri(name):
        return doc.Endpoint(uri=raw(name))
    catalog = references.catalog_of(name)
    if catalog is None or catalog == references.DEFAULT_CATALOG or name in use.functions:
        return None
    short, _, rest = name.partition(":")
    endpoint = use.catalogs[catalog].endpoint
    place = raw(endpoint.uri).rstrip("/")
    uri = f"{place}/functions/{short}/{rest.partition('@')[0]}/function.yaml"
    return doc.Endpoint(uri=uri, authentication=endpoint.authentication)


def raw(uri: str) -> str:
    """Give the URI of a text itself where the URI is that of its page at GitHub."""
    match = _GITHUB.match(uri)
    if match is None:
        return uri
    owner, repository, place = match.groups()
    return f"https://raw.githubusercontent.com/{owner}/{repository}/{place or _BRANCH}"


def read(text: str) -> object:
    """Give the value of a fetched document in YAML or JSON. Raises ValueError, with line and column."""
    source = yaml.read(text)
    if source.flaws:
        flaw = source.flaws[0]
        raise ValueError(f"line {flaw.line}, column {flaw.column}: {flaw.message}")
    return source.value


def _wanted(node: object, use: doc.Use) -> Iterator[Wanted]:
    match node:
        case doc.Schema(resource=doc.ExternalResource(endpoint=endpoint)):
            yield Wanted(uri=raw(endpoint.uri), thing="a schema", authentication=endpoint.authentication)
        case doc.RunScript(source=doc.ExternalResource(endpoint=endpoint)):
            yield Wanted(uri=raw(endpoint.uri), thing="a script", authentication=endpoint.authentication)
        case doc.CallFunction(function=name) if (place := function(name, use)) is not None:
            thing = f"the function {name!r}"
            yield Wanted(uri=place.uri, thing=thing, is_function=True, authentication=place.authentication)
    for child in _children(node):
        yield from _wanted(child, use)


def _children(node: object) -> Iterator[object]:
    if isinstance(node, msgspec.Struct):
        for name in node.__struct_fields__:
            yield getattr(node, name)
    elif isinstance(node, tuple):
        yield from node
    elif isinstance(node, dict):
        yield from (item for item in node.values() if isinstance(item, msgspec.Struct))
