"""Looking at deliveries, and sending once more what failed. Nothing here shows where exactly one goes, or its secrets."""

from __future__ import annotations

import builtins
from dataclasses import dataclass
from typing import Final

from interlock import errors
from interlock.app.actor import actor
from interlock.app.opened import Opened
from interlock.store.ports import DeliveryAttempt, DeliveryRow, DeliveryState

_PAGE: Final = 100
_ATTEMPTS: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """Who is told how a run ended, and how far that is.

    `id`: sent with every attempt, so that the receiver knows it again. `run`: the key of the run. `namespace`: of the run.
    `kind`: webhook or temporal. `target`: the host that it goes to. `state`: pending, delivered, expired, failed or
    superseded; it never changes how the run ended. `waiting`: the run lives. `attempts`: how often it was sent. `due_at`:
    when something is done next, None when nothing is; UTC seconds, like the rest. `deadline`: until when it is tried.
    `created_at`: when it was handed in. `ended_at`: when it was delivered or given up. `problem`: what was wrong last.
    """

    id: str
    run: str
    namespace: str
    kind: str
    target: str
    state: DeliveryState
    waiting: bool
    attempts: int
    due_at: float | None
    deadline: float
    created_at: float
    ended_at: float | None
    problem: str | None


class Deliveries:
    """The deliveries of one namespace (None: of all)."""

    def __init__(self, session: Opened, namespace: str | None) -> None:
        self._session = session
        self._namespace = namespace

    async def list(
        self, *, state: str | None = None, run: str | None = None, before: str | None = None, limit: int = _PAGE
    ) -> builtins.list[Delivery]:
        """Give deliveries, newest first. Raises Invalid for an unknown state, NotFound for an unknown run.

        `state`: only those that stand so, such as "failed". `run`: only those of this run. `before`: the id of the last one
        of the page before. `limit`: how many at most.
        """
        wanted = None if state is None else state_of(state)
        store = self._session.store
        if run is not None:
            row = await self._session.find(self._namespace, run)
            rows = [each for each in await store.deliveries.of_run(row.run) if wanted in (None, each.state)]
            return [_shown(each) for each in reversed(rows) if before is None or each.delivery < before][:limit]
        return [_shown(each) for each in await store.deliveries.page(self._namespace, wanted, before, limit)]

    async def get(self, id: str) -> Delivery:
        """Give a delivery. Raises NotFound."""
        return _shown(await self._row(id))

    async def attempts(self, id: str) -> builtins.list[DeliveryAttempt]:
        """Give the sendings of a delivery, oldest first. One without a status may have arrived. Raises NotFound."""
        await self._row(id)
        return await self._session.store.deliveries.attempts(id, 0, _ATTEMPTS)

    async def retry(self, id: str) -> Delivery:
        """Send a delivery that failed or expired once more, and one that waits for its next try at once; audited.

        It has as long as a new one then. Raises NotFound, Conflict for one that was delivered or superseded.
        """
        row = await self._row(id)
        if row.state in (DeliveryState.DELIVERED, DeliveryState.SUPERSEDED):
            raise errors.Conflict(f"the delivery {id} is {row.state}, so there is nothing to send again")
        now = self._session.clock.now()
        deadline = now + self._session.settings.deliveries.deadline_seconds
        again = await self._session.store.deliveries.retry(id, deadline, actor(), now)
        return _shown(row if again is None else again)

    async def _row(self, id: str) -> DeliveryRow:
        row = await self._session.store.deliveries.get(id)
        if row is None or self._namespace not in (None, row.namespace):
            raise errors.NotFound(f"there is no delivery {id!r}; `interlock deliveries list` shows those there are")
        return row


def state_of(text: str) -> DeliveryState:
    """Give a state by its name. Raises Invalid."""
    try:
        return DeliveryState(text)
    except ValueError:
        raise errors.Invalid(f"{text!r} is no state of a delivery; they are {', '.join(DeliveryState)}") from None


def _shown(row: DeliveryRow) -> Delivery:
    return Delivery(
        id=row.delivery,
        run=row.run,
        namespace=row.namespace,
        kind=row.kind,
        target=row.target,
        state=row.state,
        waiting=row.waiting,
        attempts=row.attempts,
        due_at=row.due_at if row.state is DeliveryState.PENDING else None,
        deadline=row.deadline,
        created_at=row.created_at,
        ended_at=row.ended_at,
        problem=row.problem,
    )
