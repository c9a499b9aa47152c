"""Makes the plan of a world that went wrong as small as it can be with the wrong still in it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from simulation.plan import Plan, smaller
from simulation.simulate import Report, run

_MOST_RUNS: Final = 400


def shrunk(report: Report, tried: Callable[[Plan], Report] = run, most: int = _MOST_RUNS) -> Report:
    """Leave out what can be left out of a plan, one part after the other, until nothing more can, or after `most` tries."""
    runs = 0
    goes_on = True
    while goes_on:
        goes_on = False
        for plan in smaller(report.plan):
            if runs == most:
                return report
            runs += 1
            less = tried(plan)
            if less.violations:
                report, goes_on = less, True
                break
    return report
