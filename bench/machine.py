"""What a measurement was made on: without it no figure means anything."""

from __future__ import annotations

import os
import platform
import sqlite3
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, Final

_SYNCS: Final = 300
_BLOCK: Final = bytes(4096)


def describe(postgresql: str | None) -> dict[str, Any]:
    """Give cores, memory, versions and what a flush to this disk costs now. `postgresql`: the server's version, if any."""
    return {
        "measured_at": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "commit": _commit(),
        "cores": os.cpu_count(),
        "cpu": _processor(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "system": f"{platform.system()} {platform.release()}",
        "filesystem": _filesystem(tempfile.gettempdir()),
        "load": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "postgresql": postgresql,
        "sqlite": sqlite3.sqlite_version,
        "fdatasync_ms": round(_sync_ms(), 3),
    }


def sentence(machine: dict[str, Any]) -> str:
    """Give the description as one line for people."""
    return (
        f"{machine['cores']} cores ({machine['cpu']}), {machine['memory_gb']} GB, {machine['system']},"
        f" {machine['filesystem']}; append and fdatasync of 4 KB {machine['fdatasync_ms']} ms;"
        f" CPython {machine['python']}, PostgreSQL {machine['postgresql'] or 'absent'}, SQLite {machine['sqlite']};"
        f" load {machine['load']} at the start; {machine['measured_at']}, commit {machine['commit']}"
    )


def _sync_ms() -> float:
    """Give the median of appending 4 KB and flushing it."""
    taken = []
    with tempfile.TemporaryFile() as file:
        for _ in range(_SYNCS):
            begin = time.perf_counter()
            os.write(file.fileno(), _BLOCK)
            os.fdatasync(file.fileno())
            taken.append(time.perf_counter() - begin)
    return statistics.median(taken) * 1000


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else ():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _filesystem(folder: str) -> str:
    """Give the kind of file system below a folder: on a tmpfs a flush costs nothing and figures mean nothing."""
    found = subprocess.run(["stat", "-f", "-c", "%T", folder], capture_output=True, text=True, timeout=10, check=False)
    return found.stdout.strip() or "unknown file system"


def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty"]
    found = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    return found.stdout.strip() or "unknown"
