"""A worker within this process: its place, its patience, and what it does when it is not the worker any more."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from interlock import config, errors, telemetry
from interlock.app.readiness import Readiness
from interlock.app.worker import Terms, WorkerNode
from interlock.coord.timing import Timing
from interlock.coord.workers import WorkerRegistry
from interlock.decisions.strategies import Strategy
from interlock.dispatch import context
from interlock.dispatch.post import Post
from interlock.engine import cause
from interlock.model.states import TaskState
from interlock.model.task import Done, ShellTarget
from interlock.model.worker import Capabilities, WorkerStatus
from interlock.secrets.keeper import Keeper
from interlock.service import SystemClock
from interlock.store.open import open_store
from interlock.store.ports import CellWrite, Store
from store.rows import accepting, batch, new_task, node

POOL = "workers"
CLOCK = SystemClock()


class World:
    """A store with one run, whose tasks are what a test puts into the queue."""

    def __init__(self, store: Store, folder: Path, stack: contextlib.AsyncExitStack) -> None:
        self.store = store
        self.folder = folder
        self.registry = WorkerRegistry(store, CLOCK)
        self._stack = stack
        self._seq = 0
        self._prefix = CLOCK.uuid()

    def id(self, task: str) -> str:
        """The id of a task, which no task of another test has: what is left of its attempt is found by it."""
        return f"{self._prefix}-{task}"

    async def enqueue(self, *tasks: str, command: str = "echo $INTERLOCK_WORKER", **more: Any) -> None:
        target = ShellTarget(command=command)
        rows = [
            new_task(
                self.id(name), "r1", self._seq * 100 + number, pool=POOL, target=target, folder=str(self.folder), **more
            )
            for number, name in enumerate(tasks, 1)
        ]
        at = CLOCK.now()
        made = batch("r1", self._seq, at=at, tasks=rows) if self._seq else accepting("r1", at=at, tasks=rows)
        self._seq += 1
        await self.store.journal.commit(made)

    async def worker(self, id: str = "w1", **more: Any) -> WorkerNode:
        fields = {"slots": 4, "capabilities": Capabilities(cpu_cores=1), "folder": str(self.folder)} | more
        timing = fields.pop("timing", Timing())
        settings = config.Settings(store=config.Store(url=self.store.url))
        made = WorkerNode(
            settings,
            self.store,
            CLOCK,
            Keeper(self.store.url, settings.secrets, CLOCK, {}),
            Terms(post=Post(worker=id, pool=POOL, **fields), timing=timing),
            Readiness(lambda reasons: None),
        )
        await made.start()
        self._stack.push_async_callback(made.stop)
        return made

    async def states(self) -> dict[str, TaskState]:
        return {row.task: row.state for row in await self.store.views.tasks("r1")}

    async def outcomes(self) -> list[str]:
        """What the tasks that ended well have printed, in the order in which they ended."""
        causes = [cause.decode(row.cause) for row in await self.store.journal.inbox("n1")]
        settled = [each.outcome for each in causes if isinstance(each, cause.Settled)]
        return [each.value["stdout"].strip() for each in settled if isinstance(each, Done)]


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with contextlib.AsyncExitStack() as stack:
        store = await open_store(f"sqlite:///{tmp_path}/store.db")
        stack.push_async_callback(store.close)
        await store.nodes.join(node("n1", joined_at=None), 3600.0)  # who owns the run
        yield World(store, tmp_path, stack)


async def until(condition: Callable[[], Any], seconds: float = 60.0) -> None:
    async with asyncio.timeout(seconds):
        while True:
            found = condition()
            if await found if asyncio.iscoroutine(found) else found:
                return
            await asyncio.sleep(0.01)


@pytest.fixture
def told() -> Any:
    heard: list[tuple[str, Any]] = []
    detach = telemetry.attach(lambda name, fields: heard.append((name, fields)))
    yield heard
    detach()


async def test_task_for_a_worker_that_does_not_take_it_goes_to_another_one_after_a_second(world: World) -> None:
    silent = {"capacity": 100, "capabilities": Capabilities(cpu_cores=1), "metadata": {"pool": POOL}}
    await world.registry.register("silent", **silent)  # as one that was killed
    await world.worker()
    began = CLOCK.monotonic()
    await world.enqueue("t1", "t2")
    await until(lambda: _are_done(world, 2))
    assert CLOCK.monotonic() - began >= 1.0
    decisions = [msgspec.json.decode(row.body) for row in await _decided(world, 2)]
    assert [each["chosen"] for each in decisions] == ["w1", "w1"]
    assert "whoever it was for has not taken it" in "".join(each["reason"] for each in decisions)


async def test_worker_that_is_alone_does_not_wait(world: World) -> None:
    await world.registry.register("of another pool", capacity=100, metadata={"pool": "gpu"})
    await world.worker()
    await world.enqueue("t1")
    await until(lambda: _are_done(world, 1), 60.0)
    (decision,) = await _decided(world, 1)
    assert msgspec.json.decode(decision.body)["strategy"] == "least_loaded"


async def test_what_it_did_is_counted_and_the_voters_learn(world: World) -> None:
    await world.worker(strategy=Strategy.ADAPTIVE)
    await world.enqueue("t1", "t2")
    await world.enqueue("t3", command="exit 3")

    async def counted() -> bool:
        found = await world.registry.get_worker("w1")
        return found is not None and (found.assigned, found.succeeded, found.failed) == (3, 2, 1)

    await until(counted)
    assert (await world.store.workers.weights()).keys() == {
        "performance_based", "capability_based", "least_loaded", "round_robin",
    }  # fmt: skip


async def test_context_of_a_task_is_a_file_while_it_runs(world: World) -> None:
    writes = [
        CellWrite(space="tasks", key=f"{world.id('t1')}/context", value=b'{"of": "t1"}', writer="me"),
        CellWrite(space="global", key=f"context/{POOL}", value=b"[7]", writer="me"),
    ]
    await world.store.cells.write("default", writes, None)
    await world.worker()
    await world.enqueue("t1", command='cat "$INTERLOCK_CONTEXT"; stat -c %a "$INTERLOCK_CONTEXT"')
    await until(lambda: _are_done(world, 1))
    assert await world.outcomes() == ['{"task":{"of":"t1"},"pool":[7]}600']
    name = f"{world.id('t1')}.1@{await world.store.queue.identity()}"
    await until(lambda: not context.path(name).exists())


async def test_task_whose_context_cannot_be_read_is_put_off_free_of_charge(
    world: World, monkeypatch: pytest.MonkeyPatch, told: list[tuple[str, Any]]
) -> None:
    await world.worker()

    async def away(*_: Any) -> None:
        raise errors.StoreUnavailable("away")

    monkeypatch.setattr(world.store.cells, "read", away)
    await world.enqueue("t1")
    await until(lambda: _told(told, "worker.no_context"))
    await until(lambda: _settled(world))
    (row,) = await world.store.journal.inbox("n1")
    assert b'"snoozed"' in row.cause


async def test_worker_that_was_given_up_ends_what_it_does(world: World, told: list[tuple[str, Any]]) -> None:
    timing = Timing(beat_seconds=0.1, stale_seconds=5.0, scan_seconds=60.0, retry_seconds=0.1)
    worker = await world.worker(timing=timing)
    await world.enqueue("t1", command="echo begun > begun; sleep 60")
    await until((world.folder / "begun").exists)
    session = worker.row.node
    freed = await world.store.workers.recover("w1", session, CLOCK.now() + 100)  # as if nothing was heard of it
    assert freed is not None
    assert list(freed.tasks) == [world.id("t1")]
    await until(worker.failed.is_set)
    assert "was given up" in str(worker.failure)
    await until(lambda: worker.dispatcher.active == 0)
    await worker.stop()
    assert [each.kind for each in await world.registry.events()][-1] == "recovered"
    again = await world.worker()
    assert again.worker is not None
    assert again.worker.status is WorkerStatus.ACTIVE


async def test_worker_that_lost_its_lease_leaves_its_tasks_to_whoever_comes_after_it(
    world: World, told: list[tuple[str, Any]]
) -> None:
    worker = await world.worker()
    await world.enqueue("t1", command="echo begun >> ledger; while ! test -e go; do sleep 0.05; done; echo ended")
    await until((world.folder / "ledger").exists)
    worker._membership._joined = False  # as after a renewal that was refused
    worker.lose()
    await worker.stop()
    found = await world.registry.get_worker("w1")
    assert found is not None
    assert found.session == worker.row.node  # it is still registered: whoever comes after it takes its tasks first
    await world.store.nodes.bury(worker.row.node, None)
    again = await world.worker()
    assert _told(told, "attempt.adopted")
    (world.folder / "go").touch()
    await until(lambda: _are_done(world, 1))
    assert (world.folder / "ledger").read_text() == "begun\n"
    assert await world.outcomes() == ["ended"]
    assert again.row.node != worker.row.node


async def test_id_of_a_live_worker_that_is_no_node_is_refused(world: World) -> None:
    await world.registry.register("w1", metadata={"pool": POOL})
    with pytest.raises(errors.WorkerError, match="is registered by a process that is alive"):
        await world.worker("w1")


async def test_quiet_drain_ends_although_the_store_refuses_to_be_told(
    world: World, monkeypatch: pytest.MonkeyPatch, told: list[tuple[str, Any]]
) -> None:
    worker = await world.worker()

    async def away(*_: Any, **__: Any) -> None:
        raise errors.StoreUnavailable("away")

    monkeypatch.setattr(world.store.workers, "change", away)
    await worker.quiesce(1.0, asyncio.Event())
    assert _told(told, "worker.drained")


# -- steps --------------------------------------------------------------------------------------------------------------


def _told(told: list[tuple[str, Any]], name: str) -> bool:
    return any(each == name for each, _ in told)


async def _are_done(world: World, count: int) -> bool:
    return list((await world.states()).values()).count(TaskState.DONE) == count


async def _settled(world: World) -> bool:
    return bool(await world.store.journal.inbox("n1"))


async def _decided(world: World, count: int) -> Any:
    found: list[Any] = []

    async def noted() -> bool:
        found[:] = await world.store.workers.choices("worker", None, 100)
        return len(found) >= count

    await until(noted)
    return found
