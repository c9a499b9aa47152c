"""Random trees of actions: what a run is to do, and what must come of it.

A tree is JSON, so that it can be the input of a Python workflow, which interprets it, and the source of a document, which
says the same in YAML. Every action takes a number and gives one; `expected` computes it in plain Python, undisturbed.

Each effect has a label, `at`, which no other effect of any run has but for the round of the loops around it; by these the
ledger knows how often something was done.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

MODULUS: Final = 1_000_003
BURNT: Final = 418

Tree: TypeAlias = dict[str, Any]
"""`do`: what kind of action; the other fields are those of its kind."""

LEAVES: Final = {
    "add": 2,
    "call": 5,
    "flaky": 2,
    "limited": 3,
    "rated": 1,
    "local": 3,
    "sleep": 3,
    "token": 2,
    "event": 2,
    "unheard": 1,
    "late": 1,
}
INNER: Final = {"list": 2, "fork": 4, "loop": 1, "caught": 2, "child": 2, "spoiled": 1}
PYTHON: Final = frozenset(LEAVES) | frozenset(INNER) | {"rounds"}
YAML: Final = frozenset(
    {"add", "call", "flaky", "local", "sleep", "token", "event", "list", "fork", "loop", "caught", "child", "spoiled"}
) | {"graph"}


_GRAPHS: Final = 0.4
"""Of the steps in the local pool, how many are task graphs of one task there."""


class Burnt(Exception):
    """What a tree raises on purpose."""


@dataclass(slots=True)
class Expected:
    """What must come of a run: `value` None: it fails. `effects`: those that it performs, by label; `undone`: those of them
    that a rollback undoes, in no order, by the label of the run that they belong to."""

    value: int | None = None
    effects: dict[str, Tree] = field(default_factory=dict)
    undone: dict[str, set[str]] = field(default_factory=dict)
    reports: dict[str, int] = field(default_factory=dict)
    """What is to be reported from outside, by the label of the token or the event that is waited for."""


THEMES: Final[dict[str, dict[str, int]]] = {
    "limits": {"limited": 20, "fork": 12},
    "waits": {"token": 10, "event": 10, "fork": 12},
    "timers": {"sleep": 20, "fork": 8},
    "queue": {"local": 20, "rated": 6, "fork": 8},
}
"""What some plans have much of, since that is where things meet."""


class Grower:
    """Grows trees. `kinds`: those that may be used; `theme`: what there is to be much of, or ""."""

    def __init__(self, chance: random.Random, label: str, kinds: frozenset[str], theme: str = "") -> None:
        self._chance = chance
        self._label = label
        self._kinds = kinds
        self._is_crowd = theme == "limits"
        self._weights = LEAVES | INNER | THEMES.get(theme, {})
        self._count = 0

    def program(self, depth: int) -> Tree:
        """Grow what a run does as a whole."""
        if self._is_crowd:
            return {"do": "fork", "inner": [self._list(1) for _ in range(self._chance.randint(2, 5))]}
        chance = self._chance.random()
        if chance < 0.12:
            return self._saga(depth)
        if chance < 0.2 and "rounds" in self._kinds:
            return {"do": "rounds", "inner": [self._list(1) for _ in range(self._chance.randint(2, 3))]}
        made = self._list(depth)
        if chance > 0.9:
            made["inner"].insert(self._chance.randint(0, len(made["inner"])), self._effect("brittle"))
        return made

    def _saga(self, depth: int) -> Tree:
        """Effects that are undone, since the run fails at its end."""
        return {
            "do": "saga",
            "at": self._at(),
            "inner": [self._undoable(depth) for _ in range(self._chance.randint(1, 4))],
        }

    def _undoable(self, depth: int) -> Tree:
        if depth > 0 and self._chance.random() < 0.3:
            return {"do": "fork", "inner": [self._undoable(depth - 1) for _ in range(self._chance.randint(2, 3))]}
        return self._effect("call")

    def _list(self, depth: int) -> Tree:
        return {"do": "list", "inner": [self._one(depth) for _ in range(self._chance.randint(1, 4))]}

    def _one(self, depth: int) -> Tree:
        kinds = [kind for kind in self._weights if kind in self._kinds and (depth > 0 or kind in LEAVES)]
        kind = self._chance.choices(kinds, [self._weights[each] for each in kinds])[0]
        match kind:
            case "add":
                return {"do": "add", "k": self._chance.randint(1, 99)}
            case "sleep":
                return {"do": "sleep", "seconds": self._chance.choice((0.01, 0.3, 1.0, 4.0, 12.0, 40.0))}
            case "token" | "event":
                return {"do": kind, "at": self._at(), "k": self._chance.randint(1, 99)}
            case "unheard":
                return {"do": kind, "at": self._at(), "seconds": self._chance.choice((0.1, 1.0, 7.0))}
            case "fork":
                return {"do": "fork", "inner": [self._one(depth - 1) for _ in range(self._chance.randint(2, 4))]}
            case "loop":
                return {"do": "loop", "times": self._chance.randint(1, 3), "inner": [self._one(depth - 1)]}
            case "list" | "caught":
                return {"do": kind, "inner": self._list(depth - 1)["inner"]}
            case "child":
                return {"do": "child", "at": self._at(), "inner": [self._list(depth - 1)]}
            case "spoiled":
                return {"do": "spoiled", "at": self._at(), "inner": [self._saga(0)]}
        return self._effect(kind)

    def _effect(self, kind: str) -> Tree:
        made: Tree = {"do": kind, "at": self._at(), "k": self._chance.randint(2, 9)}
        if kind == "local" and "graph" in self._kinds and random.Random(f"graph {made['at']}").random() < _GRAPHS:
            made["do"] = "graph"
        made["seconds"] = self._chance.choice((0.0, 0.0, 0.01, 0.2, 1.5, 8.0))
        if kind == "flaky":
            made["fails"] = self._chance.randint(1, 2)
        if kind == "brittle":
            made["fails"] = 1
        if kind == "late":
            made["seconds"] = 1000.0
        return made

    def _at(self) -> str:
        self._count += 1
        return f"{self._label}.{self._count}"


def expected(tree: Tree, n: int) -> Expected:
    """Evaluate a program as if nothing ever went wrong."""
    found = Expected()
    try:
        found.value = _value(tree, n, "", found)
    except Burnt:
        found.value = None
    return found


def _value(tree: Tree, n: int, round: str, found: Expected) -> int:
    match tree["do"]:
        case "add":
            return added(n, tree["k"])
        case "sleep":
            return n
        case "token" | "event":
            found.reports[tree["at"] + round] = tree["k"]
            return added(n, tree["k"])
        case "unheard":
            return added(n, 1)
        case "late":
            found.effects[tree["at"] + round] = tree
            return added(n, 1)
        case "list" | "child":
            return _in_order(tree["inner"], n, round, found)
        case "rounds":
            return _in_order(tree["inner"], n, round, found)
        case "fork":
            return sum(_value(each, n, round, found) for each in tree["inner"]) % MODULUS
        case "loop":
            for number in range(tree["times"]):
                n = _in_order(tree["inner"], n, f"{round}/{number}", found)
            return n
        case "caught":
            _in_order(tree["inner"], n, round, found)
            return added(n, BURNT)
        case "spoiled":
            try:
                _value(tree["inner"][0], n, round, found)
            except Burnt:
                return added(n, BURNT)
            raise AssertionError("a saga always fails")
        case "saga":
            of_it = Expected()
            _in_order(tree["inner"], n, round, of_it)
            found.effects |= of_it.effects
            found.reports |= of_it.reports
            found.undone[tree["at"] + round] = set(of_it.effects)
            raise Burnt
        case _:
            found.effects[tree["at"] + round] = tree
            return multiplied(n, tree["k"])


def _in_order(inner: list[Tree], n: int, round: str, found: Expected) -> int:
    for each in inner:
        n = _value(each, n, round, found)
    return n


def added(n: int, k: int) -> int:
    return (n + k) % MODULUS


def multiplied(n: int, k: int) -> int:
    return n * k % MODULUS


# -- looking at trees, and making them smaller -----------------------------------------------------------------------


def walk(tree: Tree) -> Iterator[Tree]:
    yield tree
    for each in tree.get("inner", ()):
        yield from walk(each)


def size(tree: Tree) -> int:
    return sum(1 for _ in walk(tree))


def smaller(tree: Tree) -> Iterator[Tree]:
    """Give trees with one part less, the smallest first."""
    inner: list[Tree] = tree.get("inner", [])
    if tree["do"] in ("list", "fork", "loop", "caught", "child", "rounds") and len(inner) == 1 and tree["do"] != "list":
        yield {"do": "list", "inner": inner}
    if len(inner) > 1:
        for number in range(len(inner)):
            yield tree | {"inner": inner[:number] + inner[number + 1 :]}
    for number, each in enumerate(inner):
        if each["do"] not in ("add", "saga"):
            yield tree | {"inner": [*inner[:number], {"do": "add", "k": 1}, *inner[number + 1 :]]}
        for less in smaller(each):
            yield tree | {"inner": [*inner[:number], less, *inner[number + 1 :]]}
