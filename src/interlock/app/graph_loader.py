"""Performs `call: tasks:1.0.0@default`: loads the graph, and leaves the step to the report of its end (`app.awaited_graphs`).

It may be performed more than once for one execution of the step: the same graph again changes nothing. Another attempt of
that execution goes on with the graph: what is done stays, what did not succeed is tried again.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from interlock import errors, telemetry
from interlock.app.steering import check_names, folder_of
from interlock.app.tasks import TaskGraphs
from interlock.flow.problem import Problem, Severity
from interlock.flow.taskgraph import reading
from interlock.model import fault
from interlock.model.fault import Fault
from interlock.model.json import Json
from interlock.model.states import TaskState
from interlock.model.task import Done, Failed, FailureClass, GraphTarget, Outcome, Place, Snoozed
from interlock.service import Clock
from interlock.store.ports import Begun, GraphRow, NewWait, Store

_AGAIN_SECONDS: Final = 1.0
"""Until the next look whether somebody else has loaded the graph, or its tasks that were to stop have."""
_TOLD: Final = 20  # problems in the text of an error; `details` has all of them


class GraphLoader:
    """Loads the graphs of the runs of one node. `loaded`: called after each, since there is an end to wait for."""

    def __init__(self, store: Store, clock: Clock, loaded: Callable[[], None]) -> None:
        self._store = store
        self._clock = clock
        self._book = TaskGraphs(store, clock)
        self._loaded = loaded

    async def load(self, target: GraphTarget, place: Place) -> Outcome:
        """Load a graph in the namespace of its run. Done: it is there, and its token waits."""
        named: dict[str, Json] = {"namespace": place.namespace, **target.document, "graph": target.name}
        found = reading.of_value(named)
        if found.graph is None:
            return _invalid([each for each in found.problems if each.severity is Severity.ERROR])
        if named["namespace"] != place.namespace:
            return _refused(f"the graph of a run in {place.namespace} cannot be in the namespace {named['namespace']}")
        try:
            check_names(found.graph)
            document = reading.with_retry(found.graph, await self._book.retry_terms())
            graph = f"{place.namespace}/{target.name}"
            wait = NewWait(graph=graph, visit=target.visit, token=target.token, run=place.run)
            match await self._store.waits.begin(wait, self._clock.stamp()):
                case Begun.TAKEN:
                    return _refused(
                        f"the graph {target.name} of {place.namespace} was loaded by somebody else; leave `name` out, or "
                        "make one for each execution of the step by an expression"
                    )
                case Begun.LOADING:
                    if not await self._try_again(place.namespace, target.name):
                        return Snoozed(_AGAIN_SECONDS)
                    await self._book.load(document, folder_of(document, Path(place.folder)))
                    if not await self._store.waits.loaded(graph, target.token):
                        await self._book.cancel_all(await self._book.graph(target.name, place.namespace))
                case _:
                    pass  # it is loaded, or its token is not wanted any more
        except errors.Invalid as error:
            return _refused(str(error))
        except (errors.Conflict, errors.Environment) as error:  # somebody else loads it; or the store is away
            telemetry.emit("effect.short", error=error)
            return Snoozed(_AGAIN_SECONDS)
        self._loaded()
        return Done(None)

    async def _try_again(self, namespace: str, name: str) -> bool:
        """Try tasks of a graph again that ended without success in an attempt before; False: some are still to end."""
        row = await self._store.tasks.graph(namespace, name)
        if row is None:
            return True
        if await self._is_stopping(row):
            return False
        for state in (TaskState.FAILED, TaskState.CANCELLED):
            after = 0
            while page := await self._book.tasks(row, state, after):
                for task in page:
                    await self._book.retry(task)
                after = page[-1].number
        return True

    async def _is_stopping(self, row: GraphRow) -> bool:
        after = 0
        while page := await self._book.tasks(row, TaskState.RUNNING, after):
            if any(task.cancel for task in page):
                return True
            after = page[-1].number
        return False


def _invalid(problems: list[Problem]) -> Failed:
    """Give the failure of a graph with mistakes: all of them."""
    lines = [f"{each.path or '/'}: {each.message}" for each in problems[:_TOLD]]
    more = f"; and {len(problems) - _TOLD} more" if len(problems) > _TOLD else ""
    details: Json = [{"code": each.code, "path": each.path, "message": each.message} for each in problems]
    error = Fault(
        type=fault.VALIDATION, status=400, title="Invalid task graph", detail="; ".join(lines) + more, details=details
    )
    return Failed(FailureClass.INVALID, error)


def _refused(detail: str) -> Failed:
    error = Fault(type=fault.CONFIGURATION, status=409, title="Task graph not loaded", detail=detail)
    return Failed(FailureClass.INVALID, error)
