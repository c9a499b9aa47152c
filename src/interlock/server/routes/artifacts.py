"""Artifacts over HTTP: an attempt keeps a file by its token, and whoever may read its run, or its graph, finds it there."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Annotated, Any, Final

from fastapi import APIRouter, Header, Path, Query, Request
from starlette.requests import ClientDisconnect
from starlette.responses import Response, StreamingResponse

from interlock.app.artifacts import told
from interlock.handshake.artifacts import BINARY, NAME
from interlock.model.access import Right
from interlock.server.access import Sender
from interlock.server.bodies import answer, is_known
from interlock.server.documented import documented
from interlock.server.gateway import Gateway
from interlock.server.problems import Refused
from interlock.server.routes.asking import NamespaceQuery, RunPath, Server, run_of
from interlock.server.routes.graphs import GraphPath, TaskPath, task_of
from interlock.server.routes.tokens import TokenPath, holder, tokens_of
from interlock.store.ports import ArtifactRow
from interlock.wire import artifacts as wire

holders = APIRouter(tags=["artifacts"])
"""What who holds a token may ask."""
router = APIRouter(tags=["artifacts"])

_OF_RUN: Final = "/api/v1/runs/{run}/artifacts"
_OF_TASK: Final = "/api/v1/graphs/{graph}/tasks/{task}/artifacts"
_FORM: Final = "application/x-www-form-urlencoded"  # what curl calls anything, unless it is told
_DIGEST: Final = re.compile(r"[0-9a-fA-F]{64}")
_BODY: Final[dict[str, Any]] = {"schema": {"type": "string", "format": "binary"}, "example": "<html>…</html>"}

ArtifactPath = Annotated[
    str, Path(max_length=200, pattern=f"^{NAME}$", description="Letters, digits and ._+@=- (these not first).")
]
DigestHeader = Annotated[
    str | None,
    Header(
        alias="X-Content-SHA256",
        pattern=f"^{_DIGEST.pattern}$",
        description="The SHA-256 of the file, hexadecimal; what comes with another one is refused.",
    ),
]
StepQuery = Annotated[str | None, Query(min_length=1, max_length=1000, description="The step's path, or its name.")]
AfterQuery = Annotated[str | None, Query(max_length=2000, description="`next` of the page before.")]
AttemptQuery = Annotated[int | None, Query(ge=1, le=2**31 - 1, description="Which attempt of the step.")]


def _kept() -> dict[str, Any]:
    operation = documented(wire.ArtifactTold, problems=(404, 409, 410))
    operation["openapi_extra"] = {"requestBody": {"required": True, "content": {BINARY: _BODY}}}
    return operation


def _file() -> dict[str, Any]:
    return documented(media_type=BINARY, also={304: "The file is the one that the caller has."}, problems=(404, 409))


@holders.put("/api/v1/tokens/{token}/artifacts/{name}", **_kept())
async def keep_artifact(
    request: Request, server: Server, token: TokenPath, name: ArtifactPath, digest: DigestHeader = None
) -> Response:
    """Keep a file of an attempt under a name, instead of an older one. The same file again changes nothing."""
    await holder(request)
    kept = await server.session.artifacts.keep(
        tokens_of(server),
        token,
        name,
        _media_type(request),
        _chunks(request),
        server.clock.now(),
        digest=None if digest is None else digest.lower(),
    )
    return answer(told(kept))


@router.get(_OF_RUN, **documented(wire.ArtifactPage, problems=(404, 409)))
async def list_artifacts(
    sender: Sender,
    server: Server,
    run: RunPath,
    namespace: NamespaceQuery = None,
    after: AfterQuery = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> Response:
    """List the files that the attempts of a run kept."""
    row = await run_of(server.session, sender, Right.READ, namespace, run)
    rows, following = await server.session.artifacts.page(row.run, after, limit)
    return answer(wire.ArtifactPage(items=[told(each) for each in rows], next=following))


@router.get(_OF_RUN + "/{name}", **_file())
async def get_artifact(
    request: Request,
    sender: Sender,
    server: Server,
    run: RunPath,
    name: ArtifactPath,
    namespace: NamespaceQuery = None,
    step: StepQuery = None,
    attempt: AttemptQuery = None,
) -> Response:
    """Give a file that an attempt of a run kept; of several with the name the newest one."""
    row = await run_of(server.session, sender, Right.READ, namespace, run)
    return await _sent(request, server, await server.session.artifacts.find(row.run, name, step=step, attempt=attempt))


@router.get(_OF_TASK, **documented(wire.ArtifactPage, problems=(404,)))
async def list_task_artifacts(
    sender: Sender,
    server: Server,
    graph: GraphPath,
    task: TaskPath,
    namespace: NamespaceQuery = None,
    after: AfterQuery = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> Response:
    """List the files that the attempts of a task of a graph kept."""
    row = await task_of(server, sender, Right.READ, namespace, graph, task)
    rows, following = await server.session.artifacts.page(row.graph, after, limit, task=row.task)
    return answer(wire.ArtifactPage(items=[told(each) for each in rows], next=following))


@router.get(_OF_TASK + "/{name}", **_file())
async def get_task_artifact(
    request: Request,
    sender: Sender,
    server: Server,
    graph: GraphPath,
    task: TaskPath,
    name: ArtifactPath,
    namespace: NamespaceQuery = None,
    attempt: AttemptQuery = None,
) -> Response:
    """Give a file that an attempt of a task of a graph kept; of several with the name the newest one."""
    row = await task_of(server, sender, Right.READ, namespace, graph, task)
    found = await server.session.artifacts.find(row.graph, name, attempt=attempt, task=row.task)
    return await _sent(request, server, found)


async def _sent(request: Request, server: Gateway, found: ArtifactRow) -> Response:
    headers = _headers(found)
    if is_known(request, headers["ETag"]):
        return Response(status_code=304, headers=headers)
    pieces = server.session.artifacts.read(found)
    first = await anext(pieces, b"")  # a file that is gone is told by the status
    return StreamingResponse(
        _all(first, pieces), headers=headers | {"Content-Length": str(found.size)}, media_type=BINARY
    )


def _headers(row: ArtifactRow) -> dict[str, str]:
    """Give the headers of a file that somebody else wrote: a browser saves it, and shows it as no page of this server."""
    return {
        "ETag": f'"{row.digest}"',
        "Cache-Control": "private, no-cache",
        "Content-Disposition": f'attachment; filename="{row.name}"',
        "Content-Security-Policy": "sandbox; default-src 'none'",
        "X-Artifact-Type": row.media_type,
    }


async def _all(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for piece in rest:
        yield piece


async def _chunks(request: Request) -> AsyncIterator[bytes]:
    """Give a body as it comes. Raises Refused for one that ends in the middle."""
    try:
        async for chunk in request.stream():
            yield chunk
    except ClientDisconnect:
        raise Refused(400, "incomplete", "the file ended before it was whole; nothing was kept") from None


def _media_type(request: Request) -> str:
    given = request.headers.get("content-type", "").strip()
    return "" if given.partition(";")[0].lower() in (_FORM, "") else given
