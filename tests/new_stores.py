"""Makes new SQLite stores by copying one that the migrations made: that costs a fifteenth of migrating, and tests make thousands.

What opens a store with anything in it migrates as ever. The tests of the migrations call them at `sqlite_schema`, which stays as
it is.
"""

from __future__ import annotations

import functools
import sqlite3

from interlock.store.sql import sqlite, sqlite_schema


def install() -> None:
    """Have this process make its new stores so from now on. Safe to call twice."""
    _template()
    sqlite.migrate = _migrate


def _migrate(connection: sqlite3.Connection) -> None:
    if connection.execute("PRAGMA page_count").fetchone() == (0,):
        _template().backup(connection)
    else:
        sqlite_schema.migrate(connection)


@functools.cache
def _template() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    sqlite_schema.migrate(connection)
    return connection
