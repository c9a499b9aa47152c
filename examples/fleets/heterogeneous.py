"""A fleet of specialists: workers by the type of task, with as many slots as such tasks leave room for.

Light work waits for others most of the time, so one worker does 20 at once; heavy work fills a machine with 5.

python examples/fleets/heterogeneous.py
"""

# ruff: noqa: T201 (an example tells what happens)
from __future__ import annotations

import json

from processes import Fleet

SLOTS = {"io": 20, "balanced": 15, "cpu": 5}


def main() -> None:
    with Fleet() as fleet:
        for type, slots in SLOTS.items():
            fleet.worker(f"{type}-worker", "--types", type, "--slots", str(slots))
        tasks = {
            f"{type}{number}": {"pool": "workers", "requires": {"type": type}} for type in SLOTS for number in range(3)
        }
        fleet.submit("mixed", tasks, "echo $INTERLOCK_WORKER")
        did = dict(zip(tasks, fleet.result("mixed"), strict=True))
        known = json.loads(fleet.interlock("workers", "list", "--json"))
    for worker in sorted(known, key=lambda each: -each["capacity"]):
        mine = [task for task, by in did.items() if by == worker["worker"]]
        print(f"{worker['worker']}: {worker['capacity']} slots, did {', '.join(mine)}")
    assert all(by == f"{task.rstrip('0123456789')}-worker" for task, by in did.items()), did


if __name__ == "__main__":
    main()
