"""What happened in a simulated world, line by line: the last lines to be read, all of them in a digest."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable

_KEPT = 60


class Trace:
    """`time` gives the world's seconds. Two worlds of one seed have the same digest."""

    def __init__(self, time: Callable[[], float], kept: int | None = _KEPT) -> None:
        self._time = time
        self._hash = hashlib.blake2b(digest_size=16)
        self._last: deque[str] = deque(maxlen=kept)
        self.lines = 0

    def tell(self, who: object, what: str) -> None:
        line = f"{self._time():10.4f}  {who!s:<10} {what}"
        self._hash.update(line.encode())
        self._last.append(line)
        self.lines += 1

    @property
    def digest(self) -> str:
        return self._hash.hexdigest()

    @property
    def last(self) -> list[str]:
        return list(self._last)
