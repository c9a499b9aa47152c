"""The world that steps change: what is found of it, copied, compared and put back in place."""

from __future__ import annotations

import threading
from collections import Counter, deque
from typing import Any

import pytest

from interlock import step, workflow
from interlock.testing import worlds
from interlock.testing.worlds import Given, World


class Ledger:
    def __init__(self) -> None:
        self.lines: list[str] = []


LINES: list[str] = ["a"]
TABLE: dict[str, list[int]] = {"x": [1]}
NAMES: set[str] = {"n"}
RECENT: deque[int] = deque([1, 2])
COUNTS: Counter[str] = Counter(a=1)
LEDGER = Ledger()
LOCKED: dict[str, Any] = {"lock": threading.Lock()}
CALLS = 0
UNUSED: list[int] = []


def change(n: int) -> None:
    global CALLS, LINES
    CALLS += n
    LINES.append("b")
    TABLE["x"].append(2)
    NAMES.add("m")
    RECENT.append(3)
    COUNTS["a"] += 1
    LEDGER.lines.append("l")
    LOCKED["more"] = 1


@step
async def changes(n: int) -> None:
    change(n)


@workflow(name="worlds-flow")
async def flow(n: int) -> None:
    await changes(n)


def test_what_functions_refer_to_is_found_copied_and_put_back() -> None:
    objects = [LINES, TABLE, NAMES, RECENT, COUNTS, LEDGER]
    world = World(worlds.functions_of(flow))
    before = world.snapshot()
    assert {name.rpartition(".")[2] for name in world.names} == {
        "LINES", "TABLE", "NAMES", "RECENT", "COUNTS", "LEDGER", "CALLS",
    }  # fmt: skip
    change(5)
    assert not any(worlds.same(before[name], value) for name, value in world.snapshot().items())
    world.reset()
    assert world.snapshot() == before
    now = [LINES, TABLE, NAMES, RECENT, COUNTS, LEDGER]
    assert all(one is other for one, other in zip(objects, now, strict=True)), "those who hold them see the same"
    assert CALLS == 0


def test_a_variable_that_was_bound_anew_is_bound_back() -> None:
    global LINES
    world, before = World(worlds.functions_of(flow)), LINES
    LINES = ["other"]
    world.reset()
    assert LINES is before
    assert LINES == ["a"]


def test_what_cannot_be_copied_any_more_is_not_compared() -> None:
    world = World(worlds.functions_of(flow))
    TABLE["x"].append(threading.Lock())  # type: ignore[arg-type]  # that is what is tried
    assert world.snapshot()[f"{__name__}.TABLE"] is None
    world.reset()


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ([1, 2], [2, 1], True),
        ([1, 2], [2, 2], False),
        ([1], [1, 1], False),
        ([{"a": [1, 2]}, 3], [3, {"a": [2, 1]}], True),
        ({"a": 1}, {"a": 1, "b": 2}, False),
        ({"a": deque([1, 2])}, {"a": deque([2, 1])}, True),
        ({1, 2}, {2, 1}, True),
        (1, 1.5, False),
        ("ab", "ba", False),
    ],
)
def test_the_order_within_lists_does_not_count(one: Any, other: Any, same: bool) -> None:
    assert worlds.same(one, other) is same


def test_a_given_world_is_copied_when_it_is_looked_at() -> None:
    state = {"rows": [1]}
    world = Given(lambda: state, lambda: state.update(rows=[]))
    seen = world.snapshot()
    state["rows"].append(2)
    assert seen == {"the world": {"rows": [1]}}
    world.reset()
    assert world.snapshot() == {"the world": {"rows": []}}
