"""A store, opened: every port over one backend, and the bell."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from interlock.model.json import Json
from interlock.store.ports.graphs import TaskGraphs
from interlock.store.ports.journal import Journal
from interlock.store.ports.nodes import Nodes, Pulse
from interlock.store.ports.queue import Queue
from interlock.store.ports.tokens import Tokens
from interlock.store.ports.upkeep import Upkeep
from interlock.store.ports.views import Views


class Bell(Protocol):
    def listen(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Call `wake` on the event loop after something may have changed; the returned function ends it."""
        ...


class Store(Protocol):
    """A store, opened."""

    @property
    def url(self) -> str:
        """Where it is, as people may read it: without a password."""
        ...

    @property
    def journal(self) -> Journal: ...

    @property
    def queue(self) -> Queue: ...

    @property
    def graphs(self) -> TaskGraphs: ...

    @property
    def nodes(self) -> Nodes: ...

    @property
    def tokens(self) -> Tokens: ...

    @property
    def upkeep(self) -> Upkeep: ...

    @property
    def bell(self) -> Bell: ...

    @property
    def views(self) -> Views: ...

    async def close(self) -> None: ...

    async def prepare(self, now: float) -> None:
        """Make what the runs of the next weeks need, such as partitions; to be called every hour, cheap when it is there."""
        ...

    def pulse(self, node: str) -> Pulse | None:
        """Give a connection for renewals; None where nothing outlives this process."""
        ...

    async def figures(self) -> dict[str, Json]:
        """Measure what the store costs here: milliseconds of a durable commit, of a read, clock offset in seconds."""
        ...
