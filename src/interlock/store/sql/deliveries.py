"""Deliveries on SQL: claimed under a fence, logged before they are sent.

That the end of a run makes its deliveries due is the work of a trigger, see the migration: whichever statement ends a run,
nobody can forget it, and runs without a caller pay one comparison.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from interlock.model.states import RunStatus
from interlock.store.ports import (
    AddedDelivery,
    ClaimedDelivery,
    DeliveryAttempt,
    DeliveryRow,
    DeliveryState,
    Ended,
    NewDelivery,
    Sent,
    news,
)
from interlock.store.sql import commit
from interlock.store.sql.transaction import Database, Row, Transaction

_LAST: Final = "\U0010ffff"  # sorts after the id of any delivery
_KEPT: Final = (DeliveryState.PENDING, DeliveryState.DELIVERED)
_encode = msgspec.json.Encoder().encode


class SqlDeliveries:
    def __init__(self, database: Database) -> None:
        self._database = database

    # -- callers -------------------------------------------------------------------------------------------------

    async def add(self, run: str, new: NewDelivery, now: float) -> AddedDelivery | None:
        async def work(transaction: Transaction) -> AddedDelivery | None:
            ends = await transaction.rows("run_lock_end", {"run": run})
            if not ends:
                return None
            key = {"run": run, "receiver": new.receiver}
            others = [_delivery(row) for row in await transaction.rows("deliveries_of_receiver", key)]
            for other in others:
                if other.identity == new.identity and other.state in _KEPT:
                    return AddedDelivery(row=other, fresh=False)
            problem = f"the caller came again, with {new.delivery}"
            superseded = [
                await transaction.run("delivery_supersede", {"delivery": other.delivery, "at": now, "problem": problem})
                for other in others
            ]
            await transaction.run("delivery_add", commit.delivery_row(run, new, now, ended=ends[0][0] is not None))
            (row,) = await transaction.rows("delivery_get", {"delivery": new.delivery})
            return AddedDelivery(row=_delivery(row), fresh=True, superseded=sum(superseded))

        return await self._database.write(work, tells=news.DELIVERIES)

    async def retry(self, delivery: str, deadline: float, actor: str, now: float) -> DeliveryRow | None:
        async def work(transaction: Transaction) -> DeliveryRow | None:
            rows = await transaction.rows("delivery_get", {"delivery": delivery})
            if not rows:
                return None
            found = _delivery(rows[0])
            ends = await transaction.rows("run_lock_end", {"run": found.run})
            waiting = int(bool(ends) and ends[0][0] is None)
            given = {"delivery": delivery, "deadline": max(deadline, found.deadline), "waiting": waiting, "now": now}
            if not await transaction.run("delivery_retry", given):
                await transaction.run("delivery_hasten", {"delivery": delivery, "now": now})
            await commit.audit(transaction, now, actor, "delivery-retry", f"{found.run}/{delivery}")
            (row,) = await transaction.rows("delivery_get", {"delivery": delivery})
            return _delivery(row)

        return await self._database.write(work, tells=news.DELIVERIES)

    # -- sending -------------------------------------------------------------------------------------------------

    async def claim(
        self, node: str, limit: int, now: float, until: float, *, own: bool = False
    ) -> list[ClaimedDelivery]:
        statement = "deliveries_claim_own" if own else "deliveries_claim"
        due = {"node": node, "limit": limit, "now": now, "until": until}

        async def work(transaction: Transaction) -> list[ClaimedDelivery]:
            claimed = [_claimed(row, now) for row in await transaction.rows(statement, due)]
            for each in claimed:
                if not each.beats:
                    row = {"delivery": each.delivery, "number": each.attempts, "run": each.run, "node": node, "at": now}
                    await transaction.run("delivery_attempt_add", row)
            return claimed

        return await self._database.write(work, counted=False, tells=0)

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
        given = {
            "delivery": delivery,
            "fence": fence,
            "state": state,
            "due_at": due_at,
            "problem": problem,
            "ended_at": None if state is DeliveryState.PENDING else now,
        }

        async def work(transaction: Transaction) -> bool:
            if sent is not None:
                await transaction.run("delivery_attempt_end", {"delivery": delivery, **msgspec.structs.asdict(sent)})
            return bool(await transaction.run("delivery_settle", given))

        return await self._database.write(work, counted=False, tells=0)

    async def beaten(self, delivery: str, fence: int, due_at: float, problem: str | None) -> bool:
        given = {"delivery": delivery, "fence": fence, "due_at": due_at, "problem": problem}

        async def work(transaction: Transaction) -> bool:
            return bool(await transaction.run("delivery_beaten", given))

        return await self._database.write(work, counted=False, tells=0, once=True)

    async def next_due(self) -> float | None:
        async def work(transaction: Transaction) -> float | None:
            rows = await transaction.rows("deliveries_next_due", {})
            return rows[0][0] if rows else None

        return await self._database.read(work, once=True)

    # -- the net -------------------------------------------------------------------------------------------------

    async def free(self, now: float) -> int:
        async def work(transaction: Transaction) -> int:
            return await transaction.run("deliveries_free", {"now": now})

        return await self._database.write(work, counted=False, tells=0, once=True)

    async def unfinished(self, after: str, limit: int) -> list[tuple[str, str]]:
        async def work(transaction: Transaction) -> list[tuple[str, str]]:
            rows = await transaction.rows("deliveries_waiting_page", {"after": after, "limit": limit})
            return [(delivery, run) for delivery, run in rows]

        return await self._database.read(work, once=True)

    async def tell(self, waiting: Sequence[tuple[str, str]], now: float) -> int:
        runs = _encode(sorted({run for _, run in waiting})).decode()

        async def look(transaction: Transaction) -> dict[str, float | None]:
            rows = await transaction.rows("runs_end_of", {"runs": runs})
            return {row[0]: row[1] for row in rows}

        there = await self._database.read(look, once=True)
        ended = [delivery for delivery, run in waiting if run not in there or there[run] is not None]
        if not ended:
            return 0

        async def work(transaction: Transaction) -> int:
            return sum([await transaction.run("delivery_tell", {"delivery": each, "now": now}) for each in ended])

        return await self._database.write(work, counted=False, tells=news.DELIVERIES)

    # -- reading -------------------------------------------------------------------------------------------------

    async def ending(self, run: str) -> Ended | None:
        async def work(transaction: Transaction) -> Ended | None:
            rows = await transaction.rows("run_ending", {"run": run})
            return _ended(rows[0]) if rows else None

        return await self._database.read(work, once=True)

    async def get(self, delivery: str) -> DeliveryRow | None:
        found = await self._read("delivery_get", {"delivery": delivery})
        return found[0] if found else None

    async def of_run(self, run: str) -> list[DeliveryRow]:
        return await self._read("deliveries_of_run", {"run": run})

    async def page(
        self, namespace: str | None, state: DeliveryState | None, before: str | None, limit: int
    ) -> list[DeliveryRow]:
        given: dict[str, object] = {"namespace": namespace, "state": state, "before": before or _LAST, "limit": limit}
        return await self._read("deliveries_page", given)

    async def _read(self, statement: str, given: dict[str, object]) -> list[DeliveryRow]:
        async def work(transaction: Transaction) -> list[DeliveryRow]:
            return [_delivery(row) for row in await transaction.rows(statement, given)]

        return await self._database.read(work, once=True)

    async def attempts(self, delivery: str, after: int, limit: int) -> list[DeliveryAttempt]:
        async def work(transaction: Transaction) -> list[DeliveryAttempt]:
            page = {"delivery": delivery, "after": after, "limit": limit}
            return [
                DeliveryAttempt(number=number, node=node, at=at, seconds=seconds, status=status, detail=detail)
                for number, node, at, seconds, status, detail in await transaction.rows("delivery_attempts_page", page)
            ]

        return await self._database.read(work, once=True)


def _delivery(row: Row) -> DeliveryRow:
    (delivery, run, namespace, kind, target, receiver, identity, state, waiting, attempts, due_at, deadline, beat_seconds,
     node, fence, problem, created_at, ended_at) = row  # fmt: skip
    return DeliveryRow(
        delivery=delivery,
        run=run,
        namespace=namespace,
        kind=kind,
        target=target,
        receiver=receiver,
        identity=identity,
        state=DeliveryState(state),
        waiting=bool(waiting),
        attempts=attempts,
        due_at=due_at,
        deadline=deadline,
        beat_seconds=beat_seconds,
        node=node,
        fence=fence,
        problem=problem,
        created_at=created_at,
        ended_at=ended_at,
    )


def _ended(row: Row) -> Ended:
    run, namespace, id_, workflow, version, status, output, fault, ended_at = row
    return Ended(
        run=run,
        namespace=namespace,
        id=id_,
        workflow=workflow,
        version=version,
        status=RunStatus(status),
        output=output,
        fault=fault,
        ended_at=ended_at,
    )


def _claimed(row: Row, now: float) -> ClaimedDelivery:
    (delivery, run, namespace, kind, target, sealed, waiting, attempts, deadline, beat_seconds, fence,
     created_at) = row  # fmt: skip
    return ClaimedDelivery(
        delivery=delivery,
        run=run,
        namespace=namespace,
        kind=kind,
        target=target,
        sealed=sealed,
        waiting=bool(waiting),
        beats=bool(waiting) and deadline > now,
        attempts=attempts,
        deadline=deadline,
        beat_seconds=beat_seconds,
        fence=fence,
        created_at=created_at,
    )
