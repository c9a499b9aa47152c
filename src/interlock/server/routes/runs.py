"""Runs over HTTP: start, find, list, wait, change."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Annotated, Final
from urllib.parse import quote

import msgspec
from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from interlock import errors
from interlock.app import telling
from interlock.app.session import Session, Started
from interlock.flow import check
from interlock.flow.meaning import limits
from interlock.model import callback as callbacks
from interlock.model.access import Principal, Right
from interlock.model.json import Json
from interlock.model.states import ENDED_RUN, RunStatus
from interlock.model.story import Story
from interlock.server.access import Sender, chosen, listed, refuse_unless
from interlock.server.bodies import answer, read, tagged
from interlock.server.documented import documented
from interlock.server.gateway import Gateway
from interlock.server.problems import Refused
from interlock.server.routes.asking import NamespaceQuery, RunPath, Server, run_of
from interlock.store.ports import RunRow
from interlock.wire import runs as wire

router = APIRouter(prefix="/api/v1/runs", tags=["runs"])

_LONGEST_WAIT: Final = 60.0
_EXAMPLE: Final = {"workflow": "shop/order:1.2.0", "input": {"order": {"id": 7}}, "id": "order-7"}


@router.post(
    "",
    **documented(
        wire.Started,
        takes=wire.StartRun,
        example=_EXAMPLE,
        status=201,
        also={200: "It was there before."},
        problems=(404, 409, 415),
    ),
)
async def start_run(request: Request, sender: Sender, server: Server) -> Response:
    """Start a run. It is durable when this answers. With an `id` the same request again gives the same run."""
    asked = await read(request, wire.StartRun)
    session = server.session
    if asked.document is not None and asked.workflow is None:
        text, space = asked.document, asked.namespace or await _namespace(server, asked.document)
        refuse_unless(sender, Right.PUBLISH, space)  # running a text is running code
    elif asked.workflow is not None and asked.document is None:
        text, space = await published(session, sender, asked.workflow, asked.namespace)
    else:
        raise Refused(422, "misshapen", "name either `workflow`, which is published, or a `document`")
    refuse_unless(sender, Right.OPERATE, space)
    started = await session.start(
        text, input=_input(asked.input), id=asked.id, namespace=space, callback=asked.callback
    )
    return _started(started)


async def _namespace(server: Gateway, document: str) -> str:
    """Give the namespace that a document names. Raises InvalidDefinition."""
    allowed = limits.configured(server.settings.limits)
    loaded = await asyncio.to_thread(check.load, document, None, allowed=allowed)
    loaded.raise_for_problems()
    return loaded.required().document.namespace


def _started(started: Started) -> Response:
    where = {"Location": f"/api/v1/runs/{quote(started.id, safe='')}?namespace={started.namespace}"}
    told = wire.Started(
        id=started.id, namespace=started.namespace, fresh=started.fresh, has_schedule=started.has_schedule
    )
    return answer(told, 201 if started.fresh else 200, where)


async def published(session: Session, sender: Principal, workflow: str, namespace: str | None) -> tuple[str, str]:
    """Give the text of a published workflow, and the namespace of its runs: the one that was asked for, else its own.

    Raises Refused, NotFound.
    """
    named, _, rest = workflow.rpartition("/")
    name, _, version = rest.partition(":")
    own = named or chosen(sender, namespace)
    refuse_unless(sender, Right.READ, own)
    found = await session.store.journal.published(own, name, version or None)
    if found is None:
        raise errors.NotFound(f"no workflow {workflow!r} is published; `interlock publish FILE` publishes one")
    return found.source, namespace or own


def _input(given: Json) -> Json:
    return {} if given is None else given


@router.post("/bulk", **documented(wire.StartedRuns, takes=wire.StartRuns, status=201, problems=(404, 409, 415)))
async def start_runs(request: Request, sender: Sender, server: Server) -> Response:
    """Start up to 1,000 runs of one workflow. A Conflict leaves those that were accepted before it; with ids, the same
    request again gives them."""
    asked = await read(request, wire.StartRuns)
    session = server.session
    text, space = await published(session, sender, asked.workflow, asked.namespace)
    refuse_unless(sender, Right.OPERATE, space)
    named = [each.id for each in asked.runs if each.id is not None]
    if len(set(named)) != len(named):
        raise Refused(422, "misshapen", "two runs of the request have the same id")
    for each in asked.runs:
        callbacks.parse(each.callback)  # one that is wrong refuses all of them before any is accepted
    started = await asyncio.gather(
        *(
            session.start(text, input=_input(each.input), id=each.id, namespace=space, callback=each.callback)
            for each in asked.runs
        )
    )
    told = [wire.Started(id=each.id, namespace=each.namespace, fresh=each.fresh) for each in started]
    return answer(wire.StartedRuns(runs=told), 201)


@router.get("", **documented(wire.RunPage, problems=(404, 409)))
async def list_runs(
    sender: Sender,
    server: Server,
    namespace: NamespaceQuery = None,
    status: Annotated[list[RunStatus] | None, Query(description="Only those that stand so.")] = None,
    workflow: Annotated[str | None, Query(max_length=200, description="Only those of this name.")] = None,
    where: Annotated[
        list[str] | None,
        Query(max_length=10, description="Attributes that they have, as NAME=VALUE; a value that reads as JSON is it."),
    ] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    before: Annotated[str | None, Query(max_length=128, description="`next` of the page before.")] = None,
) -> Response:
    """List runs, newest first."""
    space = listed(sender, namespace)
    refuse_unless(sender, Right.READ, space)
    views = server.session.store.views
    rows = await views.runs(
        space, [str(each) for each in status or []], workflow, before, limit, attributes=_attributes(where or [])
    )
    items = [told_row(row) for row in rows]
    return answer(wire.RunPage(items=items, next=rows[-1].run if len(rows) == limit else None))


def _attributes(texts: list[str]) -> dict[str, str | float | bool]:
    found: dict[str, str | float | bool] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not (name and equals) or len(text) > 1000 or "\0" in text:
            raise Refused(422, "misshapen", f"where={text[:100]!r} is not NAME=VALUE")
        try:
            decoded = msgspec.json.decode(value)
        except (msgspec.DecodeError, RecursionError):
            decoded = value
        found[name] = decoded if isinstance(decoded, str | int | float | bool) else value
    return found


def told_row(row: RunRow) -> wire.RunTold:
    """Give a run of a list, as the API tells it."""
    told = telling.described(row, None) | {"key": row.run, "created_at": row.created_at}
    return msgspec.convert(told, wire.RunTold, strict=False)


@router.get("/{run}", **documented(wire.RunWhole, also={304: "As you have it."}, problems=(404, 409)))
async def get_run(
    request: Request, sender: Sender, server: Server, run: RunPath, namespace: NamespaceQuery = None
) -> Response:
    """Give a run with its steps. `ETag` and `If-None-Match` save the answer when nothing changed."""
    session = server.session
    row = await run_of(session, sender, Right.READ, namespace, run)
    return tagged(request, await whole(session, row), f"{row.run}/{row.epoch}/{row.seq}/{row.status}")


async def whole(session: Session, row: RunRow) -> wire.RunWhole:
    """Give a run with its steps, as the API tells it."""
    value = None if row.output is None else await session.rows.value(row.run, row.output, session.store.journal)
    story = Story()
    story.tell(await session.history(row.run))
    told = telling.whole(row, value, story) | {
        "key": row.run,
        "created_at": row.created_at,
        "shown": telling.of_itself(row),
        "attributes": dict(await session.store.views.attributes(row.run)),
    }
    return msgspec.convert(told, wire.RunWhole, strict=False)


@router.get("/{run}/result", **documented(wire.Result, also={202: "It has not ended yet."}, problems=(404, 409)))
async def run_result(
    sender: Sender,
    server: Server,
    run: RunPath,
    namespace: NamespaceQuery = None,
    wait: Annotated[float, Query(ge=0, le=_LONGEST_WAIT, description="Seconds to wait for its end.")] = 0.0,
) -> Response:
    """Give how a run ended, after waiting for it."""
    session = server.session
    row = await run_of(session, sender, Right.READ, namespace, run)
    if row.status not in ENDED_RUN and wait:
        row = await _ended(server, row, wait)
    value = None if row.output is None else await session.rows.value(row.run, row.output, session.store.journal)
    told = telling.described(row, value)
    result = wire.Result(
        id=row.id,
        namespace=row.namespace,
        status=row.status,
        output=told["output"],
        error=None if told["error"] is None else msgspec.convert(told["error"], wire.Failure),
    )
    return answer(result, 200 if row.status in ENDED_RUN else 202)


async def _ended(server: Gateway, row: RunRow, seconds: float) -> RunRow:
    """Give a run when it has ended, or as it is after so long."""
    session = server.session
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while row.status not in ENDED_RUN and not server.closing.is_set():
                async for _ in session.follow(row, row.seq):
                    pass
                row = await session.find(row.namespace, row.id)
                if row.status is RunStatus.SUSPENDED:
                    break
    return await session.find(row.namespace, row.id)


@router.post("/{run}/cancel", **documented(wire.Acted, takes=wire.Cancel, optional=True, problems=(404, 409, 415)))
async def cancel_run(
    request: Request, sender: Sender, server: Server, run: RunPath, namespace: NamespaceQuery = None
) -> Response:
    """Ask for a run to be cancelled; with `rollback`, after it has undone what it finished."""
    asked = await read(request, wire.Cancel, default=wire.Cancel())
    session = server.session
    row = await run_of(session, sender, Right.OPERATE, namespace, run)
    applied = await session.cancel(row, asked.reason, rollback=asked.rollback)
    return await _acted(session, row, applied)


@router.post("/{run}/suspend", **documented(wire.Acted, problems=(404, 409)))
async def suspend_run(sender: Sender, server: Server, run: RunPath, namespace: NamespaceQuery = None) -> Response:
    """Let what is in flight end, and start nothing new."""
    session = server.session
    row = await run_of(session, sender, Right.OPERATE, namespace, run)
    return await _acted(session, row, await session.suspend(row))


@router.post("/{run}/resume", **documented(wire.Acted, problems=(404, 409)))
async def resume_run(sender: Sender, server: Server, run: RunPath, namespace: NamespaceQuery = None) -> Response:
    """Lift a suspension."""
    session = server.session
    row = await run_of(session, sender, Right.OPERATE, namespace, run)
    return await _acted(session, row, await session.resume(row))


@router.post("/{run}/retry", **documented(wire.Acted, problems=(404, 409)))
async def retry_run(sender: Sender, server: Server, run: RunPath, namespace: NamespaceQuery = None) -> Response:
    """Go on with a faulted run from the step that failed. What it finished is kept."""
    session = server.session
    row = await run_of(session, sender, Right.OPERATE, namespace, run)
    return await _acted(session, row, await session.retry(row))


@router.post(
    "/{run}/fork",
    **documented(
        wire.Started, takes=wire.Fork, status=201, also={200: "It was there before."}, problems=(404, 409, 415)
    ),
)
async def fork_run(
    request: Request, sender: Sender, server: Server, run: RunPath, namespace: NamespaceQuery = None
) -> Response:
    """Start a run that shares another one's history up to a step."""
    asked = await read(request, wire.Fork)
    session = server.session
    row = await run_of(session, sender, Right.OPERATE, namespace, run)
    forked = await session.fork(row, asked.step, asked.id)
    return _started(forked)


async def _acted(session: Session, row: RunRow, applied: bool) -> Response:
    now = await session.find(row.namespace, row.id)
    return answer(wire.Acted(id=row.id, namespace=row.namespace, status=now.status, applied=applied))
