"""A fleet over regions: what must stay in a region is done there, the rest wherever there is room.

python examples/fleets/geographic.py
"""

# ruff: noqa: T201 (an example tells what happens)
from __future__ import annotations

from processes import Fleet

REGIONS = ("eu", "us", "asia")


def main() -> None:
    with Fleet() as fleet:
        for region in REGIONS:
            fleet.worker(f"worker-{region}", "--region", region, "--slots", "2")
        tasks = {f"invoice_{region}": {"pool": "workers", "requires": {"region": region}} for region in REGIONS}
        tasks["anywhere"] = {"pool": "workers"}
        fleet.submit("regions", tasks, "echo $INTERLOCK_WORKER")
        did = dict(zip(tasks, fleet.result("regions"), strict=True))
    for task, worker in did.items():
        print(f"{task} was done by {worker}")
    assert all(did[f"invoice_{region}"] == f"worker-{region}" for region in REGIONS), did


if __name__ == "__main__":
    main()
