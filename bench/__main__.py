"""Measures and writes the table: `python -m bench --cases W1,W3 --rounds 3 --peers dbos`.

Writes `results.json` (everything that was measured), `table.json` and `table.md` into the folder of `--out`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench import driver, table
from bench.sizes import Scale


def main(arguments: Sequence[str]) -> int:
    """Give 0 when Interlock did every case; what a peer cannot do is told in the table and is no failure of ours."""
    asked = _parser().parse_args(arguments)
    cases = list(driver.CASES) if asked.cases == "all" else [case.strip() for case in asked.cases.split(",")]
    unknown = set(cases) - {*driver.CASES, *driver.LONG_CASES}
    if unknown:
        _tell(f"there is no case {min(unknown)}; there are {', '.join([*driver.CASES, *driver.LONG_CASES])}")
        return 2
    try:
        subjects = driver.chosen(asked.peers)
    except ValueError as error:
        _tell(str(error))
        return 2
    plan = driver.Plan(
        cases=cases,
        subjects=subjects,
        rounds=asked.rounds,
        scale=asked.scale,
        seed=asked.seed,
        event_loop=asked.event_loop,
    )
    folder = Path(asked.out)
    folder.mkdir(parents=True, exist_ok=True)

    def keep(known: dict[str, Any]) -> None:
        (folder / "results.json").write_text(json.dumps(known, indent=1) + "\n")

    known = driver.measure(plan, _tell, keep)
    keep(known)
    (folder / "table.json").write_text(json.dumps(table.as_json(known), indent=1) + "\n")
    (folder / "table.md").write_text(table.markdown(known))
    _tell(f"\n{table.markdown(known)}\nwritten to {folder}/table.md, table.json and results.json")
    broken = [
        found for found in known["measurements"] if "error" in found and found["subject"].startswith("interlock-")
    ]
    return 1 if broken else 0


def _tell(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "--cases", default="all", help=f"such as W1,W3; all: everything but {', '.join(driver.LONG_CASES)}"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peers", default="all", help="packages such as dbos,taskiq; all, or none")
    parser.add_argument("--scale", type=Scale, choices=list(Scale), default=Scale.FULL)
    parser.add_argument("--quick", dest="scale", action="store_const", const=Scale.QUICK)
    parser.add_argument("--seed", type=int, default=1, help="of the order within a round")
    parser.add_argument("--event-loop", choices=["asyncio", "uvloop"], default="asyncio", help="of Interlock")
    parser.add_argument("--out", default=".bench", help="the folder to write to")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
