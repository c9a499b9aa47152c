"""How much of SQLite's write-ahead log is not yet folded back into the file.

The size of the log's file does not tell: it stays as large as it once was, and is written over from its beginning. The
counters are in the shared-memory file beside it (https://sqlite.org/walformat.html, "The WAL-Index File Format").
"""

from __future__ import annotations

import mmap
import os
import struct
from typing import Final

_HEADER_BYTES: Final = 136
_FRAMES: Final = struct.Struct("=I")
_FRAMES_AT: Final = 16  # mxFrame of the first copy of the header
_FOLDED_AT: Final = 96  # nBackfill


class WriteAheadLog:
    """The log of one open file. The numbers are a moment's: read them under the lock for writers."""

    def __init__(self, path: str) -> None:
        """Raises OSError where there is no such file; a connection in WAL mode that has read or written has made it."""
        descriptor = os.open(f"{path}-shm", os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._memory = mmap.mmap(descriptor, _HEADER_BYTES, prot=mmap.PROT_READ)
        finally:
            os.close(descriptor)

    def backlog(self) -> int:
        """Give how many pages wait to be folded back."""
        frames: int = _FRAMES.unpack_from(self._memory, _FRAMES_AT)[0]
        folded: int = _FRAMES.unpack_from(self._memory, _FOLDED_AT)[0]
        return max(frames - folded, 0)

    def close(self) -> None:
        self._memory.close()
