"""Limits of the system for the command of an attempt, and for all that it starts. Imported only where there are any."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable

_RESOURCES = {
    "address_space": resource.RLIMIT_AS,
    "cpu_seconds": resource.RLIMIT_CPU,
    "open_files": resource.RLIMIT_NOFILE,
    "processes": resource.RLIMIT_NPROC,
    "file_size": resource.RLIMIT_FSIZE,
    "core": resource.RLIMIT_CORE,
}


def held(become: Callable[[], None], limits: dict[str, int], nice: int) -> Callable[[], None]:
    """Give what does the same as `become` in a process that is held to `limits` and stands back by `nice`."""

    def begin() -> None:
        for name, wanted in limits.items():
            _lower(name, wanted)
        if nice:
            os.nice(nice)
        become()

    return begin


def _lower(name: str, wanted: int) -> None:
    """Hold this process to a limit, never to a higher one than it has. Raises OSError where the system knows it not."""
    kind = _RESOURCES[name]
    _, highest = resource.getrlimit(kind)
    value = wanted if highest == resource.RLIM_INFINITY else min(wanted, highest)
    hard = value
    if name == "cpu_seconds" and (highest == resource.RLIM_INFINITY or highest > value):
        hard = value + 1  # a second between SIGXCPU, which can be caught to clean up, and SIGKILL
    resource.setrlimit(kind, (value, hard))
