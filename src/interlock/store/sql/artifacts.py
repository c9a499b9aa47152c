"""Artifacts on SQL: a row is written in the transaction that sees the attempt in flight."""

from __future__ import annotations

import msgspec

from interlock import errors
from interlock.store.ports import ArtifactRow, KeptArtifact, ReceivedFile
from interlock.store.sql.transaction import Database, Row, Transaction

_FIRST = ("", 0, "")  # before every row of a run


class SqlArtifacts:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def keep(
        self, task: str, fence: int, name: str, media_type: str, file: ReceivedFile, most: int, now: float
    ) -> KeptArtifact | None:
        async def work(transaction: Transaction) -> KeptArtifact | None:
            found = await transaction.rows("artifact_attempt", {"task": task, "fence": fence})
            if not found:
                return None
            run, path, attempt = found[0]
            new = ArtifactRow(
                run=run,
                task=task,
                attempt=attempt,
                name=name,
                path=path,
                media_type=media_type,
                size=file.size,
                digest=file.digest,
                place=file.place,
                created_at=now,
            )
            key = {"run": run, "task": task, "attempt": attempt}
            before = [_row(row) for row in await transaction.rows("artifact_get", {**key, "name": name})]
            if before and (before[0].digest, before[0].media_type) == (file.digest, media_type):
                return KeptArtifact(row=before[0], unused=file.place)
            if not before and (await transaction.rows("artifacts_count", key))[0][0] >= most:
                raise errors.Conflict(
                    f"the attempt has kept {most} artifacts, which is all that one may; pack them together"
                )
            await transaction.run("artifact_put", msgspec.structs.asdict(new))
            return KeptArtifact(row=new, unused=before[0].place if before else None)

        return await self._database.write(work, counted=False, tells=0)  # nobody waits for it: who wants to know looks

    async def page(self, run: str, after: tuple[str, int, str] | None, limit: int) -> list[ArtifactRow]:
        task, attempt, name = _FIRST if after is None else after
        asked = {"run": run, "limit": limit, "task": task, "attempt": attempt, "name": name}

        async def work(transaction: Transaction) -> list[ArtifactRow]:
            return [_row(row) for row in await transaction.rows("artifacts_page", asked)]

        return await self._database.read(work, once=True)

    async def abandoned(self, after: str, limit: int) -> list[str]:
        async def work(transaction: Transaction) -> list[str]:
            return [row[0] for row in await transaction.rows("artifacts_abandoned", {"after": after, "limit": limit})]

        return await self._database.read(work, once=True)

    async def forget(self, run: str) -> None:
        async def work(transaction: Transaction) -> None:
            await transaction.run("artifacts_forget", {"run": run})

        await self._database.write(work, counted=False, tells=0)


def _row(row: Row) -> ArtifactRow:
    run, task, attempt, name, path, media_type, size, digest, place, created_at = row
    return ArtifactRow(
        run=run,
        task=task,
        attempt=attempt,
        name=name,
        path=path,
        media_type=media_type,
        size=size,
        digest=digest,
        place=place,
        created_at=created_at,
    )
