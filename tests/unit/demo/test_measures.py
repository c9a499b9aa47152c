"""What is measured, as tables."""

from __future__ import annotations

import pytest

from interlock.demo import measures
from interlock.demo.git import Change, Commit

DAY = 86_400
NOW = 1_700_000_000


def commit(days_ago: float, *changes: tuple[str, int, int], author: str = "Ada") -> Commit:
    return Commit("c", int(NOW - days_ago * DAY), author, tuple(Change(*change) for change in changes))


@pytest.mark.parametrize(
    ("path", "language", "test"),
    [
        ("src/shop/model.py", "Python", False),
        ("tests/shop/data.py", "Python", True),
        ("src/test_model.py", "Python", True),
        ("src/contest.py", "Python", False),
        ("conftest.py", "Python", True),
        ("web/cart.test.tsx", "TypeScript", True),
        ("web/cart_spec.js", "JavaScript", True),
        ("src/CartTest.java", "Java", True),
        ("tests/data.json", None, False),
        ("Makefile", None, False),
    ],
)
def test_files_are_told_apart(path: str, language: str | None, test: bool) -> None:
    assert measures.language(path) == language
    assert measures.is_test(path) == test


@pytest.mark.parametrize(
    ("days", "unit"), [(0.0, "hour"), (2.1, "hour"), (2.2, "day"), (51.0, "day"), (52.0, "week"), (3000.0, "week")]
)
def test_activity_uses_the_smallest_unit_that_reaches_back(days: float, unit: str) -> None:
    assert measures.activity([], int(NOW - days * DAY), NOW)["unit"] == unit


def test_activity_counts_by_span() -> None:
    commits = [
        commit(0, ("a", 5, 1)), commit(6.99, ("a", 1, 0)), commit(7, ("b", 2, 2)), commit(363.9), commit(364.1),
    ]  # fmt: skip

    spans = measures.activity(commits, NOW - 400 * DAY, NOW)["spans"]

    assert len(spans) == 52
    assert spans[-1] == {"ends": NOW, "commits": 2, "added": 6, "deleted": 1}
    assert spans[-2] == {"ends": NOW - 7 * DAY, "commits": 1, "added": 2, "deleted": 2}
    assert [span["commits"] for span in spans[:2]] == [1, 0]


def test_folders_are_ranked_and_the_rest_summed() -> None:
    commits = [
        commit(1, ("a/b/c/d.py", 10, 5), ("a/b/c/e.py", 1, 1), ("x.py", 3, 0), ("q/r.py", 1, 0), ("bin", 0, 0)),
        commit(91, ("old/f.py", 100, 0)),
    ]

    assert measures.folders(commits, NOW - 90 * DAY, count=2) == [
        {"folder": "a/b/c", "added": 11, "deleted": 6},
        {"folder": "(top)", "added": 3, "deleted": 0},
        {"folder": "1 others", "added": 1, "deleted": 0},
    ]
    assert measures.folders(commits, NOW, count=2) == []


def test_ages_count_each_present_file_once() -> None:
    commits = [commit(1, ("a", 1, 0)), commit(40, ("a", 1, 0), ("b", 1, 0)), commit(900, ("c", 1, 0), ("gone", 1, 0))]

    changed = measures.last_changes(commits)

    assert {row["age"]: row["files"] for row in measures.ages(["a", "b", "c", "unknown"], changed, NOW)} == {
        "under a month": 1, "1 to 3 months": 1, "3 to 6 months": 0, "6 to 12 months": 0, "1 to 2 years": 0, "older": 2,
    }  # fmt: skip


@pytest.mark.parametrize(("commits", "majority"), [([], 0), ([3], 1), ([5, 5], 2), ([6, 4], 1), ([2, 2, 2], 2)])
def test_majority_is_the_fewest_who_wrote_more_than_half(commits: list[int], majority: int) -> None:
    written = [commit(1, author=f"a{index}") for index, count in enumerate(commits) for _ in range(count)]

    assert measures.authorship(written, NOW, 5)["majority"] == majority


def test_authorship_lists_the_busiest() -> None:
    written = [commit(200, author="Ken"), commit(1), commit(2), commit(3, author="Bo")]

    assert measures.authorship(written, NOW, 2) == {
        "authors": [
            {"name": "Ada", "commits": 2, "share": 0.5, "last": "2023-11-13"},
            {"name": "Bo", "commits": 1, "share": 0.25, "last": "2023-11-11"},
        ],
        "total": 3,
        "others": 1,
        "majority": 2,
        "active": 2,
    }


def test_heat_ranks_code_that_is_long_and_changes() -> None:
    lines = {"long.py": 1000, "short.py": 3, "notes.md": 900}
    commits = [
        commit(1, ("long.py", 5, 5), ("short.py", 1, 0), ("notes.md", 9, 0), ("gone.py", 9, 0)),
        commit(2, ("short.py", 1, 0)),
        commit(200, ("short.py", 1, 0)),
    ]

    assert measures.heat(commits, lines, NOW - 180 * DAY) == [
        {"path": "long.py", "commits": 1, "changed": 10, "lines": 1000, "heat": 10.0},
        {"path": "short.py", "commits": 2, "changed": 2, "lines": 3, "heat": 4.0},
    ]


_PYTHON = """
class A:
    def short(self):
        return 1

    async def longer(self, xs):
        for x in xs:
            if x and x > 1:
                return x
"""


@pytest.mark.parametrize(
    ("path", "text", "expected"),
    [
        ("a.py", _PYTHON, {"branches": 2, "density": 28.6, "depth": 4, "longest": 4}),
        ("a.py", "", {"branches": 0, "density": 0.0, "depth": 0, "longest": 0}),
        ("a.py", "def broken(:\n", {"branches": 0, "density": 0.0, "depth": 0, "longest": None}),
        ("a.py", "\0", {"branches": 0, "density": 0.0, "depth": 0, "longest": None}),
        (
            "a.go",
            "func f() {\n\tif a && b {\n\t\tg()\n\t}\n}",
            {"branches": 2, "density": 40.0, "depth": 2, "longest": None},
        ),
        ("a.js", "  a\n    b\n      c\n", {"branches": 0, "density": 0.0, "depth": 3, "longest": None}),
    ],
)
def test_complexity_is_estimated(path: str, text: str, expected: dict[str, object]) -> None:
    assert measures.complexity(path, text) == expected
