"""Performs `interlock tasks watch`: follows a graph line by line. At a store it executes the tasks here while no node does;
through a server it only looks, since they are executed where its store is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

from interlock import errors
from interlock.app.roles import DISPATCHER, ROLES
from interlock.app.session import Session
from interlock.app.tasks import OVER
from interlock.cli import context, glyphs, graphbook
from interlock.cli.attend import INTERRUPTED, Attention
from interlock.cli.graphbook import Book, FarBook, NearBook
from interlock.cli.options import options
from interlock.cli.output import answer, note, results
from interlock.cli.taskbook import glyph, states, unserved, why
from interlock.model import json
from interlock.model.states import TaskState
from interlock.wire import graphs as wire

_LOOK_SECONDS: Final = 0.5  # the net under the bell, and how often a server is asked
_PAGE: Final = 1000
_WARN_SECONDS: Final = 5.0  # between looks for tasks that wait for somebody
_ASKED: Final = 20  # kinds of those that are ready, at each of these looks
_ASKING_SECONDS: Final = 1.0  # of one look
_LINES: Final = 200
"""Graphs with more tasks are told by their counts alone: nobody reads a hundred thousand lines."""
_RESTING: Final = OVER | {TaskState.QUARANTINED}
_WRONG: Final = {TaskState.FAILED, TaskState.QUARANTINED}


async def watch(graph: str, *, until_done: bool, as_json: bool) -> int:
    """Follow a graph. Exit code 0 when all is done, 1 when something failed, 130 when interrupted. Raises NotFound."""
    with Attention().paid() as attention:
        if options.server is not None:
            async with graphbook.opened() as book:
                return await _Following(book, graph, as_json=as_json).follow(attention, until_done=until_done)
        async with context.existing(Session, made_by=graphbook.MADE_BY) as app:
            near = _Following(NearBook(app), graph, as_json=as_json, app=app)
            return await near.follow(attention, until_done=until_done)


class _Following:
    """`app`: the store, where tasks are executed here while no node does; None at a server."""

    def __init__(self, book: Book, graph: str, *, as_json: bool, app: Session | None = None) -> None:
        self._book = book
        self._app = app
        self._graph = graph
        self._as_json = as_json
        self._seen: dict[str, tuple[str, int]] = {}
        self._counts: Mapping[str, int] = {}
        self._was_served = True
        self._warn_at = 0.0
        self._warned: set[str] = set()
        self._asked_to = 0
        """The number of the last ready task that was looked at; 0 before the first, and after the last."""
        self._lanes: set[str] = set()
        """Of the ready tasks up to that one."""
        self._has_workflows: tuple[str, bool] = ("", False)
        """Whether a task of the graph is a workflow, for the digest of what was loaded."""

    async def follow(self, attention: Attention, *, until_done: bool) -> int:
        woken = asyncio.Event()
        unlisten = self._listen(woken.set)
        try:
            while True:
                woken.clear()
                row = await self._row()
                await self._look(row)
                await self._warn(row)
                if until_done and not set(row.states) - _RESTING:
                    return self._end(row)
                if attention.interrupted:
                    note(
                        f"it goes on while a node serves the store; `interlock tasks watch {row.graph}` follows it again"
                    )
                    return INTERRUPTED
                try:
                    async with asyncio.timeout(_LOOK_SECONDS):
                        await woken.wait()
                except TimeoutError:
                    continue
        finally:
            unlisten()

    def _listen(self, wake: Callable[[], None]) -> Callable[[], None]:
        return (lambda: None) if self._app is None else self._app.store.bell.listen(wake)

    async def _row(self) -> wire.GraphTold:
        """Give the graph, and see to it that its tasks are placed: here, or at least say when nobody does."""
        if not isinstance(self._book, FarBook):
            row = await self._book.graph(self._graph)
            if self._app is not None:
                await self._serve(self._app, row)
            return row
        whole = await self._book.whole(self._graph)
        if self._was_served and not whole.served:
            note(unserved(self._graph))
        self._was_served = whole.served
        return whole

    async def _serve(self, app: Session, row: wire.GraphTold) -> None:
        """Bring a node of this process while no other one places tasks, or while a task is a workflow and nobody else would
        execute its run: who watches another graph places the tasks of this one too, perhaps without an engine. An engine
        that is brought takes whatever other runs wait for one."""
        for node in (app.node, app.engine):
            if node is not None and node.failed.is_set():
                raise node.failure or errors.Environment("the node of this process failed")
        lacks_engine = await self._needs_engine(app, row) and not await app.servers()
        if app.node is None and (lacks_engine or not await app.has_dispatcher()):
            await app.bring_node(pinned=False, roles=ROLES if lacks_engine else (DISPATCHER,))
        elif lacks_engine:  # a task that is a workflow came with what was loaded since, or who was the engine is gone
            await app.bring_engine()

    async def _needs_engine(self, app: Session, row: wire.GraphTold) -> bool:
        known, needs = self._has_workflows
        if known != row.digest:  # a large document takes a while to read, and this is asked at every look
            stored = await app.store.tasks.document(row.namespace, row.graph)
            tasks = [] if stored is None else json.decode(stored[1])["tasks"]
            needs = any("workflow" in task for task in tasks)
            self._has_workflows = (row.digest, needs)
        return needs

    async def _look(self, row: wire.GraphTold) -> None:
        """Tell what has changed."""
        if row.states == self._counts and not row.states.get(TaskState.RUNNING):
            return
        if row.tasks <= _LINES:
            for task in await self._book.tasks(self._graph, None, 0, _PAGE):
                await self._tell(task)
        elif row.states != self._counts and not self._as_json:
            answer(f"{row.graph}  {states(row.states)}")
        self._counts = row.states

    async def _warn(self, row: wire.GraphTold) -> None:
        """Say what ready tasks wait for that does not come by itself, each once."""
        now = asyncio.get_running_loop().time()
        if now < self._warn_at or not row.states.get(TaskState.READY):
            return
        self._warn_at = now + _WARN_SECONDS
        asked = 0
        while asked < _ASKED and asyncio.get_running_loop().time() < now + _ASKING_SECONDS:
            page = await self._book.tasks(self._graph, TaskState.READY, self._asked_to, _PAGE)
            for task in page:
                self._asked_to = task.number
                if task.lane is None or task.lane not in self._lanes:
                    asked += 1
                    await self._ask(task)
                if asked == _ASKED:
                    return
            if len(page) < _PAGE:
                self._asked_to = 0
                self._lanes.clear()
                return

    async def _ask(self, task: wire.GraphTaskTold) -> None:
        """Say what a ready task waits for that does not come by itself; all of its lane wait for the same."""
        if task.lane is not None:
            self._lanes.add(task.lane)
        warning = (await self._book.explain(task.task)).warning
        if warning is not None and warning not in self._warned:
            self._warned.add(warning)
            note(f"{task.task} waits: {warning}")

    async def _tell(self, task: wire.GraphTaskTold) -> None:
        now = (task.state, task.attempt)
        if self._seen.get(task.id) == now or (task.id not in self._seen and task.state == TaskState.BLOCKED):
            return
        self._seen[task.id] = now
        if self._as_json:
            answer(json.encode(task).decode())
            return
        where = f" in {task.pool}" if task.state == TaskState.RUNNING else ""
        again = f", attempt {task.attempt}" if task.attempt > 1 and task.state != TaskState.DONE else ""
        tries = (await self._book.task(task.task)).tries if task.state in _WRONG else []
        reason = " ".join(why(max(tries, key=lambda each: each.fence))) if tries else ""
        reason = f": {glyphs.clipped(reason, results())}" if reason else ""
        answer(f" {glyph(task)} {task.id:<24} {task.state}{where}{again}{reason}")

    def _end(self, row: wire.GraphTold) -> int:
        if not self._as_json:
            answer(f"{row.graph}: {glyphs.counted(row.tasks, 'task')}, {states(row.states)}")
        return 0 if not set(row.states) - {TaskState.DONE} else 1
