"""Which tasks of a graph come first when there is a choice: those with the longest way behind them (the critical path)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

UNKNOWN_SECONDS: Final = 60.0
"""What a task counts for when nobody knows how long it takes, and none of its graph is known."""


def by_critical_path(
    after: Mapping[str, Sequence[str]], seconds: Mapping[str, float | None], remembered: Mapping[str, float]
) -> list[str]:
    """Give the ids so that every task stands behind what it waits for, and the longest remaining way comes first.

    `after`: what each waits for, without circles. `seconds`: what authors expect; `remembered`: what it took before. A task
    without either counts as the mean of the others. Equal ways keep the order in which they were written.
    """
    known = {id: expected if expected is not None else remembered.get(id) for id, expected in seconds.items()}
    there = [each for each in known.values() if each is not None]
    mean = sum(there) / len(there) if there else UNKNOWN_SECONDS
    length = _lengths(after, {id: mean if each is None else each for id, each in known.items()})
    written = {id: number for number, id in enumerate(after)}
    depth = _depths(after)
    return sorted(after, key=lambda id: (-length[id], depth[id], written[id]))


def _topological(after: Mapping[str, Sequence[str]]) -> list[str]:
    waiting = {id: len(set(names)) for id, names in after.items()}
    before: dict[str, list[str]] = {id: [] for id in after}
    for id, names in after.items():
        for name in set(names):
            before[name].append(id)
    found = [id for id, count in waiting.items() if count == 0]
    for id in found:  # which grows meanwhile
        for name in before[id]:
            waiting[name] -= 1
            if waiting[name] == 0:
                found.append(name)
    return found


def _lengths(after: Mapping[str, Sequence[str]], seconds: Mapping[str, float]) -> dict[str, float]:
    """Give the seconds from the beginning of each task to the end of the last one behind it."""
    length = dict(seconds)
    for id in reversed(_topological(after)):
        for name in after[id]:
            length[name] = max(length[name], seconds[name] + length[id])
    return length


def _depths(after: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """Give how many tasks stand one behind the other before each; of equal ways (tasks of 0 s) the first comes first."""
    depth: dict[str, int] = {}
    for id in _topological(after):
        depth[id] = max((depth[name] + 1 for name in after[id]), default=0)
    return depth
