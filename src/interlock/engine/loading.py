"""Loads the runs of a node: the state, the graph, and what has come in meanwhile."""

from __future__ import annotations

import asyncio
import sys
from typing import Final

from interlock import errors
from interlock.engine import cause as causes
from interlock.engine import exchange
from interlock.engine.inbox import Inbox
from interlock.engine.live import Graphs, LiveRun, Refuses
from interlock.engine.patience import Patience
from interlock.engine.rows import Rows
from interlock.flow.graph import Graph
from interlock.model.task import Place
from interlock.store.ports import Store, StoredRun

_READ_AT_ONCE: Final = 100


class Loading:
    """Brings parked and claimed runs into memory. `refuses`: what knows which runs this node cannot execute."""

    def __init__(
        self, store: Store, graphs: Graphs, rows: Rows, patiently: Patience, refuses: Refuses | None, inbox: Inbox
    ) -> None:
        self._store = store
        self._graphs = graphs
        self._rows = rows
        self._patiently = patiently
        self._refuses = refuses
        self._inbox = inbox
        self._wanted: dict[str, asyncio.Future[StoredRun | None]] = {}
        """Runs that the next read is to give: those of one claim are asked for one after the other, in the same turn."""
        self._reading: set[asyncio.Task[None]] = set()

    async def load(self, live: LiveRun) -> None:
        """Load a run with what waits in its inbox. Raises StaleEpoch, CannotExecute, or Invalid for a definition."""
        stored = await self._stored(live.run)
        if stored is None or stored.epoch != live.epoch:
            raise errors.StaleEpoch(f"the run {live.run} belongs to another node")
        live.definition = sys.intern(stored.definition)
        live.graph = await self._patiently(lambda: self._graph(stored))
        live.place = Place(run=stored.run, namespace=stored.namespace, id=stored.id, folder=stored.folder)
        if self._refuses is not None and (reason := await self._refuses.reason(live.graph, live.place)) is not None:
            raise errors.CannotExecute(reason)
        live.state = await self._patiently(lambda: self._rows.load(stored, self._store.journal))
        live.seq = stored.seq
        live.subscribed = exchange.listeners(live)
        if stored.parent is not None and stored.parent_effect is not None:
            live.parent = stored.parent, stored.parent_effect
        for row in stored.inbox:
            if self._inbox.note(live.run, row.number):
                live.mailbox.append((causes.decode(row.cause), row.number))

    async def _stored(self, run: str) -> StoredRun | None:
        """Read a run, together with the others that are wanted in this turn of the loop."""
        if run not in self._wanted:
            loop = asyncio.get_running_loop()
            if not self._wanted:
                loop.call_soon(self._read)
            self._wanted[run] = loop.create_future()
        return await asyncio.shield(self._wanted[run])  # another one may wait for the same

    def _read(self) -> None:
        wanted, self._wanted = self._wanted, {}
        names = list(wanted)
        for first in range(0, len(names), _READ_AT_ONCE):
            part = {run: wanted[run] for run in names[first : first + _READ_AT_ONCE]}
            task = asyncio.create_task(self._give(part), name="engine-load")
            self._reading.add(task)
            task.add_done_callback(self._reading.discard)

    async def _give(self, wanted: dict[str, asyncio.Future[StoredRun | None]]) -> None:
        try:
            found = await self._patiently(lambda: self._store.journal.load_all(list(wanted)))
        except BaseException as error:
            for future in wanted.values():
                if not future.done():
                    future.set_exception(error)
                    future.exception()  # whoever waited may be gone
            if not isinstance(error, Exception):
                raise
            return
        for run, future in wanted.items():
            if not future.done():
                future.set_result(found.get(run))

    def stop(self) -> list[asyncio.Task[None]]:
        """Give the reads that are under way."""
        return list(self._reading)

    async def _graph(self, stored: StoredRun) -> Graph:
        try:
            return await self._graphs.graph(stored.definition)
        except errors.InvalidDefinition as error:
            text = f"this version cannot execute the definition of the run {stored.id}, which stays as it is: {error}"
            raise errors.InvalidDefinition(text, error.problems) from error
