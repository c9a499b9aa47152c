"""The names of shared memory, `tasks/7/state` in the space `swarm`, and patterns of them.

A key is made of segments between slashes. In a pattern `*` stands for one segment, and `**` at the end for any number of
them, at least one: `tasks/*/state`, `tasks/**`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from interlock import errors

SPACES: Final = ("swarm", "tasks", "workers", "global")
"""The spaces that have a meaning by custom; any other name makes one more."""
DEFAULT_SPACE: Final = "global"

_LONGEST_KEY: Final = 512  # characters; it is part of an index
_SPACE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")


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
    if (wrong := _fault(key)) or (wrong := "it has a *, which only patterns have" if "*" in key else ""):
        raise errors.Invalid(f"{_short(key)} cannot be a key of shared memory: {wrong}")
    return key


def check_prefix(prefix: str) -> str:
    """Give what keys may begin with. Raises Invalid when none can."""
    if found := _CONTROL.search(prefix):
        raise errors.Invalid(f"no key begins with {_short(prefix)}: keys do not have the character {found[0]!r}")
    return prefix


def check_writer(writer: str) -> str:
    """Give the name of a writer. Raises Invalid when it cannot be one."""
    if not writer or _CONTROL.search(writer):
        raise errors.Invalid(
            f"{_short(writer)} cannot be the name of a writer: it is empty, or has a control character"
        )
    return writer


def is_pattern(text: str) -> bool:
    return "*" in text


def prefix_of(pattern: str) -> str:
    """Give what every key that matches begins with."""
    return pattern.partition("*")[0]


def matcher(pattern: str) -> Callable[[str], bool]:
    """Give what says whether a key matches. Raises Invalid for what is no pattern."""
    if wrong := _fault(pattern):
        raise errors.Invalid(f"{_short(pattern)} cannot be a pattern of keys: {wrong}")
    segments = pattern.split("/")
    rest = segments[-1] == "**"
    if rest:
        del segments[-1]
    for segment in segments:
        if "*" in segment and segment != "*":
            raise errors.Invalid(
                f"{_short(pattern)} cannot be a pattern of keys: in {segment!r}; `*` stands for a whole segment, and `**` "
                "only at the end, for any rest"
            )
    expression = "/".join("[^/]+" if segment == "*" else re.escape(segment) for segment in segments)
    if rest:
        expression += "/.+" if segments else ".+"
    found = re.compile(expression, re.DOTALL)
    return lambda key: found.fullmatch(key) is not None


def _fault(key: str) -> str:
    """Say what is wrong with a key, or with a pattern as one; "" for nothing."""
    if not key:
        return "it is empty"
    if len(key) > _LONGEST_KEY:
        return f"it has {len(key)} characters, more than {_LONGEST_KEY}"
    if found := _CONTROL.search(key):
        return f"it has the character {found[0]!r}"
    if "" in key.split("/"):
        return "it has an empty segment: no slash at its ends, and no two of them in a row"
    return ""


def _short(text: str) -> str:
    return repr(text if len(text) <= 80 else text[:77] + "...")
