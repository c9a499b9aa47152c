"""The states of one request for a lock, and of the grant that it may become.

    NO_LOCK -> ACQUIRING -> ACQUIRED -> EXECUTING -> RELEASED -> NO_LOCK
                  |  ^          |            |
                  v  |          +-> EXPIRED <+    -> NO_LOCK
               CONFLICT -> FAILED                 -> NO_LOCK

None of it is stored: a lock is held while its lease runs. The words are those that users of such systems know.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class LockState(StrEnum):
    NO_LOCK = "no_lock"
    ACQUIRING = "acquiring"
    ACQUIRED = "acquired"
    EXECUTING = "executing"
    """Its holder is at work under it."""
    RELEASED = "released"
    CONFLICT = "conflict"
    """Another one has it; the request may be made again."""
    FAILED = "failed"
    EXPIRED = "expired"
    """Its time was over, or it was taken away: nothing may be written under it."""


LEGAL: Final[Mapping[LockState, frozenset[LockState]]] = {
    LockState.NO_LOCK: frozenset({LockState.ACQUIRING}),
    LockState.ACQUIRING: frozenset({LockState.ACQUIRED, LockState.CONFLICT, LockState.FAILED}),
    LockState.CONFLICT: frozenset({LockState.ACQUIRING, LockState.FAILED}),
    LockState.ACQUIRED: frozenset({LockState.EXECUTING, LockState.RELEASED, LockState.EXPIRED}),
    LockState.EXECUTING: frozenset({LockState.RELEASED, LockState.EXPIRED}),
    LockState.RELEASED: frozenset({LockState.NO_LOCK}),
    LockState.EXPIRED: frozenset({LockState.NO_LOCK}),
    LockState.FAILED: frozenset({LockState.NO_LOCK}),
}


def moved(before: LockState, after: LockState) -> LockState:
    """Give `after`. Raises ValueError when a lock cannot go there from `before`."""
    if after not in LEGAL[before]:
        raise ValueError(f"a lock does not go from {before} to {after}")
    return after
