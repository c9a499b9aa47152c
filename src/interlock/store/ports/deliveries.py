"""Deliveries: telling callers how their runs ended. Each is the row of one caller of one run.

    pending (the run lives) --the commit that ends it--> pending, due --told--> delivered
                            --a newer token of the same caller--> superseded
                            --the deadline--> expired
                                                    pending, due --refused for good--> failed
                                                                 --the deadline--> expired
    failed, expired --by hand--> pending

They stand beside the run: no state of a delivery changes how the run ended. What is due is claimed under a fence; what was
claimed by a node that is gone, or held for too long, is due again. So it is sent at least once, always under its one id.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Protocol

from interlock.model.states import RunStatus
from interlock.store.ports.row import Row


class DeliveryState(StrEnum):
    PENDING = "pending"
    DELIVERED = "delivered"
    EXPIRED = "expired"
    FAILED = "failed"
    SUPERSEDED = "superseded"


class NewDelivery(Row, frozen=True, kw_only=True):
    """A caller of a run. `target`: where it is, as people may read it. `receiver`, `identity`: two callbacks of one run with
    the same receiver are for the same one; with the same identity, they are the same. `beat_seconds`: how often the caller
    hears that the run lives, None for never."""

    delivery: str
    namespace: str
    kind: str
    target: str
    receiver: str
    identity: str
    sealed: bytes
    deadline: float
    beat_seconds: float | None = None


class DeliveryRow(Row, frozen=True, kw_only=True):
    """A delivery as it stands. `waiting`: its run lives. `attempts`: how often it was sent. `problem`: what went wrong."""

    delivery: str
    run: str
    namespace: str
    kind: str
    target: str
    receiver: str
    identity: str
    state: DeliveryState
    waiting: bool
    attempts: int
    due_at: float
    deadline: float
    beat_seconds: float | None
    node: str | None
    fence: int
    problem: str | None
    created_at: float
    ended_at: float | None


class ClaimedDelivery(Row, frozen=True, kw_only=True):
    """A delivery that this node may send now. `waiting`: the run lives. `beats`: what is due is a heartbeat, which is no
    attempt, else the outcome or (the run lives) the deadline. `attempts`: the number of this sending."""

    delivery: str
    run: str
    namespace: str
    kind: str
    target: str
    sealed: bytes
    waiting: bool
    beats: bool
    attempts: int
    deadline: float
    beat_seconds: float | None
    fence: int
    created_at: float


class DeliveryAttempt(Row, frozen=True, kw_only=True):
    """One sending. `status` None: nobody heard how it went; it may have arrived."""

    number: int
    node: str
    at: float
    seconds: float | None
    status: str | None
    detail: str | None


class Ended(Row, frozen=True, kw_only=True):
    """How a run stands, for who is to be told how it ended. `ended_at` None: it has not."""

    run: str
    namespace: str
    id: str
    workflow: str
    version: str
    status: RunStatus
    output: bytes | None
    fault: bytes | None
    ended_at: float | None


class Sent(Row, frozen=True, kw_only=True):
    """How a sending went: its number, how long it took, a word (`200`, `UNAVAILABLE`, `refused`) and what was said."""

    number: int
    seconds: float
    status: str
    detail: str | None = None


class AddedDelivery(Row, frozen=True, kw_only=True):
    """`fresh`: False when the same callback was there before. `superseded`: how many older ones it replaces."""

    row: DeliveryRow
    fresh: bool
    superseded: int = 0


class Deliveries(Protocol):
    async def add(self, run: str, new: NewDelivery, now: float) -> AddedDelivery | None:
        """Add a caller to a run that is there; older pending ones with the same receiver are superseded, one with the same
        identity that is pending or delivered stays instead. Due at once where the run has ended. None: there is no such run.
        """
        ...

    async def claim(
        self, node: str, limit: int, now: float, until: float, *, own: bool = False
    ) -> list[ClaimedDelivery]:
        """Take what is due, and write down that it is about to be sent; others may take it again after `until`.

        `own`: only of runs that the node owns, or owned when they ended.
        """
        ...

    async def settle(
        self,
        delivery: str,
        fence: int,
        state: DeliveryState,
        now: float,
        *,
        due_at: float,
        problem: str | None = None,
        sent: Sent | None = None,
    ) -> bool:
        """Say what became of a claimed delivery; PENDING: it is due again at `due_at`. False: this node has it no more, and
        nothing but the log of sendings was changed."""
        ...

    async def beaten(self, delivery: str, fence: int, due_at: float, problem: str | None) -> bool:
        """Say that a heartbeat was given, or not; the next is due at `due_at`, unless the run has ended since."""
        ...

    async def next_due(self) -> float | None:
        """Give when the next thing is due; None: nobody waits for anything."""
        ...

    async def free(self, now: float) -> int:
        """Make due what nodes that are gone had claimed; gives how many."""
        ...

    async def unfinished(self, after: str, limit: int) -> list[tuple[str, str]]:
        """Give deliveries, with their runs, that wait for a run to end; ascending from the delivery `after`."""
        ...

    async def tell(self, waiting: Sequence[tuple[str, str]], now: float) -> int:
        """Make those of `waiting` due whose runs have ended, whatever ended them; gives how many."""
        ...

    async def retry(self, delivery: str, deadline: float, actor: str, now: float) -> DeliveryRow | None:
        """Send once more what failed or expired, and at once what waits for its next try; audited. None: no such delivery.

        One that was delivered or superseded is left as it is.
        """
        ...

    async def ending(self, run: str) -> Ended | None:
        """Give how a run stands; None: it is not there any more."""
        ...

    async def get(self, delivery: str) -> DeliveryRow | None: ...

    async def of_run(self, run: str) -> list[DeliveryRow]: ...

    async def page(
        self, namespace: str | None, state: DeliveryState | None, before: str | None, limit: int
    ) -> list[DeliveryRow]:
        """Give deliveries, newest first, those before `before`; None for all namespaces, states, from the newest."""
        ...

    async def attempts(self, delivery: str, after: int, limit: int) -> list[DeliveryAttempt]:
        """Give sendings with a number > `after`, ascending."""
        ...
