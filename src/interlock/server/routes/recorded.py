"""Runs as the engine recorded them: their commits, what they execute, and those that nobody executes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated

import msgspec
from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from interlock import errors
from interlock.app.graphs import resources
from interlock.app.session import Session
from interlock.model.access import Right
from interlock.server import streams
from interlock.server.access import Sender, listed, refuse_unless
from interlock.server.bodies import answer, tagged
from interlock.server.documented import documented
from interlock.server.routes.asking import NamespaceQuery, NumberQuery, RunPath, Server, run_of
from interlock.server.routes.runs import told_row
from interlock.server.streams import Item
from interlock.store.ports import RunRow
from interlock.wire import recorded as wire

router = APIRouter(prefix="/api/v1", tags=["recorded"])

_MOST_STRANDED = 10_000


@router.get("/stranded", **documented(wire.StrandedRuns))
async def stranded_runs(sender: Sender, server: Server, namespace: NamespaceQuery = None) -> Response:
    """List the runs that nobody has executed for a minute, and what helps."""
    space = listed(sender, namespace)
    refuse_unless(sender, Right.READ, space)
    found = [each for each in await server.session.stranded(_MOST_STRANDED) if space in (None, each.row.namespace)]
    items = [
        wire.StrandedRun(run=told_row(each.row), since=each.since, reason=each.reason, command=each.command)
        for each in found
    ]
    return answer(wire.StrandedRuns(items=items))


@router.get("/runs/{run}/definition", **documented(wire.Source, problems=(404, 409)))
async def run_definition(sender: Sender, server: Server, run: RunPath, namespace: NamespaceQuery = None) -> Response:
    """Give the text that a run executes."""
    session = server.session
    row = await run_of(session, sender, Right.READ, namespace, run)
    found = await session.store.journal.definition(row.definition)
    if found is None:
        raise errors.NotFound(f"the definition of the run {row.id} is not in the store any more")
    return answer(
        wire.Source(
            namespace=found.namespace,
            name=found.name,
            version=found.version,
            digest=found.digest,
            document=found.source,
            resources=resources(found),
        )
    )


@router.get("/runs/{run}/commits", **documented(wire.Commits, also={304: "As you have it."}, problems=(404, 409)))
async def run_commits(
    request: Request,
    sender: Sender,
    server: Server,
    run: RunPath,
    namespace: NamespaceQuery = None,
    after: NumberQuery = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> Response:
    """Give what the engine recorded of a run, commit by commit."""
    session = server.session
    row = await run_of(session, sender, Right.READ, namespace, run)
    commits = await session.store.journal.history(row.run, after, limit)
    items = [
        wire.written(each.seq, await session.rows.events(row.run, [each], session.store.journal)) for each in commits
    ]
    told = wire.Commits(items=items, next=commits[-1].seq if len(commits) == limit else None)
    return tagged(request, told, f"{row.run} {after} {limit} {len(commits)} {commits[-1].seq if commits else ''}")


@router.get("/runs/{run}/commits/stream", **documented(media_type=streams.MEDIA_TYPE, problems=(404, 409)))
async def follow_commits(
    request: Request,
    sender: Sender,
    server: Server,
    run: RunPath,
    namespace: NamespaceQuery = None,
    after: NumberQuery = 0,
    resuming: Annotated[
        int | None,
        Query(ge=0, le=2**62, description="It was suspended at this commit; a request to resume it is on its way."),
    ] = None,
) -> Response:
    """Follow what the engine records of a run as server-sent events `commit`, until it has ended or is suspended (`end`)."""
    session = server.session
    row = await run_of(session, sender, Right.READ, namespace, run)
    begin = streams.resumed(request, after)
    return streams.stream(server, _commits(session, row, begin, resuming), request)


async def _commits(session: Session, row: RunRow, after: int, resuming: int | None) -> AsyncIterator[Item]:
    suspended = row if resuming is None else msgspec.structs.replace(row, seq=resuming)
    async for seq, news in session.follow(suspended, after, resuming=resuming is not None and after <= resuming):
        yield Item("commit", msgspec.to_builtins(wire.written(seq, news)), str(seq))
    now = await session.find(row.namespace, row.id)
    yield Item("end", {"status": now.status})
