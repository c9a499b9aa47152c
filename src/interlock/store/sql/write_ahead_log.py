"""How much of SQLite's write-ahead log is not yet folded back into the file.

The size of the log's file does not tell: it stays as large as it once was, and is written over from its beginning. The
counters are in the shared-memory file beside it (https://sqlite.org/walformat.html, "The WAL-Index File Format").

They are read by the descriptor that SQLite itself has of that file. A process that opens it a second time, and closes that,
loses every lock that SQLite holds on it, since POSIX locks belong to the process (https://sqlite.org/howtocorrupt.html, 2.2):
the next process to come believes that it is alone and cuts the file off, and this one dies of SIGBUS.
"""

from __future__ import annotations

import os
import struct
from typing import Final

_HEADER_BYTES: Final = 136
_FRAMES: Final = struct.Struct("=I")
_FRAMES_AT: Final = 16  # mxFrame of the first copy of the header
_FOLDED_AT: Final = 96  # nBackfill
_PAGE_BYTES: Final = 4096
_OPEN: Final = "/proc/self/fd"


class WriteAheadLog:
    """The log of a file that this process has open. The numbers are a moment's: read them under the lock for writers.

    Where a process cannot see what it has open, the size of the log's file stands for them, which is never too little.
    """

    def __init__(self, path: str) -> None:
        """Look at the log while a connection is open that has read or written, which made the files, and as long as it is."""
        self._path = path
        self._descriptor = _open_already(f"{path}-shm")

    def backlog(self) -> int:
        """Give how many pages wait to be folded back. Raises OSError."""
        header = b"" if self._descriptor is None else os.pread(self._descriptor, _HEADER_BYTES, 0)
        if len(header) < _HEADER_BYTES:
            return os.stat(f"{self._path}-wal").st_size // _PAGE_BYTES
        frames: int = _FRAMES.unpack_from(header, _FRAMES_AT)[0]
        folded: int = _FRAMES.unpack_from(header, _FOLDED_AT)[0]
        return max(frames - folded, 0)


def _open_already(path: str) -> int | None:
    """Give the descriptor that this process has of a file; None when there is none, or it cannot be seen."""
    wanted = os.path.realpath(path)
    try:
        descriptors = os.listdir(_OPEN)
    except OSError:
        return None
    for descriptor in descriptors:
        try:
            if os.readlink(f"{_OPEN}/{descriptor}") == wanted:
                return int(descriptor)
        except OSError:  # the one that listed them is closed by now
            continue
    return None
