"""What can be seen of a process and of a store from outside, and what it comes to over time."""

from __future__ import annotations

import os
import resource
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_MIB = 2**20
_TICKS = os.sysconf("SC_CLK_TCK")
_STEAL = 7  # of /proc/stat: user, nice, system, idle, iowait, irq, softirq, steal


@dataclass(frozen=True)
class Vitals:
    """Of one process. `cpu_seconds`: since it began."""

    rss_mb: float
    descriptors: int
    threads: int
    cpu_seconds: float


def vitals(pid: int) -> Vitals:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return Vitals(
        rss_mb=pages * resource.getpagesize() / _MIB,
        descriptors=len(os.listdir(f"/proc/{pid}/fd")),
        threads=int(fields[17]),
        cpu_seconds=(int(fields[11]) + int(fields[12])) / _TICKS,
    )


@dataclass(frozen=True)
class Ticks:
    """What the processors of the machine have counted since it began. `lost`: what its host gave to others meanwhile."""

    all: int
    lost: int


def ticks() -> Ticks:
    counted = [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    return Ticks(all=sum(counted), lost=counted[_STEAL])


def lost_share(before: Ticks, now: Ticks) -> float:
    """Give the share of the processors' time between two looks that others took, from 0 to 1."""
    return (now.lost - before.lost) / (now.all - before.all) if now.all > before.all else 0.0


def slope_per_hour(*stretches: Sequence[tuple[float, float]]) -> float:
    """Give by how much the second number grows in an hour, by least squares; the first are seconds.

    Of several stretches: the one growth that suits all of them best, whatever level each of them begins at.
    """
    spread = moved = 0.0
    for points in stretches:
        middle = sum(at for at, _ in points) / len(points)
        mean = sum(value for _, value in points) / len(points)
        spread += sum((at - middle) ** 2 for at, _ in points)
        moved += sum((at - middle) * (value - mean) for at, value in points)
    return 3600 * moved / spread if spread else 0.0


def most_per_hour(hours: float) -> float:
    """Give the growth in MB/h up to which memory counts as flat: what an allocator moves over any time, and 1 MB an hour."""
    return 1.0 + 6.0 / hours
