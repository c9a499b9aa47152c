"""The ledger: what the effects themselves say that they did, in one file that is only appended to.

One line per begin and per end of an attempt, written by a single system call and flushed to the disk, so that a process that
is killed leaves whole lines and a line that is there was there before whatever the node did next.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

FILE = "marks"
BEGIN, END = "begin", "end"


@dataclass(frozen=True)
class Mark:
    what: str
    run: str
    step: str
    key: str
    """The idempotency key: the same for all attempts of one visit of a step, and no other's."""
    attempt: int
    at: float
    pid: int
    said: str
    """More that the step said, without spaces."""


def write(what: str, run: str, step: str, key: str, attempt: int, said: str = "-") -> None:
    """Append a line to the ledger in the working folder."""
    line = f"{what} {run} {step} {key} {attempt} {time.time():.6f} {os.getpid()} {said}\n".encode()
    ledger = os.open(FILE, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(ledger, line)
        os.fdatasync(ledger)
    finally:
        os.close(ledger)


class Reader:
    """Reads a ledger that grows."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / FILE
        self._read = 0
        self.marks: list[Mark] = []

    def more(self) -> list[Mark]:
        """Give the lines that came since the last call."""
        if not self._file.exists():
            return []
        with self._file.open("rb") as file:
            file.seek(self._read)
            new = file.read()
        whole = new[: new.rfind(b"\n") + 1]
        self._read += len(whole)
        found = [_mark(line) for line in whole.decode().splitlines()]
        self.marks += found
        return found


def _mark(line: str) -> Mark:
    what, run, step, key, attempt, at, pid, said = line.split()
    return Mark(what, run, step, key, int(attempt), float(at), int(pid), said)
