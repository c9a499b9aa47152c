"""Looks at a store while it is in trouble: what must hold at every moment, and not only in the end."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import Mapping, Sequence
from typing import Any

import asyncpg

_LOOK_SECONDS = 0.4
_ATTENDED_SECONDS = 45.0
"""Three times what a takeover may take: nodes are killed again while they take over."""

_LIMITS = """
SELECT limits.name, limits.capacity, count(*) FROM lease_limits JOIN limits ON limits.name = lease_limits.name
WHERE limits.capacity IS NOT NULL GROUP BY limits.name, limits.capacity
"""
_UNATTENDED = """
SELECT run, status FROM runs WHERE ended_at IS NULL
AND NOT EXISTS (SELECT 1 FROM leases WHERE leases.kind = 'node' AND leases.name = runs.owner)
"""


class Eyes:
    """A connection of its own, which no node knows of, and which nothing stands before."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def ask(self, *queries: str) -> list[list[Sequence[Any]]]:
        """Give the rows of each query, all of one moment. Raises OSError when the store is away."""
        if self._url.startswith("sqlite:///"):
            return await asyncio.to_thread(self._of_the_file, queries)
        try:
            connection = await asyncpg.connect(self._url, timeout=5)
            try:
                async with connection.transaction(isolation="repeatable_read", readonly=True):
                    return [[tuple(row) for row in await connection.fetch(query)] for query in queries]
            finally:
                await connection.close(timeout=5)
        except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise OSError(str(error)) from error

    def _of_the_file(self, queries: Sequence[str]) -> list[list[Sequence[Any]]]:
        path = self._url.removeprefix("sqlite:///")
        try:
            with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None)) as file:
                file.execute("PRAGMA busy_timeout=5000")
                file.execute("BEGIN")
                return [file.execute(query).fetchall() for query in queries]
        except sqlite3.Error as error:
            raise OSError(str(error)) from error


class Watch:
    """Looks again and again; `wrong` tells what must not have been."""

    def __init__(self, url: str) -> None:
        self._eyes = Eyes(url)
        self._unattended: dict[str, float] = {}
        self.looks = 0
        self.fullest: dict[str, int] = {}
        """The most leases that were seen to name each limit."""
        self.wrong: list[str] = []

    async def look_for_ever(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            try:
                limits, unattended = await self._eyes.ask(_LIMITS, _UNATTENDED)
            except OSError:
                self._unattended.clear()  # nobody can attend to anything
                continue
            self.looks += 1
            for name, capacity, leases in limits:
                self.fullest[name] = max(leases, self.fullest.get(name, 0))
                if leases > capacity:
                    self.wrong.append(f"{leases} leases under the limit {name} of {capacity}")
            self._attended(dict(unattended))

    def _attended(self, unattended: Mapping[str, str]) -> None:
        now = time.monotonic()
        self._unattended = {run: self._unattended.get(run, now) for run in unattended}
        for run, since in self._unattended.items():
            if now - since > _ATTENDED_SECONDS:
                self.wrong.append(f"the run {run} was {unattended[run]} for {now - since:.0f} s with nobody at it")
