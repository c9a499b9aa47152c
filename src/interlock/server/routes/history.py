"""What happened in a run, and what its steps printed: in pages, and as streams that go on where they broke."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable
from typing import Annotated, Final

import msgspec
from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from interlock.app import steps_explained, tasks_told, telling
from interlock.app.session import Session
from interlock.model.access import Right
from interlock.model.event import Event
from interlock.model.lifecycle import lifecycle
from interlock.model.states import ENDED_RUN
from interlock.server import streams
from interlock.server.access import Sender
from interlock.server.bodies import answer, tagged
from interlock.server.documented import documented
from interlock.server.gateway import Gateway
from interlock.server.routes.asking import NamespaceQuery, NumberQuery, RunPath, Server, run_of
from interlock.server.streams import Item
from interlock.store.ports import LogLine, RunRow, TaskRow
from interlock.wire import graphs as wire_of_graphs
from interlock.wire import runs as wire

router = APIRouter(prefix="/api/v1/runs/{run}", tags=["history"])

_PAGE: Final = 1_000
_FOLLOW_SECONDS: Final = 1.0
StepQuery = Annotated[
    str | None, Query(max_length=1000, description="Only this step: its path, or a name that only one has.")
]
LimitQuery = Annotated[int, Query(ge=1, le=_PAGE)]


@router.get("/history", **documented(wire.History, also={304: "As you have it."}, problems=(404, 409)))
async def run_history(
    request: Request,
    sender: Sender,
    server: Server,
    run: RunPath,
    namespace: NamespaceQuery = None,
    after: NumberQuery = 0,
    limit: LimitQuery = 100,
) -> Response:
    """Give the events of a run in causal order, by the names of the specification's lifecycle. `limit`: commits. With an
    ETag: a page changes only while there is none after it."""
    session = server.session
    row = await run_of(session, sender, Right.READ, namespace, run)
    commits = await session.store.journal.history(row.run, after, limit)
    items: list[wire.Happened] = []
    for commit in commits:
        items += _happened(row, commit.seq, await session.rows.events(row.run, [commit], session.store.journal))
    following = commits[-1].seq if len(commits) == limit else None
    told = wire.History(items=items, next=following)
    return tagged(request, told, f"{row.run} {after} {limit} {len(commits)} {commits[-1].seq if commits else ''}")


def _happened(row: RunRow, seq: int, news: Iterable[Event]) -> list[wire.Happened]:
    return [
        wire.Happened(seq=seq, type=name, event=telling.happened(row, f"{seq}.{place}", name, event))
        for place, (name, event) in enumerate(lifecycle(news), 1)
    ]


@router.get("/stream", **documented(media_type=streams.MEDIA_TYPE, problems=(404, 409)))
async def run_stream(
    request: Request,
    sender: Sender,
    server: Server,
    run: RunPath,
    namespace: NamespaceQuery = None,
    after: NumberQuery = 0,
) -> Response:
    """Follow a run as server-sent events: `commit` with what happened, `end` when it has ended or is suspended. `id` is
    the number of the commit; a browser that reconnects goes on after it."""
    session = server.session
    row = await run_of(session, sender, Right.READ, namespace, run)
    return streams.stream(server, _commits(session, row, streams.resumed(request, after)), request)


async def _commits(session: Session, row: RunRow, after: int) -> AsyncIterator[Item]:
    async for seq, news in session.follow(row, after):
        yield Item("commit", {"seq": seq, "events": _happened(row, seq, news)}, str(seq))
    now = await session.find(row.namespace, row.id)
    yield Item("end", {"status": now.status})


@router.get("/logs", **documented(wire.Logs, problems=(404, 409)))
async def run_logs(
    sender: Sender,
    server: Server,
    run: RunPath,
    namespace: NamespaceQuery = None,
    step: StepQuery = None,
    after: NumberQuery = 0,
    limit: LimitQuery = 100,
) -> Response:
    """Give what the steps of a run printed, in the order it came."""
    session = server.session
    row = await run_of(session, sender, Right.READ, namespace, run)
    pieces = await session.store.views.logs(row.run, after, limit, await _path(session, row, step))
    items = [_piece(each) for each in pieces]
    return answer(wire.Logs(items=items, next=pieces[-1].number if len(pieces) == limit else None))


@router.get("/logs/stream", **documented(media_type=streams.MEDIA_TYPE, problems=(404, 409)))
async def follow_logs(
    request: Request,
    sender: Sender,
    server: Server,
    run: RunPath,
    namespace: NamespaceQuery = None,
    step: StepQuery = None,
    after: NumberQuery = 0,
) -> Response:
    """Follow what the steps of a run print, as server-sent events `piece`, until the run has ended (`end`)."""
    session = server.session
    row = await run_of(session, sender, Right.READ, namespace, run)
    path = await _path(session, row, step)
    return streams.stream(server, _pieces(server, row, path, streams.resumed(request, after)), request)


async def _pieces(server: Gateway, row: RunRow, path: str | None, cursor: int) -> AsyncIterator[Item]:
    session = server.session
    rung = asyncio.Event()
    end = session.store.bell.listen(rung.set)
    try:
        while True:
            rung.clear()
            now = await session.find(
                row.namespace, row.id
            )  # before its output: what was printed until then is in there
            pieces = await session.store.views.logs(row.run, cursor, _PAGE, path)
            for piece in pieces:
                cursor = piece.number
                yield Item("piece", _piece(piece), str(cursor))
            if not pieces and now.status in ENDED_RUN:
                yield Item("end", {"status": now.status})
                return
            if not pieces:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_FOLLOW_SECONDS):
                        await rung.wait()
    finally:
        end()


async def _path(session: Session, row: RunRow, step: str | None) -> str | None:
    return None if step is None else (await session.graphs.graph(row.definition)).named(step)


def _piece(piece: LogLine) -> wire.LogPiece:
    return msgspec.convert(msgspec.to_builtins(piece), wire.LogPiece)


@router.get("/tasks", **documented(wire.Tasks, problems=(404, 409)))
async def run_tasks(sender: Sender, server: Server, run: RunPath, namespace: NamespaceQuery = None) -> Response:
    """Give the tasks that a run has in pools."""
    session = server.session
    row = await run_of(session, sender, Right.READ, namespace, run)
    tasks = await session.store.views.tasks(row.run)
    return answer(wire.Tasks(items=[_task(each) for each in tasks]))


@router.get("/explanation", **documented(wire_of_graphs.StepExplained, problems=(400, 404, 409)))
async def explain_step(
    sender: Sender,
    server: Server,
    run: RunPath,
    step: Annotated[str, Query(max_length=1000, description="The step: its path, or a name that only one has.")],
    namespace: NamespaceQuery = None,
) -> Response:
    """Say why a step that has a task is where it is, and why each pool or worker could not have it."""
    session = server.session
    row = await run_of(session, sender, Right.READ, namespace, run)
    path = (await session.graphs.graph(row.definition)).named(step)
    return answer(tasks_told.step_explained(await steps_explained.explain(session.store, session.clock, row, path)))


def _task(row: TaskRow) -> wire.TaskTold:
    return wire.TaskTold(
        task=row.task, path=row.path, pool=row.pool, state=row.state, attempt=row.attempt, holder=row.holder
    )
