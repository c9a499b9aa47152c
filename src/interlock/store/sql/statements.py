"""Finds the SQL statements of a dialect: each a file, named as it is called."""

from __future__ import annotations

from functools import cache
from importlib import resources


@cache
def load(dialect: str) -> dict[str, str]:
    """Give every statement of a dialect by name."""
    folder = resources.files(__package__) / "queries" / dialect
    return {entry.name.removesuffix(".sql"): entry.read_text("utf-8") for entry in folder.iterdir()}


@cache
def schema(dialect: str) -> str:
    """Give the schema of a dialect as a whole; it equals what the migrations make, which is tested."""
    return (resources.files(__package__) / "migrations" / dialect / "schema.sql").read_text("utf-8")


@cache
def migrations(dialect: str) -> dict[str, tuple[str, str]]:
    """Give the migrations of a dialect in order: name to (up, down)."""
    folder = resources.files(__package__) / "migrations" / dialect
    names = sorted(entry.name.removesuffix(".up.sql") for entry in folder.iterdir() if entry.name.endswith(".up.sql"))
    return {
        name: ((folder / f"{name}.up.sql").read_text("utf-8"), (folder / f"{name}.down.sql").read_text("utf-8"))
        for name in names
    }
