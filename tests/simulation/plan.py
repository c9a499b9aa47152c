"""What is simulated under one seed: the cluster, the work, what people do to it, and what goes wrong. It can be made smaller."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from simulation import faults as faulty
from simulation import graphs, placed
from simulation import tree as trees
from simulation.faults import Fault
from simulation.graphs import TaskGraph
from simulation.placed import PlacedGraph
from simulation.tree import Tree

_MOST_NODES: Final = 4
_CROWD_SECONDS: Final = 0.1  # when all nodes that join at once are there


class Act(StrEnum):
    """What somebody does to a run, from outside."""

    CANCEL = "cancel"
    ROLLBACK = "cancel with rollback"
    SUSPEND = "suspend"
    RESUME = "resume"


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """`at`: seconds after the run's start."""

    act: Act
    at: float

    def __str__(self) -> str:
        return f"{self.act} after {self.at:.3f} s"


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One run. `language`: python or yaml. `at`: when it is started, in seconds. `detached`: through the store, for whichever
    node comes first; otherwise in the node `node`, as by a program that brings its own."""

    id: str
    language: str
    tree: Tree
    input: int
    at: float
    node: int
    detached: bool
    deeds: tuple[Deed, ...] = ()

    @property
    def retries(self) -> int:
        """How often the run fails and has to be retried by hand."""
        return sum(tree["do"] == "brittle" for tree in trees.walk(self.tree))

    def __str__(self) -> str:
        how = "detached" if self.detached else f"in node {self.node}"
        deeds = "".join(f", {deed}" for deed in self.deeds)
        return f"run {self.id} ({self.language}, at {self.at:.3f} s, {how}{deeds}): {json.dumps(self.tree)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """`joins`: when each node comes, in seconds. `grace`: how long runners may outlive their node. `inline_bytes`: values above are stored apart."""

    seed: int
    joins: tuple[float, ...]
    grace: float
    slots: int
    inline_bytes: int
    work: tuple[Work, ...]
    faults: tuple[Fault, ...]
    graphs: tuple[TaskGraph, ...] = ()
    placed: tuple[PlacedGraph, ...] = ()

    def __str__(self) -> str:
        lines = [
            f"seed {self.seed}: {len(self.joins)} nodes, joining at {', '.join(f'{at:.2f}' for at in self.joins)} s;"
        ]
        lines[0] += (
            f" {self.slots} slots each, runners outlive nodes for {self.grace:g} s, {self.inline_bytes} bytes inline"
        )
        return "\n".join(
            [
                *lines,
                *(f"  {work}" for work in self.work),
                *(f"  {graph}" for graph in (*self.graphs, *self.placed)),
                *(f"  {fault}" for fault in self.faults),
            ]
        )


def draw(seed: int) -> Plan:
    """Give the plan of a seed."""
    chance = random.Random(f"plan {seed}")
    nodes = chance.choice((1, 2, 2, 3, 3, _MOST_NODES))
    theme = chance.choice(("", "", *trees.THEMES))
    plan = Plan(
        seed=seed,
        joins=(0.0, *(chance.choice((0.0, chance.uniform(0.0, 8.0))) for _ in range(nodes - 1))),
        grace=chance.choice((0.0, 60.0)),
        slots=chance.choice((1, 2, 4)),
        inline_bytes=chance.choice((65_536, 65_536, 65_536, 24)),
        work=tuple(_work(chance, seed, number, nodes, theme) for number in range(chance.choice((1, 1, 2, 2, 3)))),
        faults=tuple(faulty.draw(chance, nodes)),
        graphs=(graphs.draw(chance, f"g{seed}"),) if chance.random() < (0.8 if theme == "queue" else 0.15) else (),
        placed=placed.draw(seed),
    )
    return _crowded(plan) if theme == "limits" else plan


def _crowded(plan: Plan) -> Plan:
    """Let every node begin a run at the same moment, so that they ask for the same limit at once."""
    nodes = len(plan.joins)
    work = (
        replace(each, at=_CROWD_SECONDS, node=number % nodes, detached=False) for number, each in enumerate(plan.work)
    )
    return replace(plan, joins=(0.0,) * nodes, work=tuple(work))


def _work(chance: random.Random, seed: int, number: int, nodes: int, theme: str) -> Work:
    language = "python" if theme == "limits" else chance.choice(("python", "python", "yaml"))
    kinds = trees.PYTHON if language == "python" else trees.YAML
    id = f"s{seed}-{number}"
    return Work(
        id=id,
        language=language,
        tree=trees.Grower(chance, id, kinds, theme).program(chance.choice((1, 2, 2, 3))),
        input=chance.randint(1, 99),
        at=chance.choice((0.0, chance.uniform(0.0, 5.0))),
        node=chance.randrange(nodes),
        detached=chance.random() < 0.6,
        deeds=tuple(_deeds(chance)),
    )


def _deeds(chance: random.Random) -> Iterator[Deed]:
    drawn = chance.random()
    at = chance.uniform(0.0, 6.0)
    if drawn < 0.08:
        yield Deed(act=Act.CANCEL, at=at)
    elif drawn < 0.12:
        yield Deed(act=Act.ROLLBACK, at=at)
    elif drawn < 0.2:
        yield Deed(act=Act.SUSPEND, at=at)
        yield Deed(act=Act.RESUME, at=at + chance.uniform(0.1, 8.0))


def smaller(plan: Plan) -> Iterator[Plan]:
    """Give plans with less in them, those that leave out most first."""
    half = len(plan.faults) // 2
    if half > 1:
        yield replace(plan, faults=plan.faults[:half])
        yield replace(plan, faults=plan.faults[half:])
    for number in range(len(plan.work)):
        if len(plan.work) > 1:
            yield replace(plan, work=plan.work[:number] + plan.work[number + 1 :])
    for number, graph in enumerate(plan.graphs):
        before_it, behind_it = plan.graphs[:number], plan.graphs[number + 1 :]
        yield replace(plan, graphs=(*before_it, *behind_it))
        for less in graphs.smaller(graph):
            yield replace(plan, graphs=(*before_it, less, *behind_it))
    for number, graph_placed in enumerate(plan.placed):
        before_placed, behind_placed = plan.placed[:number], plan.placed[number + 1 :]
        yield replace(plan, placed=(*before_placed, *behind_placed))
        for less_placed in placed.smaller(graph_placed):
            yield replace(plan, placed=(*before_placed, less_placed, *behind_placed))
    if len(plan.work) == 1 and (plan.graphs or plan.placed):
        yield replace(plan, work=())
    for number in range(len(plan.faults)):
        yield replace(plan, faults=plan.faults[:number] + plan.faults[number + 1 :])
    if len(plan.joins) > 1:
        last = len(plan.joins) - 1
        kept = tuple(fault for fault in plan.faults if fault.node != last)
        yield replace(
            plan,
            joins=plan.joins[:-1],
            faults=kept,
            work=tuple(replace(work, node=min(work.node, last - 1)) for work in plan.work),
        )
    for number, work in enumerate(plan.work):
        before, behind = plan.work[:number], plan.work[number + 1 :]
        if work.deeds:
            yield replace(plan, work=(*before, replace(work, deeds=()), *behind))
        for tree in trees.smaller(work.tree):
            yield replace(plan, work=(*before, replace(work, tree=tree), *behind))
