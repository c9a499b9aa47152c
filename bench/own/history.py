"""Fills a store with runs that ended, as years of work leave them, by SQL in bulk."""

# ruff: noqa: S608 (every part of the statements is written here)

from __future__ import annotations

import asyncio
import sqlite3
import time
from typing import Final

import asyncpg

from interlock.service import uuid7

_FILL_SECONDS: Final = 900
_COLUMNS: Final = (
    "run, namespace, id, definition, workflow, version, folder, status, epoch, seq, created_at, started_at, ended_at,"
    " input, head"
)
_VALUES: Final = "'default', 'old-' || n, 'd', 'order', '1.0.0', '/', 'completed', 1, 3"


async def fill(url: str, first: int, last: int) -> None:
    """Insert runs numbered from `first` up to `last`, each with a history of two commits."""
    if url.startswith("sqlite:///"):
        await asyncio.to_thread(_sqlite, url.removeprefix("sqlite:///"), first, last)
    else:
        await _postgresql(url, first, last)


async def _postgresql(url: str, first: int, last: int) -> None:
    key = f"'{_prefix()}' || lpad(to_hex(n), 12, '0')"
    numbers = f"generate_series({first}, {last}) AS g (n)"
    at = time.time()
    connection = await asyncpg.connect(url, timeout=30)
    try:
        for statement in (
            f"INSERT INTO runs ({_COLUMNS}) SELECT {key}, {_VALUES}, {at}, {at}, {at}, '{{}}'::bytea, '{{}}'::bytea"
            f" FROM {numbers}",
            f"INSERT INTO run_keys SELECT 'old-' || n, 'default', {key} FROM {numbers}",
            f"INSERT INTO history SELECT {key}, s, {at}, 1, '[]'::bytea FROM {numbers}, generate_series(2, 3) AS s",
            "VACUUM ANALYZE",
            "CHECKPOINT",
        ):
            await connection.execute(statement, timeout=_FILL_SECONDS)
    finally:
        await connection.close()


def _sqlite(path: str, first: int, last: int) -> None:
    key = f"'{_prefix()}' || printf('%012x', n)"
    numbers = f"WITH RECURSIVE g (n) AS (SELECT {first} UNION ALL SELECT n + 1 FROM g WHERE n < {last})"
    at = time.time()
    connection = sqlite3.connect(path, isolation_level=None, timeout=60)
    try:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(
            f"{numbers} INSERT INTO runs ({_COLUMNS}) SELECT {key}, {_VALUES}, {at}, {at}, {at}, '{{}}', '{{}}' FROM g"
        )
        connection.execute(
            f"{numbers} INSERT INTO history SELECT {key}, s.seq, {at}, 1, '[]' FROM g, (SELECT 2 AS seq UNION SELECT 3) AS s"
        )
        connection.execute("COMMIT")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        connection.close()


def _prefix() -> str:
    """Give the beginning of run keys of an hour ago: they sort before what is started now."""
    return uuid7(int(time.time() * 1000) - 3_600_000, bytes(10))[:24]
