"""Decisions on SQL: what was chosen and why, and what the strategies that choose have learned."""

from __future__ import annotations

from interlock.store.ports import Choice
from interlock.store.sql.transaction import Database, Transaction


class SqlChoices:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def note(self, kind: str, subject: str, chosen: str | None, body: bytes, now: float | None) -> None:
        row = {"subject": subject, "chosen": chosen, "body": body}

        async def work(transaction: Transaction) -> None:
            await transaction.insert("decisions_add", {"kind": kind, "now": now}, [row])

        await self._database.write(work, counted=False, tells=0, once=True)

    async def choices(self, kind: str, subject: str | None, limit: int) -> list[Choice]:
        async def work(transaction: Transaction) -> list[Choice]:
            if subject is None:
                rows = await transaction.rows("decisions_of_kind", {"kind": kind, "limit": limit})
            else:
                given = {"kind": kind, "subject": subject, "limit": limit}
                rows = await transaction.rows("decisions_of_subject", given)
            return [
                Choice(number=number, at=at, kind=kind, subject=about, chosen=chosen, body=body)
                for number, at, kind, about, chosen, body in rows
            ]

        return await self._database.read(work, once=True)

    async def weights(self) -> dict[str, float]:
        async def work(transaction: Transaction) -> dict[str, float]:
            return {row[0]: row[1] for row in await transaction.rows("weights_list", {})}

        return await self._database.read(work, once=True)
