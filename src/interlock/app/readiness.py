"""Whether a node can work now, and why not: told when it changes, and kept where others see it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

STARTING: Final = "starting"
STORE_AWAY: Final = "store away"
DRAINING: Final = "draining"
DEAF: Final = "loop deaf"


class Readiness:
    """The reasons against it, each once. `changed` is called with all of them, in the thread that found the change."""

    def __init__(self, changed: Callable[[tuple[str, ...]], None]) -> None:
        self._reasons: dict[str, None] = {}
        self._changed = changed

    @property
    def reasons(self) -> tuple[str, ...]:
        """What keeps the node from working; empty when it is ready."""
        return tuple(self._reasons)

    def add(self, reason: str) -> None:
        if reason not in self._reasons:
            self._reasons[reason] = None
            self._changed(self.reasons)

    def remove(self, reason: str) -> None:
        if reason in self._reasons:
            del self._reasons[reason]
            self._changed(self.reasons)
