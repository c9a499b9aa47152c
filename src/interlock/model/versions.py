"""Semantic versions (semver 2.0.0): their order, and the newest of a set."""

from __future__ import annotations

from collections.abc import Iterable


def newest(versions: Iterable[str]) -> str | None:
    """Give the highest version; a pre-release only when there is nothing else. None for an empty set."""
    found = list(versions)
    released = [version for version in found if "-" not in version.partition("+")[0]]
    return max(released or found, key=precedence, default=None)


def precedence(version: str) -> tuple[tuple[int, ...], bool, tuple[tuple[bool, int, str], ...]]:
    """Give a key that orders versions as semver section 11 says; build metadata does not count."""
    core, _, pre = version.partition("+")[0].partition("-")
    numbers = tuple(int(part) for part in core.split("."))
    parts = tuple(_identifier(part) for part in pre.split(".")) if pre else ()
    return numbers, not pre, parts


def _identifier(part: str) -> tuple[bool, int, str]:
    return (False, int(part), "") if part.isdigit() else (True, 0, part)
