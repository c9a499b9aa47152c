"""Task graphs as the commands see them, at a store or through a server (--server): the same calls, the same shapes."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias
from urllib.parse import quote

import msgspec

from interlock import errors
from interlock.app import tasks_told
from interlock.app.artifacts import artifacts as kept_by
from interlock.app.artifacts import told
from interlock.app.records import Records
from interlock.app.steering import Steering, folder_of
from interlock.app.tasks import TaskGraphs
from interlock.cli import context, far
from interlock.cli.options import options
from interlock.model.json import Json
from interlock.model.states import TaskState
from interlock.store.ports import GraphTaskRow
from interlock.wire import artifacts as files
from interlock.wire import graphs as wire
from interlock.wire import runs

if TYPE_CHECKING:
    from interlock.cli.far_server import Server
    from interlock.flow.taskgraph.document import GraphDocument
    from interlock.handshake.artifacts import Artifacts

MADE_BY: Final = "interlock tasks load FILE"
"""What makes the store that a command about task graphs does not find."""
_PAGE: Final = 500
_LONG_SECONDS: Final = 600.0  # of a request about every task of a large graph


class NearBook:
    """The graphs of a store."""

    def __init__(self, app: Records) -> None:
        self._app = app
        self._book = TaskGraphs(app.store, app.clock)
        self._steering = Steering(app.store, app.clock)

    def now(self) -> float:
        return self._app.clock.now()

    async def load(self, text: str, document: GraphDocument, beside: Path) -> wire.LoadedTold:
        """Store a graph that was read; `beside`: where its file is. Raises Conflict while another process loads it."""
        folder = folder_of(document, beside)
        loaded = await self._steering.load(document, folder)
        return tasks_told.loaded(document, loaded, folder, served=await self._app.has_dispatcher())

    async def graphs(self) -> list[wire.GraphTold]:
        """Give the graphs by namespace and name."""
        found: list[wire.GraphTold] = []
        after = ("", "")
        while rows := await self._book.graphs(options.namespace, after, _PAGE):
            found += [tasks_told.graph(row, await self._book.counts(row)) for row in rows]
            after = (rows[-1].namespace, rows[-1].name)
        return found

    async def graph(self, name: str) -> wire.GraphTold:
        """Give a graph. Raises NotFound."""
        row = await self._book.graph(name, options.namespace)
        return tasks_told.graph(row, await self._book.counts(row))

    async def tasks(self, graph: str, state: TaskState | None, after: int, limit: int) -> list[wire.GraphTaskTold]:
        """Give tasks of a graph in its order, after the number of one. Raises NotFound."""
        row = await self._book.graph(graph, options.namespace)
        return [tasks_told.task(each) for each in await self._book.tasks(row, state, after, limit)]

    async def task(self, name: str) -> wire.GraphTaskWhole:
        """Give a task by GRAPH/ID, or by its id while only one graph has it. Raises NotFound, Conflict."""
        row = await self._book.find(name, options.namespace)
        return tasks_told.whole_task(row, await self._book.tries(row.task))

    async def explain(self, name: str) -> wire.Explained:
        """Say why a task is where it is. Raises NotFound, Conflict."""
        return tasks_told.explained(await self._book.explain(await self._book.find(name, options.namespace)))

    async def logs(self, task: wire.GraphTaskTold, after: int) -> tuple[list[runs.LogPiece], int | None]:
        """Give a page of what the attempts of a task wrote, and `after` for the next one; None: it was the last."""
        row = await self._row(task)
        pieces = await self._app.store.views.logs(row.graph, after, _PAGE, row.id)
        following = pieces[-1].number if len(pieces) == _PAGE else None
        return [msgspec.convert(msgspec.to_builtins(each), runs.LogPiece) for each in pieces], following

    async def artifacts(self, task: wire.GraphTaskTold) -> list[files.ArtifactTold]:
        """Give the files that the attempts of a task kept."""
        row = await self._row(task)
        return [told(each) for each in await self._kept().list(row.graph, task=row.task)]

    async def artifact(self, task: wire.GraphTaskTold, name: str, attempt: int | None) -> AsyncIterator[bytes]:
        """Give one of them in pieces. Raises NotFound."""
        row, kept = await self._row(task), self._kept()
        async for piece in kept.read(await kept.find(row.graph, name, attempt=attempt, task=row.task)):
            yield piece

    def _kept(self) -> Artifacts:
        return kept_by(self._app.settings, self._app.store)

    async def retry(self, task: wire.GraphTaskTold) -> None:
        """Try a task again. Raises Conflict."""
        await self._steering.retry(await self._row(task))

    async def cancel(self, task: wire.GraphTaskTold) -> None:
        """Cancel a task. Raises Conflict."""
        await self._steering.cancel(await self._row(task))

    async def cancel_all(self, graph: str) -> int:
        """Cancel every task of a graph that is not over; gives how many. Raises NotFound."""
        return await self._steering.cancel_all(await self._book.graph(graph, options.namespace))

    async def reprioritise(self, task: wire.GraphTaskTold, priority: int) -> None:
        """Give a task another priority. Raises Conflict."""
        await self._steering.reprioritise(await self._row(task), priority)

    async def _row(self, task: wire.GraphTaskTold) -> GraphTaskRow:
        return await self._book.find(task.task, task.namespace)


class FarBook:
    """The graphs of a server."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def now(self) -> float:
        return self._server.now()

    async def load(self, text: str, document: GraphDocument, beside: Path) -> wire.LoadedTold:
        """Send the text of a graph. Its tasks start on the server's machine, so that where its file is counts for nothing."""
        asked = wire.LoadGraph(document=text)
        return await self._server.ask(wire.LoadedTold, "POST", "/graphs", body=asked, safe=True, timeout=_LONG_SECONDS)

    async def graphs(self) -> list[wire.GraphTold]:
        found: list[wire.GraphTold] = []
        after: str | None = None
        while True:
            page = await self._server.ask(wire.Graphs, "GET", "/graphs", query={"limit": _PAGE, "after": after})
            found += page.items
            after = page.next
            if after is None:
                return found

    async def graph(self, name: str) -> wire.GraphTold:
        return await self.whole(name)

    async def whole(self, name: str) -> wire.GraphWhole:
        """Give a graph, and whether a node places tasks. Raises NotFound."""
        return await self._server.ask(wire.GraphWhole, "GET", _graph(name))

    async def tasks(self, graph: str, state: TaskState | None, after: int, limit: int) -> list[wire.GraphTaskTold]:
        found: list[wire.GraphTaskTold] = []
        following: int | None = after
        while following is not None and len(found) < limit:
            query: dict[str, Json] = {
                "state": None if state is None else str(state),
                "after": following,
                "limit": min(_PAGE, limit - len(found)),
            }
            page = await self._server.ask(wire.GraphTasks, "GET", f"{_graph(graph)}/tasks", query=query)
            found += page.items
            following = page.next
        return found

    async def task(self, name: str) -> wire.GraphTaskWhole:
        graph, slash, id = name.partition("/")
        path = _task(graph, id) if slash else f"/tasks/{quote(name, safe='')}"
        if slash and not (graph and id):
            raise _unknown(name)
        return await self._server.ask(wire.GraphTaskWhole, "GET", path)

    async def explain(self, name: str) -> wire.Explained:
        task = await self.task(name)
        return await self._server.ask(
            wire.Explained, "GET", f"{_task(task.graph, task.id)}/explanation", query=_in(task)
        )

    async def logs(self, task: wire.GraphTaskTold, after: int) -> tuple[list[runs.LogPiece], int | None]:
        query = {"after": after, "limit": _PAGE} | _in(task)
        page = await self._server.ask(runs.Logs, "GET", f"{_task(task.graph, task.id)}/logs", query=query)
        return page.items, page.next

    async def artifacts(self, task: wire.GraphTaskTold) -> list[files.ArtifactTold]:
        found: list[files.ArtifactTold] = []
        after: str | None = None
        while True:
            query: dict[str, Json] = {"after": after, "limit": _PAGE} | _in(task)
            path = f"{_task(task.graph, task.id)}/artifacts"
            page = await self._server.ask(files.ArtifactPage, "GET", path, query=query)
            found += page.items
            after = page.next
            if after is None:
                return found

    async def artifact(self, task: wire.GraphTaskTold, name: str, attempt: int | None) -> AsyncIterator[bytes]:
        path = f"{_task(task.graph, task.id)}/artifacts/{quote(name, safe='')}"
        async for piece in self._server.download(path, {"attempt": attempt} | _in(task)):
            yield piece

    async def retry(self, task: wire.GraphTaskTold) -> None:
        await self._post(task, "retry")

    async def cancel(self, task: wire.GraphTaskTold) -> None:
        await self._post(task, "cancel")

    async def cancel_all(self, graph: str) -> int:
        path = f"{_graph(graph)}/cancel"
        told = await self._server.ask(wire.CancelledTasks, "POST", path, safe=True, timeout=_LONG_SECONDS)
        return told.count

    async def reprioritise(self, task: wire.GraphTaskTold, priority: int) -> None:
        await self._post(task, "reprioritise", wire.Reprioritise(priority=priority))

    async def _post(self, task: wire.GraphTaskTold, action: str, body: object = None) -> None:
        path = f"{_task(task.graph, task.id)}/{action}"
        await self._server.ask(wire.GraphTaskTold, "POST", path, body=body, query=_in(task))


Book: TypeAlias = NearBook | FarBook


@contextlib.asynccontextmanager
async def opened(*, makes: bool = False) -> AsyncIterator[Book]:
    """Open the store, or talk to the server that was named. `makes`: a store that is not there is made. Raises NotFound."""
    if options.server is not None:
        async with far.opened() as server:
            yield FarBook(server)
    else:
        async with context.opened(Records) if makes else context.existing(Records, made_by=MADE_BY) as app:
            yield NearBook(app)


def _graph(name: str) -> str:
    return f"/graphs/{quote(name, safe='')}"


def _task(graph: str, id: str) -> str:
    return f"{_graph(graph)}/tasks/{quote(id, safe='')}"


def _in(task: wire.GraphTaskTold) -> dict[str, Json]:
    return {"namespace": task.namespace}


def _unknown(name: str) -> errors.NotFound:
    return errors.NotFound(f"there is no task {name!r}; `interlock tasks list GRAPH` shows those there are")
