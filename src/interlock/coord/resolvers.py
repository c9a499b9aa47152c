"""What becomes of a value that somebody else changed meanwhile: resolvers of `set`, by name, or any function of one's own.

A resolver gets the value that is there and the one that was to be set, and gives the one to set instead. It may be called
more than once for one `set`, and must not change what it gets.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Any, Final, TypeAlias

from interlock import errors
from interlock.model import json
from interlock.model.json import Json

Resolve: TypeAlias = Callable[[Json, Json], Json]


class Resolver(StrEnum):
    LAST_WRITE_WINS = "last_write_wins"
    """The later stamp, then the larger writer, whatever was read before."""
    UNION = "union"
    """The items of both lists, each once, those that are there first."""
    MERGE = "merge"
    """The members of both objects; of those in both the ones that were to be set."""
    MAX = "max"
    """The larger number."""


def find(resolver: str | Resolve) -> Resolve | None:
    """Give what resolves; None: the last write wins, which the store decides. Raises Invalid for an unknown name."""
    if callable(resolver):
        return resolver
    if resolver not in set(Resolver):
        known = ", ".join(Resolver)
        raise errors.Invalid(f"there is no resolver {resolver!r}; there are {known}, and any function of two values")
    return _BY_NAME.get(Resolver(resolver))


def union(present: Json, given: Json) -> list[Json]:
    both = _two(present, given, list, "union", "lists")
    found: dict[bytes, Json] = {}
    for item in (*both[0], *both[1]):
        found.setdefault(json.encode(item), item)
    return list(found.values())


def merge(present: Json, given: Json) -> dict[str, Json]:
    first, second = _two(present, given, dict, "merge", "objects")
    return {**first, **second}


def larger(present: Json, given: Json) -> Json:
    return max(_two(present, given, (int, float), "max", "numbers"))


def _two(
    present: Json, given: Json, kind: type | tuple[type, ...], name: str, kinds: str
) -> tuple[Any, Any]:  # whatever was asked for
    for value, whose in ((present, "the value that is there"), (given, "the value to set")):
        if not isinstance(value, kind) or isinstance(value, bool):
            raise errors.Misfit(f"the resolver {name} needs two {kinds}, and {whose} is {_told(value)}")
    return present, given


def _told(value: Json) -> str:
    text = json.encode(value).decode()
    return text if len(text) <= 80 else text[:77] + "..."


_BY_NAME: Final[dict[Resolver, Resolve]] = {Resolver.UNION: union, Resolver.MERGE: merge, Resolver.MAX: larger}
