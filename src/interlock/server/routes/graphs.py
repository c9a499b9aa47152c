"""Task graphs over HTTP: load, read, explain, steer."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path as FilePath
from typing import Annotated, Final
from urllib.parse import unquote

import msgspec
from fastapi import APIRouter, Depends, Path, Query, Request
from starlette.responses import Response

from interlock import errors
from interlock.app import stranded, tasks_told
from interlock.app.roles import DISPATCHER
from interlock.app.session import Session
from interlock.app.steering import Steering, folder_of
from interlock.app.tasks import TaskGraphs
from interlock.flow.taskgraph import reading
from interlock.flow.taskgraph.document import GraphDocument
from interlock.model import json
from interlock.model.access import Principal, Right
from interlock.model.json import Json
from interlock.model.states import TaskState
from interlock.model.task import WorkflowTarget
from interlock.server.access import Sender, chosen, listed, refuse_unless
from interlock.server.bodies import answer, read, tagged
from interlock.server.documented import documented
from interlock.server.limits import QUOTED
from interlock.server.routes.asking import NamespaceQuery, NumberQuery, Server
from interlock.store.ports import GraphTaskRow
from interlock.wire import graphs as wire
from interlock.wire import runs as wire_of_runs

router = APIRouter(prefix="/api/v1", tags=["graphs"])

_KNOWN: Final = {304: "As you have it."}
_EXAMPLE: Final[Json] = {
    "document": {
        "graph": "refactor",
        "tasks": [
            {"id": "schema", "run": ["make", "schema"]},
            {"id": "api", "run": ["make", "api"], "dependencies": ["schema"], "skills": ["backend"]},
        ],
    },
    "folder": "/srv/work",
}
_AFTER: Final = re.compile(r"[A-Za-z0-9-]{1,63}/[A-Za-z0-9-]{1,63}")


def _graph_name(
    request: Request, graph: Annotated[str, Path(min_length=1, max_length=400, description="The graph's name.")]
) -> str:
    return _name(request, graph)


def _task_name(
    request: Request,
    task: Annotated[str, Path(min_length=1, max_length=400, description="The task's id within its graph.")],
) -> str:
    return _name(request, task)


def _name(request: Request, text: str) -> str:
    """Give a name of a path; one with a slash comes as it was sent. Raises NotFound for what no store can look for."""
    name = unquote(text) if getattr(request.state, QUOTED, False) else text
    if not name.isprintable():
        raise errors.NotFound(f"there is no {name[:200]!r} here: a name has no such characters")
    return name


GraphPath = Annotated[str, Depends(_graph_name)]
TaskPath = Annotated[str, Depends(_task_name)]


@router.post(
    "/graphs",
    **documented(wire.LoadedTold, takes=wire.LoadGraph, example=_EXAMPLE, problems=(409, 415)),
)
async def load_graph(request: Request, sender: Sender, server: Server) -> Response:
    """Store a task graph, or what has changed of it; what has begun stays as it is. The same document again is as good. It
    needs the right to publish: its tasks are code that nodes execute. All problems of a document are told at once, by 422."""
    asked = await read(request, wire.LoadGraph)
    found = await asyncio.to_thread(_read, asked.document)
    document = found.required()
    refuse_unless(sender, Right.PUBLISH, document.namespace)
    refuse_unless(sender, Right.OPERATE, document.namespace)
    for task in document.tasks:
        if isinstance(task.target, WorkflowTarget):  # it starts runs there
            refuse_unless(sender, Right.OPERATE, task.target.namespace)
    session = server.session
    folder = _folder(document, asked.folder)
    loaded = await Steering(session.store, session.clock).load(document, folder)
    told = tasks_told.loaded(document, loaded, folder, served=await _is_served(session))
    return answer(told)


def _read(document: dict[str, Json] | str) -> reading.ReadGraph:
    return reading.read(document) if isinstance(document, str) else reading.of_value(document)


def _folder(document: GraphDocument, given: str | None) -> str:
    """Give where tasks start. Raises Invalid."""
    if given is not None and (not FilePath(given).is_absolute() or "\0" in given):
        raise errors.Invalid(f"the folder {given[:200]!r} is no absolute path; name one of the server's machine")
    return folder_of(document, FilePath.cwd() if given is None else FilePath(given))


async def _is_served(session: Session) -> bool:
    return bool(await stranded.servers(session.store, session.clock, DISPATCHER))


@router.get("/graphs", **documented(wire.Graphs, problems=(404, 409)))
async def list_graphs(
    sender: Sender,
    server: Server,
    namespace: NamespaceQuery = None,
    after: Annotated[str | None, Query(max_length=200, description="`next` of the page before.")] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> Response:
    """List task graphs by namespace and name, with how many of their tasks are in each state."""
    space = listed(sender, namespace)
    refuse_unless(sender, Right.READ, space)
    book = _book(server.session)
    rows = await book.graphs(space, _place(after), limit)
    items = [tasks_told.graph(row, await book.counts(row)) for row in rows]
    following = f"{rows[-1].namespace}/{rows[-1].name}" if len(rows) == limit else None
    return answer(wire.Graphs(items=items, next=following))


def _book(session: Session) -> TaskGraphs:
    return TaskGraphs(session.store, session.clock)


def _place(after: str | None) -> tuple[str, str]:
    """Give what a page comes after. Raises Invalid."""
    if after is None:
        return "", ""
    if not _AFTER.fullmatch(after):
        raise errors.Invalid(f"{after[:100]!r} is no `next` of a page of graphs: write NAMESPACE/GRAPH")
    namespace, _, name = after.partition("/")
    return namespace, name


@router.get("/graphs/{graph}", **documented(wire.GraphWhole, also=_KNOWN, problems=(404,)))
async def get_graph(
    request: Request, sender: Sender, server: Server, graph: GraphPath, namespace: NamespaceQuery = None
) -> Response:
    """Give a graph, how many of its tasks are in each state, and whether a node places tasks. With an ETag."""
    session = server.session
    book = _book(session)
    row = await book.graph(graph, _space(sender, Right.READ, namespace))
    told = tasks_told.whole_graph(row, await book.counts(row), served=await _is_served(session))
    return _tagged(request, told)


@router.get("/graphs/{graph}/document", **documented(wire.GraphSource, also=_KNOWN, problems=(404,)))
async def graph_document(
    request: Request, sender: Sender, server: Server, graph: GraphPath, namespace: NamespaceQuery = None
) -> Response:
    """Give what the author of a graph wrote, as it was loaded last. With an ETag."""
    row, digest, document = await _book(server.session).document(graph, _space(sender, Right.READ, namespace))
    return tagged(request, tasks_told.source(row, digest, document), f"{row.graph} {digest}")


def _space(sender: Principal, right: Right, namespace: str | None) -> str:
    """Give the namespace of a graph that a request is about. Raises Refused."""
    space = chosen(sender, namespace)
    refuse_unless(sender, right, space)
    return space


def _tagged(request: Request, told: msgspec.Struct) -> Response:
    return tagged(request, told, json.encode(told).decode())


@router.get("/graphs/{graph}/tasks", **documented(wire.GraphTasks, problems=(404,)))
async def graph_tasks(
    sender: Sender,
    server: Server,
    graph: GraphPath,
    namespace: NamespaceQuery = None,
    state: Annotated[TaskState | None, Query(description="Only those that stand so.")] = None,
    after: NumberQuery = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> Response:
    """List the tasks of a graph in its order. `after`: the number of the last one that is known."""
    book = _book(server.session)
    row = await book.graph(graph, _space(sender, Right.READ, namespace))
    rows = await book.tasks(row, state, after, limit)
    items = [tasks_told.task(each) for each in rows]
    return answer(wire.GraphTasks(items=items, next=rows[-1].number if len(rows) == limit else None))


async def task_of(
    server: Server, sender: Principal, right: Right, namespace: str | None, graph: str, task: str
) -> GraphTaskRow:
    """Give a task that somebody has a right to. Raises Refused, NotFound."""
    space = _space(sender, right, namespace)
    return await _book(server.session).find(f"{graph}/{task}", space)


@router.get("/graphs/{graph}/tasks/{task}", **documented(wire.GraphTaskWhole, also=_KNOWN, problems=(404,)))
async def graph_task(
    request: Request,
    sender: Sender,
    server: Server,
    graph: GraphPath,
    task: TaskPath,
    namespace: NamespaceQuery = None,
) -> Response:
    """Give a task with what its author wrote of it, and its last attempts. With an ETag."""
    return await _whole(request, server, await task_of(server, sender, Right.READ, namespace, graph, task))


async def _whole(request: Request, server: Server, row: GraphTaskRow) -> Response:
    return _tagged(request, tasks_told.whole_task(row, await _book(server.session).tries(row.task)))


@router.get("/tasks/{task}", **documented(wire.GraphTaskWhole, also=_KNOWN, problems=(404, 409)))
async def find_task(
    request: Request, sender: Sender, server: Server, task: TaskPath, namespace: NamespaceQuery = None
) -> Response:
    """Give a task by its id alone, while only one graph has it; 409 names those that do. With an ETag."""
    space = _space(sender, Right.READ, namespace)
    return await _whole(request, server, await _book(server.session).find(task, space))


@router.get("/graphs/{graph}/tasks/{task}/explanation", **documented(wire.Explained, problems=(404,)))
async def explain_task(
    sender: Sender, server: Server, graph: GraphPath, task: TaskPath, namespace: NamespaceQuery = None
) -> Response:
    """Say why a task is where it is, which pools could have it, and why each other one could not."""
    row = await task_of(server, sender, Right.READ, namespace, graph, task)
    return answer(tasks_told.explained(await _book(server.session).explain(row)))


@router.get("/graphs/{graph}/tasks/{task}/logs", **documented(wire_of_runs.Logs, problems=(404,)))
async def task_logs(
    sender: Sender,
    server: Server,
    graph: GraphPath,
    task: TaskPath,
    namespace: NamespaceQuery = None,
    after: NumberQuery = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> Response:
    """Give what the attempts of a task printed, in the order it came."""
    row = await task_of(server, sender, Right.READ, namespace, graph, task)
    pieces = await server.session.store.views.logs(row.graph, after, limit, row.id)
    items = [msgspec.convert(msgspec.to_builtins(each), wire_of_runs.LogPiece) for each in pieces]
    return answer(wire_of_runs.Logs(items=items, next=pieces[-1].number if len(pieces) == limit else None))


@router.post("/graphs/{graph}/tasks/{task}/retry", **documented(wire.GraphTaskTold, problems=(404, 409)))
async def retry_task(
    sender: Sender, server: Server, graph: GraphPath, task: TaskPath, namespace: NamespaceQuery = None
) -> Response:
    """Try a task again that failed, was cancelled or skipped, waits for its retry, or is in quarantine."""
    row = await task_of(server, sender, Right.OPERATE, namespace, graph, task)
    await _steering(server).retry(row)
    return await _now(server, row)


def _steering(server: Server) -> Steering:
    return Steering(server.session.store, server.session.clock)


async def _now(server: Server, row: GraphTaskRow) -> Response:
    after = await server.session.store.tasks.get(row.task)
    return answer(tasks_told.task(after or row))


@router.post("/graphs/{graph}/tasks/{task}/cancel", **documented(wire.GraphTaskTold, problems=(404, 409)))
async def cancel_task(
    sender: Sender, server: Server, graph: GraphPath, task: TaskPath, namespace: NamespaceQuery = None
) -> Response:
    """Cancel a task; those that cannot go on without it are skipped. One that runs is asked to stop."""
    row = await task_of(server, sender, Right.OPERATE, namespace, graph, task)
    await _steering(server).cancel(row)
    return await _now(server, row)


@router.post(
    "/graphs/{graph}/tasks/{task}/reprioritise",
    **documented(wire.GraphTaskTold, takes=wire.Reprioritise, example={"priority": 10}, problems=(404, 409, 415)),
)
async def reprioritise_task(
    request: Request,
    sender: Sender,
    server: Server,
    graph: GraphPath,
    task: TaskPath,
    namespace: NamespaceQuery = None,
) -> Response:
    """Give a task that is not over another priority."""
    asked = await read(request, wire.Reprioritise)
    row = await task_of(server, sender, Right.OPERATE, namespace, graph, task)
    await _steering(server).reprioritise(row, asked.priority)
    return await _now(server, row)


@router.post("/graphs/{graph}/cancel", **documented(wire.CancelledTasks, problems=(404,)))
async def cancel_graph(sender: Sender, server: Server, graph: GraphPath, namespace: NamespaceQuery = None) -> Response:
    """Cancel every task of a graph that is not over."""
    space = _space(sender, Right.OPERATE, namespace)
    row = await _book(server.session).graph(graph, space)
    return answer(wire.CancelledTasks(count=await _steering(server).cancel_all(row)))
