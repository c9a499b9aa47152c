"""Semantic versions (semver 2.0.0): their order, and the newest of a set."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

_VERSION: Final = re.compile(r"^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?$")


def is_version(text: str) -> bool:
    """Say whether a text is a semantic version."""
    return _VERSION.match(text) is not None


def is_compatible(version: str, wanted: str) -> bool:
    """Say whether what has `version` can stand in for `wanted`: of the same major version, and not older."""
    return precedence(version)[0][0] == precedence(wanted)[0][0] and precedence(version) >= precedence(wanted)


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
