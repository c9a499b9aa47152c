"""Performs `interlock tasks watch`: follows a graph line by line, and executes its tasks here while no node does."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

from interlock import errors
from interlock.app.node import DISPATCHER
from interlock.app.session import Session
from interlock.app.tasks import OVER, TaskGraphs
from interlock.cli import context, glyphs
from interlock.cli.attend import INTERRUPTED, Attention
from interlock.cli.options import options
from interlock.cli.output import answer, note
from interlock.cli.taskbook import GLYPHS, described, states
from interlock.model import json
from interlock.model.states import TaskState
from interlock.store.ports import GraphRow, GraphTaskRow

_LOOK_SECONDS: Final = 0.5  # the net under the bell
_PAGE: Final = 1000
_LINES: Final = 200
"""Graphs with more tasks are told by their counts alone: nobody reads a hundred thousand lines."""


async def watch(graph: str, *, until_done: bool, as_json: bool) -> int:
    """Follow a graph. Exit code 0 when all is done, 1 when something failed, 130 when interrupted. Raises NotFound."""
    with Attention().paid() as attention:
        async with context.existing() as app:
            book = TaskGraphs(app.store, app.clock)
            row = await book.graph(graph, options.namespace)
            following = _Following(app, book, row, as_json)
            return await following.follow(attention, until_done=until_done)


class _Following:
    def __init__(self, app: Session, book: TaskGraphs, row: GraphRow, as_json: bool) -> None:
        self._app = app
        self._book = book
        self._row = row
        self._as_json = as_json
        self._seen: dict[str, tuple[TaskState, int]] = {}
        self._counts: Mapping[TaskState, int] = {}

    async def follow(self, attention: Attention, *, until_done: bool) -> int:
        woken = asyncio.Event()
        unlisten = self._app.store.bell.listen(woken.set)
        try:
            while True:
                woken.clear()
                await self._serve()
                counts = await self._look()
                over = all(state in OVER or state is TaskState.QUARANTINED for state, count in counts.items() if count)
                if over and until_done:
                    return self._end(counts)
                if attention.interrupted:
                    note(
                        f"it goes on while a node serves the store; `interlock tasks watch {self._row.name}` follows it again"
                    )
                    return INTERRUPTED
                try:
                    async with asyncio.timeout(_LOOK_SECONDS):
                        await woken.wait()
                except TimeoutError:
                    continue
        finally:
            unlisten()

    async def _serve(self) -> None:
        """Bring a node of this process while no other one places tasks."""
        if self._app.node is not None:
            if self._app.node.failed.is_set():
                failure = self._app.node.failure
                raise failure or errors.Environment("the node of this process failed")
            return
        if not await self._app.has_dispatcher():
            await self._app.bring_node(pinned=False, roles=(DISPATCHER,))

    async def _look(self) -> Mapping[TaskState, int]:
        """Tell what has changed; gives how many tasks are in each state."""
        row = await self._book.graph(self._row.name, self._row.namespace)
        self._row = row
        counts = await self._book.counts(row)
        if counts == self._counts and not counts.get(TaskState.RUNNING):
            return counts
        if row.tasks <= _LINES:
            for task in await self._book.tasks(row, limit=_PAGE):
                self._tell(task)
        elif counts != self._counts and not self._as_json:
            answer(f"{row.name}  {states(counts)}")
        self._counts = counts
        return counts

    def _tell(self, task: GraphTaskRow) -> None:
        now = (task.state, task.attempt)
        if self._seen.get(task.id) == now or (task.id not in self._seen and task.state is TaskState.BLOCKED):
            return
        self._seen[task.id] = now
        if self._as_json:
            answer(json.encode(described(task)).decode())
            return
        where = f" in {task.pool}" if task.state is TaskState.RUNNING else ""
        again = f", attempt {task.attempt}" if task.attempt > 1 and task.state is not TaskState.DONE else ""
        answer(f" {GLYPHS[task.state]} {task.id:<24} {task.state}{where}{again}")

    def _end(self, counts: Mapping[TaskState, int]) -> int:
        if not self._as_json:
            answer(f"{self._row.name}: {glyphs.counted(self._row.tasks, 'task')}, {states(counts)}")
        return 0 if not any(count for state, count in counts.items() if state is not TaskState.DONE) else 1
