"""Weekly partitions of what grows with every run: made ahead, dropped whole.

Run keys are UUIDv7 texts, whose first 48 bits are the milliseconds of their making, so a week is a range of keys:

    runs_20261116   FROM ('019a8a1c-a400') TO ('019aae29-3800')

A key that lies in no week (an id of a test, a clock far off) goes to the DEFAULT partition, the net. A week that rows of the
net belong to is not made any more; they stay where they are.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import asyncpg

from interlock.store.sql.postgresql import schema

TABLES: Final = ("runs", "history", "memos", "large_values", "logs")
_WEEK: Final = timedelta(days=7)
_AHEAD: Final = 4
"""Weeks made ahead: a process looks every hour, so that a store is not used for a month before one is missing."""

_ELSEWHERE: Final = (
    "tasks", "scopes", "inbox", "log_writers", "attributes", "tokens", "deliveries", "delivery_attempts", "run_keys",
    "history_other", "memos_other", "large_values_other", "logs_other",
)  # fmt: skip
"""What holds rows of a run outside of its week: tables that have no weeks, and the net, for a week that was made in part."""
_PIECE: Final = 2_000  # rows in one transaction
_OF_RUNS: Final = re.compile(r"runs_(2\d{7})")

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

        attached --a moment under lock--> detached, its runs are gone --rows elsewhere deleted in pieces--> dropped

    A week that a process left detached is finished by the next one.
    """
    limit = datetime.fromtimestamp(before, UTC)
    dropped = 0
    for week in await _attached(connection):
        if week + _WEEK > limit:
            break
        dropped += await _detach(connection, week, before)
    for week in await _detached(connection):
        await _finish(connection, week)
    return dropped


async def _detach(connection: asyncpg.Connection[Any], week: datetime, before: float) -> int:
    """Take a week out of its tables, if nothing of it is live; gives the number of its runs."""
    runs = _name("runs", week)
    kept = (
        f"SELECT 1 FROM {runs} WHERE ended_at IS NULL OR ended_at > {before!r}"  # noqa: S608 (a name of ours)
        f" UNION ALL SELECT 1 FROM tasks WHERE {_of(week, 'tasks')} AND state = 'running'"
    )
    if await connection.fetchval(f"SELECT EXISTS ({kept})"):
        return 0
    count: int = await connection.fetchval(f"SELECT count(*) FROM {runs}")  # noqa: S608 (a name of ours)
    there = await _names(connection)
    # The tables before their parts, as commits lock them. A run that is reopened now waits, and finds its row gone.
    parents = ", ".join(f"ONLY {table}" for table in TABLES)
    detached = await _change(
        connection,
        f"LOCK TABLE {parents} IN ACCESS EXCLUSIVE MODE",
        *(f"ALTER TABLE {table} DETACH PARTITION {name}" for table in TABLES if (name := _name(table, week)) in there),
        unless=kept,
    )
    return count if detached else 0


async def _finish(connection: asyncpg.Connection[Any], week: datetime) -> None:
    """Delete the rows of a detached week that stand elsewhere, then its own tables; what is in the way waits for the next
    time. Nothing here locks what others use for longer than a piece takes."""
    tasks = f"(SELECT task FROM tasks WHERE {_of(week, 'tasks')})"  # noqa: S608 (names and bounds of ours)
    elsewhere = [("task_edges", f"predecessor IN {tasks}"), ("task_limits", f"task IN {tasks}")]
    elsewhere += [(table, _of(week, table)) for table in _ELSEWHERE]
    for table, condition in elsewhere:
        piece = f"SELECT ctid FROM {table} WHERE {condition} LIMIT {_PIECE}"  # noqa: S608 (names and bounds of ours)
        deleted = f"DELETE FROM {table} WHERE ctid = ANY (ARRAY ({piece}))"  # noqa: S608 (as above)
        while (await connection.execute(deleted)) != "DELETE 0":
            pass
    # The runs last: they say what belongs to the week.
    await _change(connection, *(f"DROP TABLE IF EXISTS {_name(table, week)}" for table in reversed(TABLES)))


def _name(table: str, week: datetime) -> str:
    return f"{table}_{week:%Y%m%d}"


def _of(week: datetime, table: str) -> str:
    """Give the condition for rows of the runs of a week. Task graphs have keys of the same form, and no run."""
    low, high, runs = bound(week), bound(week + _WEEK), _name("runs", week)
    exists = f"EXISTS (SELECT 1 FROM {runs} WHERE {runs}.run = {table}.run)"  # noqa: S608 (a name of ours)
    return f"{table}.run >= '{low}' AND {table}.run < '{high}' AND {exists}"


async def _attached(connection: asyncpg.Connection[Any]) -> list[datetime]:
    return _weeks_of(await _names(connection))


async def _detached(connection: asyncpg.Connection[Any]) -> list[datetime]:
    rows = await connection.fetch(
        "SELECT relname FROM pg_class WHERE relkind = 'r' AND NOT relispartition AND relname ~ '^runs_2[0-9]{7}$'"
        " AND relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = 'runs'::regclass)"
    )
    return _weeks_of({row[0] for row in rows})


def _weeks_of(names: set[str]) -> list[datetime]:
    """Give the weeks that tables of runs are named after, the oldest first."""
    return sorted(
        datetime.strptime(found[1], "%Y%m%d").replace(tzinfo=UTC)
        for name in names
        if (found := _OF_RUNS.fullmatch(name))
    )


async def _names(connection: asyncpg.Connection[Any]) -> set[str]:
    rows = await connection.fetch(
        "SELECT c.relname FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid"
        " WHERE i.inhparent = ANY (SELECT to_regclass(name) FROM unnest($1::text[]) AS o (name))",
        list(TABLES),
    )
    return {row[0] for row in rows}


async def _change(connection: asyncpg.Connection[Any], *statements: str, unless: str | None = None) -> bool:
    """Change tables in a transaction that gives way to others; False: not now.

    `unless`: a query whose rows, after the first statement, keep the others from being made.
    """
    try:
        async with connection.transaction():
            await connection.execute(f"SET LOCAL lock_timeout = '{_LOCK_SECONDS}s'")
            await connection.execute(f"SELECT pg_advisory_xact_lock({schema.LOCK})")  # one process at a time
            await connection.execute(statements[0])
            if unless is not None and await connection.fetchval(f"SELECT EXISTS ({unless})"):
                return False
            for statement in statements[1:]:
                await connection.execute(statement)
    except _PASSING:
        return False
    return True
