"""A node that stood still comes back in the moment in which another one adopts its attempts: it leaves them alone. SH-02"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping
from pathlib import Path

import pytest

from interlock import config, errors
from interlock.dispatch.attempts import LEASE_SECONDS, Attempts
from interlock.dispatch.delayed import Delayed
from interlock.dispatch.dispatcher import Dispatcher
from interlock.dispatch.holder import Holder
from interlock.dispatch.logbook import Logbook
from interlock.engine import cause
from interlock.model import fault
from interlock.model.fault import Fault
from interlock.model.states import TaskState
from interlock.model.task import Done, Failed, FailureClass, PythonTarget, ShellTarget, Snoozed, Target
from interlock.model.task_graph import TaskSpec
from interlock.pool.local import LocalPool
from interlock.secrets.attempt import AttemptKey
from interlock.secrets.callback import Callback
from interlock.secrets.keeper import Keeper
from interlock.service import SystemClock
from interlock.store.open import open_store
from interlock.store.ports import AttemptId, ClaimedTask, GraphTask, Store
from pool.conftest import until
from store.rows import accepting, new_task, node

OWNER = "n0"
FAULT = Fault(type=fault.RUNTIME, status=500, title="Lost")
WORKING = "echo begun >> ledger; while ! test -e go; do sleep 0.05; done; echo ended >> ledger"
FUNCTION = """
import pathlib, time

def work():
    ledger = pathlib.Path("ledger")
    ledger.write_text("begun\\n")
    while not pathlib.Path("go").exists():
        time.sleep(0.05)
    ledger.write_text("begun\\nended\\n")
    return "ended"
"""


class One:
    """A node: its name, its pool, its attempts."""

    def __init__(self, name: str, store: Store, secrets: Keeper | None = None) -> None:
        clock = SystemClock()
        secrets = secrets or Keeper("", config.Secrets(), clock, {})
        self.pool = LocalPool()
        self.logbook = Logbook(store, clock, 1_000_000)
        holder = Holder(name, store, clock, self.logbook, secrets, 60.0, _away, may_act=lambda: True)
        self.attempts = Attempts(holder, lambda task: self.pool)
        self.dispatcher = Dispatcher(
            name, store, clock, "local", self.attempts, Delayed(store, clock), slots=4, own=False, host="h"
        )

    async def ended(self) -> None:
        """Its attempts have come to their ends here, one way or another."""
        await self.attempts.wait(60, asyncio.Event())
        assert not self.attempts

    async def stop(self) -> None:
        await self.attempts.stop()
        await self.pool.stop()


def _away(error: errors.Environment) -> None:
    raise AssertionError(error)


class World:
    """Two nodes of one store, of which the first has begun the only attempt and was given up for dead."""

    def __init__(self, store: Store, folder: Path) -> None:
        self.store = store
        self.folder = folder
        self.first = One("n1", store)
        self.second = One("n2", store)

    async def begin(self, target: Target, *, of_graph: bool = False) -> None:
        """The run belongs to a third node, and is told of the end. `of_graph`: a task of a graph instead; it is not buried."""
        for name in (OWNER, "n1", "n2"):
            await self.store.nodes.join(node(name, joined_at=None, pinned=False), 3600.0)
        task = new_task("t1", "g" if of_graph else "r1", pool="local", target=target, folder=str(self.folder))
        if of_graph:
            await self.store.graphs.load([GraphTask(task=task, spec=TaskSpec(id="t1", digest="d"))], None)
        else:
            await self.store.journal.commit(accepting(new={"owner": OWNER}, tasks=[task]))
        for each in (self.first, self.second):
            await each.pool.start()
            await each.attempts.identify()
        await self.first.dispatcher.round()
        await until(lambda: self.ledger, "the attempt did not begin")
        if not of_graph:
            await self.store.nodes.bury("n1", None)

    async def lease(self) -> ClaimedTask:
        """Give the lease of the attempt to the second node, which has not come to the attempt itself yet."""
        (orphan,) = await self.store.queue.orphans(10)
        assert await self.store.queue.adopt(orphan, "n2", LEASE_SECONDS, None)
        return orphan.task

    async def go_on(self, task: ClaimedTask) -> None:
        """Let the second node see the attempt to its end."""
        self.second.attempts.begin(task, {})
        self.go()
        await self.second.ended()

    def go(self) -> None:
        """Let the work end."""
        (self.folder / "go").touch()

    @property
    def ledger(self) -> list[str]:
        file = self.folder / "ledger"
        return file.read_text().split() if file.exists() else []

    async def told(self) -> list[cause.Stored]:
        """What the run was told."""
        return [cause.decode(row.cause) for row in await self.store.journal.inbox(OWNER)]


@pytest.fixture
async def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setattr("tempfile.tempdir", None)
    (tmp_path / "overtaken.py").write_text(FUNCTION)
    store = await open_store(f"sqlite:///{tmp_path}/store.db")
    found = World(store, tmp_path)
    yield found
    await found.first.stop()
    await found.second.stop()
    await store.close()


TARGETS = [
    pytest.param(ShellTarget(command=WORKING), id="command"),
    pytest.param(PythonTarget(function="overtaken:work"), id="function"),
]
"""What a command gives comes over the socket of its supervisor; what a function gives is read from its spool folder."""


async def is_done_once(world: World, target: Target) -> None:
    (row,) = await world.store.views.tasks("r1")
    expected = {"code": 0, "stdout": "", "stderr": ""} if isinstance(target, ShellTarget) else "ended"
    assert (row.state, row.attempt) == (TaskState.DONE, 1)
    assert await world.told() == [cause.Settled(1, Done(expected))]
    assert world.ledger == ["begun", "ended"]


@pytest.mark.parametrize("target", TARGETS)
async def test_it_does_not_cancel_what_another_node_has_the_lease_of(world: World, target: Target) -> None:
    await world.begin(target)
    task = await world.lease()
    await world.first.dispatcher.round()
    await world.go_on(task)
    await is_done_once(world, target)


@pytest.mark.parametrize("target", TARGETS)
async def test_it_does_not_end_it_when_it_is_stopped(world: World, target: Target) -> None:
    await world.begin(target)
    task = await world.lease()
    await world.first.stop()
    await world.go_on(task)
    await is_done_once(world, target)


@pytest.mark.parametrize("target", TARGETS)
async def test_it_does_not_remove_what_it_heard_the_end_of(world: World, target: Target) -> None:
    await world.begin(target)
    task = await world.lease()
    world.go()
    await world.first.ended()
    await world.go_on(task)
    await is_done_once(world, target)


@pytest.mark.parametrize("target", TARGETS)
async def test_it_does_not_remove_what_was_taken_from_it(world: World, target: Target) -> None:
    await world.begin(target)
    task = await world.lease()
    world.second.attempts.begin(task, {})
    await world.first.ended()
    world.go()
    await world.second.ended()
    await is_done_once(world, target)


async def test_attempt_that_was_given_up_in_the_moment_of_a_claim_ends_and_the_next_one_is_known(world: World) -> None:
    """Both are of one task and on one node. It was given up after the node had asked, so the next round has to see it."""
    await world.begin(ShellTarget(command="echo begun$INTERLOCK_ATTEMPT.$$ >> ledger; sleep 600"), of_graph=True)
    tell_starts = world.first.attempts.tell_starts

    async def given_up() -> None:
        await world.store.queue.settle("t1", 1, Snoozed(0.0), None)
        await world.store.graphs.due(None)
        await tell_starts()

    world.first.attempts.tell_starts = given_up  # type: ignore[method-assign]  # between the question and the claim
    await world.first.dispatcher.round()
    world.first.attempts.tell_starts = tell_starts  # type: ignore[method-assign]  # as it was
    assert set(world.first.attempts.known) == {("t1", 1), ("t1", 2)}
    await until(lambda: len(world.ledger) == 2, "the next attempt did not begin")
    await world.first.dispatcher.round()
    await until(lambda: set(world.first.attempts.known) == {("t1", 2)}, "the attempt that was given up goes on")
    (row,) = await world.store.views.tasks("g")
    assert (row.state, row.holder) == (TaskState.RUNNING, "n1")


async def test_it_ends_what_was_given_up(world: World) -> None:
    await world.begin(ShellTarget(command=WORKING))
    await world.store.queue.settle("t1", 1, Failed(FailureClass.LOST, FAULT), None)
    await world.first.dispatcher.round()
    await world.first.ended()
    assert not list((world.folder / "tmp").glob("interlock-attempt-*"))
    assert world.ledger == ["begun"]


class _Held(Keeper):
    """Does not come to an end with the token of an attempt."""

    def __init__(self) -> None:
        super().__init__("", config.Secrets(), SystemClock(), {})
        self.asked = asyncio.Event()

    async def attempt(self, given: AttemptKey) -> Callback | None:
        self.asked.set()
        await asyncio.Event().wait()
        return None


class _Without(Keeper):
    """Has no key of the store."""

    async def attempt(self, given: AttemptKey) -> Callback | None:
        raise errors.Environment("the key cannot be read")


async def test_adopted_attempt_that_was_not_reached_is_left_to_others_when_its_node_stops(world: World) -> None:
    await world.begin(ShellTarget(command=WORKING))
    task = await world.lease()
    await world.first.stop()
    keeper = _Held()
    third = One("n2", world.store, keeper)
    third.attempts.begin(task, {})
    await keeper.asked.wait()
    await third.stop()
    (row,) = await world.store.views.tasks("r1")
    assert (row.state, row.holder) == (TaskState.RUNNING, "n2")
    await world.go_on(task)
    await is_done_once(world, ShellTarget(command=WORKING))


async def test_adopted_attempt_that_cannot_be_gone_on_with_ends_before_the_next_one(world: World) -> None:
    await world.begin(ShellTarget(command=WORKING))
    task = await world.lease()
    third = One("n2", world.store, _Without("", config.Secrets(), SystemClock(), {}))
    await third.attempts.identify()
    third.attempts.begin(task, {})
    await third.ended()
    await world.first.ended()
    assert not list((world.folder / "tmp").glob("interlock-attempt-*"))
    await third.stop()


async def test_attempt_that_begins_while_the_store_is_asked_is_not_taken_for_one_that_was_given_up(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the store tells is of the moment of the question; the store reads what runs in a thread of its own."""
    await world.begin(ShellTarget(command=WORKING))
    unwanted, told = world.store.queue.unwanted, []

    async def asked(node: str, running: Collection[AttemptId]) -> list[AttemptId]:
        world.first.attempts._running["t2", 1] = world.first.attempts._running["t1", 1]
        told.append(set(running))
        return await unwanted(node, running)

    monkeypatch.setattr(world.store.queue, "unwanted", asked)
    await world.first.dispatcher.round()
    assert told == [{("t1", 1)}]


async def test_adopted_attempt_that_a_third_node_has_by_now_is_not_ended(world: World) -> None:
    """The second one stood still in its turn, before it came to the runner, and cannot go on with it."""
    await world.begin(ShellTarget(command=WORKING))
    task = await world.lease()
    await world.store.nodes.join(node("n3", joined_at=None, pinned=False), 3600.0)
    await world.store.nodes.bury("n2", None)
    (orphan,) = await world.store.queue.orphans(10)
    assert await world.store.queue.adopt(orphan, "n3", LEASE_SECONDS, None)
    third = One("n3", world.store)
    for each in (late := One("n2", world.store, _Without("", config.Secrets(), SystemClock(), {})), third):
        await each.attempts.identify()
    third.attempts.begin(orphan.task, {})
    await world.first.ended()
    late.attempts.begin(task, {})
    await late.ended()
    world.go()
    await third.ended()
    await is_done_once(world, ShellTarget(command=WORKING))
    await late.stop()
    await third.stop()


async def test_attempt_whose_adoption_was_not_answered_is_gone_on_with(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.begin(ShellTarget(command=WORKING))
    logged = world.store.queue.logged

    async def away(task: ClaimedTask) -> Mapping[str, int]:
        raise errors.StoreUnavailable("away")

    monkeypatch.setattr(world.store.queue, "logged", away)
    with pytest.raises(errors.StoreUnavailable):
        await world.second.dispatcher.adopt_orphans()
    monkeypatch.setattr(world.store.queue, "logged", logged)
    world.second.dispatcher._reconcile_at = 0.0
    await world.second.dispatcher.round()
    world.go()
    await world.second.ended()
    await is_done_once(world, ShellTarget(command=WORKING))
