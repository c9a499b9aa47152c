"""Tokens of attempts: made from the attempt and its fence, and in no row."""

from __future__ import annotations

import re
from typing import Final

import msgspec

_ID: Final = re.compile(r"a([1-9][0-9]{0,17})-((?:[0-9a-f]{2}){1,600})")


class AttemptKey(msgspec.Struct, frozen=True):
    """Which attempt: of a task, under a fence."""

    task: str
    fence: int

    @property
    def id(self) -> str:
        """Give it as a token begins."""
        return f"a{self.fence}-{self.task.encode().hex()}"


def key(text: str) -> AttemptKey | None:
    """Give the attempt that the beginning of a token names; None where it names none. It proves nothing."""
    found = _ID.fullmatch(text.partition(".")[0])
    if found is None:
        return None
    try:
        return AttemptKey(bytes.fromhex(found[2]).decode(), int(found[1]))
    except UnicodeDecodeError:
        return None
