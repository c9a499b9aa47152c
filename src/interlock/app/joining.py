"""Which run an attempt of a task has: the one of the attempts before it of which none has told how that ended, else its own.

Pure: the same attempts give the same keys in the same order, whoever asks, so that two nodes at once come to one run.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final

from interlock.model.task import FailureClass
from interlock.service import uuid7
from interlock.store.ports import TryRow

_UNTOLD: Final = frozenset({FailureClass.LOST, FailureClass.LAUNCH})
"""Failures of an attempt that say nothing of its run."""
_LONGEST_ID: Final = 128
_DIGITS: Final = 12


def keys(tries: Sequence[TryRow], fence: int) -> list[str]:
    """Give the keys of the runs that the attempt `fence` may have, in the order in which they are tried.

    `tries`: of its task, the newest first. The last key is the attempt's own; [] where it is not among them.
    """
    found: list[str] = []
    for each in tries:
        if each.fence > fence:
            continue
        if each.fence < fence and is_told(each):
            break
        found.append(key(each))
    return found[::-1]


def is_left(tries: Sequence[TryRow], run: str) -> bool:
    """Say whether nobody was told how a run ended: False for one that had ended, and goes on since a person had it retried.

    `tries`: of its task, the newest first.
    """
    later = list(reversed(tries))
    while later and key(later[0]) != run:
        del later[0]
    told = next((each for each in later if is_told(each)), None)
    return told is None or told.outcome == "cancelled"


def is_told(attempt: TryRow) -> bool:
    """Say whether an attempt has told how its run ended, or that nobody wants it any more."""
    return attempt.outcome not in {None, "snoozed"} and attempt.failure not in _UNTOLD


def key(attempt: TryRow) -> str:
    """Give the key of the run that begins with an attempt: no other one's, whatever else is in the store."""
    text = f"{attempt.task}\0{attempt.fence}\0{attempt.placed_at!r}".encode("utf-8", "surrogatepass")
    return uuid7(int(attempt.placed_at * 1000), hashlib.sha256(text).digest()[:10])


def id_of(task: str, run: str) -> str:
    """Give the id of a run of a task, such as nightly.report.3f9a1c22b0d4."""
    _, graph, id = task.split("/", 2)
    return f"{graph}.{id}"[: _LONGEST_ID - _DIGITS - 1] + f".{run[-_DIGITS:]}"
