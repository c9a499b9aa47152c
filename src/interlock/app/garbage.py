"""How often Python looks for garbage while a node runs.

By default it looks at the young objects after every 700 new ones, and every so often at all of them. Thousands of runs in
flight are hundreds of thousands of objects that live on, and looking at them took 40 % of a node's time [1,200 runs a second
against 1,960 without any collection]. What is in no cycle is freed at once anyway.
"""

from __future__ import annotations

import gc
from collections.abc import Callable


def relaxed(allocations: int) -> Callable[[], None]:
    """Let Python look only after so many new objects; the returned function puts back what was before.

    A program that looks less often by itself, or not at all, keeps to that; 0 changes nothing.
    """
    before = gc.get_threshold()
    if not 0 < before[0] < allocations:
        return _nothing
    ours = (allocations, *before[1:])
    gc.set_threshold(*ours)

    def put_back() -> None:
        if gc.get_threshold() == ours:  # nobody else has changed it since
            gc.set_threshold(*before)

    return put_back


def _nothing() -> None:
    """Nothing was changed."""
