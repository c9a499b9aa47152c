"""Definitions over HTTP: publish, validate, read."""

from __future__ import annotations

import asyncio
from typing import Annotated, Final

import msgspec
from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from interlock import errors
from interlock.flow import check
from interlock.flow.meaning import limits
from interlock.flow.problem import Problem, Severity
from interlock.model.access import Right
from interlock.server.access import Sender, listed, refuse_unless
from interlock.server.bodies import answer, read, tagged
from interlock.server.documented import documented
from interlock.server.routes.asking import NAME, NamePath, NamespaceQuery, Server
from interlock.wire import definitions as wire

router = APIRouter(prefix="/api/v1/definitions", tags=["definitions"])

_KNOWN: Final = {304: "The text is the one that the caller has."}
_DOCUMENT = "document: {dsl: 1.0.3, namespace: shop, name: order, version: 1.2.0}\ndo: [{hold: {wait: {seconds: 1}}}]\n"


@router.post(
    "",
    **documented(wire.Published, takes=wire.Document, example={"document": _DOCUMENT}, status=201, problems=(409, 415)),
)
async def publish_definition(request: Request, sender: Sender, server: Server) -> Response:
    """Fix a workflow's name and version to its text, for good. The same text again is as good."""
    asked = await read(request, wire.Document)
    loaded = await asyncio.to_thread(
        check.load, asked.document, None, allowed=limits.configured(server.settings.limits)
    )
    loaded.raise_for_problems()
    refuse_unless(sender, Right.PUBLISH, loaded.required().document.namespace)
    stored = await server.session.publish(asked.document, None)
    told = wire.Published(namespace=stored.namespace, name=stored.name, version=stored.version, digest=stored.digest)
    return answer(told, 201)


@router.post("/validate", **documented(wire.Verdict, takes=wire.Document, problems=(415,)))
async def validate_definition(request: Request, sender: Sender, server: Server) -> Response:
    """Say everything that is wrong with a workflow. Nothing is stored."""
    refuse_unless(sender, Right.READ, None if sender.namespaces is None else sender.namespaces[0])
    asked = await read(request, wire.Document)
    loaded = await asyncio.to_thread(
        check.load, asked.document, None, allowed=limits.configured(server.settings.limits)
    )
    problems = [_problem(each) for each in loaded.problems]
    return answer(wire.Verdict(valid=all(each.severity != Severity.ERROR for each in problems), problems=problems))


@router.get("", **documented(wire.Definitions))
async def list_definitions(
    sender: Sender,
    server: Server,
    namespace: NamespaceQuery = None,
    name: Annotated[
        str | None, Query(min_length=1, max_length=100, pattern=NAME, description="Only of this name.")
    ] = None,
    version: Annotated[
        str | None, Query(min_length=1, max_length=100, pattern=NAME, description="Only these versions.")
    ] = None,
    after: Annotated[str | None, Query(max_length=400, description="`next` of the page before.")] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> Response:
    """List what is published."""
    space = listed(sender, namespace)
    refuse_unless(sender, Right.READ, space)
    rows = await server.session.store.views.definitions(space, name, version, _place(after), limit)
    items = [msgspec.convert(msgspec.structs.asdict(row), wire.PublishedTold) for row in rows]
    following = f"{rows[-1].namespace}/{rows[-1].name}:{rows[-1].version}" if len(rows) == limit else None
    return answer(wire.Definitions(items=items, next=following))


def _place(after: str | None) -> tuple[str, str, str] | None:
    """Give what a page comes after. Raises Invalid."""
    if after is None:
        return None
    namespace, _, rest = after.partition("/")
    name, _, version = rest.partition(":")
    if not (namespace and name and version) or "\0" in after:
        raise errors.Invalid(f"{after[:100]!r} is no `next` of a page of definitions: write NAMESPACE/NAME:VERSION")
    return namespace, name, version


def _problem(problem: Problem) -> wire.ProblemFound:
    return wire.ProblemFound(
        code=problem.code,
        severity=str(problem.severity),
        message=problem.message,
        path=problem.path,
        line=problem.line,
        column=problem.column,
    )


@router.get("/{namespace}/{name}", **documented(wire.Definition, also=_KNOWN, problems=(404,)))
async def latest_definition(
    request: Request, sender: Sender, server: Server, namespace: NamePath, name: NamePath
) -> Response:
    """Give the newest version of a published workflow, with an ETag."""
    return await _definition(request, sender, server, namespace, name, None)


@router.get("/{namespace}/{name}/{version}", **documented(wire.Definition, also=_KNOWN, problems=(404,)))
async def get_definition(
    request: Request, sender: Sender, server: Server, namespace: NamePath, name: NamePath, version: NamePath
) -> Response:
    """Give a version of a published workflow, with an ETag: it never changes."""
    return await _definition(request, sender, server, namespace, name, version)


async def _definition(
    request: Request, sender: Sender, server: Server, namespace: str, name: str, version: str | None
) -> Response:
    refuse_unless(sender, Right.READ, namespace)
    found = await server.session.store.journal.published(namespace, name, version)
    if found is None:
        shown = f"{namespace}/{name}" + ("" if version is None else f":{version}")
        raise errors.NotFound(f"no workflow {shown} is published")
    told = wire.Definition(
        namespace=found.namespace,
        name=found.name,
        version=found.version,
        digest=found.digest,
        document=found.source,
    )
    return tagged(request, told, f"{namespace}/{name}:{found.version} {found.digest}")
