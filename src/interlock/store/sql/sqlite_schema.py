"""Brings the schema of an SQLite file up to date, and back."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence
from typing import Final, TypeAlias

from interlock.store.sql import compatibility, statements
from interlock.store.sql.sqlite_file import refuse_foreign

_APPLICATION_ID: Final = 0x494E544B  # "INTK": marks the file as ours

_Record: TypeAlias = tuple[str, tuple[object, ...]]
"""A statement that records a migration, and its values."""


def migrate(connection: sqlite3.Connection) -> None:
    """Bring the schema up to date, one transaction per migration. Refuses a file that is not ours or is newer."""
    tables = refuse_foreign(connection)
    applied, needs = _recorded(connection) if tables else (set(), None)
    known = statements.migrations("sqlite")
    for name in compatibility.pending("sqlite", applied, needs):
        records: list[_Record] = [("INSERT INTO migrations VALUES (?, ?)", (name, time.time()))]
        if compatibility.is_incompatible(known[name][0]):
            records.append(("INSERT OR REPLACE INTO meta VALUES ('needs', ?)", (name,)))
        _apply(connection, known[name][0], records)
    connection.execute(f"PRAGMA application_id={_APPLICATION_ID}")


def _recorded(connection: sqlite3.Connection) -> tuple[set[str], str | None]:
    """Give the migrations that a store has had, and the newest of them that a process must know."""
    applied = {row[0] for row in connection.execute("SELECT name FROM migrations")}
    needs = connection.execute("SELECT value FROM meta WHERE name = 'needs'").fetchone()
    return applied, None if needs is None else needs[0]


def revert(connection: sqlite3.Connection, name: str) -> None:
    """Undo one migration; its down script removes what its up script made."""
    _, down = statements.migrations("sqlite")[name]
    first = name == min(statements.migrations("sqlite"))
    _apply(connection, down, [] if first else [("DELETE FROM migrations WHERE name = ?", (name,))])


def _apply(connection: sqlite3.Connection, script: str, records: Sequence[_Record]) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        for statement in script.split(";\n"):
            if statement.strip():
                connection.execute(statement)
        for record, parameters in records:
            connection.execute(record, parameters)
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
