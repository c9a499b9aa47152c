"""Turns the `:name` parameters of a statement into the `$n` that PostgreSQL knows."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final

from interlock.store.sql import statements

_TOKEN: Final = re.compile(r"--[^\n]*|'(?:[^']|'')*'|::|:([a-z_]+)")


@dataclass(frozen=True, slots=True)
class Prepared:
    """A statement as the server takes it; `names`: what stands for $1, $2 and so on."""

    sql: str
    names: tuple[str, ...]

    def arguments(self, parameters: Mapping[str, object]) -> list[object]:
        """Give the values in the order of the statement; what it does not name is left out."""
        return [parameters[name] for name in self.names]


def prepare(sql: str) -> Prepared:
    """Number the parameters of a statement. Comments, quoted texts and `::casts` stay as they are."""
    names: list[str] = []

    def number(match: re.Match[str]) -> str:
        name = match.group(1)
        if name is None:
            return "" if match.group(0).startswith("--") else match.group(0)
        if name not in names:
            names.append(name)
        return f"${names.index(name) + 1}"

    return Prepared(_TOKEN.sub(number, sql).strip(), tuple(names))


@cache
def load() -> dict[str, Prepared]:
    """Give every statement of PostgreSQL by name."""
    return {name: prepare(sql) for name, sql in statements.load("postgresql").items()}
