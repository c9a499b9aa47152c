"""What each strategy chooses, and what makes it choose otherwise."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from interlock import errors
from interlock.decisions import record, strategies
from interlock.decisions.strategies import VOTES, Options, Question, Strategy, rank
from interlock.decisions.task import Task, misfit, refusal, urgency
from interlock.model.worker import Capabilities, Device, Worker, WorkerStatus


def worker(id: str, **more: Any) -> Worker:
    fields: dict[str, Any] = {
        "session": f"of-{id}", "status": WorkerStatus.ACTIVE, "host": "h", "pid": 1, "capacity": 10, "active": 0,
    }  # fmt: skip
    return Worker(id=id, **fields | more)


def question(workers: Sequence[Worker], task: Task | None = None, **more: Any) -> Question:
    task = task or Task(id="t1")
    chance: Callable[[], float] = more.pop("chance", lambda: 0.5)
    return Question(
        task=task,
        able=[each for each in workers if refusal(task, each) is None],
        fitting=[each for each in workers if misfit(task, each) is None],
        options=more.pop("options", Options()),
        chance=chance,
        **more,
    )


def order(strategy: Strategy, workers: Sequence[Worker], task: Task | None = None, **more: Any) -> list[str]:
    return [each.id for each, _ in rank(strategy, question(workers, task, **more)).order]


# -- who can have it -------------------------------------------------------------------------------------------------

ABLE = Capabilities(task_types={"build", "test"}, skills={"python", "rust"}, cpu_cores=4, memory_mb=8000, region="eu")


@pytest.mark.parametrize(
    ("task", "reason"),
    [
        ({}, None),
        ({"type": "build"}, None),
        ({"type": "deploy"}, "takes no tasks of the type deploy"),
        ({"skills": frozenset({"python", "rust"})}, None),
        ({"skills": frozenset({"python", "go", "c"})}, "lacks c, go"),
        ({"region": "eu"}, None),
        ({"region": "us"}, "is not in the region us"),
        ({"min_cpu_cores": 4}, None),
        ({"min_cpu_cores": 4.5}, "has 4 of 4.5 cores"),
        ({"min_memory_mb": 8001}, "has 8000 of 8001 MB"),
        ({"avoids": frozenset({"w1"})}, "the task avoids it"),
        ({"prefers": frozenset({"w2"})}, None),
        ({"complexity": 8}, None),
    ],
)
def test_worker_has_what_a_task_needs_or_is_refused_with_the_reason(task: dict[str, Any], reason: str | None) -> None:
    """LB-02, LB-14: the complexity of a task has nothing to do with how many slots are free."""
    assert refusal(Task(id="t1", **task), worker("w1", capabilities=ABLE, capacity=5)) == reason


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"active": 10, "status": WorkerStatus.BUSY}, "has no free slot"),
        ({"status": WorkerStatus.DRAINING}, "is draining"),
        ({"status": WorkerStatus.STALE}, "is stale"),
        ({"device": Device(accepts=False)}, "is stopping"),
    ],
)
def test_worker_that_takes_nothing_now_is_refused_with_the_reason(more: dict[str, Any], reason: str) -> None:
    """LB-02"""
    assert refusal(Task(id="t1"), worker("w1", **more)) == reason
    assert misfit(Task(id="t1"), worker("w1", **more)) is None


@pytest.mark.parametrize("strategy", Strategy)
def test_nobody_is_chosen_when_nobody_can(strategy: Strategy) -> None:
    """LB-02"""
    ranking = rank(strategy, question([worker("w1", status=WorkerStatus.STALE)]))
    assert list(ranking.order) == []


# -- strategies ------------------------------------------------------------------------------------------------------


def test_least_loaded_goes_by_utilisation() -> None:
    """LB-03: 8/10, 4/10, 10/10, 2/10, 0/10"""
    loads = {"w1": 8, "w2": 4, "w3": 10, "w4": 2, "w5": 0}
    workers = [
        worker(id, active=active, status=WorkerStatus.BUSY if active == 10 else WorkerStatus.ACTIVE)
        for id, active in loads.items()
    ]
    assert order(Strategy.LEAST_LOADED, workers) == ["w5", "w4", "w2", "w1"]


def test_big_busy_worker_loses_to_a_small_idle_one() -> None:
    """LB-04: 90/100 against 0/5"""
    workers = [worker("big", capacity=100, active=90), worker("small", capacity=5)]
    assert order(Strategy.LEAST_LOADED, workers) == ["small", "big"]


def test_shares_are_compared_and_not_tasks() -> None:
    """LB-03, LB-04: 6 of 10 is less than 4 of 5, though it is more tasks, and 3 of 4 more than 20 of 40, though it has fewer."""
    workers = [worker("a", active=6), worker("b", capacity=5, active=4), worker("c", capacity=40, active=20)]
    assert order(Strategy.LEAST_LOADED, [*workers, worker("d", capacity=4, active=3)]) == ["c", "a", "d", "b"]


def test_round_robin_goes_by_who_was_given_a_task_the_longest_ago() -> None:
    workers = [
        worker("a", assigned_at=3.0, assigned=1), worker("b", assigned_at=1.0, assigned=9), worker("new"),
        worker("c", assigned_at=1.0, assigned=8),
    ]  # fmt: skip
    assert order(Strategy.ROUND_ROBIN, workers) == ["new", "c", "b", "a"]


def test_capacity_based_is_in_proportion_to_what_is_idle() -> None:
    """LB-06: 1,000 choices, each worker within 5 % of all of its share"""
    workers = [
        worker("w1", capabilities=Capabilities(cpu_cores=8, memory_mb=8000)),
        worker("w2", capabilities=Capabilities(cpu_cores=8, memory_mb=4000), device=Device(cpu=50.0, memory=50.0)),
        worker("w3", capabilities=Capabilities(cpu_cores=4, memory_mb=6000)),
    ]
    shares = strategies.capacity_shares(workers, Options())
    assert shares == {"w1": 0.5, "w2": 0.1875, "w3": 0.3125}
    chance = random.Random(1).random
    picked = Counter(order(Strategy.CAPACITY_BASED, workers, chance=chance)[0] for _ in range(1000))
    for id, share in shares.items():
        assert picked[id] / 1000 == pytest.approx(share, abs=0.05)


def test_capacity_based_weighs_cores_and_memory_as_told() -> None:
    workers = [
        worker("cores", capabilities=Capabilities(cpu_cores=3, memory_mb=1000)),
        worker("memory", capabilities=Capabilities(cpu_cores=1, memory_mb=3000)),
    ]
    by_cpu = strategies.capacity_shares(workers, Options(weight_by_cpu=1.0, weight_by_memory=0.0))
    assert by_cpu == {"cores": 0.75, "memory": 0.25}
    nothing = [worker(id, capabilities=Capabilities(cpu_cores=0)) for id in ("a", "b")]
    assert strategies.capacity_shares(nothing, Options()) == {"a": 0.5, "b": 0.5}
    one = [worker("a", capabilities=Capabilities(cpu_cores=0)), worker("b", capabilities=Capabilities(cpu_cores=1))]
    assert order(Strategy.CAPACITY_BASED, one) == ["b", "a"]


def test_capability_based_prefers_whom_the_task_fits_narrowly() -> None:
    workers = [
        worker("any", capabilities=Capabilities(skills={"a", "b", "c"})),
        worker("narrow", capabilities=Capabilities(skills={"a"})),
    ]
    assert order(Strategy.CAPABILITY_BASED, workers, Task(id="t", skills=frozenset({"a"}))) == ["narrow", "any"]


def test_performance_based_prefers_who_succeeds_quickly() -> None:
    workers = [
        worker("slow", succeeded=10, busy_seconds=100.0),
        worker("quick", succeeded=10, busy_seconds=10.0),
        worker("failing", succeeded=5, failed=5, busy_seconds=10.0, since_failure_seconds=1.0),
    ]
    assert order(Strategy.PERFORMANCE_BASED, workers) == ["quick", "slow", "failing"]


def test_preferred_worker_comes_first_and_gives_way_when_it_is_full() -> None:
    """LB-07"""
    task = Task(id="t", prefers=frozenset({"w2"}))
    workers = [worker("w1"), worker("w2", active=9), worker("w3", active=1)]
    assert order(Strategy.AFFINITY, workers, task) == ["w2", "w1", "w3"]
    full = [worker("w1"), worker("w2", active=10, status=WorkerStatus.BUSY), worker("w3", active=1)]
    assert order(Strategy.AFFINITY, full, task) == ["w1", "w3"]


@pytest.mark.parametrize("strategy", Strategy)
def test_avoided_worker_is_never_chosen(strategy: Strategy) -> None:
    """LB-07: an aversion is hard, also against a preference"""
    task = Task(id="t", avoids=frozenset({"w1"}), prefers=frozenset({"w1"}))
    assert "w1" not in order(strategy, [worker("w1"), worker("w2", active=9)], task)
    assert order(strategy, [worker("w1")], task) == []


def test_workers_marked_with_the_value_of_the_key_are_preferred() -> None:
    """LB-07"""
    workers = [worker("w1"), worker("w2", active=5, metadata={"project_id": "p"})]
    assert order(Strategy.AFFINITY, workers, Task(id="t", metadata={"project_id": "p"})) == ["w2", "w1"]
    other = Options(affinity_key="team", fallback=Strategy.ROUND_ROBIN)
    assert order(Strategy.AFFINITY, workers, Task(id="t", metadata={"project_id": "p"}), options=other) == ["w1", "w2"]


def test_tasks_of_one_key_stay_together_when_workers_come_and_go() -> None:
    """LB-07: nobody is marked, so each key has a home that all processes compute; few move when a worker joins."""
    workers = [worker(f"w{number}") for number in range(10)]
    tasks = [Task(id=f"t{number}", metadata={"project_id": number}) for number in range(200)]
    homes = {task.id: order(Strategy.AFFINITY, workers, task)[0] for task in tasks}
    assert len(set(homes.values())) == 10
    assert all(order(Strategy.AFFINITY, workers[::-1], task)[0] == homes[task.id] for task in tasks)
    more = [*workers, worker("w10")]
    moved = [task for task in tasks if order(Strategy.AFFINITY, more, task)[0] != homes[task.id]]
    assert 0 < len(moved) < 50
    assert all(order(Strategy.AFFINITY, more, task)[0] == "w10" for task in moved)
    busy = [
        worker(each.id, active=10, status=WorkerStatus.BUSY) if each.id == homes["t0"] else each for each in workers
    ]
    assert order(Strategy.AFFINITY, busy, tasks[0])[0] != homes["t0"]


def test_adaptive_is_the_vote_of_four() -> None:
    """LB-09: performance 0.4, capability 0.3, least loaded 0.2, round robin 0.1"""
    slow = {"failed": 9, "busy_seconds": 99.0}
    broad, medium, narrow = (Capabilities(skills=set(skills)) for skills in ("abcd", "abc", "a"))
    able = [
        worker("quick", active=5, assigned_at=9.0, capabilities=broad, succeeded=9, busy_seconds=1.0),
        worker("narrow", active=1, assigned_at=8.0, capabilities=narrow, **slow),
        worker("idle", active=0, assigned_at=7.0, capabilities=medium, **slow),
        worker("waiting", active=2, assigned_at=1.0, capabilities=broad, **slow),
    ]
    ranking = rank(Strategy.ADAPTIVE, question(able, Task(id="t", skills=frozenset({"a"}))))
    assert {each.id: score for each, score in ranking.order} == pytest.approx(
        {"quick": 0.4, "narrow": 0.3, "idle": 0.2, "waiting": 0.1}, abs=1e-9
    )
    assert ranking.voters["quick"] == [Strategy.PERFORMANCE_BASED]
    learned = {Strategy.PERFORMANCE_BASED: 0.04}
    turned = rank(Strategy.ADAPTIVE, question(able, Task(id="t", skills=frozenset({"a"})), weights=learned))
    assert turned.order[0][0].id == "narrow"


def test_weights_sum_to_one_whatever_was_learned() -> None:
    assert strategies.weights({}) == pytest.approx(VOTES)
    assert sum(strategies.weights({Strategy.ROUND_ROBIN: 7.0}).values()) == pytest.approx(1.0)


def test_strategies_have_names() -> None:
    """LB-01"""
    assert strategies.strategy("round-robin") is Strategy.ROUND_ROBIN
    with pytest.raises(errors.Invalid, match="there are round_robin, least_loaded, capacity_based"):
        strategies.strategy("random")


@pytest.mark.parametrize(
    "wrong", [{"fallback": Strategy.AFFINITY}, {"weight_by_cpu": -1.0}, {"weight_by_cpu": 0.0, "weight_by_memory": 0.0}]
)
def test_options_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(errors.Invalid, match=r"fallback|weight"):
        Options(**wrong)


# -- order of tasks and records --------------------------------------------------------------------------------------


def test_urgency_grows_with_age() -> None:
    task = Task(id="t", priority=2, created_at=100.0)
    assert urgency(task, 700.0, 600.0) == 3.0
    assert urgency(task, 50.0, 600.0) == 2.0
    assert urgency(task, 700.0, None) == 2.0
    assert urgency(Task(id="t", priority=2), 700.0, 600.0) == 2.0


@pytest.mark.parametrize("strategy", Strategy)
def test_record_tells_candidates_scores_and_the_reason(strategy: Strategy) -> None:
    workers = [worker("w1"), worker("w2", active=1), worker("w3", status=WorkerStatus.STALE)]
    task = Task(id="t")
    ranking = rank(strategy, question(workers))
    chosen = ranking.order[0][0]
    told = record.decision(strategy, task, ranking, chosen, workers)
    assert record.decode(record.encode(told)) == told
    assert (told.chosen, told.strategy) == (chosen.id, strategy)
    assert [each.worker for each in told.candidates if each.score is not None] == [each.id for each, _ in ranking.order]
    assert [(each.worker, each.reason) for each in told.candidates if each.score is None] == [("w3", "is stale")]
    assert told.reason
    second = record.decision(strategy, task, ranking, ranking.order[1][0], workers)
    assert second.reason.endswith("1 before it had no slot any more")
    assert second.voters == ()
    none = record.decision(strategy, task, ranking, None, workers)
    assert (none.chosen, none.reason) == (None, "no worker can have the task now")


def test_record_has_room_for_so_many_candidates_only() -> None:
    workers = [worker(f"w{number:03}") for number in range(80)]
    ranking = rank(Strategy.LEAST_LOADED, question(workers))
    told = record.decision(Strategy.LEAST_LOADED, Task(id="t"), ranking, workers[0], workers)
    assert (len(told.candidates), told.left_out) == (record.MOST_CANDIDATES, 30)


def test_same_workers_in_any_order_are_ranked_alike() -> None:
    workers = [worker("a", active=1), worker("b"), worker("c", succeeded=1, busy_seconds=2.0)]
    for strategy in set(Strategy) - {Strategy.CAPACITY_BASED}:
        assert len({tuple(order(strategy, each)) for each in itertools.permutations(workers)}) == 1
