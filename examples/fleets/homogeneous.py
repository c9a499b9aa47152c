"""A fleet of equals: every worker can do every task, and the balancer gives each its share.

python examples/fleets/homogeneous.py
"""

# ruff: noqa: T201 (an example tells what happens)
from __future__ import annotations

from collections import Counter

from processes import Fleet

WORKERS = 3
SLOTS = 2


def main() -> None:
    with Fleet() as fleet:
        for number in range(1, WORKERS + 1):
            fleet.worker(f"worker-{number}", "--slots", str(SLOTS))
        tasks = {f"task{number}": {"pool": "workers"} for number in range(WORKERS * SLOTS)}
        fleet.submit("equal", tasks, "sleep 0.5; echo $INTERLOCK_WORKER")
        shares = Counter(fleet.result("equal"))
    for worker, count in sorted(shares.items()):
        print(f"{worker} did {count} of {len(tasks)} tasks")
    assert len(shares) == WORKERS, shares


if __name__ == "__main__":
    main()
