"""A command of the operator's starts and stops workers, with real workers in every store (OP-05)."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from interlock import telemetry
from interlock.app.autoscaling import Autoscaler
from interlock.coord.workers import WorkerRegistry
from interlock.decisions.autoscaling import Direction, Terms
from interlock.dispatch.configuration import AutoscalingSettings
from interlock.dispatch.lanes import SERVES
from interlock.engine import identity
from interlock.model.task import Resources
from interlock.model.worker import WorkerStatus
from interlock.service import SystemClock
from interlock.store.ports import DeclaredPool, Placement, Store
from store.rows import graph, graph_task

CLOCK = SystemClock()
TERMS = Terms(
    up=Direction(queue=2, utilisation=0.8, cooldown_seconds=300.0, step=2),
    down=Direction(queue=2, utilisation=0.3, cooldown_seconds=0.0),
    lowest=1,
    highest=4,
)


def scaler(store: Store, node: str, script: Path, terms: Terms = TERMS, **more: Any) -> Autoscaler:
    settings = AutoscalingSettings(terms=terms, command=(sys.executable, str(script), "an argument; not $SHELL"))
    return Autoscaler(node, store, CLOCK, settings, ["w"], may_act=lambda: True, **more)


def script(folder: Path, last: str = "") -> Path:
    """A command that writes down what it was told."""
    file = folder / "scale.py"
    file.write_text(
        "import os, sys\n"
        f"with open({str(folder / 'told')!r}, 'a') as told:\n"
        "    print(sys.argv[1], *(os.environ['INTERLOCK_' + name] for name in ('POOL', 'FROM', 'TO', 'WORKERS')),"
        " sep='|', file=told)\n" + last
    )
    return file


def told(folder: Path) -> list[str]:
    file = folder / "told"
    return file.read_text().splitlines() if file.exists() else []


async def dispatcher(store: Store) -> str:
    row = identity.here(CLOCK, "engine,dispatcher", pinned=False)
    await store.nodes.join(row, 600.0)
    return row.node


async def workers(store: Store, *names: str) -> WorkerRegistry:
    registry = WorkerRegistry(store, CLOCK)
    for name in names:
        await registry.register(name, capacity=1, metadata={SERVES: "w"})
    return registry


async def queue(store: Store, tasks: int) -> None:
    """Leave tasks to the workers of the pool."""
    await store.pools.declare([DeclaredPool(pool="w", type="worker")], None)
    await store.tasks.load(graph(), [graph_task(f"t{n}", n) for n in range(1, tasks + 1)], None)
    wanted = [
        Placement(task=f"default/g/t{n}", pool="w", resources=Resources(), decision=b"{}", workers=True)
        for n in range(1, tasks + 1)
    ]
    assert (await store.pools.place("n", wanted, 60.0, None)).routed == tasks


async def busy(store: Store, registry: WorkerRegistry, name: str) -> Any:
    worker = await registry.get_worker(name)
    assert worker is not None
    slot = await store.workers.reserve(name, worker.session, f"task-of-{name}", None)
    assert slot is not None
    return slot


async def test_a_queue_before_busy_workers_has_the_command_start_more_and_then_waits(
    store: Store, tmp_path: Path
) -> None:
    node = await dispatcher(store)
    registry = await workers(store, "w1", "w2")
    await queue(store, 3)
    loop = scaler(store, node, script(tmp_path))

    await loop.round()
    assert told(tmp_path) == []  # nobody is busy: that the queue is long has another cause
    for name in ("w1", "w2"):
        await busy(store, registry, name)
    await loop.round()
    await loop.round()  # cools down

    assert told(tmp_path) == ["an argument; not $SHELL|w|2|4|"]


async def test_a_worker_drains_before_the_command_removes_it(store: Store, tmp_path: Path) -> None:
    node = await dispatcher(store)
    registry = await workers(store, "w1", "w2", "w3", "w4")
    slots = {name: await busy(store, registry, name) for name in ("w1",)}
    loop = scaler(store, node, script(tmp_path))

    await loop.round()

    statuses = {each.id: each.status for each in await registry.list_workers()}
    assert [name for name, status in statuses.items() if status is WorkerStatus.DRAINING] == ["w2"]
    assert told(tmp_path) == []
    await loop.round()
    assert told(tmp_path) == ["an argument; not $SHELL|w|4|3|w2"]
    assert slots


async def test_the_command_waits_for_what_a_draining_worker_still_runs(store: Store, tmp_path: Path) -> None:
    node = await dispatcher(store)
    registry = await workers(store, "w1", "w2")
    slots = [await busy(store, registry, "w1"), await busy(store, registry, "w2")]
    always = Terms(up=TERMS.up, down=Direction(queue=2, utilisation=1.1, cooldown_seconds=0.0), lowest=1, highest=4)
    loop = scaler(store, node, script(tmp_path), always)

    await loop.round()
    await loop.round()
    assert told(tmp_path) == []
    assert await store.workers.finish(slots[0], succeeded=True, seconds=1.0, now=None)
    await loop.round()

    assert told(tmp_path) == ["an argument; not $SHELL|w|2|1|w1"]


async def test_one_dispatcher_decides_for_all(store: Store, tmp_path: Path) -> None:
    first, second = sorted([await dispatcher(store), await dispatcher(store)])
    command = script(tmp_path)

    await scaler(store, second, command).round()
    assert told(tmp_path) == []
    await scaler(store, first, command).round()

    assert told(tmp_path) == ["an argument; not $SHELL|w|0|1|"]


async def test_a_command_that_fails_or_hangs_is_told_of_and_not_hammered(store: Store, tmp_path: Path) -> None:
    node = await dispatcher(store)
    heard: list[tuple[str, Any]] = []
    detach = telemetry.attach(lambda name, fields: heard.append((name, fields.get("error"))))
    try:
        failing = scaler(store, node, script(tmp_path, "print('no machine left'); sys.exit(3)\n"))
        await failing.round()
        await failing.round()
        hanging = scaler(store, node, script(tmp_path, "import time; time.sleep(600)\n"), command_seconds=0.5)
        await hanging.round()
        settings = AutoscalingSettings(terms=TERMS, command=(os.path.join(tmp_path, "absent"),))
        await Autoscaler(node, store, CLOCK, settings, ["w"], may_act=lambda: True).round()
    finally:
        detach()

    problems = [error for name, error in heard if name == "pool.not_scaled"]
    assert len(problems) == 3
    assert problems[0].endswith("exited with 3: no machine left")
    assert problems[1].endswith("did not end within 0.5 s and was killed")
    assert "absent cannot be started" in problems[2]
