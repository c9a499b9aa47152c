"""The pool of tasks that are workflows, on a store of its own: who joins which run, and who may cancel it."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import msgspec
import pytest

from interlock import errors
from interlock.app import joining, workflow_pool
from interlock.app.acceptance import acceptance
from interlock.app.workflow_pool import WorkflowPool
from interlock.dispatch import briefing
from interlock.engine.rows import Rows
from interlock.model import event, fault
from interlock.model.fault import Fault
from interlock.model.payload import Payload
from interlock.model.states import RunStatus
from interlock.model.task import Cancelled, Done, Failed, FailureClass, Outcome, Resources, Snoozed, WorkflowTarget
from interlock.pool.launcher import Launch, Running
from interlock.service import SystemClock
from interlock.store.open import open_store
from interlock.store.ports import ClaimedTask, DeclaredPool, NewRun, Placement, Store
from store.rows import accepting, batch, definition, graph, graph_task

CLOCK, ROWS = SystemClock(), Rows()
FAULT = msgspec.json.encode(Fault(type=fault.RUNTIME, status=500, title="No", detail="it broke", instance="/do/0/a"))


@dataclasses.dataclass
class World:
    """A store, and the pools of two nodes on it."""

    store: Store
    one: WorkflowPool
    other: WorkflowPool

    async def load(self, *ids: str) -> None:
        await self.store.tasks.load(graph(), [graph_task(id, number) for number, id in enumerate(ids, 1)], CLOCK.now())

    async def place(self, *ids: str, node: str = "n1", now: float | None = None) -> list[ClaimedTask]:
        wanted = [
            Placement(task=f"default/g/{id}", pool="workflows", resources=Resources(), decision=b"{}") for id in ids
        ]
        return list((await self.store.pools.place(node, wanted, 60.0, now)).claimed)

    async def runs(self) -> list[str]:
        return [row.run for row in await self.store.views.runs(None, (), None, None, 1000)]

    async def only(self) -> str:
        (run,) = await self.runs()
        return run

    async def end(self, run: str, status: RunStatus = RunStatus.COMPLETED, seq: int = 1, **more: Any) -> None:
        fields = {"at": CLOCK.now(), "history": b"", "status": status, "ended": True}
        await self.store.journal.commit(batch(run, seq, **fields | more))

    async def asked(self, run: str) -> int:
        """Count the requests that a run has not seen yet."""
        stored = await self.store.journal.load(run)
        assert stored is not None
        return len(stored.inbox)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    store = await open_store("sqlite:///:memory:")

    async def accept(new: NewRun, value: Payload) -> None:
        owned = msgspec.structs.replace(new, owner="n1")
        await store.journal.commit(acceptance(owned, value, ROWS, CLOCK))

    await store.pools.declare([DeclaredPool(pool="workflows", type="workflows")], None)
    await store.journal.publish(definition(), "test", CLOCK.now())
    pools = [WorkflowPool(store, CLOCK, ROWS, accept) for _ in range(2)]
    for pool in pools:
        await pool.start()
    yield World(store, *pools)
    for pool in pools:
        await pool.stop()
    await store.close()


def launch(task: ClaimedTask, **more: Any) -> Launch:
    fields = {
        "attempt": f"{task.task}.{task.fence}",
        "target": WorkflowTarget(namespace="default", name="w", version="latest"),
        "folder": "/",
        "labels": briefing.labels(task),
        "files": {briefing.VARIABLE: '{"id":"a"}'},
    }
    return Launch(**fields | more)


async def begun(pool: WorkflowPool, task: ClaimedTask, **more: Any) -> Running:
    return await pool.launch(launch(task, **more), lambda stream, text: None)


async def told(running: Running) -> Outcome:
    async with asyncio.timeout(60):
        return await running.outcome()


async def test_two_launches_of_one_attempt_at_once_give_one_run(world: World) -> None:
    await world.load("a")
    (a,) = await world.place("a")
    both = await asyncio.gather(begun(world.one, a), begun(world.other, a))
    await world.end(await world.only())
    assert [await told(each) for each in both] == [Done(None), Done(None)]


async def test_attempt_after_a_lost_one_joins_its_run_and_the_stale_node_cancels_nothing(world: World) -> None:
    await world.load("a")
    (a,) = await world.place("a", now=CLOCK.now() - 100)
    stale = await begun(world.one, a)
    run = await world.only()
    await world.store.queue.expire(None)
    (again,) = await world.place("a", node="n2")
    watching = await begun(world.other, again)
    await stale.cancel()
    assert await told(stale) == Cancelled(abandoned=True)
    assert await world.asked(run) == 0
    await world.end(await world.only())
    assert await told(watching) == Done(None)


async def test_node_whose_attempt_was_adopted_cancels_nothing_of_the_one_that_adopted_it(world: World) -> None:
    """Both have the same fence, so the attempt is there and only nobody asked for its end."""
    await world.load("a")
    (a,) = await world.place("a")
    stale = await begun(world.one, a)
    adopted = await world.other.adopt(launch(a), lambda stream, text: None)
    await stale.cancel()
    assert await told(stale) == Cancelled(abandoned=True)
    run = await world.only()
    assert await world.asked(run) == 0
    await world.end(run)
    assert await told(adopted) == Done(None)


async def test_attempt_that_somebody_wants_cancelled_has_its_run_cancelled_once(world: World) -> None:
    await world.load("a")
    (a,) = await world.place("a")
    running = await begun(world.one, a)
    run = await world.only()
    await world.store.tasks.stop(a.task, None)
    await running.cancel()
    await running.cancel()
    assert await world.asked(run) == 1
    await world.end(run, RunStatus.CANCELLED)
    assert await told(running) == Cancelled()


async def test_store_that_is_away_cancels_nothing_and_breaks_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.load("a")
    (a,) = await world.place("a")
    running = await begun(world.one, a)

    async def away(task: str, fence: int) -> None:
        raise errors.StoreUnavailable("away")

    with monkeypatch.context() as patch:
        patch.setattr(world.store.queue, "attempt", away)
        await running.cancel()
    assert await told(running) == Cancelled(abandoned=True)
    assert await world.asked(await world.only()) == 0


async def test_run_that_faulted_is_a_failure_and_the_next_attempt_has_another(world: World) -> None:
    await world.load("a")
    (a,) = await world.place("a")
    running = await begun(world.one, a)
    first = await world.only()
    await world.end(first, RunStatus.FAULTED, fault=FAULT)
    outcome = await told(running)
    assert isinstance(outcome, Failed)
    assert (outcome.failure, outcome.final) == (FailureClass.APPLICATION, False)
    assert (outcome.fault.detail or "").endswith("faulted at /do/0/a: it broke")
    await world.store.queue.settle(a.task, a.fence, outcome, None, holder="n1")
    await world.store.graphs.due(CLOCK.now() + 3600)
    (again,) = await world.place("a")
    await (await begun(world.one, again)).detach()
    assert len(await world.runs()) == 2


async def test_run_that_is_tried_again_between_two_reads_goes_on(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """It ended for the one that asks how many runs stand, and is open for the one that asks how it ended."""
    await world.load("a")
    (a,) = await world.place("a")
    running = await begun(world.one, a)
    run = await world.only()
    statuses = world.store.views.statuses
    seen: list[RunStatus] = []

    async def meanwhile(runs: Sequence[str]) -> dict[str, RunStatus]:
        found = await statuses(runs)
        if found == {run: RunStatus.FAULTED}:
            await world.store.journal.reopen(run, "n1", "test", CLOCK.now())
        seen.extend(found.values())
        return found

    monkeypatch.setattr(world.store.views, "statuses", meanwhile)
    await world.end(run, RunStatus.FAULTED, fault=FAULT)
    async with asyncio.timeout(60):
        while seen[-2:] != [RunStatus.FAULTED, RunStatus.RUNNING]:
            world.one.wake()
            await asyncio.sleep(0.01)
    await world.end(run, seq=2, epoch=2)
    assert await told(running) == Done(None)


async def test_run_that_was_over_in_time_while_nobody_watched_is_no_timeout(world: World) -> None:
    await world.load("a")
    (a,) = await world.place("a")
    await (await begun(world.one, a)).detach()
    await world.end(await world.only())
    adopted = await world.other.adopt(launch(a, timeout_seconds=0.0), lambda stream, text: None)
    assert await told(adopted) == Done(None)


async def test_run_that_takes_too_long_is_asked_to_cancel_and_is_a_timeout(world: World) -> None:
    await world.load("a")
    (a,) = await world.place("a")
    running = await begun(world.one, a, timeout_seconds=0.0)
    run = await world.only()
    async with asyncio.timeout(60):
        while not await world.asked(run):
            await asyncio.sleep(0.01)
    await world.end(run, RunStatus.CANCELLED)
    outcome = await told(running)
    assert isinstance(outcome, Failed)
    assert outcome.failure is FailureClass.TIMEOUT
    assert (outcome.fault.detail or "").endswith("was cancelled")


async def test_run_that_does_not_end_when_its_attempt_is_over_is_left_with_the_request(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody executes it: its place is given back after a while, by the time limit or by somebody's cancel."""
    monkeypatch.setattr(workflow_pool, "_STOP_SECONDS", 0.0)
    await world.load("a", "b")
    a, b = await world.place("a", "b")
    late = await told(await begun(world.one, a, timeout_seconds=0.0))
    assert isinstance(late, Failed)
    assert late.failure is FailureClass.TIMEOUT
    assert (late.fault.detail or "").endswith("is asked to cancel, and will before it does anything else")
    running = await begun(world.one, b)
    await world.store.tasks.stop(b.task, None)
    await running.cancel()
    assert await told(running) == Cancelled(abandoned=True)
    assert [await world.asked(run) for run in await world.runs()] == [1, 1]


async def test_store_that_is_away_when_a_run_has_ended_is_asked_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.load("a")
    (a,) = await world.place("a")
    running = await begun(world.one, a)
    away = _Away(world.store.views.run)
    monkeypatch.setattr(workflow_pool, "_RETRY_SECONDS", 0.0)
    monkeypatch.setattr(world.store.views, "run", away)
    await world.end(await world.only())
    assert await told(running) == Done(None)
    assert away.refused == 2


async def test_store_that_is_away_when_a_run_takes_too_long_is_asked_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.load("a")
    (a,) = await world.place("a")
    away = _Away(world.store.journal.post)
    monkeypatch.setattr(workflow_pool, "_STOP_SECONDS", 0.0)
    monkeypatch.setattr(workflow_pool, "_RETRY_SECONDS", 0.0)
    monkeypatch.setattr(world.store.journal, "post", away)
    outcome = await told(await begun(world.one, a, timeout_seconds=0.0))
    assert isinstance(outcome, Failed)
    assert away.refused == 2
    assert await world.asked(await world.only()) == 1


class _Away:
    """A call to a store that is away twice."""

    def __init__(self, call: Callable[..., Awaitable[Any]]) -> None:
        self._call = call
        self.refused = 0

    async def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.refused < 2:
            self.refused += 1
            raise errors.StoreUnavailable("away")
        return await self._call(*args, **kwargs)


def _cancelled(reason: str | None) -> bytes:
    return msgspec.json.encode([event.Cancelled(at=CLOCK.now(), reason=reason)])


async def _tried_again_by_hand(world: World, reason: str | None) -> Running:
    """Give the attempt after one that was put off, whose run was cancelled meanwhile, as the task was."""
    await world.load("a")
    (a,) = await world.place("a")
    await (await begun(world.one, a)).detach()
    await world.store.queue.settle(a.task, a.fence, Snoozed(0.0), None, holder="n1")
    await world.end(await world.only(), RunStatus.CANCELLED, history=_cancelled(reason))
    await world.store.tasks.stop(a.task, None)
    await world.store.tasks.reopen(a.task, None)
    (again,) = await world.place("a")
    return await begun(world.one, again)


async def test_task_tried_again_after_its_run_was_cancelled_for_it_has_another_run(world: World) -> None:
    running = await _tried_again_by_hand(world, "the task default/g/a is over")
    newest, _ = await world.runs()
    await world.end(newest)
    assert await told(running) == Done(None)


async def test_task_whose_run_a_person_cancelled_meanwhile_is_told_so(world: World) -> None:
    running = await _tried_again_by_hand(world, "not today")
    outcome = await told(running)
    assert isinstance(outcome, Failed)
    assert outcome.final
    assert len(await world.runs()) == 1


async def test_attempt_that_joined_a_run_which_is_cancelled_for_the_one_before_is_put_off(world: World) -> None:
    await world.load("a")
    (a,) = await world.place("a")
    running = await begun(world.one, a)
    await world.end(await world.only(), RunStatus.CANCELLED, history=_cancelled("the task default/g/a was cancelled"))
    assert await told(running) == Snoozed(0.0)


async def test_attempt_of_a_task_that_is_another_workflow_by_now_has_another_run(world: World) -> None:
    await world.store.journal.publish(definition("d2", name="v"), "test", CLOCK.now())
    await world.load("a")
    (a,) = await world.place("a")
    await (await begun(world.one, a)).detach()
    old = await world.only()
    await world.store.queue.settle(a.task, a.fence, Snoozed(0.0), None, holder="n1")
    (again,) = await world.place("a")
    target = WorkflowTarget(namespace="default", name="v", version="1.0.0")
    both = [await begun(pool, again, target=target) for pool in (world.one, world.other)]
    assert await world.asked(old) == 1
    (new,) = set(await world.runs()) - {old}
    await world.end(new)
    assert [await told(each) for each in both] == [Done(None), Done(None)]


async def test_id_that_a_person_has_taken_is_a_final_failure(world: World) -> None:
    await world.load("a")
    (a,) = await world.place("a")
    tries = await world.store.tasks.tries(a.task, 1)
    await world.store.journal.commit(accepting("r1", new={"id": joining.id_of(a.task, joining.key(tries[0]))}))
    outcome = await told(await begun(world.one, a))
    assert isinstance(outcome, Failed)
    assert (outcome.failure, outcome.fault.title) == (FailureClass.INVALID, "Id taken")


async def test_one_that_was_never_accepted_is_begun_by_who_adopts_it(world: World) -> None:
    await world.load("a")
    (a,) = await world.place("a")
    assert world.one.is_left(launch(a))
    adopted = await world.one.adopt(launch(a), lambda stream, text: None)
    await world.end(await world.only())
    assert await told(adopted) == Done(None)


async def test_run_that_is_gone_is_a_final_failure(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await world.load("a")
    (a,) = await world.place("a")
    running = await begun(world.one, a)

    async def gone(*key: object) -> Any:
        return {} if len(key) == 1 else None

    monkeypatch.setattr(world.store.views, "statuses", gone)
    monkeypatch.setattr(world.store.views, "run", gone)
    world.one.wake()
    outcome = await told(running)
    assert isinstance(outcome, Failed)
    assert outcome.final
    assert "is not in the store any more" in (outcome.fault.detail or "")


async def test_attempt_that_is_not_in_the_store_any_more_begins_nothing(world: World) -> None:
    await world.load("a")
    (a,) = await world.place("a")
    with pytest.raises(errors.LeaseLost, match="the attempt 0 of the task default/g/a"):
        await begun(world.one, a, labels=briefing.labels(a) | {"interlock.fence": "0"})
    assert await world.runs() == []


async def test_stray_run_is_asked_to_cancel_but_not_one_that_a_person_had_tried_again(world: World) -> None:
    await world.load("a", "b")
    a, b = await world.place("a", "b")
    for task in (a, b):
        await (await begun(world.one, task)).detach()
    of_a, of_b = sorted(await world.runs(), key=_parents(await _rows(world)).__getitem__)
    final = Fault(type=fault.RUNTIME, status=500, title="no")
    await world.end(of_a, RunStatus.FAULTED, fault=FAULT)
    await world.store.queue.settle(a.task, a.fence, Failed(FailureClass.APPLICATION, final, final=True), None)
    await world.store.queue.settle(b.task, b.fence, Cancelled(), None)
    await world.store.journal.reopen(of_a, "n1", "test", CLOCK.now())
    before = await world.asked(of_a)
    await WorkflowPool(world.store, CLOCK, ROWS, _nothing).round()
    assert (await world.asked(of_a), await world.asked(of_b)) == (before, 1)


async def test_three_hundred_attempts_are_one_read_a_look(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = [f"t{number}" for number in range(300)]
    await world.load(*ids)
    running = [await begun(world.one, task) for task in await world.place(*ids)]
    database: Any = world.store.views._database  # type: ignore[attr-defined]  # of the SQL stores
    real, reads = database.read, []

    async def counted(work: Any, **more: Any) -> Any:
        reads.append(work)
        return await real(work, **more)

    await world.one.stop()
    await world.other.stop()
    monkeypatch.setattr(database, "read", counted)
    await world.one.round()
    assert len(reads) == 1
    for each in running:
        await each.detach()


async def _nothing(new: NewRun, value: Payload) -> None:
    raise AssertionError("a look for strays begins no run")


async def _rows(world: World) -> Any:
    return await world.store.views.runs(None, (), None, None, 1000)


def _parents(rows: Any) -> dict[str, str]:
    return {row.run: row.id for row in rows}
