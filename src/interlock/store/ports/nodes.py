"""Processes that share a store: their leases, and the runs that they own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from interlock.store.ports.row import Row


class Claimed(Row, frozen=True, kw_only=True):
    """A run that a node now owns. `was_live`: it had begun, so effects may have been in flight."""

    run: str
    epoch: int
    wake_at: float | None
    was_live: bool


class NodeRow(Row, frozen=True, kw_only=True):
    """A process that shares the store. `boot` and `started` tell apart processes that reuse a pid."""

    node: str
    host: str
    boot: str
    pid: int
    started: float
    roles: str
    version: str
    joined_at: float | None
    """None while it joins: now, by the store's clock."""
    pinned: bool = False
    """It serves only the run that it was started for."""


class NodeState(Row, frozen=True, kw_only=True):
    """A node as others see it. `refusals`: digest of a definition to why it cannot execute it. `unready`: what keeps it
    from working. `runs`, `attempts`: how many it owns.

    `lease_seconds`: what is left of its lease by the store's clock, negative when it ran out, None when it has none.
    """

    node: NodeRow
    lease_seconds: float | None
    left_at: float | None
    drain_at: float | None
    refusals: Mapping[str, str]
    unready: Sequence[str]
    runs: int
    attempts: int


class Looked(NamedTuple):
    """`live`: the nodes whose lease runs. `must_recover`: a lease ran out, or something is held by who has none."""

    live: list[NodeRow]
    must_recover: bool


class Nodes(Protocol):
    async def join(self, node: NodeRow, ttl_seconds: float) -> None: ...

    async def leave(self, node: str, now: float | None) -> None:
        """End a node's lease and give back what it owns."""
        ...

    async def bury(self, node: str, now: float | None) -> int:
        """Give up a dead node: its runs become free; gives how many. Its attempts are lost when it was pinned; those of
        others that are processes of their own may outlive it and wait for `Queue.adopt` or for the end of their leases."""
        ...

    async def look(self, now: float | None) -> Looked:
        """Say in one read whether there is anything to recover: what every node asks all the time."""
        ...

    async def live(self, now: float | None) -> list[NodeRow]: ...

    async def expired(self, now: float | None) -> list[NodeRow]: ...

    async def ghosts(self) -> list[str]:
        """Give the nodes that own runs without a lease: they were buried while they accepted or claimed them."""
        ...

    async def claim_runs(
        self, node: str, limit: int, *, only: str | None = None, refused: Sequence[str] = ()
    ) -> list[Claimed]:
        """Take up to `limit` runs that nobody owns, or just the run `only`, with epoch + 1.

        `refused`: digests of definitions that the node cannot execute.
        """
        ...

    async def unowned(self, refused: Sequence[str]) -> bool:
        """Say whether there is a run to claim: a read, so that looking costs nobody a transaction."""
        ...

    async def release(self, node: str, run: str, epoch: int, now: float) -> bool:
        """Give one run back. False: it belongs to another node by now, or has ended."""
        ...

    async def states(self, now: float | None) -> list[NodeState]:
        """Give every node that is known, the oldest first; those that left are forgotten after a while."""
        ...

    async def drain(self, node: str | None, now: float) -> int:
        """Ask a node, or all with None, to drain; gives how many were asked. Pinned nodes end with their runs."""
        ...

    async def is_asked_to_drain(self, node: str) -> bool: ...

    async def note(self, node: str, refusals: Mapping[str, str], unready: Sequence[str]) -> None:
        """Write down what a node cannot execute and what keeps it from working."""
        ...

    async def forget(self, before: float) -> int:
        """Delete the rows of nodes that left before a moment and own nothing."""
        ...

    async def owned(self, node: str) -> list[Claimed]: ...


class Pulse(Protocol):
    """The renewal of a node's leases, blocking, for a thread of its own."""

    def beat(self, node_ttl_seconds: float, attempt_ttl_seconds: float, now: float | None) -> bool:
        """Prolong the node's lease and its attempts'; False when it was given up for dead: it must stop at once."""
        ...

    def close(self) -> None: ...
