"""Loads the runs of a node: the state, the graph, and what has come in meanwhile."""

from __future__ import annotations

import sys

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

    async def load(self, live: LiveRun) -> None:
        """Load a run with what waits in its inbox. Raises StaleEpoch, CannotExecute, or Invalid for a definition."""
        stored = await self._patiently(lambda: self._store.journal.load(live.run))
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

    async def _graph(self, stored: StoredRun) -> Graph:
        try:
            return await self._graphs.graph(stored.definition)
        except errors.InvalidDefinition as error:
            text = f"this version cannot execute the definition of the run {stored.id}, which stays as it is: {error}"
            raise errors.InvalidDefinition(text, error.problems) from error
