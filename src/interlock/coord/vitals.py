"""How this process and its machine are: what a heartbeat tells. Utilisation is a rate between two looks, never a sum.

Standard library only. Where the system does not say (no /proc), the load average stands in for the processors, and memory
is 0.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import resource
import time
from collections.abc import Callable, Set
from pathlib import Path
from typing import Final

from interlock.model.worker import Capabilities, Device

_PROC: Final = Path("/proc")
_SUPPLIES: Final = Path("/sys/class/power_supply")
_IDLE: Final = (3, 4)  # columns of /proc/stat: idle, and waiting for a disk
_MEGA: Final = 2**20


class Vitals:
    """Samples the machine; each sample tells of the time since the one before, the first of the time since it was made."""

    def __init__(
        self,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        cpu_seconds: Callable[[], float] = time.process_time,
        proc: Path = _PROC,
        supplies: Path = _SUPPLIES,
    ) -> None:
        """`cpu_seconds`: that this process has used, on all cores."""
        self._monotonic = monotonic
        self._cpu_seconds = cpu_seconds
        self._proc = proc
        self._supplies = supplies
        self._looked_at = monotonic()
        self._used = cpu_seconds()
        self._ticks = _ticks(proc)
        self._last = Device()

    def sample(self) -> Device:
        """Give how things are. `process_cpu`: 100 is one core kept busy; `cpu`: 100 is all of them."""
        now, used, ticks = self._monotonic(), self._cpu_seconds(), _ticks(self._proc)
        passed = now - self._looked_at
        if passed <= 0:
            return self._last
        self._last = Device(
            cpu=_machine_percent(self._ticks, ticks),
            memory=_memory_percent(self._proc),
            battery=_battery_percent(self._supplies),
            process_cpu=100 * (used - self._used) / passed,
            process_memory_mb=_resident_mb(self._proc),
        )
        self._looked_at, self._used, self._ticks = now, used, ticks
        return self._last


def capabilities(
    task_types: Set[str] = frozenset(), skills: Set[str] = frozenset(), region: str | None = None
) -> Capabilities:
    """Give what this machine can do: the cores that this process may use, and the memory there is."""
    described = Capabilities(task_types=task_types, skills=skills, region=region, cpu_cores=float(_cores()))
    return dataclasses.replace(described, memory_mb=_meminfo(_PROC).get("MemTotal", 0.0) / 1024)


def _cores() -> int:
    affinity = getattr(os, "sched_getaffinity", None)  # not everywhere
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def _ticks(proc: Path) -> tuple[float, float] | None:
    """Give the ticks that all cores were busy, and all ticks; None where the system does not say."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        ticks = [float(each) for each in (proc / "stat").read_text().split("\n", 1)[0].split()[1:9]]
        return sum(ticks) - sum(ticks[column] for column in _IDLE), sum(ticks)
    return None


def _machine_percent(before: tuple[float, float] | None, after: tuple[float, float] | None) -> float:
    if before is None or after is None:
        return min(100.0, 100 * os.getloadavg()[0] / _cores())
    busy, passed = after[0] - before[0], after[1] - before[1]
    return min(100.0, max(0.0, 100 * busy / passed)) if passed > 0 else 0.0


def _meminfo(proc: Path) -> dict[str, float]:
    """Give the lines of /proc/meminfo, in kilobytes; nothing where there is none."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        lines = (proc / "meminfo").read_text().splitlines()
        return {line.split(":")[0]: float(line.split()[1]) for line in lines}
    return {}


def _memory_percent(proc: Path) -> float:
    found = _meminfo(proc)
    total = found.get("MemTotal", 0.0)
    return 100 * (1 - found.get("MemAvailable", total) / total) if total else 0.0


def _resident_mb(proc: Path) -> float:
    with contextlib.suppress(OSError, ValueError, IndexError):
        return int((proc / "self" / "statm").read_text().split()[1]) * resource.getpagesize() / _MEGA
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _battery_percent(supplies: Path) -> float | None:
    """Give the charge of a battery that is being used up; None on mains."""
    with contextlib.suppress(OSError, ValueError):
        for supply in sorted(supplies.glob("BAT*")):
            if (supply / "status").read_text().strip() == "Discharging":
                return float((supply / "capacity").read_text())
    return None
