"""Choosing a pool: the strategies, what refuses, what is said of it."""

from __future__ import annotations

from typing import Any

import pytest

from interlock.decisions import pools
from interlock.decisions.pools import PoolStrategy, PoolView
from interlock.model.task import Resources
from interlock.model.task_graph import TaskSpec, WorkspaceTerms

MAPPING = {"backend": ("docker", "laptop"), "ml": ("gpu", "spot"), "both": ("docker",), "default": ("laptop", "docker")}


def spec(**more: Any) -> TaskSpec:
    return TaskSpec(id="a", digest="d", **more)


def pool(name: str = "p", type: str = "docker", **more: Any) -> PoolView:
    return PoolView(name=name, type=type, **more)


def choose(strategy: PoolStrategy, *found: PoolView, chance: float = 0.5, **more: Any) -> str | None:
    task = spec(pools=tuple(each.name for each in found), **more)
    asked = pools.asked(task, {})
    decision = pools.choose(strategy, task, asked, {each.name: each for each in found}, lambda: chance)
    return None if decision is None else decision.chosen


@pytest.mark.parametrize(
    ("given", "names", "warning"),
    [
        (spec(), ("laptop", "docker"), None),
        (spec(skills=("backend",)), ("docker", "laptop"), None),
        (spec(skills=("backend", "both")), ("docker",), None),
        (
            spec(skills=("ml", "both")),
            (),
            "no pool has all of the skills ml, both: add one to their entries of skill_mapping, or ask for fewer",
        ),
        (
            spec(skills=("cobol",)),
            ("laptop", "docker"),
            "no pool is mapped to the skill cobol: add it to skill_mapping",
        ),
        (spec(pools=("spot", "docker"), skills=("ml",)), ("spot", "docker"), None),
    ],
)
def test_pools_that_a_task_may_have(given: TaskSpec, names: tuple[str, ...], warning: str | None) -> None:
    """SC-04: by the task's own skill; an unknown one has the default pools, and a warning."""
    found = pools.asked(given, MAPPING)
    assert (found.pools, found.warning) == (names, warning)


def test_no_default_and_nothing_mapped() -> None:
    assert pools.asked(spec(), {"x": ("p",)}).warning is not None
    assert pools.asked(spec(skills=("x",)), {}).pools == ()


def test_skill_is_unknown_also_where_nothing_but_the_default_is_mapped() -> None:
    """SC-04: it has the default pools, with a warning."""
    found = pools.asked(spec(skills=("x",)), {"default": ("p",)})
    assert (found.pools, found.how) == (("p",), "skill x is not mapped, default: p")
    assert found.warning == "no pool is mapped to the skill x: add it to skill_mapping"


def test_workflows_have_a_pool_of_their_own_whatever_is_mapped() -> None:
    found = pools.asked(spec(kind="workflow"), MAPPING)
    assert (found.pools, found.how, found.warning) == (("workflows",), "it is a workflow", None)
    assert pools.asked(spec(kind="workflow"), {}).pools == ("workflows",)


@pytest.mark.parametrize(
    ("given", "where", "reason"),
    [
        (spec(), pool(capacity=2, running=2), "2 of 2 slots leased"),
        (spec(resources=Resources(cpu=2)), pool(cpu=8, cpu_taken=7), "7 of 8 cores taken, 2 asked"),
        (spec(resources=Resources(memory=10)), pool(memory=100, memory_taken=95), "95 of 100 MB taken, 10 asked"),
        (spec(resources=Resources(gpus=1)), pool(gpus=2, gpus_taken=2), "2 of 2 graphics processors taken, 1 asked"),
        (spec(), pool(state="disabled"), "is disabled"),
        (spec(), pool(ill="no engine"), "is ill: no engine"),
        (spec(resources=Resources(cpu=9)), pool(cpu=8), "has 8 cores, 9 asked"),
        (spec(resources=Resources(memory=9)), pool(memory=8), "has 8 MB, 9 asked"),
        (spec(resources=Resources(cpu=9)), pool(cpu_each=8), "has 8 cores on a machine, 9 asked"),
        (spec(resources=Resources(cpu=8)), pool(cpu_each=8, cpu_taken=8), None),
        (spec(resources=Resources(memory=8.5)), pool(memory_each=8), "has 8 MB on a machine, 9 asked"),
        (spec(resources=Resources(memory=8)), pool(memory_each=8, memory_taken=8), None),
        (spec(resources=Resources(gpus=1)), pool(), "has 0 graphics processors, 1 asked"),
        (spec(labels={"zone": "a"}), pool(labels={"zone": "b"}), "is not labelled zone=a"),
        (spec(kind="container"), pool(type="local-process"), "starts no containers (local-process)"),
        (spec(), pool("workflows", "workflows"), "starts workflows only"),
        (spec(kind="workflow"), pool("workflows", "workflows", capacity=1), None),
        (
            spec(workspace=WorkspaceTerms()),
            pool(type="worker"),
            "has no worktrees, which are where dispatchers are (worker)",
        ),
        (spec(workspace=WorkspaceTerms()), pool(type="docker"), None),
        (spec(), pool(capacity=0), "has max_concurrency 0"),
        (spec(resources=Resources(cpu=0.1)), pool(cpu=0.3, cpu_taken=0.1 + 0.1), None),
    ],
)
def test_refusals(given: TaskSpec, where: PoolView, reason: str | None) -> None:
    assert pools.refusal(given, where) == reason


def test_least_loaded_is_by_what_is_fullest() -> None:
    """PO-04."""
    half, quarter = pool("half", capacity=4, running=2), pool("quarter", capacity=4, running=1)
    assert choose(PoolStrategy.LEAST_LOADED, half, quarter) == "quarter"
    assert choose(PoolStrategy.LEAST_LOADED, half, pool("cores", capacity=4, cpu=10, cpu_taken=9)) == "half"


def test_other_strategies() -> None:
    """PO-04: round-robin, random, cost, ordered; SC-06: fair, by name when they run alike."""
    a, b = pool("a", turn=3, cost=2.0, running=2, weight=4.0), pool("b", turn=1, cost=1.0, running=1, weight=1.0)
    assert choose(PoolStrategy.ROUND_ROBIN, a, b) == "b"
    assert choose(PoolStrategy.COST, a, b) == "b"
    assert choose(PoolStrategy.ORDERED, a, b) == "a"
    assert choose(PoolStrategy.FAIR, a, b) == "a"
    assert choose(PoolStrategy.FAIR, pool("z"), pool("y")) == "y"
    assert {choose(PoolStrategy.RANDOM, pool("a"), pool("b"), chance=c) for c in (0.1, 0.9)} <= {"a", "b"}


def test_full_pool_falls_over_to_the_next_one_unless_that_is_off() -> None:
    """SC-05."""
    full, idle = pool("local", "local-process", capacity=1, running=1), pool("docker")
    assert choose(PoolStrategy.ORDERED, full, idle) == "docker"
    task = spec(pools=("local", "docker"))
    views = {"local": full, "docker": idle}
    asked = pools.asked(task, {})
    first = pools.preferred(asked, failover=False)
    assert (first.pools, first.how) == (("local",), "named by the task: local, docker; without failover only local")
    assert pools.choose(PoolStrategy.ORDERED, task, first, views, lambda: 0.0) is None
    assert pools.preferred(asked, failover=True) == asked
    assert pools.preferred(first, failover=False) == first


def test_decision_says_who_else_and_why_not() -> None:
    task = spec(skills=("backend",))
    views = {"docker": pool("docker", capacity=4, running=1), "laptop": pool("laptop", capacity=1, running=1)}
    decision = pools.choose(PoolStrategy.LEAST_LOADED, task, pools.asked(task, MAPPING), views, lambda: 0.0)
    assert decision is not None
    assert (decision.chosen, decision.asked, decision.reason) == (
        "docker", "skill backend: docker, laptop", "the only one with room",
    )  # fmt: skip
    assert [(each.pool, each.score, each.reason) for each in decision.candidates] == [
        ("docker", 0.75, "utilisation 25 %"), ("laptop", None, "1 of 1 slots leased"),
    ]  # fmt: skip
    assert pools.decode(pools.encode(decision)) == decision
    unknown = spec(pools=("nowhere",))
    assert pools.choose(PoolStrategy.FAIR, unknown, pools.asked(unknown, {}), views, lambda: 0.0) is None
    for strategy in PoolStrategy:
        found = pools.choose(
            strategy, spec(pools=("a", "b")), pools.Asked(("a", "b"), ""), {"a": pool("a"), "b": pool("b")}, lambda: 0.0
        )
        assert found is not None
        assert "2" in found.reason
