"""Weekly partitions of what grows with every run: made ahead, dropped whole.

Run keys are UUIDv7 texts, whose first 48 bits are the milliseconds of their making, so a week is a range of keys:

    runs_20261116   FROM ('019a8a1c-a400') TO ('019aae29-3800')

A key that lies in no week (an id of a test, a clock far off) goes to the DEFAULT partition, the net. A week that rows of the
net belong to is not made any more; they stay where they are.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

import asyncpg

from interlock.store.sql.postgresql import schema

TABLES: Final = ("runs", "history", "large_values", "logs")
_WEEK: Final = timedelta(days=7)
_AHEAD: Final = 4
"""Weeks made ahead: a process looks every hour, so that a store is not used for a month before one is missing."""

_LOCK_SECONDS: Final = 2  # making a partition stops every writer of the table, so it waits for them only so long
_PASSING: Final = (asyncpg.LockNotAvailableError, asyncpg.CheckViolationError, asyncpg.DeadlockDetectedError)
"""Why a partition is not made or dropped now: others are at work, rows of the net are in the way."""


def bound(moment: datetime) -> str:
    """Give the smallest run key of a moment, without what follows its 48 bits of time."""
    text = (int(moment.timestamp() * 1000)).to_bytes(6, "big").hex()
    return f"{text[:8]}-{text[8:]}"


def weeks(now: float, count: int = _AHEAD + 1) -> list[datetime]:
    """Give the Mondays of the week of `now` and of those that follow it."""
    today = datetime.fromtimestamp(now, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    monday = today - timedelta(days=today.weekday())
    return [monday + number * _WEEK for number in range(count)]


async def make(connection: asyncpg.Connection[Any], now: float) -> int:
    """Make the partitions of this week and the next ones that are missing; gives how many were made."""
    there = await _names(connection)
    made = 0
    for week in weeks(now):
        for table in TABLES:
            if f"{table}_{week:%Y%m%d}" not in there:
                made += await _make_one(connection, table, week)
    return made


async def _make_one(connection: asyncpg.Connection[Any], table: str, week: datetime) -> bool:
    name, low, high = f"{table}_{week:%Y%m%d}", bound(week), bound(week + _WEEK)
    return await _change(
        connection,
        f"CREATE TABLE IF NOT EXISTS {name} PARTITION OF {table} FOR VALUES FROM ('{low}') TO ('{high}')",
    )


async def drop(connection: asyncpg.Connection[Any], before: float) -> int:
    """Drop the weeks all of whose runs had ended before a moment; gives the number of runs.

    The other rows of their runs go with them: ids, tasks and scopes by deletion, everything else with its partition.
    """
    limit = datetime.fromtimestamp(before, UTC)
    dropped = 0
    for name in sorted(name for name in await _names(connection) if name.startswith("runs_2")):
        week = datetime.strptime(name.removeprefix("runs_"), "%Y%m%d").replace(tzinfo=UTC)
        if week + _WEEK > limit:
            break
        low, high = bound(week), bound(week + _WEEK)
        kept = f"SELECT 1 FROM {name} WHERE ended_at IS NULL OR ended_at > {before!r}"  # noqa: S608 (a name of ours)
        if await connection.fetchval(f"SELECT EXISTS ({kept})"):
            continue
        runs = await connection.fetchval(f"SELECT count(*) FROM {name}")  # noqa: S608 (a name of ours)
        tables = [f"{table}_{week:%Y%m%d}" for table in TABLES]
        rest = [
            f"DELETE FROM {table} WHERE run >= '{low}' AND run < '{high}'"  # noqa: S608 (bounds of ours)
            for table in ("run_keys", "tasks", "scopes", "inbox", "log_writers")
        ]
        # The run table first: a run that is reopened now waits, and finds its row gone.
        guard = f"LOCK TABLE {name} IN ACCESS EXCLUSIVE MODE"
        check = f"DO $$ BEGIN ASSERT NOT EXISTS ({kept}); END $$"
        if await _change(connection, guard, check, *(f"DROP TABLE IF EXISTS {table}" for table in tables), *rest):
            dropped += runs
    return dropped


async def _names(connection: asyncpg.Connection[Any]) -> set[str]:
    rows = await connection.fetch(
        "SELECT c.relname FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid"
        " WHERE i.inhparent = ANY (SELECT to_regclass(name) FROM unnest($1::text[]) AS o (name))",
        list(TABLES),
    )
    return {row[0] for row in rows}


async def _change(connection: asyncpg.Connection[Any], *statements: str) -> bool:
    """Change tables in a transaction that gives way to others; False: not now."""
    try:
        async with connection.transaction():
            await connection.execute(f"SET LOCAL lock_timeout = '{_LOCK_SECONDS}s'")
            await connection.execute(f"SELECT pg_advisory_xact_lock({schema.LOCK})")  # one process at a time
            for statement in statements:
                await connection.execute(statement)
    except (*_PASSING, asyncpg.AssertError):
        return False
    return True
