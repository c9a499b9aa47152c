"""How much is left of what a process may use up: descriptors, memory, the disk under its store."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from interlock import errors
from interlock.store.open import file_of

_DESCRIPTORS: Final = 24  # what a node needs beyond a step at work: a connection again, a supervisor, a file to look at
_MEMORY_BYTES: Final = 64 * 2**20  # a thread's stack is 8 MB, a large value and its text a few dozen
_DISK_BYTES: Final = 8 * 2**20  # the write-ahead log before it is folded back, twice
_OPEN: Final = "/proc/self/fd"
_PAGES: Final = Path("/proc/self/statm")


@dataclass(frozen=True, slots=True)
class Supply:
    """`left` of `limit`, both in `unit`; less than `reserve` is short."""

    what: str
    left: int
    limit: int
    reserve: int
    advice: str

    @property
    def is_short(self) -> bool:
        return self.left < self.reserve


def measures(url: str) -> list[Callable[[], Supply | None]]:
    """Give what there is to measure for a process with this store; each gives None where there is no limit."""
    found: list[Callable[[], Supply | None]] = [descriptors, memory]
    path = file_of(url)
    if path is not None:
        folder = Path(path).absolute().parent
        found.append(lambda: disk(folder))
    return found


def descriptors() -> Supply | None:
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    try:
        used = len(os.listdir(_OPEN)) - 1  # the one that lists them
    except OSError as error:
        if errors.short_of(error) != errors.DESCRIPTORS:
            return None  # no /proc here
        used = limit
    return Supply(errors.DESCRIPTORS, max(0, limit - used), limit, _DESCRIPTORS, "raise `ulimit -n`")


def memory() -> Supply | None:
    """Measure the address space, which is what RLIMIT_AS bounds."""
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit == resource.RLIM_INFINITY:
        return None
    try:
        used = int(_PAGES.read_text().split()[0]) * resource.getpagesize()
    except OSError:  # no /proc here, or no descriptor left, which is told already
        return None
    left = max(0, limit - used)
    return Supply(errors.MEMORY, left, limit, _MEMORY_BYTES, "raise `ulimit -v`, or lower engine.max_runs")


def disk(folder: Path) -> Supply | None:
    try:
        found = os.statvfs(folder)
    except OSError:  # the store itself says what is wrong with it
        return None
    left, limit = found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize
    return Supply(errors.DISK, left, limit, _DISK_BYTES, f"free some space where {folder} is")
