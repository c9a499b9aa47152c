"""Clusters simulated from seeds: no rule is broken, whatever breaks; and what the simulation says can be believed."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import random
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from simulation import mutations, placed, simulate
from simulation.__main__ import told
from simulation.faults import Fault, Kind
from simulation.ledger import Ledger
from simulation.plan import Act, Plan, Work, draw
from simulation.shrink import shrunk
from simulation.simulate import Report
from simulation.tree import PYTHON, Grower, expected, size, smaller

_TESTS = Path(__file__).parents[1]
_MOST_SEEDS = 1_000
"""Among which a defect must show."""

Mutation = Callable[[], contextlib.AbstractContextManager[None]]


@pytest.mark.parametrize("seed", range(8))
def test_rules_hold_whatever_breaks(seed: int) -> None:
    report = simulate.seed(seed)
    assert not report.violations, told(shrunk(report))


@pytest.mark.chaos
@pytest.mark.timeout(600)
def test_rules_hold_in_500_worlds() -> None:
    for seed in range(500):
        report = simulate.seed(seed)
        assert not report.violations, told(shrunk(report))


@pytest.mark.chaos
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("mutation", mutations.ALL, ids=lambda mutation: mutation.__name__)
def test_defect_is_found(mutation: Mutation) -> None:
    """The product is broken on purpose, and a seed among the first thousand shows it."""
    assert next(_violated(mutation), None) is not None


def _violated(mutation: Mutation) -> Iterator[Report]:
    for seed in range(_MOST_SEEDS):
        with mutation():
            report = simulate.seed(seed)
        if report.violations:
            yield report


@pytest.mark.chaos
def test_effect_that_begins_before_its_commit_is_found_and_its_plan_made_small() -> None:
    report = next(_violated(mutations.effect_before_its_commit))

    def tried(plan: Plan) -> Report:
        with mutations.effect_before_its_commit():
            return simulate.run(plan)

    less = shrunk(report, tried, most=60)
    assert less.violations
    assert "before its cause was durable" in less.violations[0]
    assert len(less.plan.faults) <= len(report.plan.faults)
    assert sum(size(work.tree) for work in less.plan.work) < sum(size(work.tree) for work in report.plan.work)
    assert f"make simulate SEED={report.plan.seed}" in told(less)


def test_seed_gives_the_same_world_again() -> None:
    seed = next(seed for seed in range(50) if len(draw(seed).faults) > 2)
    first, second = simulate.seed(seed), simulate.seed(seed)
    assert first == second
    assert first.digest != simulate.seed(seed + 1).digest


@pytest.mark.slow
def test_seed_gives_the_same_world_in_another_process() -> None:
    def digest() -> str:
        command = [sys.executable, "-m", "simulation", "--seed", "3"]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(_TESTS.parent / "src"), str(_TESTS)])}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=60)
        found = re.search("digest ([0-9a-f]+)", done.stdout)
        assert found is not None
        return found[1]

    assert digest() == digest()


def _one(*faults: Fault, **tree: object) -> Plan:
    work = Work(id="one", language="python", tree={"at": "one.1", **tree}, input=2, at=0.0, node=0, detached=True)
    return Plan(seed=1, joins=(0.0, 0.0), grace=0.0, slots=2, inline_bytes=65_536, work=(work,), faults=faults)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("number", range(1, 4))
def test_crash_at_every_commit_of_a_step_is_survived(number: int, after: bool) -> None:
    crashes = [
        Fault(kind=Kind.CRASH, node=node, method="journal.commit", call=number, after=after, seconds=1.0)
        for node in (0, 1)
    ]
    report = simulate.run(_one(*crashes, do="call", k=3, seconds=0.2))
    assert not report.violations


def test_node_that_was_stopped_for_long_writes_nothing_when_it_goes_on() -> None:
    stalls = [Fault(kind=Kind.STALL, node=node, method="journal.commit", call=2, seconds=30.0) for node in (0, 1)]
    report = simulate.run(_one(*stalls, do="call", k=3, seconds=0.2), kept=None)
    assert not report.violations
    assert any("stalls before" in line for line in report.last)


def test_tree_is_valued_as_plain_python_would() -> None:
    tree = {"do": "fork", "inner": [{"do": "add", "k": 1}, {"do": "call", "at": "x", "k": 3, "seconds": 0.0}]}
    found = expected({"do": "loop", "times": 2, "inner": [tree]}, 2)
    assert found.value == ((2 + 1) + 2 * 3 + 1) + (9 * 3)
    assert sorted(found.effects) == ["x/0", "x/1"]


def test_smaller_trees_are_smaller() -> None:
    tree = Grower(random.Random(1), "t", PYTHON).program(3)
    for less in smaller(tree):
        assert size(less) < size(tree) or less != tree


def test_plans_differ_in_all_that_they_can() -> None:
    plans = [draw(seed) for seed in range(300)]
    assert {fault.kind for plan in plans for fault in plan.faults} == set(Kind)
    assert {deed.act for plan in plans for work in plan.work for deed in work.deeds} == set(Act)
    assert {work.language for plan in plans for work in plan.work} == {"python", "yaml"}
    assert {len(plan.joins) for plan in plans} == {1, 2, 3, 4}


@pytest.mark.parametrize("at", [0.0, 0.2, 0.4, 0.6, 0.8])
def test_retry_of_a_task_begins_when_it_is_due(at: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """And not at the next look for what was delayed, which comes once a second."""
    books: list[Ledger] = []

    def opened(time: Callable[[], float]) -> Ledger:
        books.append(Ledger(time))
        return books[-1]

    monkeypatch.setattr(simulate, "Ledger", opened)
    task = placed.Task(seconds=0.0, fails=1, after=(), limited=False, priority=0)
    graph = placed.PlacedGraph(id="p", at=at, tasks=(task,))
    plan = dataclasses.replace(_one(do="add", k=1), joins=(0.0,), placed=(graph,))
    assert not simulate.run(plan).violations
    first, second = books[0].of(graph.name(0))
    assert first.ended is not None
    assert 0.4 < second.started - first.ended < 0.75
