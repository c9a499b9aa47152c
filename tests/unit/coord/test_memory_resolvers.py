"""What becomes of two values of one cell."""

from __future__ import annotations

from typing import Any

import pytest

from interlock import errors
from interlock.coord import resolvers


@pytest.mark.parametrize(
    ("name", "present", "given", "made"),
    [
        ("union", [1, "a"], ["b", 1], [1, "a", "b"]),
        ("union", [{"a": 1}, {"a": 1}], [{"a": 1}, [2]], [{"a": 1}, [2]]),
        ("union", [1, True], [1.5, None], [1, True, 1.5, None]),
        ("union", [], [], []),
        ("merge", {"a": 1, "b": {"x": 1}}, {"b": {"y": 2}, "c": 3}, {"a": 1, "b": {"y": 2}, "c": 3}),
        ("max", 1, 2.5, 2.5),
        ("max", 3, 2, 3),
    ],
)
def test_resolvers(name: str, present: Any, given: Any, made: Any) -> None:
    """MS-12"""
    resolve = resolvers.find(name)
    assert resolve is not None
    assert resolve(present, given) == made


@pytest.mark.parametrize(
    ("name", "present", "given", "why"),
    [
        ("union", [1], 2, "union needs two lists, and the value to set is 2"),
        ("merge", [1], {}, "merge needs two objects, and the value that is there is"),
        ("max", "a", 1, "max needs two numbers"),
        ("max", True, 1, "max needs two numbers"),
        ("max", "a" * 100, 1, r"there is \"a{76}\.\.\.$"),
    ],
)
def test_values_that_do_not_fit_are_refused(name: str, present: Any, given: Any, why: str) -> None:
    """MS-12"""
    resolve = resolvers.find(name)
    assert resolve is not None
    with pytest.raises(errors.Misfit, match=why):
        resolve(present, given)


def test_the_last_write_wins_by_the_store_and_a_function_by_itself() -> None:
    """MS-12"""
    assert resolvers.find("last_write_wins") is None
    assert resolvers.find(max) is max
    with pytest.raises(
        errors.Invalid, match="no resolver 'crdt'; there are last_write_wins, union, merge, max, and any"
    ):
        resolvers.find("crdt")
