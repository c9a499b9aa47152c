"""Shows where a case spends its time: `python -m bench.profile interlock-sqlite W2 --out w2.raw`.

py-spy samples every thread from outside and is the default where it is installed; `--deterministic` counts every call of the
loop's thread by cProfile instead, which exaggerates small functions.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bench import products, subject
from bench.processes import environment, module
from bench.sizes import Scale

_RATE: Final = 500
"""Samples a second: a case of five seconds gives enough to see what takes a hundredth."""
_SECONDS: Final = 600
_SHOWN: Final = 40


def main(arguments: Sequence[str]) -> int:
    asked = _parser().parse_args(arguments)
    if asked.deterministic:
        _deterministic(asked.subject, asked.case, Scale(asked.scale), Path(asked.out))
        return 0
    program = Path(sys.executable).with_name("py-spy")
    found = str(program) if program.exists() else shutil.which("py-spy")
    if found is None:
        _tell("py-spy is not installed; pip install py-spy, or use --deterministic")
        return 2
    command = [found, "record", "--format", asked.format, "--rate", str(_RATE), "--output", asked.out, "--"]
    if asked.gil:
        command.insert(2, "--gil")
    command += module("bench.subject", asked.subject, asked.case, "--scale", asked.scale)
    done = subprocess.run(command, env=environment(), timeout=_SECONDS, check=False)
    if done.returncode == 0 and asked.format == "raw":
        _tell(_heaviest(Path(asked.out).read_text()))
    return done.returncode


def _deterministic(name: str, case: str, scale: Scale, out: Path) -> None:
    profile = cProfile.Profile()
    figures = profile.runcall(subject.measured, products.PRODUCTS[name], case, scale)
    profile.dump_stats(out)
    _tell(str(figures))
    pstats.Stats(profile, stream=sys.stdout).sort_stats("tottime").print_stats(_SHOWN)


def _heaviest(stacks: str) -> str:
    """Give the functions by the samples in which they were at the top, and in which they took part, from folded stacks."""
    own: Counter[str] = Counter()
    within: Counter[str] = Counter()
    for line in stacks.splitlines():
        stack, _, count = line.rpartition(" ")
        frames = stack.split(";")
        own[frames[-1]] += int(count)
        for frame in set(frames):
            within[frame] += int(count)
    total = sum(own.values()) or 1
    told = [f"{'own':>6} {'with':>6}  of {total} samples"]
    told += [f"{count / total:6.1%} {within[frame] / total:6.1%}  {frame}" for frame, count in own.most_common(_SHOWN)]
    return "\n".join(told)


def _tell(text: str) -> None:
    sys.stdout.write(text + "\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.profile", description=__doc__)
    parser.add_argument("subject", choices=products.PRODUCTS)
    parser.add_argument("case")
    parser.add_argument("--out", required=True)
    parser.add_argument("--format", choices=["raw", "speedscope", "flamegraph"], default="raw")
    parser.add_argument("--scale", choices=list(Scale), default=Scale.FULL)
    parser.add_argument(
        "--gil", action="store_true", help="only threads that hold the interpreter, not those that wait"
    )
    parser.add_argument("--deterministic", action="store_true")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
