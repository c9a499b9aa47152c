"""Forks runs: a new run takes over a part of the history of another one and goes on from there."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeGuard

import msgspec

from interlock import errors
from interlock.app.graphs import Graphs
from interlock.app.starting import Started, checked_id
from interlock.engine import exchange
from interlock.engine import state as states
from interlock.engine.fold import apply
from interlock.engine.rows import Rows
from interlock.model import event as events
from interlock.model.event import Event
from interlock.model.payload import Payload
from interlock.secrets.keeper import Keeper
from interlock.service import Clock
from interlock.store.ports import Batch, Committed, NewRun, RunRow, Store


class Forker:
    """Forks the runs of one store. `history`: gives the events of a run."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        rows: Rows,
        graphs: Graphs,
        secrets: Keeper,
        history: Callable[[str], Awaitable[list[Event]]],
    ) -> None:
        self._store = store
        self._clock = clock
        self._rows = rows
        self._graphs = graphs
        self._secrets = secrets
        self._history = history

    async def fork(self, row: RunRow, step: str, id: str | None) -> Started:
        """Start a new run with a copy of another one's history up to before the last time it entered `step`.

        `step`: a path such as /do/2/ship, or a name that only one step has. Raises NotFound when it was never entered.
        """
        journal = self._store.journal
        graph = await self._graphs.graph(row.definition)
        assert row.input is not None
        value = await self._rows.value(row.run, row.input, journal)
        history = await self._history(row.run)
        # Retention takes the run away first and its history afterwards: what was read while it was there is whole.
        if await journal.load(row.run) is None:
            raise errors.NotFound(f"the run {row.id} was removed by retention meanwhile")
        path = graph.named(step) if graph.program is None else _called(history, step, row.id)
        prefix = _before(history, path)
        if prefix is None:
            raise errors.NotFound(f"the run {row.id} never entered {path}; `interlock show {row.id}` lists its steps")
        if any(isinstance(event, events.RollbackBegan) for event in prefix):
            raise errors.Invalid(
                f"{path} was entered when the run {row.id} was rolled back; fork it before an earlier step"
            )
        run = self._clock.uuid()
        if graph.secrets:
            markers = await self._secrets.markers(row.run)
            prefix = [markers.moved(event, run) for event in prefix]
            value = Payload(text=markers.moved_text(value.text.decode(), run).encode())  # a child run was given it
        text, large = self._rows.input(value)
        new = NewRun(
            run=run,
            namespace=row.namespace,
            id=checked_id(id) or run,
            definition=row.definition,
            workflow=row.workflow,
            version=row.version,
            input=text,
            folder=row.folder,
            owner=None,
            origin=row.id,
        )
        state = states.new(run, new.namespace, new.id, value)
        now = self._clock.now()
        copied = [*prefix, events.Copied(at=now, origin=row.id, since=prefix[-1].at if prefix else None)]
        for event in copied:
            apply(state, event)
        batch: Batch = self._rows.batch(state, copied, epoch=1, seq=0, at=now, accept=new)
        batch = msgspec.structs.replace(
            batch,
            large={**batch.large, **large},
            subscriptions=exchange.subscriptions(graph, state, state.listeners),
        )
        if await journal.commit(batch) is Committed.EXISTS:
            raise errors.Conflict(f"the run {new.id!r} exists; choose another id")
        return Started(run=run, namespace=new.namespace, id=new.id, fresh=True)


def _called(history: Sequence[Event], step: str, run: str) -> str:
    """Give the path of a call of a Python workflow that is named by its path, or by the name of its step.

    Raises Invalid when several calls have the name, NotFound when none has; both list the calls.
    """
    paths = list(dict.fromkeys(event.path for event in history if isinstance(event, events.Called)))
    found = [path for path in paths if step in (path, path[1:])]
    found = found or [path for path in paths if path[1:].partition("(")[0].partition("#")[0] == step]
    if len(found) == 1:
        return found[0]
    if found:
        raise errors.Invalid(f"several calls of {run} are of {step!r}: {', '.join(found)}; write the path")
    raise errors.NotFound(f"the run {run} made no call {step!r}; its calls are {', '.join(paths) or 'none'}")


def _begins(event: Event) -> TypeGuard[events.Entered | events.Called | events.Completed]:
    """Say whether an event begins a step."""
    entered = isinstance(event, events.Entered | events.Called)
    return entered or (isinstance(event, events.Completed) and event.since is not None)


def _before(history: Sequence[Event], path: str) -> list[Event] | None:
    """Give the events before the last one that began the step `path`, None when none did."""
    begins = [number for number, event in enumerate(history) if _begins(event) and event.path == path]
    return list(history[: begins[-1]]) if begins else None
