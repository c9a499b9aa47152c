# ruff: noqa: T201 (an example tells what happens)
"""One coordinator and several workers: one process knows all tasks, and gives each to the worker with the most room.

    python examples/fleets/coordinator_worker.py                  # SQLite, in a temporary folder
    python examples/fleets/coordinator_worker.py postgresql://…   # any store

The coordinator holds a lock: however many are started, one coordinates. Choosing a worker reserves a slot there; the task is
written into shared memory where that worker watches; its result frees the slot.
"""

from __future__ import annotations

import multiprocessing
import sys
import tempfile
import uuid

from interlock.coord.balancer import Assignment
from interlock.decisions.task import Task
from interlock.sync import Coordination

SLOTS = {"small-1": 1, "small-2": 1, "large": 3}
NUMBERS = range(1, 13)
SECONDS = 60.0


def work(url: str, fleet: str, name: str) -> None:
    """Be a worker: do what is given, until told to stop."""
    with Coordination(url, worker=f"{name}.{fleet}", namespace=fleet) as coord:
        me = coord.workers.register(coord.worker, capacity=SLOTS[name])
        coord.heartbeats.start(me)
        with coord.memory.watch(f"given/{me.id}/*", "tasks") as given:
            coord.memory.set(f"ready/{me.id}", True, "workers")
            for change in given:
                if change.value == "stop":
                    break
                task = change.key.rpartition("/")[2]
                coord.memory.set(f"results/{task}", change.value**2, "tasks")


def coordinate(url: str, fleet: str) -> None:
    """Give every task to a worker, and free its slot when the result is there."""
    with Coordination(url, namespace=fleet) as coord, coord.locks.hold("coordinator") as lock:
        print("coordinating:", lock.is_held)
        with coord.memory.watch("ready/*", "workers") as ready, coord.memory.watch("results/*", "tasks") as results:
            processes = [multiprocessing.get_context("spawn").Process(target=work, args=(url, fleet, n)) for n in SLOTS]
            for process in processes:
                process.start()
            workers = [f"{name}.{fleet}" for name in SLOTS]
            for _ in workers:
                assert ready.next(SECONDS), "a worker did not start"
            waiting = [Task(id=f"square-{number}.{fleet}", metadata={"number": number}) for number in NUMBERS]
            given: dict[str, Assignment] = {}
            total = 0
            while waiting or given:
                while waiting and (chosen := coord.balancer.select_worker(waiting[0], among=workers)):
                    given[chosen.task.id] = chosen
                    waiting.pop(0)
                    coord.balancer.started(chosen.slot)
                    number = chosen.task.metadata["number"]
                    coord.memory.set(f"given/{chosen.worker_id}/{chosen.task.id}", number, "tasks")
                change = results.next(SECONDS)
                assert change, f"no result for any of {sorted(given)}"
                done = given.pop(change.key.partition("/")[2])
                assert coord.balancer.finish(done.slot, succeeded=True), "it is not this worker's any more"
                total += change.value
                print(f"{done.task.id.partition('.')[0]}: {change.value}, by {done.worker_id.partition('.')[0]}")
            for name in workers:
                coord.memory.set(f"given/{name}/end", "stop", "tasks")
            for process in processes:
                process.join(SECONDS)
                assert process.exitcode == 0, f"{process.name} ended with {process.exitcode}"
        print(f"{len(NUMBERS)} tasks done, in sum {total}; workers left: {len(coord.workers.list_workers())}")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        url = sys.argv[1] if len(sys.argv) > 1 else f"sqlite:///{folder}/fleet.db"
        coordinate(url, uuid.uuid4().hex[:8])


if __name__ == "__main__":
    main()
