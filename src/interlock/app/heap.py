"""Gives memory back to the system that a node does not use any more.

Statements and their answers are buffers of all sizes between objects that live on, and glibc keeps what lies between those:
a node that does 20 runs a second on PostgreSQL grew by 26 to 35 MB an hour, with the same objects in it. Where the C library
can give such pages back (glibc's malloc_trim), it is asked once a minute.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from interlock.service import Loop

_ROUND_SECONDS: Final = 60.0


class Trim(Loop):
    """Asks once a minute, where the C library can. `trim`: what does it, for tests."""

    def __init__(self, trim: Callable[[], object] | None = None) -> None:
        super().__init__("trim", _ROUND_SECONDS)
        self._trim = trim

    async def start(self) -> None:
        self._trim = self._trim or _of_glibc()
        if self._trim is not None:
            await super().start()

    async def round(self) -> bool:
        assert self._trim is not None
        await asyncio.to_thread(self._trim)  # milliseconds for a large heap, without the interpreter's lock
        return False


def _of_glibc() -> Callable[[], object] | None:
    import ctypes  # noqa: PLC0415 (milliseconds of every start, for what only a node needs)

    malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    return None if malloc_trim is None else lambda: malloc_trim(0)
