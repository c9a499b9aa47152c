"""The bell inside one process."""

from __future__ import annotations

from collections.abc import Callable


class LocalBell:
    """Wakes listeners of this process, on its loop. Wake-ups that come while one is on its way are one."""

    def __init__(self) -> None:
        self._listeners: list[Callable[[], None]] = []

    def listen(self, wake: Callable[[], None]) -> Callable[[], None]:
        self._listeners.append(wake)

        def end() -> None:
            if wake in self._listeners:
                self._listeners.remove(wake)

        return end

    def ring(self) -> None:
        for wake in tuple(self._listeners):
            wake()
