"""Three workers, of which one is killed in the middle: its tasks finish on the others.

    python examples/worker_fleet/fleet.py

The store is a file in a temporary folder; every process is one of this machine. A worker that dies is noticed by the others
of its host within seconds: they adopt the processes that it left, and nothing is done twice. On other machines it takes until
the leases of its tasks end, at most 65 s, and they are done once more.
"""

# ruff: noqa: T201 (an example tells what happens)
from __future__ import annotations

import sys
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "fleets"))
from processes import Fleet  # what starts and ends the processes

WORKERS = ("anna", "ben", "cleo")
TASKS = 6
BOUND_SECONDS = 15.0
"""From the death of a worker until others have all its tasks, on one host."""


def took(fleet: Fleet, worker: str) -> list[str]:
    """Give the tasks that a worker claimed, as its log tells."""
    return words(fleet.log(worker), "worker.took", "task")


def words(log: str, event: str, field: str) -> list[str]:
    lines = [line for line in log.splitlines() if f" {event} " in line]
    return [word.partition("=")[2] for line in lines for word in line.split() if word.startswith(f"{field}=")]


def main() -> int:
    began = time.monotonic()

    def tell(text: str) -> None:
        print(f"{time.monotonic() - began:5.1f} s  {text}", flush=True)

    with Fleet() as fleet:
        for worker in WORKERS:
            fleet.worker(worker, "--slots", "4")
        tell(f"{', '.join(WORKERS)} work")
        command = "echo begun >> ledger; while ! test -e go; do sleep 0.1; done; echo ended >> ledger"
        fleet.submit("parcels", {f"parcel{number}": {"pool": "workers"} for number in range(TASKS)}, command)
        fleet.until(lambda: sum(len(took(fleet, worker)) for worker in WORKERS) == TASKS, "every task is taken")
        for worker in WORKERS:
            tell(f"{worker} has {len(took(fleet, worker))} tasks")
        killed, others = WORKERS[0], WORKERS[1:]
        lost = took(fleet, killed)
        fleet.processes[killed].kill()
        died = time.monotonic()
        tell(f"{killed} is killed, with {len(lost)} tasks")

        def adopted() -> dict[str, str]:
            return {task: by for by in others for task in words(fleet.log(by), "attempt.adopted", "task")}

        fleet.until(lambda: adopted().keys() >= set(lost), "the others have its tasks")
        taken = time.monotonic() - died
        for by, count in sorted(Counter(adopted().values()).items()):
            tell(f"{by} goes on with {count} of them")
        (fleet.folder / "go").touch()
        fleet.result("parcels")
        ledger = Counter((fleet.folder / "ledger").read_text().split())
        tell(f"all {TASKS} tasks are done: {ledger['begun']} were begun, {ledger['ended']} ended")
        held = taken <= BOUND_SECONDS
        verdict = "held" if held else "BROKEN"
        tell(f"others had them {taken:.1f} s after its death; the bound of {BOUND_SECONDS:.0f} s is {verdict}")
    return 0 if held and ledger == {"begun": TASKS, "ended": TASKS} else 1


if __name__ == "__main__":
    raise SystemExit(main())
