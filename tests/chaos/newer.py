"""A process of a version to come, which has one migration more: python newer.py UP DOWN COMMAND...

`UP` and `DOWN` are its scripts. COMMAND: `up` and `down` bring the store of INTERLOCK_STORE_URL there and print the seconds;
everything else is a command line of Interlock.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import sys
import time

import asyncpg

from interlock.cli.main import main
from interlock.store.open import open_store
from interlock.store.sql import sqlite_schema, statements
from interlock.store.sql.postgresql import schema

NAME = "9000_of_a_version_to_come"


async def migrate(url: str) -> None:
    store = await open_store(url)
    await store.close()


async def revert(url: str) -> None:
    if url.startswith("sqlite:///"):
        connection = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None, timeout=30)
        sqlite_schema.revert(connection, NAME)
        connection.close()
    else:
        server = await asyncpg.connect(url)
        await schema.revert(server, NAME)
        await server.close()


if __name__ == "__main__":
    up, down, *command = sys.argv[1:]
    known = {dialect: statements.migrations(dialect) | {NAME: (up, down)} for dialect in ("sqlite", "postgresql")}
    statements.migrations = known.__getitem__  # type: ignore[assignment]
    if command in (["up"], ["down"]):
        url = os.environ["INTERLOCK_STORE_URL"]
        begin = time.monotonic()
        asyncio.run(migrate(url) if command == ["up"] else revert(url))
        print(f"{time.monotonic() - begin:.3f}")
    else:
        sys.argv[1:] = command
        main()
