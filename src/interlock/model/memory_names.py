"""The names of shared memory: `tasks/7/state` in the space `swarm`. A key is made of segments between slashes."""

from __future__ import annotations

import re
from typing import Final

from interlock import errors

SPACES: Final = ("swarm", "tasks", "workers", "global")
"""The spaces that have a meaning by custom; any other name makes one more."""
DEFAULT_SPACE: Final = "global"
LARGEST_VALUE: Final = 1024 * 1024
"""Bytes of JSON. Every watcher of the space reads every change."""

_LONGEST_KEY: Final = 512  # characters; it is part of an index
_SPACE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
CONTROL: Final = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
"""Characters that no name has."""


def check_space(space: str) -> str:
    """Give the name of a space. Raises Invalid when it cannot be one."""
    if not _SPACE.fullmatch(space):
        raise errors.Invalid(
            f"{space!r} cannot be a space of shared memory: up to 64 letters, digits, dots, dashes and underscores, the "
            f"first of them a letter or a digit; by custom {', '.join(SPACES)}"
        )
    return space


def check_key(key: str) -> str:
    """Give a key. Raises Invalid when it cannot be one."""
    if (wrong := fault_of(key)) or (wrong := "it has a *, which only patterns have" if "*" in key else ""):
        raise errors.Invalid(f"{short(key)} cannot be a key of shared memory: {wrong}")
    return key


def fault_of(key: str) -> str:
    """Say what is wrong with a key, or with a pattern as one; "" for nothing."""
    if not key:
        return "it is empty"
    if len(key) > _LONGEST_KEY:
        return f"it has {len(key)} characters, more than {_LONGEST_KEY}"
    if found := CONTROL.search(key):
        return f"it has the character {found[0]!r}"
    if "" in key.split("/"):
        return "it has an empty segment: no slash at its ends, and no two of them in a row"
    return ""


def short(text: str) -> str:
    """Give a name as messages show it."""
    return repr(text if len(text) <= 80 else text[:77] + "...")
