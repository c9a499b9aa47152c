"""Definitions over HTTP: publish, validate, read."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Request
from starlette.responses import Response

from interlock import errors
from interlock.flow import check
from interlock.flow.meaning import limits
from interlock.flow.problem import Problem, Severity
from interlock.model.access import Right
from interlock.server.access import Sender, refuse_unless
from interlock.server.bodies import answer, read
from interlock.server.documented import documented
from interlock.server.routes.asking import NamePath, Server
from interlock.wire import definitions as wire

router = APIRouter(prefix="/api/v1/definitions", tags=["definitions"])

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


def _problem(problem: Problem) -> wire.ProblemFound:
    return wire.ProblemFound(
        code=problem.code,
        severity=str(problem.severity),
        message=problem.message,
        path=problem.path,
        line=problem.line,
        column=problem.column,
    )


@router.get("/{namespace}/{name}", **documented(wire.Definition, problems=(404,)))
async def latest_definition(sender: Sender, server: Server, namespace: NamePath, name: NamePath) -> Response:
    """Give the newest version of a published workflow."""
    return await _definition(sender, server, namespace, name, None)


@router.get("/{namespace}/{name}/{version}", **documented(wire.Definition, problems=(404,)))
async def get_definition(
    sender: Sender, server: Server, namespace: NamePath, name: NamePath, version: NamePath
) -> Response:
    """Give a version of a published workflow."""
    return await _definition(sender, server, namespace, name, version)


async def _definition(sender: Sender, server: Server, namespace: str, name: str, version: str | None) -> Response:
    refuse_unless(sender, Right.READ, namespace)
    found = await server.session.store.journal.published(namespace, name, version)
    if found is None:
        shown = f"{namespace}/{name}" + ("" if version is None else f":{version}")
        raise errors.NotFound(f"no workflow {shown} is published")
    return answer(
        wire.Definition(
            namespace=found.namespace,
            name=found.name,
            version=found.version,
            digest=found.digest,
            document=found.source,
        )
    )
