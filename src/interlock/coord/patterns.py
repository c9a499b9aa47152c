"""Patterns of the names of shared memory (see model/memory_names), and what may be part of one.

In a pattern `*` stands for one segment, and `**` at the end for any number of them, at least one: `tasks/*/state`,
`tasks/**`.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from interlock import errors
from interlock.model.memory_names import CONTROL, fault_of, short
from interlock.model.memory_names import DEFAULT_SPACE as DEFAULT_SPACE
from interlock.model.memory_names import SPACES as SPACES
from interlock.model.memory_names import check_key as check_key
from interlock.model.memory_names import check_space as check_space


def check_prefix(prefix: str) -> str:
    """Give what keys may begin with. Raises Invalid when none can."""
    if found := CONTROL.search(prefix):
        raise errors.Invalid(f"no key begins with {short(prefix)}: keys do not have the character {found[0]!r}")
    return prefix


def check_writer(writer: str) -> str:
    """Give the name of a writer. Raises Invalid when it cannot be one."""
    if not writer or CONTROL.search(writer):
        raise errors.Invalid(f"{short(writer)} cannot be the name of a writer: it is empty, or has a control character")
    return writer


def is_pattern(text: str) -> bool:
    return "*" in text


def prefix_of(pattern: str) -> str:
    """Give what every key that matches begins with."""
    return pattern.partition("*")[0]


def matcher(pattern: str) -> Callable[[str], bool]:
    """Give what says whether a key matches. Raises Invalid for what is no pattern."""
    if wrong := fault_of(pattern):
        raise errors.Invalid(f"{short(pattern)} cannot be a pattern of keys: {wrong}")
    segments = pattern.split("/")
    rest = segments[-1] == "**"
    if rest:
        del segments[-1]
    for segment in segments:
        if "*" in segment and segment != "*":
            raise errors.Invalid(
                f"{short(pattern)} cannot be a pattern of keys: in {segment!r}; `*` stands for a whole segment, and `**` "
                "only at the end, for any rest"
            )
    expression = "/".join("[^/]+" if segment == "*" else re.escape(segment) for segment in segments)
    if rest:
        expression += "/.+" if segments else ".+"
    found = re.compile(expression, re.DOTALL)
    return lambda key: found.fullmatch(key) is not None
