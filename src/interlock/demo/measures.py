"""What is measured in a repository: pure functions over commits and files."""

from __future__ import annotations

import ast
import datetime
import itertools
import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from typing import Final, TypeAlias

from interlock.demo.git import Commit
from interlock.model.json import Json

Row: TypeAlias = dict[str, Json]

DAY: Final = 86_400
_BINS: Final = 52
_UNITS: Final = (("hour", 3600), ("day", DAY), ("week", 7 * DAY))
_FOLDER_DEPTH: Final = 3
_AGES: Final = (
    ("under a month", 30 * DAY),
    ("1 to 3 months", 91 * DAY),
    ("3 to 6 months", 182 * DAY),
    ("6 to 12 months", 365 * DAY),
    ("1 to 2 years", 730 * DAY),
    ("older", math.inf),
)
_LANGUAGES: Final = {
    ".py": "Python", ".pyi": "Python", ".js": "JavaScript", ".mjs": "JavaScript", ".cjs": "JavaScript",
    ".jsx": "JavaScript", ".ts": "TypeScript", ".tsx": "TypeScript", ".go": "Go", ".rs": "Rust", ".java": "Java",
    ".kt": "Kotlin", ".scala": "Scala", ".c": "C", ".h": "C", ".cc": "C++", ".cpp": "C++", ".hpp": "C++",
    ".cs": "C#", ".rb": "Ruby", ".php": "PHP", ".swift": "Swift", ".sh": "Shell", ".sql": "SQL", ".lua": "Lua",
    ".ex": "Elixir", ".exs": "Elixir", ".erl": "Erlang", ".hs": "Haskell", ".vue": "Vue", ".dart": "Dart",
}  # fmt: skip
_TEST_FOLDERS: Final = frozenset({"test", "tests", "spec", "specs", "__tests__", "testing"})
_TEST_NAME: Final = re.compile(r"^(test_.*|.*[_.-]test|.*[_.-]spec|.*Tests?|conftest)$")
_BRANCH: Final = re.compile(r"\b(?:if|elif|for|while|case|catch|except|when|rescue)\b|&&|\|\|")


def language(path: str) -> str | None:
    """Name the programming language of a file by its ending, None for anything that is not code."""
    return _LANGUAGES.get(PurePosixPath(path).suffix)


def is_test(path: str) -> bool:
    """Say whether a file of code belongs to the tests, by folder or name."""
    pure = PurePosixPath(path)
    return language(path) is not None and (
        any(part.lower() in _TEST_FOLDERS for part in pure.parts[:-1]) or _TEST_NAME.match(pure.stem) is not None
    )


def activity(commits: Iterable[Commit], since: int, until: int) -> Row:
    """Give 52 equal spans that end with `until`, the oldest first, with their commits and changed lines.

    `unit` is week; of a history that began later, day or hour, the smallest that reaches back to `since`.
    """
    unit, seconds = next(((name, length) for name, length in _UNITS if since > until - _BINS * length), _UNITS[-1])
    start = until - _BINS * seconds
    counted = [[0, 0, 0] for _ in range(_BINS)]
    for commit in commits:
        if start < commit.time <= until:
            span = counted[(commit.time - start - 1) // seconds]
            span[0] += 1
            span[1] += sum(change.added or 0 for change in commit.changes)
            span[2] += sum(change.deleted or 0 for change in commit.changes)
    return {
        "unit": unit,
        "spans": [
            {"ends": start + (index + 1) * seconds, "commits": commits_, "added": added, "deleted": deleted}
            for index, (commits_, added, deleted) in enumerate(counted)
        ],
    }


def folders(commits: Iterable[Commit], since: int, count: int) -> list[Row]:
    """Give the folders with the most lines changed after `since`, the busiest first; the rest is `other`."""
    changed: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for commit in commits:
        if commit.time > since:
            for change in commit.changes:
                totals = changed[_folder(change.path)]
                totals[0] += change.added or 0
                totals[1] += change.deleted or 0
    named = [(name, added, deleted) for name, (added, deleted) in changed.items() if added + deleted]
    ranked = sorted(named, key=lambda row: (-row[1] - row[2], row[0]))
    shown = ranked[:count]
    if rest := ranked[count:]:
        shown.append((f"{len(rest)} others", sum(row[1] for row in rest), sum(row[2] for row in rest)))
    return [{"folder": name, "added": added, "deleted": deleted} for name, added, deleted in shown]


def last_changes(commits: Iterable[Commit]) -> dict[str, int]:
    """Give the time of the last change of each file that the commits name."""
    found: dict[str, int] = {}
    for commit in commits:
        for change in commit.changes:
            found[change.path] = max(found.get(change.path, 0), commit.time)
    return found


def ages(present: Iterable[str], changed: Mapping[str, int], until: int) -> list[Row]:
    """Give how many of the present files were last changed how long before `until`; unknown ones are the oldest."""
    counted = dict.fromkeys((label for label, _ in _AGES), 0)
    for path in present:
        age = until - changed[path] if path in changed else math.inf
        counted[next(label for label, bound in _AGES if age <= bound)] += 1
    return [{"age": label, "files": files} for label, files in counted.items()]


def authorship(commits: Iterable[Commit], until: int, count: int) -> Row:
    """Give who wrote the commits, the busiest first.

    `others` counts the commits of those not listed. `majority` is the smallest number of authors who wrote more than
    half of all commits; `active` counts those who wrote one in the 90 days before `until`.
    """
    written: Counter[str] = Counter()
    last: dict[str, int] = {}
    for commit in commits:
        written[commit.author] += 1
        last[commit.author] = max(last.get(commit.author, 0), commit.time)
    total = written.total()
    ranked = sorted(written.items(), key=lambda item: (-item[1], item[0]))
    majority, reached = 0, 0
    while reached * 2 <= total and majority < len(ranked):
        reached += ranked[majority][1]
        majority += 1
    return {
        "authors": [
            {"name": name, "commits": commits_, "share": round(commits_ / total, 4), "last": day(last[name])}
            for name, commits_ in ranked[:count]
        ],
        "total": len(ranked),
        "others": sum(commits_ for _, commits_ in ranked[count:]),
        "majority": majority,
        "active": sum(time > until - 90 * DAY for time in last.values()),
    }


def heat(commits: Iterable[Commit], lines: Mapping[str, int], since: int) -> list[Row]:
    """Give the files of code that changed after `since`, the hottest first.

    Heat is commits x log2(lines): a long file that changes often is where the next mistake is likely.
    """
    touched: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for commit in commits:
        if commit.time > since:
            for change in commit.changes:
                if change.path in lines and language(change.path) is not None:
                    totals = touched[change.path]
                    totals[0] += 1
                    totals[1] += change.lines
    ranked = sorted(touched.items(), key=lambda item: (-item[1][0] * math.log2(1 + lines[item[0]]), item[0]))
    return [
        {
            "path": path,
            "commits": commits_,
            "changed": changed,
            "lines": lines[path],
            "heat": round(commits_ * math.log2(1 + lines[path]), 1),
        }
        for path, (commits_, changed) in ranked
    ]


def complexity(path: str, text: str) -> Row:
    """Estimate how hard a file of code is to follow: branches per 100 lines, depth of nesting, longest function.

    `longest` is None where functions cannot be told apart (any language but Python, or Python that does not parse).
    """
    rows = [row for row in text.splitlines() if row.strip()]
    branches = len(_BRANCH.findall(text))
    return {
        "branches": branches,
        "density": round(100 * branches / len(rows), 1) if rows else 0.0,
        "depth": _depth(rows),
        "longest": _longest_function(text) if language(path) == "Python" else None,
    }


def day(time: int) -> str:
    """Give the date of a UTC time."""
    return datetime.datetime.fromtimestamp(time, datetime.UTC).date().isoformat()


def _folder(path: str) -> str:
    parts = PurePosixPath(path).parts[:-1]
    return "/".join(parts[:_FOLDER_DEPTH]) or "(top)"


def _depth(rows: list[str]) -> int:
    """Give the deepest indentation in steps of the commonest small one."""
    widths = [len(row.expandtabs(4)) - len(row.expandtabs(4).lstrip()) for row in rows]
    steps = Counter(after - before for before, after in itertools.pairwise(widths) if 2 <= after - before <= 8)
    return max(widths, default=0) // steps.most_common(1)[0][0] if steps else 0


def _longest_function(text: str) -> int | None:
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return None
    return max(
        (
            (node.end_lineno or node.lineno) - node.lineno + 1
            for node in ast.walk(tree)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        ),
        default=0,
    )
