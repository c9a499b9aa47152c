"""Pools: what each has room for, who takes it, and the placement of tasks of graphs and of steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Final, Protocol

from interlock.model.call import Requirements
from interlock.model.task import Resources, Target
from interlock.model.task_graph import TaskSpec
from interlock.store.ports.queue import ClaimedTask
from interlock.store.ports.row import Row

ALL: Final = "*"
"""The row that stands for all pools together: its capacity is the global limit."""


class PoolState(StrEnum):
    """What people said of a pool. A draining one ends what it runs, as a disabled one does, and is about to go."""

    ENABLED = "enabled"
    DISABLED = "disabled"
    DRAINING = "draining"


class DeclaredPool(Row, frozen=True, kw_only=True):
    """A pool as a node's configuration has it. None: no bound. `memory`: megabytes. `settings`: what else is known, JSON."""

    pool: str
    type: str
    capacity: int | None = None
    cpu: float | None = None
    memory: float | None = None
    gpus: int | None = None
    settings: bytes = b"{}"
    enabled: bool = True


class Ill(Row, frozen=True, kw_only=True):
    """A node cannot launch in a pool, for a reason, and tries it again at a moment."""

    pool: str
    node: str
    reason: str
    since: float
    again_at: float


class PoolRow(Row, frozen=True, kw_only=True):
    """A pool and what live attempts take of it. `turn`: how many tasks were placed in it; `routed`: those that wait for its
    workers; `policy`: of the row ALL, the scheduling policy that people chose, None for the configured one."""

    pool: str
    type: str
    state: PoolState
    capacity: int | None
    cpu: float | None
    memory: float | None
    gpus: int | None
    settings: bytes
    declared_at: float
    turn: int
    running: int = 0
    cpu_taken: float = 0.0
    memory_taken: float = 0.0
    devices_taken: tuple[int, ...] = ()
    routed: int = 0
    ills: Sequence[Ill] = ()
    policy: str | None = None


class QueuedTask(Row, frozen=True, kw_only=True):
    """A ready task near the head of its lane. `spec`: that of the first one there, which asks for what all of the lane do."""

    task: str
    lane: str
    priority: int
    rank: float
    spec: TaskSpec


class QueuedStep(Row, frozen=True, kw_only=True):
    """A ready step of a workflow at the head of its lane. `run_id`: its run, as people name it."""

    task: str
    run_id: str
    path: str
    priority: int
    rank: float
    target: Target
    requires: Requirements | None


class Placement(Row, frozen=True, kw_only=True):
    """A task for a pool. `decision`: why, as JSON; `workers`: it is left to the workers of that pool, who claim it."""

    task: str
    pool: str
    resources: Resources
    decision: bytes
    workers: bool = False


class Placed(Row, frozen=True, kw_only=True):
    """What became of placements: those that are leased now, how many were left to workers, and which did not fit any more."""

    claimed: Sequence[ClaimedTask]
    routed: int
    refused: Sequence[str]


class Pools(Protocol):
    async def declare(self, pools: Sequence[DeclaredPool], now: float | None) -> None:
        """Store what a node's configuration says of its pools. What people have said is kept: whether one is enabled, and
        which policy was chosen."""
        ...

    async def all(self) -> list[PoolRow]:
        """Give every pool with what is taken of it, the row ALL among them."""
        ...

    async def set_state(self, pool: str, state: PoolState) -> bool:
        """Enable, disable or drain a pool; what waits for its workers goes back to its lane. False: it was so before."""
        ...

    async def choose(self, policy: str | None) -> bool:
        """Note by which policy tasks are ordered, None for the configured one. False: it was so before, or no node has
        declared its pools yet."""
        ...

    async def resize(self, pool: str, before: int | None, capacity: int) -> bool:
        """Let a pool run so many attempts at once, until a node declares it anew. False: its bound is not `before`."""
        ...

    async def forget(self, pool: str) -> None:
        """Remove a pool that no configuration has any more."""
        ...

    async def ill(self, pool: str, node: str, reason: str, again_at: float, now: float | None) -> None:
        """Note that a node cannot launch in a pool."""
        ...

    async def well(self, pool: str, node: str) -> None:
        """Note that a node can launch in a pool again."""
        ...

    async def lanes(self, after: str, limit: int) -> list[str]:
        """Give the lanes that have ready tasks, after a name; a pool with tasks of its own is a lane too."""
        ...

    async def heads(self, lanes: Sequence[str], limit: int) -> Mapping[str, list[QueuedTask]]:
        """Give the first ready tasks of graphs in each of these lanes, in the order in which they are to be placed.

        A lane without any is not among the keys.
        """
        ...

    async def step_lanes(self, names: Sequence[str]) -> list[str]:
        """Give those of these lanes in which a step of a workflow is ready, in their order."""
        ...

    async def steps(self, lane: str, limit: int) -> list[QueuedStep]:
        """Give the first ready steps of workflows in a lane, in the order in which they are to be placed."""
        ...

    async def place(self, node: str, placements: Sequence[Placement], ttl_seconds: float, now: float | None) -> Placed:
        """Lease tasks to a node, each in its pool, with the decision that put it there, in one transaction.

        Room is counted anew under a lock; a placement that does not fit any more, or whose task another node has, is left
        out.
        """
        ...

    async def unroute(self, pool: str) -> int:
        """Take tasks back that no worker of a pool has claimed."""
        ...

    async def record(self, pool: str, limit: int) -> tuple[int, int]:
        """Give how many of the last attempts of a pool ended, at most `limit`, and how many of them were done."""
        ...

    async def shares(self, names: Sequence[str]) -> Mapping[str, float]:
        """Give how far keys have come in their share of the pools; the key "" is the time of all."""
        ...

    async def reach(self, shares: Mapping[str, float]) -> None:
        """Note how far keys have come; one that is further already stays there."""
        ...
