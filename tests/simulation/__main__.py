"""Simulates many seeds, or one: `python -m simulation --seeds 10000`, `python -m simulation --seed 123`.

The order of sets of texts depends on Python's hash seed, so that is fixed first.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Final

from simulation import simulate
from simulation.shrink import shrunk
from simulation.simulate import Report

_FIGURES: Final = Path(__file__).parents[2] / "docs" / "explanation" / "simulation.json"
_TOLD: Final = 500  # seeds between two lines that say how far it is


def main() -> int:
    arguments = _arguments()
    if os.environ.get("PYTHONHASHSEED") != "0":
        os.environ["PYTHONHASHSEED"] = "0"
        os.execv(sys.executable, [sys.executable, "-m", "simulation", *sys.argv[1:]])
    simulate.settle()
    if arguments.seed is not None:
        return _one(arguments.seed, whole=arguments.trace)
    return _many(arguments.first, arguments.seeds, arguments.jobs, record=arguments.record)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="simulation", description="Simulate clusters from seeds.")
    parser.add_argument("--seeds", type=int, default=500, help="how many")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--seed", type=int, help="just this one, with its plan and the end of its trace")
    parser.add_argument(
        "--trace", action="store_true", help="with --seed: all of its trace, and the plan as it was drawn"
    )
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--record", action="store_true", help="write docs/explanation/simulation.json")
    return parser.parse_args()


def _many(first: int, count: int, jobs: int, *, record: bool) -> int:
    started = time.monotonic()
    bad: list[int] = []
    figures: Counter[str] = Counter()
    seeds = range(first, first + count)
    with multiprocessing.get_context("spawn").Pool(jobs, simulate.settle) as pool:
        for number, (seed, violations, found) in enumerate(
            pool.imap_unordered(simulate.checked, seeds, chunksize=10), 1
        ):
            figures.update(found)
            if violations:
                bad.append(seed)
                print(f"seed {seed}: {violations[0]}", flush=True)
            if number % _TOLD == 0:
                spent = time.monotonic() - started
                print(
                    f"{number} seeds, {len(bad)} with violations, {spent:.0f} s ({number / spent:.1f} a second)",
                    flush=True,
                )
    print(f"{count} seeds from {first}: {len(bad)} with violations, in {time.monotonic() - started:.0f} s")
    if record:
        _record(figures, first, count, len(bad))
    if bad:
        _one(bad[0], whole=False)
    return min(1, len(bad))


def _record(figures: Counter[str], first: int, count: int, bad: int) -> None:
    """Write down what was simulated, for docs/explanation/reliability.md."""
    told: dict[str, int | str] = {"seeds": f"{first} to {first + count - 1}", "worlds with a violation": bad}
    told |= {name: figures[name] for name in sorted(figures)}
    _FIGURES.write_text(json.dumps(told, indent=2) + "\n", "utf-8")


def _one(seed: int, *, whole: bool) -> int:
    report = simulate.seed(seed, kept=None if whole else 60)
    if report.violations and not whole:
        print(f"seed {seed} is violated; making its plan smaller", flush=True)
        report = shrunk(report)
    print(told(report))
    return min(1, len(report.violations))


def told(report: Report) -> str:
    """Say what came of a plan, for people."""
    lines = [str(report.plan), "", *report.last, ""]
    lines += [f"VIOLATION: {violation}" for violation in report.violations] or ["no violation"]
    lines += [f"{report.turns} turns, {report.seconds:.1f} s of its time, digest {report.digest}"]
    lines += [f"again: make simulate SEED={report.plan.seed}"]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
