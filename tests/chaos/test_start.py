"""Fifty processes that meet on an empty database."""

from __future__ import annotations

import asyncio
import os
import sys
import time

import asyncpg
import pytest

import postgres
from acceptance.shell import SOURCE
from interlock.store.sql import statements

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(200)]

PROCESSES = 50
_OPEN = """
import asyncio, sys
from interlock.store.open import open_store
from interlock.store.sql.postgresql import store

async def main():
    print("here", flush=True)
    sys.stdin.readline()
    opened = await open_store(sys.argv[1])
    await opened.views.counts()
    await opened.close()
    print("opened", flush=True)

asyncio.run(main())
"""


async def test_fifty_processes_that_start_at_once_migrate_once(server: postgres.Server) -> None:
    url = server.url("postgres")
    processes = [await _started(url) for _ in range(PROCESSES)]
    for process in processes:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"here\n"
    begin = time.monotonic()
    ended = await asyncio.gather(*(process.communicate(b"go\n") for process in processes))
    print(f"\n{PROCESSES} processes opened an empty database at once within {time.monotonic() - begin:.2f} s")
    assert [out for out, _ in ended] == [b"opened\n"] * PROCESSES, [err.decode() for _, err in ended if err]
    connection = await asyncpg.connect(url)
    applied = await connection.fetch("SELECT name, applied_at FROM migrations ORDER BY name")
    await connection.close()
    assert [row[0] for row in applied] == sorted(statements.migrations("postgresql"))


async def _started(url: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", _OPEN, url, env=os.environ | {"PYTHONPATH": str(SOURCE)},
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
