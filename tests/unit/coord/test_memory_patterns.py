"""Keys, spaces and patterns of shared memory."""

from __future__ import annotations

import pytest

from interlock import errors
from interlock.coord import patterns


@pytest.mark.parametrize(
    ("pattern", "matching", "other"),
    [
        ("tasks/*/state", ["tasks/1/state", "tasks/a.b/state"], ["tasks/1/2/state", "tasks/state", "tasks/1/state/x", "tasks//state"]),
        ("tasks/*", ["tasks/1"], ["tasks", "tasks/1/state", "tasks/", "task/1"]),
        ("*", ["a", "é"], ["a/b", ""]),
        ("**", ["a", "a/b/c"], [""]),
        ("tasks/**", ["tasks/1", "tasks/1/state"], ["tasks", "tasks/", "tasks0/1"]),
        ("*/x/**", ["a/x/b", "a/x/b/c"], ["a/x", "a/b/x/c"]),
        ("a.c", ["a.c"], ["abc"]),
        ("a+/[b]", ["a+/[b]"], ["aa/b"]),
    ],
)  # fmt: skip
def test_a_star_stands_for_one_segment(pattern: str, matching: list[str], other: list[str]) -> None:
    """MS-08"""
    matches = patterns.matcher(pattern)
    assert [key for key in matching if not matches(key)] == []
    assert [key for key in other if matches(key)] == []


@pytest.mark.parametrize("pattern", ["", "a/", "/a", "a//b", "task-*", "a/**/b", "**/a", "***", "a\n", "a" * 513])
def test_what_is_no_pattern_is_refused(pattern: str) -> None:
    """MS-08"""
    with pytest.raises(errors.Invalid, match="cannot be a pattern of keys"):
        patterns.matcher(pattern)


def test_a_prefix_is_what_all_matches_begin_with() -> None:
    assert [patterns.prefix_of(each) for each in ("tasks/*/state", "a*", "ab", "**")] == ["tasks/", "a", "ab", ""]
    assert [patterns.is_pattern(each) for each in ("a/*", "a")] == [True, False]


@pytest.mark.parametrize("key", ["a", "a/b", "tasks/1/state", "a b", "é", ".", "a" * 512])
def test_keys(key: str) -> None:
    assert patterns.check_key(key) == key


@pytest.mark.parametrize(
    ("key", "why"),
    [
        ("", "it is empty"),
        ("a" * 513, "513 characters, more than 512"),
        ("a\0", "it has the character"),
        ("\ud800", "it has the character"),
        ("a//b", "empty segment"),
        ("/a", "empty segment"),
        ("a*", "which only patterns have"),
    ],
)
def test_what_is_no_key_is_refused(key: str, why: str) -> None:
    with pytest.raises(errors.Invalid, match=why):
        patterns.check_key(key)


def test_spaces() -> None:
    """MS-01"""
    for space in (*patterns.SPACES, "assignments", "a-1_b.c"):
        assert patterns.check_space(space) == space
    for space in ("", "a/b", "-a", "a" * 65, "a b"):
        with pytest.raises(errors.Invalid, match="by custom swarm, tasks, workers, global"):
            patterns.check_space(space)
