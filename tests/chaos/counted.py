"""`interlock` with a count of the statements that it gives SQLite, in the file that STATEMENTS names.

STATEMENTS=statements.count python -m chaos.counted node
"""

from __future__ import annotations

import mmap
import os
import sqlite3
import struct
import sys
from typing import Any

_COUNT = struct.Struct("=q")
_FREE = ("PRAGMA data_version", "BEGIN", "COMMIT")
"""How another process's commit is noticed, which reads a number in shared memory; and what stands around every statement."""


class Count:
    """A number in a file that others read while it grows."""

    def __init__(self, path: str) -> None:
        with open(path, "w+b") as file:
            file.write(bytes(_COUNT.size))
            file.flush()
            self._memory = mmap.mmap(file.fileno(), _COUNT.size)

    def add(self, statement: str) -> None:
        if not statement.startswith(_FREE):
            _COUNT.pack_into(self._memory, 0, _COUNT.unpack_from(self._memory, 0)[0] + 1)


def read(path: str) -> int:
    with open(path, "rb") as file:
        found: int = _COUNT.unpack(file.read(_COUNT.size))[0]
        return found


def count(path: str) -> None:
    """Count every statement of every connection that is opened from now on."""
    counter = Count(path)
    connect = sqlite3.connect

    def counted(*arguments: Any, **options: Any) -> sqlite3.Connection:
        connection = connect(*arguments, **options)
        connection.set_trace_callback(counter.add)
        return connection

    sqlite3.connect = counted  # type: ignore[assignment]  # the same function, and one more thing


if __name__ == "__main__":
    count(os.environ["STATEMENTS"])
    from interlock.cli.main import main

    sys.exit(main())
