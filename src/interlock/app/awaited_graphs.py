"""Tells the runs that wait for task graphs how those ended, and cancels graphs that nobody waits for any more.

    every task is over                       the token of the step is completed, or failed with `tasks-failed`
    the token was revoked, or is over        what is not over in the graph is cancelled
    its holder is asked to stop (rollback)   so too, and what became of it is reported

Looked for by level and not by event, by every node, so that nothing is lost with a node: a token is completed once, whoever
tries. A node that knows of no wait looks rarely, and is woken by nothing.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from interlock import errors, telemetry
from interlock.model import fault, json
from interlock.model.fault import Fault
from interlock.model.json import Json
from interlock.model.states import TaskState
from interlock.model.task import Done, Failed, FailureClass
from interlock.service import RESTING_SECONDS, Clock, Loop
from interlock.store.ports import STOPPED_AT_ONCE, DueWait, Store, TaskEnd, TokenState, news

_LOOK_SECONDS: Final = 2.0  # while anything is waited for: a token may be given up without a word to the bell
_SPACING_SECONDS: Final = 0.02  # between looks, however often it is woken
_LAST_SECONDS: Final = 5.0  # for the last look of a node that leaves
_PAGE: Final = 100
_NAMED: Final = 10  # failed tasks in the text of an error; `details` has all of them

Serve = Callable[[], Awaitable[None]]


class AwaitedGraphs(Loop):
    """`max_bytes`: what the results of a graph may have together. `may_act`: whether the node's lease is beyond doubt.
    `serve`: sees to it that tasks are performed, once a run of the node `own` waits for some; None: somebody does anyway."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        max_bytes: int,
        may_act: Callable[[], bool],
        *,
        own: str | None = None,
        serve: Serve | None = None,
    ) -> None:
        super().__init__("awaited-graphs", _LOOK_SECONDS, RESTING_SECONDS)
        self._store = store
        self._clock = clock
        self._max_bytes = max_bytes
        self._may_act = may_act
        self._own = own
        self._serve = serve
        self._expects = True
        self._unlisten: Callable[[], None] = lambda: None

    async def start(self) -> None:
        self._unlisten = self._store.bell.listen(self._changed, news.TASKS | news.ENDS)
        await super().start()

    async def stop(self) -> None:
        self._unlisten()
        await super().stop()

    def look(self) -> None:
        """Look now: a graph is waited for from now on."""
        self._expects = True
        self.wake()

    def _changed(self) -> None:
        if self._expects:
            self.wake()

    async def look_once_more(self) -> None:
        """Cancel what nobody waits for: a process that leaves with its run is to leave nothing of it behind."""
        if not self._expects:
            return
        try:
            async with asyncio.timeout(_LAST_SECONDS):
                await self._settle_due()
        except (TimeoutError, errors.InterlockError) as error:  # another node will
            telemetry.emit("loop.failed", loop=self._name, error=error)

    async def round(self) -> bool:
        if self._serve is not None and await self._store.waits.any_open(self._own):
            await self._serve()
        count = await self._settle_due()
        self._expects = bool(count) or await self._store.waits.any_open(None)
        await asyncio.sleep(_SPACING_SECONDS)
        return count == _PAGE

    async def _settle_due(self) -> int:
        due = await self._store.waits.due(_PAGE, self._clock.stamp())
        for wait in due:
            try:
                await self._settle(wait)
            except errors.InterlockError as error:  # the others are not to wait for this one
                telemetry.emit("loop.failed", loop=self._name, error=error)
        return len(due)

    async def _settle(self, wait: DueWait) -> None:
        if not wait.is_open or wait.has_open:
            while await self._store.waits.stop(wait, self._clock.stamp()) == STOPPED_AT_ONCE:
                pass  # the others of many, in further transactions
            if wait.is_open:
                return  # it is over when they are
        else:
            await self._report(wait)
        await self._store.waits.end(wait, self._clock.stamp())

    async def _report(self, wait: DueWait) -> None:
        outcome = await self._outcome(wait.graph)
        state = TokenState.COMPLETED if isinstance(outcome, Done) else TokenState.FAILED
        body = json.encode(outcome)
        digest = hashlib.sha256(body).hexdigest()
        if not self._may_act():
            raise errors.LeaseLost(f"this node cannot tell how the graph {wait.graph} ended: its lease is in doubt")
        by = f"graph:{wait.graph}"
        # What was read may be old: a run that is tried again waits by the same token, for another effect.
        await self._store.tokens.complete(wait.token, state, body, digest, by, self._clock.now(), effect=wait.effect)

    async def _outcome(self, graph: str) -> Done | Failed:
        """Give how a graph has ended, as the step that waits for it is told."""
        name = graph.partition("/")[2]
        told: dict[str, Json] = {}
        lacking: dict[str, Json] = {}
        after, size = 0, 0
        while page := await self._store.waits.ends(graph, after, _PAGE):
            for each in page:
                size += len(each.detail or b"")
                told[each.id] = _told(each)
                if each.state in (TaskState.FAILED, TaskState.CANCELLED) and not each.optional:
                    lacking[each.id] = told[each.id]
            if size > self._max_bytes:
                return _too_large(name, self._max_bytes)
            after = page[-1].number
        if not lacking:
            return Done({"graph": name, "status": "completed", "tasks": told})
        return _failed(name, lacking, len(told))


def _told(each: TaskEnd) -> dict[str, Json]:
    """Give how one task has ended."""
    found: dict[str, Json] = {"status": str(each.state)}
    if each.detail is not None and each.state is TaskState.DONE:
        found["output"] = json.decode(each.detail)
    elif each.detail is not None and each.outcome == "failed":
        found["error"] = msgspec.json.decode(each.detail, type=Fault).described()
    return found


def _failed(graph: str, lacking: dict[str, Json], total: int) -> Failed:
    named = ", ".join(list(lacking)[:_NAMED]) + (f" and {len(lacking) - _NAMED} more" if len(lacking) > _NAMED else "")
    why = f"`interlock tasks show {graph}/ID` tells why"
    detail = f"{len(lacking)} of the {total} tasks of {graph} did not succeed: {named}; {why}"
    error = Fault(
        type=fault.TASKS_FAILED,
        status=500,
        title="Tasks failed",
        detail=detail,
        code="tasks-failed",
        details={"graph": graph, "status": "failed", "tasks": lacking},
    )
    return Failed(FailureClass.APPLICATION, error)


def _too_large(graph: str, most: int) -> Failed:
    detail = (
        f"the results of the tasks of {graph} have more than {most} bytes together (payload.max); keep large files as "
        "artifacts, and give their names"
    )
    error = Fault(type=fault.RUNTIME, status=500, title="Value too large", detail=detail, code="payload-too-large")
    return Failed(FailureClass.INVALID, error)
