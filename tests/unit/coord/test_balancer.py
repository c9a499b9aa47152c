"""The load balancer over a store: slots come with the choice, choices are recorded, strategies learn, tasks move."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from interlock import errors, telemetry
from interlock.coord.balancer import Assignment, LoadBalancer
from interlock.coord.loads import Given, task_of
from interlock.coord.workers import WorkerRegistry
from interlock.decisions.strategies import VOTES, Options, Strategy
from interlock.decisions.task import Task
from interlock.model.worker import Capabilities, WorkerStatus
from interlock.testing.clock import VirtualClock
from unit.coord.scripted import scripted


class World:
    def __init__(self, store: Any) -> None:
        self.store = store
        self.clock = VirtualClock()
        self.registry = WorkerRegistry(store, self.clock)
        self.balancer = LoadBalancer(store, self.clock)
        self._number = 0

    async def join(self, id: str, capacity: int = 10, active: int = 0, **able: Any) -> None:
        worker = await self.registry.register(id, capacity=capacity, capabilities=Capabilities(**able))
        for number in range(active):
            given = await self.store.workers.reserve(id, worker.session, f"{id}-{number}", self.clock.now())
            assert given is not None
            assert await self.balancer.started(given)

    async def place(self, **more: Any) -> Assignment | None:
        self._number += 1
        self.clock.move_to(self.clock.now() + 0.1)
        return await self.balancer.select_worker(Task(**{"id": f"t{self._number}"} | more))

    async def placed(self, **more: Any) -> str | None:
        found = await self.place(**more)
        return None if found is None else found.worker_id


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with scripted() as store:
        yield World(store)


# -- choosing --------------------------------------------------------------------------------------------------------


async def test_strategy_is_chosen_at_run_time(world: World) -> None:
    """LB-01"""
    assert world.balancer.strategy is Strategy.LEAST_LOADED
    for name in ("round_robin", "least_loaded", "capacity_based", "affinity", "adaptive", "performance_based"):
        world.balancer.set_strategy(name)
        assert world.balancer.strategy == name
    with pytest.raises(errors.Invalid, match="there is no strategy 'best'; there are round_robin"):
        world.balancer.set_strategy("best")
    assert world.balancer.strategy is Strategy.PERFORMANCE_BASED


async def test_least_loaded_worker_is_chosen(world: World) -> None:
    """LB-03, LB-04"""
    for id, active in (("w1", 8), ("w2", 4), ("w3", 10), ("w4", 2), ("w5", 0)):
        await world.join(id, 10, active)
    assert [await world.placed() for _ in range(4)] == ["w5", "w5", "w4", "w5"]
    assert [await world.placed(prefers=frozenset({"w3"})) for _ in range(21)].count("w3") == 0


@pytest.mark.parametrize("strategy", Strategy)
async def test_slot_comes_with_the_choice(world: World, strategy: Strategy) -> None:
    """LB-08"""
    world.balancer.set_strategy(strategy)
    await world.join("w1", 1)
    found = await world.place()
    assert found is not None
    assert await world.store.workers.slots("w1") == [found.slot]
    assert task_of(found.slot) == found.task
    assert await world.placed() is None
    assert await world.balancer.finish(found.slot, succeeded=True, seconds=1.0)
    assert await world.placed() == "w1"


async def test_two_who_choose_at_once_never_share_a_slot(world: World) -> None:
    """LB-08: ten choosers, four slots"""
    await world.join("w1", 3)
    await world.join("w2", 1)
    choosers = [LoadBalancer(world.store, world.clock) for _ in range(10)]
    found = await asyncio.gather(*(each.select_worker(Task(id=f"t{number}")) for number, each in enumerate(choosers)))
    assert Counter(each.worker_id for each in found if each) == {"w1": 3, "w2": 1}


async def test_next_best_is_tried_when_the_slot_was_taken(world: World) -> None:
    """LB-08"""
    await world.join("w1", 1)
    await world.join("w2", 2, 1)
    worker = await world.registry.get_worker("w1")
    assert worker is not None

    async def take() -> None:
        assert await world.store.workers.reserve("w1", worker.session, "other", world.clock.now())

    world.store.workers.after["list"] = take
    found = await world.place()
    assert found is not None
    assert (found.worker_id, found.decision.chosen) == ("w2", "w2")
    assert found.decision.reason.endswith("1 before it had no slot any more")


async def test_task_that_has_a_worker_is_not_given_to_another_one(world: World) -> None:
    await world.join("w1")
    await world.join("w2")
    assert await world.placed(id="t") is not None
    assert await world.placed(id="t") is None


@pytest.mark.parametrize(
    "needs",
    [
        {"type": "deploy"}, {"skills": frozenset({"go"})}, {"region": "us"}, {"min_cpu_cores": 9.0}, {"min_memory_mb": 1e9},
        {"avoids": frozenset({"w1"})},
    ],
)  # fmt: skip
async def test_task_that_nobody_can_have_is_none_and_told(world: World, needs: dict[str, Any]) -> None:
    """LB-02"""
    await world.join("w1", task_types={"build"}, skills={"a"}, region="eu")
    told: list[Any] = []
    end = telemetry.attach(lambda name, fields: told.append((name, fields["decision"])))
    assert await world.placed(**needs) is None
    end()
    assert [name for name, _ in told] == ["balancer.unplaced"]
    assert told[0][1].candidates[0].worker == "w1"
    assert told[0][1].candidates[0].reason


async def test_worker_that_is_not_well_has_no_task(world: World) -> None:
    """LB-02"""
    for id in ("drains", "gone", "stale"):
        await world.join(id)
    await world.registry.update_status("drains", WorkerStatus.DRAINING)
    await world.registry.deregister("gone")
    world.clock.move_to(world.clock.now() + 121)
    await world.join("well", 1)
    assert [await world.placed() for _ in range(2)] == ["well", None]


async def test_choice_among_some_is_made_among_those(world: World) -> None:
    await world.join("w1")
    await world.join("w2")
    found = await world.balancer.select_worker(Task(id="t"), among=["w2"])
    assert found is not None
    assert found.worker_id == "w2"
    assert await world.balancer.select_worker(Task(id="u"), among=["nobody"]) is None


async def test_five_free_slots_take_a_task_of_any_complexity(world: World) -> None:
    """LB-14"""
    await world.join("w1", 5)
    assert await world.placed(complexity=8) == "w1"


async def test_turns_are_fair(world: World) -> None:
    """LB-05: 300 tasks on 3 workers"""
    world.balancer.set_strategy("round_robin")
    for id in ("a", "b", "c"):
        await world.join(id, 200)
    assert Counter([await world.placed() for _ in range(300)]) == {"a": 100, "b": 100, "c": 100}


async def test_turns_go_on_when_workers_join_and_leave(world: World) -> None:
    """LB-05: nobody is left out, and nobody has two turns before all others had one"""
    world.balancer.set_strategy("round_robin")
    for id in ("a", "b", "c"):
        await world.join(id, 99)
    assert [await world.placed() for _ in range(4)] == ["a", "b", "c", "a"]
    await world.join("d", 99)
    assert [await world.placed() for _ in range(5)] == ["d", "b", "c", "a", "d"]
    await world.registry.deregister("c")
    assert [await world.placed() for _ in range(6)] == ["b", "a", "d", "b", "a", "d"]


async def test_turns_are_fair_among_those_who_choose_at_once(world: World) -> None:
    """LB-05"""
    for id in ("a", "b", "c"):
        await world.join(id, 99)
    choosers = [LoadBalancer(world.store, world.clock, "round_robin") for _ in range(3)]
    for turn in range(20):
        world.clock.move_to(world.clock.now() + 1.0)
        await asyncio.gather(*(each.select_worker(Task(id=f"{turn}-{n}")) for n, each in enumerate(choosers)))
    counts = [each.assigned for each in await world.registry.list_workers()]
    assert (sum(counts), max(counts) - min(counts) <= 1) == (60, True)


async def test_capacity_is_shared_out_by_what_is_idle(world: World) -> None:
    """LB-06"""
    balancer = LoadBalancer(world.store, world.clock, "capacity_based", Options(weight_by_memory=0.0))
    await world.join("big", 1000, cpu_cores=3.0)
    await world.join("small", 1000, cpu_cores=1.0)
    chosen = Counter[str]()
    for number in range(1000):
        found = await balancer.select_worker(Task(id=f"t{number}"))
        assert found is not None
        chosen[found.worker_id] += 1
    assert chosen["big"] / 1000 == pytest.approx(0.75, abs=0.05)


async def test_preference_gives_way_and_aversion_does_not(world: World) -> None:
    """LB-07"""
    world.balancer.set_strategy("affinity")
    await world.join("w1", 2)
    await world.join("w2", 1)
    liked = frozenset({"w2"})
    assert [await world.placed(prefers=liked) for _ in range(2)] == ["w2", "w1"]
    assert await world.placed(avoids=frozenset({"w1"})) is None


# -- records and learning --------------------------------------------------------------------------------------------


async def test_choices_are_recorded_with_scores(world: World) -> None:
    await world.join("w1", 4, 1)
    await world.join("w2", 4, 2)
    await world.join("full", 1, 1)
    found = await world.place(id="t")
    assert found is not None
    assert await world.balancer.decisions("t") == [found.decision]
    assert [(each.worker, each.score, each.reason) for each in found.decision.candidates] == [
        ("w1", 0.75, None),
        ("w2", 0.5, None),
        ("full", None, "has no free slot"),
    ]
    assert found.decision.reason == "the least loaded: 1 of 4 slots taken"


async def test_explaining_reserves_nothing(world: World) -> None:
    await world.join("w1")
    assert (await world.balancer.explain(Task(id="t"))).chosen == "w1"
    assert (await world.balancer.explain(Task(id="t"), among=[])).chosen is None
    assert await world.store.workers.slots(None) == []
    assert await world.balancer.decisions() == []


@pytest.mark.parametrize("voter", VOTES)
async def test_weights_follow_what_became_of_the_tasks(world: World, voter: Strategy) -> None:
    """LB-10: 100 failures of one strategy lower its weight, 100 successes raise it; never to nothing; all processes share it."""
    await world.join("w1", 1)
    worker = await world.registry.get_worker("w1")
    assert worker is not None
    before = await world.balancer.weights()
    assert before == pytest.approx(VOTES)
    for outcome in (False, True):
        for number in range(100):
            task = f"{outcome}-{number}"
            detail = msgspec.json.encode(Given(task=Task(id=task), worker="w1", voters=[voter]))
            now = world.clock.now()
            slot = await world.store.workers.reserve("w1", worker.session, task, now, detail=detail)
            assert await world.balancer.finish(slot, succeeded=outcome, seconds=1.0)
        after = await LoadBalancer(world.store, world.clock).weights()
        assert (after[voter] > before[voter]) is outcome
        assert after[voter] > 0.005
        before = after


async def test_vote_learns_from_its_outcomes(world: World) -> None:
    """LB-10"""
    world.balancer.set_strategy("adaptive")
    await world.join("w1", 1)
    found = await world.place()
    assert found is not None
    assert set(found.decision.voters) == set(VOTES)
    assert await world.balancer.finish(found.slot, succeeded=False)
    learned = await world.store.workers.weights()
    assert learned == pytest.approx({voter: prior / 1.05 for voter, prior in VOTES.items()})
    again = await world.place()
    assert again is not None
    assert await world.balancer.finish(again.slot, succeeded=None)
    assert await world.store.workers.weights() == learned
    assert not await world.balancer.finish(again.slot, succeeded=True)
    world.balancer.set_strategy("round_robin")
    alone = await world.place()
    assert alone is not None
    assert await world.balancer.finish(alone.slot, succeeded=True)
    assert await world.store.workers.weights() == learned  # nobody voted


# -- the next task ---------------------------------------------------------------------------------------------------


async def test_worker_has_the_most_urgent_task_that_it_can_do(world: World) -> None:
    """LB-13"""
    await world.join("w1", 2, task_types={"build"}, cpu_cores=2.0)
    now = world.clock.now()
    waiting = [
        Task(id="low", type="build", priority=1, created_at=now),
        Task(id="big", type="build", priority=9, min_cpu_cores=4, created_at=now),
        Task(id="other", type="test", priority=9, created_at=now),
        Task(id="high", type="build", priority=5, created_at=now),
        Task(id="older", type="build", priority=5, created_at=now - 1),
    ]
    order = [await world.balancer.get_next_task("w1", waiting) for _ in range(3)]
    assert [each and each.task.id for each in order] == ["older", "high", None]
    told = await world.balancer.decisions("older")
    assert "the most urgent of 5" in told[0].reason
    with pytest.raises(errors.NotFound, match="no worker 'nobody'"):
        await world.balancer.get_next_task("nobody", waiting)


async def test_task_that_another_one_has_is_passed_over(world: World) -> None:
    await world.join("w1")
    await world.join("w2")
    waiting = [Task(id="a", priority=2), Task(id="b")]
    found = [await world.balancer.get_next_task(worker, waiting) for worker in ("w1", "w2", "w1")]
    assert [each and each.task.id for each in found] == ["a", "b", None]


async def test_worker_that_meets_others_looks_again_instead_of_trying_all(world: World) -> None:
    """LB-13: fifty tasks that others have by now cost two reservations, and those that are left are found."""
    await world.join("w1", 99)
    await world.join("w2", 99)
    waiting = [Task(id=f"t{number:02}") for number in range(50)]
    for task in waiting[:49]:
        assert await world.balancer.select_worker(task, among=["w2"])
    world.store.workers.calls.clear()
    found = await world.balancer.get_next_task("w1", waiting)
    assert found is not None
    assert found.task.id == "t49"
    assert len(world.store.workers.times("reserve")) == 2


async def test_worker_whose_last_slot_was_taken_meanwhile_has_nothing(world: World) -> None:
    await world.join("w1", 1)
    worker = await world.registry.get_worker("w1")
    assert worker is not None

    async def take() -> None:
        assert await world.store.workers.reserve("w1", worker.session, "other", world.clock.now())

    world.store.workers.after["get"] = take
    world.store.workers.calls.clear()
    assert await world.balancer.get_next_task("w1", [Task(id=f"t{number}") for number in range(9)]) is None
    assert len(world.store.workers.times("reserve")) == 2


TASKS = some.lists(
    some.builds(
        dict,
        type=some.sampled_from(["build", "test"]),
        priority=some.integers(0, 9),
        age=some.integers(0, 100_000),
        min_cpu_cores=some.sampled_from([0, 2, 8]),
    ),
    max_size=12,
)


@pytest.mark.slow
@given(TASKS, some.sampled_from([None, 60.0, 600.0]))
@settings(max_examples=100, deadline=None)
def test_next_task_is_always_the_most_urgent_that_fits(rows: list[dict[str, Any]], ageing: float | None) -> None:
    """LB-13: type, resources, priority and age, for whatever tasks wait"""

    async def main() -> None:
        async with scripted() as store:
            world = World(store)
            await world.join("w1", 99, task_types={"build"}, cpu_cores=4.0)
            now = world.clock.now()
            waiting = [
                Task(id=f"t{n:02}", created_at=now - row["age"], **{k: v for k, v in row.items() if k != "age"})
                for n, row in enumerate(rows)
            ]
            balancer = LoadBalancer(store, world.clock, ageing_seconds=ageing)
            given = []
            while found := await balancer.get_next_task("w1", waiting):
                given.append(found.task)
        fitting = [task for task in waiting if task.type == "build" and task.min_cpu_cores <= 4]
        wanted = sorted(
            fitting,
            key=lambda task: (
                -(task.priority + ((now - (task.created_at or now)) / ageing if ageing else 0)),
                task.created_at,
                task.id,
            ),
        )
        assert given == wanted

    asyncio.run(main())


async def test_with_ageing_nothing_waits_for_ever(world: World) -> None:
    """LB-13: a task of the lowest priority among urgent ones that keep coming; without ageing it starves."""
    for ageing, waits in ((600.0, True), (None, False)):
        balancer = LoadBalancer(world.store, world.clock, ageing_seconds=ageing)
        await world.join(f"w-{ageing}", 1)
        low = Task(id=f"low-{ageing}", priority=0, created_at=world.clock.now())
        done: list[str] = []
        for number in range(120):
            world.clock.move_to(world.clock.now() + 100)
            session = await world.registry.get_worker(f"w-{ageing}")
            assert session is not None
            await world.store.workers.beat(session.id, session.session, b"{}", world.clock.now())
            urgent = Task(id=f"{ageing}-{number}", priority=5, created_at=world.clock.now())
            found = await balancer.get_next_task(f"w-{ageing}", [urgent, low] if low.id not in done else [urgent])
            assert found is not None
            done.append(found.task.id)
            await balancer.finish(found.slot, succeeded=True, seconds=1.0)
        assert (low.id in done) is waits


def test_ageing_needs_a_time() -> None:
    with pytest.raises(errors.Invalid, match="above 0 s"):
        LoadBalancer(None, VirtualClock(), ageing_seconds=0.0)  # type: ignore[arg-type]  # it is not reached


# -- balance ---------------------------------------------------------------------------------------------------------


async def test_load_is_told_in_numbers(world: World) -> None:
    """LB-11"""
    assert (await world.balancer.get_load_distribution()).utilisation_percent == 0.0
    await world.join("w1", 10, 8)
    await world.join("w2", 5, 2)
    await world.join("w3", 5, 5)
    await world.join("drains", 5, 5)
    await world.registry.update_status("drains", WorkerStatus.DRAINING)
    found = await world.balancer.get_load_distribution()
    assert (found.capacity, found.active, found.utilisation_percent) == (20, 15, 75.0)
    assert [(each.worker, each.active, each.capacity, each.utilisation_percent) for each in found.workers] == [
        ("w1", 8, 10, 80.0),
        ("w2", 2, 5, 40.0),
        ("w3", 5, 5, 100.0),
    ]
    assert (found.spread_points, found.is_imbalanced) == (pytest.approx(60.0), True)


async def test_thirty_points_apart_is_still_balanced(world: World) -> None:
    """LB-11"""
    await world.join("w1", 10, 3)
    await world.join("w2", 10, 0)
    found = await world.balancer.get_load_distribution()
    assert (round(found.spread_points, 9), found.is_imbalanced) == (30.0, False)


async def test_rebalancing_moves_what_was_not_started(world: World) -> None:
    """LB-12"""
    world.balancer.set_strategy("adaptive")
    await world.join("w1", 10, 2)
    given = [await world.place(id=f"t{number}") for number in range(6)]
    await world.join("w2", 10)
    found = await world.balancer.rebalance()
    assert found.tasks_moved == 3
    assert (found.before.spread_points, found.after.spread_points) == (pytest.approx(80.0), pytest.approx(20.0))
    assert found.improved_points == pytest.approx(60.0)
    slots = await world.store.workers.slots(None)
    assert {slot.worker for slot in slots if slot.started} == {"w1"}
    moved = next(slot for slot in slots if slot.worker == "w2")
    assert task_of(moved).id == moved.task
    before = next(each.slot for each in given if each and each.slot.task == moved.task)
    assert not await world.balancer.started(before)
    assert (await world.balancer.decisions(moved.task))[0].reason.startswith("moved from w1, which had too many: ")
    assert await world.balancer.finish(moved, succeeded=True)
    assert await world.store.workers.weights() == {}  # nobody chose it: it was moved
    assert (await world.balancer.rebalance()).tasks_moved == 0


async def test_running_tasks_never_move(world: World) -> None:
    """LB-12"""
    await world.join("w1", 10, 10)
    await world.join("w2", 10)
    found = await world.balancer.rebalance()
    assert (found.tasks_moved, found.improved_points) == (0, 0.0)


async def test_task_moves_only_to_who_can_have_it(world: World) -> None:
    """LB-12"""
    await world.join("w1", 4, skills={"a"})
    for number in range(4):
        assert await world.placed(id=f"t{number}", skills=frozenset({"a"})) == "w1"
    await world.join("w2", 4, skills={"b"})
    assert (await world.balancer.rebalance()).tasks_moved == 0
    await world.join("w3", 4, skills={"a", "b"})
    assert (await world.balancer.rebalance()).tasks_moved == 2
    assert Counter(slot.worker for slot in await world.store.workers.slots(None)) == {"w1": 2, "w3": 2}


async def test_move_that_would_only_turn_the_imbalance_round_is_not_made(world: World) -> None:
    """LB-12"""
    await world.join("w1", 1)
    assert await world.placed() == "w1"
    await world.join("w2", 1)
    assert (await world.balancer.rebalance()).tasks_moved == 0


async def test_task_that_is_started_meanwhile_stays(world: World) -> None:
    """LB-12"""
    await world.join("w1", 10)
    given = [await world.place() for _ in range(8)]
    await world.join("w2", 10)

    async def start() -> None:
        for each in given:
            assert each is not None
            assert await world.balancer.started(each.slot)

    world.store.workers.after["slots"] = start
    assert (await world.balancer.rebalance()).tasks_moved == 0


async def test_slot_of_somebody_else_is_a_task_without_needs(world: World) -> None:
    await world.join("w1")
    worker = await world.registry.get_worker("w1")
    assert worker is not None
    slot = await world.store.workers.reserve("w1", worker.session, "theirs", world.clock.now())
    assert task_of(slot) == Task(id="theirs")


async def test_turn_that_is_always_taken_by_others_becomes_any_slot(world: World) -> None:
    """LB-05: whoever loses its turn again and again is not left without a worker."""
    world.balancer.set_strategy("round_robin")
    await world.join("w1", 99)
    worker = await world.registry.get_worker("w1")
    assert worker is not None
    taken = 0

    async def take() -> None:
        nonlocal taken
        taken += 1
        assert await world.store.workers.reserve("w1", worker.session, f"other{taken}", world.clock.now())
        if taken < 9:
            world.store.workers.after["list"] = take

    world.store.workers.after["list"] = take
    assert await world.placed() == "w1"
    assert taken == 5


async def test_last_slot_that_is_taken_after_each_look_leaves_nothing(world: World) -> None:
    await world.join("w1", 1)
    worker = await world.registry.get_worker("w1")
    assert worker is not None

    async def take() -> None:
        assert await world.store.workers.reserve("w1", worker.session, "other", world.clock.now())

    world.store.workers.after["list"] = take
    assert await world.placed() is None
    assert [slot.task for slot in await world.store.workers.slots(None)] == ["other"]
