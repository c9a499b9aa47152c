"""Brings the schema of a PostgreSQL database up to date, and back, under a lock between processes."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import asyncpg

from interlock import errors
from interlock.store.sql import compatibility, statements

LOCK: Final = 0x494E544B  # "INTK": processes that start at once migrate one after the other
_SECONDS: Final = 3600.0  # for one change: an index over a full table takes its time; others wait for it as long
_LOCK_SECONDS: Final = 0.5  # how long others stand behind a change that waits for a table
_PAUSE_SECONDS: Final = 1.0
_ATTEMPTS: Final = 40
_OURS: Final = {"meta", "migrations", "runs"}


async def migrate(connection: asyncpg.Connection[Any]) -> None:
    """Apply what is missing, all of it in one transaction. Raises StoreCorrupt for tables that are not ours, or newer.

    A change of a table waits for whoever uses it, and all others wait behind the change: a dump of an hour would stop every
    node for an hour. So it waits for a moment only, lets the others pass, and tries again. Raises StoreUnavailable when
    that was no use.
    """
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            await _migrate(connection)
            return
        except asyncpg.LockNotAvailableError as error:
            if attempt == _ATTEMPTS:
                raise errors.StoreUnavailable(
                    "the schema cannot be brought up to date: a long transaction, such as a dump, uses its tables; "
                    "try again when it has ended (`SELECT * FROM pg_stat_activity WHERE state <> 'idle'` shows it)"
                ) from error
        await asyncio.sleep(_PAUSE_SECONDS)


async def _migrate(connection: asyncpg.Connection[Any]) -> None:
    async with connection.transaction():
        await connection.execute(f"SELECT pg_advisory_xact_lock({LOCK})", timeout=_SECONDS)
        applied, needs = await _recorded(connection)
        known = statements.migrations("postgresql")
        await connection.execute(f"SET LOCAL lock_timeout = '{_LOCK_SECONDS}s'")
        for name in compatibility.pending("postgresql", applied, needs):
            await connection.execute(known[name][0], timeout=_SECONDS)
            await connection.execute("INSERT INTO migrations VALUES ($1, extract(epoch FROM clock_timestamp()))", name)
            if compatibility.is_incompatible(known[name][0]):
                await connection.execute(
                    "INSERT INTO meta VALUES ('needs', $1) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                    name,
                )


async def revert(connection: asyncpg.Connection[Any], name: str) -> None:
    """Undo one migration; its down script removes what its up script made."""
    async with connection.transaction():
        await connection.execute(f"SELECT pg_advisory_xact_lock({LOCK})", timeout=_SECONDS)
        await connection.execute(statements.migrations("postgresql")[name][1])
        if name != min(statements.migrations("postgresql")):
            await connection.execute("DELETE FROM migrations WHERE name = $1", name)


async def _recorded(connection: asyncpg.Connection[Any]) -> tuple[set[str], str | None]:
    """Give the migrations that a store has had, and the newest of them that a process must know."""
    found = await connection.fetch(
        "SELECT name FROM unnest($1::text[]) AS o (name) WHERE to_regclass(name) IS NOT NULL", [*_OURS]
    )
    tables = {row[0] for row in found}
    if not tables:
        return set(), None
    if tables != _OURS:
        raise errors.StoreCorrupt(
            f"the database has a table {min(tables)!r} that is not Interlock's; give it a schema of its own in store.url, "
            "such as postgresql://host/database?search_path=interlock"
        )
    applied = {row[0] for row in await connection.fetch("SELECT name FROM migrations")}
    return applied, await connection.fetchval("SELECT value FROM meta WHERE name = 'needs'")
