"""Fills a store with runs that ended, as a year of work leaves them."""

from __future__ import annotations

import sqlite3
import time

import asyncpg

from interlock.service import uuid7

NAMESPACE = "filled"

_COLUMNS = "run, namespace, id, definition, workflow, version, folder, status, epoch, seq, created_at, started_at, ended_at, input, head"
_VALUES = f"'{NAMESPACE}', 'filled-' || n, 'd', 'order', '1.0.0', '/', 'completed', 1, 3"


async def postgresql(url: str, count: int) -> None:
    """Insert into a database that may have the first schema only."""
    connection = await asyncpg.connect(url)
    key = f"'{_prefix()}' || lpad(to_hex(n), 12, '0')"
    numbers = f"generate_series(1, {count}) AS g (n)"
    at = time.time()
    await connection.execute(
        f"INSERT INTO runs ({_COLUMNS}) SELECT {key}, {_VALUES}, {at}, {at}, {at}, '{{}}'::bytea, '{{}}'::bytea FROM {numbers}",
        timeout=600,
    )
    await connection.execute(
        f"INSERT INTO run_keys SELECT 'filled-' || n, '{NAMESPACE}', {key} FROM {numbers}", timeout=600
    )
    await connection.execute(
        f"INSERT INTO history SELECT {key}, s, {at}, 1, '[]'::bytea FROM {numbers}, generate_series(2, 3) AS s",
        timeout=600,
    )
    await connection.execute("ANALYZE")
    await connection.close()


def sqlite(path: str, count: int) -> None:
    """Insert into a file that may have the first schema only."""
    connection = sqlite3.connect(path, isolation_level=None, timeout=60)
    key = f"'{_prefix()}' || printf('%012x', n)"
    numbers = f"WITH RECURSIVE g (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM g WHERE n < {count})"
    at = time.time()
    connection.execute("BEGIN IMMEDIATE")
    connection.execute(
        f"{numbers} INSERT INTO runs ({_COLUMNS}) SELECT {key}, {_VALUES}, {at}, {at}, {at}, '{{}}', '{{}}' FROM g"
    )
    connection.execute(
        f"{numbers} INSERT INTO history SELECT {key}, s.seq, {at}, 1, '[]' FROM g, (SELECT 2 AS seq UNION SELECT 3) AS s"
    )
    connection.execute("COMMIT")
    connection.close()


def _prefix() -> str:
    """Give the beginning of run keys of this week."""
    return uuid7(int(time.time() * 1000) - 3_600_000, bytes(10))[:24]
