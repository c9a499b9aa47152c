"""The bell inside one process."""

from __future__ import annotations

from collections.abc import Callable

from interlock.store.ports import InboxRow
from interlock.store.ports.news import ANYTHING


class LocalBell:
    """Wakes listeners of this process, on its loop. Wake-ups that come while one is on its way are one."""

    def __init__(self) -> None:
        self._listeners: list[tuple[Callable[[], None], int]] = []
        self._takers: list[Callable[[InboxRow], bool]] = []

    def listen(self, wake: Callable[[], None], news: int = ANYTHING) -> Callable[[], None]:
        listener = (wake, news)
        self._listeners.append(listener)

        def end() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)

        return end

    def ring(self, news: int = ANYTHING) -> None:
        for wake, wanted in tuple(self._listeners):
            if news & wanted:
                wake()

    def receive(self, take: Callable[[InboxRow], bool]) -> Callable[[], None]:
        self._takers.append(take)

        def end() -> None:
            if take in self._takers:
                self._takers.remove(take)

        return end

    def post(self, row: InboxRow) -> bool:
        """Hand over what was told to a run, once it is durable. False: nobody here is at work for that run."""
        return any(take(row) for take in self._takers)
