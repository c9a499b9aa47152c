"""Where external resources are: at places that can be fetched once, before the run begins."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from interlock.flow import pointer
from interlock.flow.findings import Findings, Role
from interlock.flow.grammar.shapes import quoted
from interlock.flow.meaning import references
from interlock.model.json import Json

_SCHEME: Final = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]*):")
_FETCHED: Final = ("http", "https", "file")


def check(value: Json, findings: Findings) -> None:
    """Note endpoints of resources that are computed, relative or of a scheme that is not fetched."""
    for path, uri in _endpoints(value, findings):
        reason = _flaw(uri)
        if reason is not None:
            findings.add("invalid-resource", f"{quoted(uri)} {reason}", path, found=uri)


def _flaw(uri: str) -> str | None:
    if "${" in uri or "{" in uri:
        return "is computed; a resource is fetched before the run begins, so its URI must be literal"
    scheme = _SCHEME.match(uri)
    if scheme is None:
        return f"is relative, and there is nothing to add it to; write the whole URI, or file:{uri.removeprefix('/')}"
    if scheme.group(1).lower() not in _FETCHED:
        return f"cannot be fetched; the schemes are {', '.join(_FETCHED)}"
    return None


def _endpoints(value: Json, findings: Findings) -> Iterator[tuple[str, str]]:
    for path, schema in findings.places[Role.SCHEMA]:
        yield from _endpoint(f"{path}/resource", schema.get("resource"))
    for path, task in findings.places[Role.TASK]:
        run = task.get("run")
        script = run.get("script") if isinstance(run, dict) else None
        yield from _endpoint(f"{path}/run/script/source", script.get("source") if isinstance(script, dict) else None)
    for path, function in references.function_calls(findings):
        if references.is_uri(function):
            yield path, function
    use = value.get("use") if isinstance(value, dict) else None
    catalogs = use.get("catalogs") if isinstance(use, dict) else None
    for name, catalog in (catalogs if isinstance(catalogs, dict) else {}).items():
        yield from _endpoint(pointer.child("/use/catalogs", name), catalog)


def _endpoint(path: str, resource: Json) -> Iterator[tuple[str, str]]:
    """Give the URI in a map with `endpoint`, which is a text or a map with `uri`."""
    endpoint = resource.get("endpoint") if isinstance(resource, dict) else None
    if isinstance(endpoint, str):
        yield f"{path}/endpoint", endpoint
    elif isinstance(endpoint, dict) and isinstance(endpoint.get("uri"), str):
        yield f"{path}/endpoint/uri", endpoint["uri"]
