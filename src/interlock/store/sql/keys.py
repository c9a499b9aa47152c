"""API keys on SQL. A key is made and revoked in the transaction that records who did it."""

from __future__ import annotations

import builtins

import msgspec

from interlock.model.access import Role
from interlock.store.ports import KeyRow
from interlock.store.sql import commit
from interlock.store.sql.transaction import Database, Row, Transaction

_FIRST = ""  # before every id

_encode = msgspec.json.Encoder().encode
_names = msgspec.json.Decoder(builtins.list[str]).decode


class SqlKeys:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, row: KeyRow, actor: str, now: float) -> None:
        namespaces = None if row.namespaces is None else _encode(row.namespaces).decode()
        columns = msgspec.structs.asdict(row) | {"role": str(row.role), "namespaces": namespaces}

        async def work(transaction: Transaction) -> None:
            await transaction.run("key_add", columns)
            await commit.audit(transaction, now, actor, "create-key", _target(row))

        await self._database.write(work, counted=False, tells=0)

    async def find(self, id: str) -> KeyRow | None:
        async def work(transaction: Transaction) -> KeyRow | None:
            rows = await transaction.rows("key_get", {"id": id})
            return _key(rows[0]) if rows else None

        return await self._database.read(work, once=True)

    async def list(self, after: str | None, limit: int) -> builtins.list[KeyRow]:
        asked = {"after": _FIRST if after is None else after, "limit": limit}

        async def work(transaction: Transaction) -> builtins.list[KeyRow]:
            return [_key(row) for row in await transaction.rows("keys_page", asked)]

        return await self._database.read(work, once=True)

    async def revoke(self, id: str, actor: str, now: float) -> KeyRow | None:
        async def work(transaction: Transaction) -> KeyRow | None:
            revoked = await transaction.run("key_revoke", {"id": id, "now": now})
            rows = await transaction.rows("key_get", {"id": id})
            if not rows:
                return None
            row = _key(rows[0])
            if revoked:
                await commit.audit(transaction, now, actor, "revoke-key", _target(row))
            return row

        return await self._database.write(work, counted=False, tells=0)

    async def any_live(self, now: float) -> bool:
        async def work(transaction: Transaction) -> bool:
            return bool(await transaction.rows("key_live", {"now": now}))

        return await self._database.read(work, once=True)


def _target(row: KeyRow) -> str:
    return f"{row.id}/{row.name}"


def _key(row: Row) -> KeyRow:
    id_, name, digest, role, namespaces, created_at, created_by, expires_at, revoked_at = row
    return KeyRow(
        id=id_,
        name=name,
        digest=digest,
        role=Role(role),
        namespaces=None if namespaces is None else tuple(_names(namespaces)),
        created_at=created_at,
        created_by=created_by,
        expires_at=expires_at,
        revoked_at=revoked_at,
    )
