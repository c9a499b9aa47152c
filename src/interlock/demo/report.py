"""The steps of the sample workflow: plain functions, JSON in by keyword, JSON out, called as `python:` functions.

Each result is a summary of a few kilobytes, since what a step returns is kept in the store; the repository itself is
read anew where it is needed. Every function gives the same answer for the same commit, so a step that is repeated
after a crash changes nothing.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from interlock.demo import git, markdown, measures, page
from interlock.demo.measures import DAY, Row

_MAX_COMMITS: Final = 4_000  # of the newest; git compares files for each, some 500 a second
_MAX_FILE_BYTES: Final = 1 << 20
_LISTED: Final = 10
_YOUNG_SECONDS: Final = 90 * DAY  # in a project younger than this all files are new, which means nothing


def read_log(*, repository: str = ".", output: str | None = None, hottest: int = 12) -> Row:
    """Give what later steps need to know of the repository, fixed at the commit that is checked out now.

    `head` is None in a repository without commits. Times are UTC seconds, paths absolute, so that the steps after a
    crash may run in another folder.
    """
    top = git.top_folder(repository)
    name = Path(top).name.removesuffix(".git") or "repository"
    now = int(time.time())
    head = git.text(top, "rev-parse", "--verify", "--quiet", "HEAD^{commit}")
    times = git.times(top, head, _MAX_COMMITS) if head else []
    total = int(git.text(top, "rev-list", "--count", "--no-merges", head) or 0) if head else 0
    folder = Path(output) if output else Path(".interlock", "reports", f"{name}-{measures.day(now)}")
    return {
        "commits": total,
        "branch": git.text(top, "symbolic-ref", "--short", "--quiet", "HEAD"),
        "name": name,
        "repository": top,
        "head": head,
        "examined": len(times),
        "first": min(times, default=now),
        "last": max(times, default=now),
        "shallow": git.text(top, "rev-parse", "--is-shallow-repository") == "true",
        "now": now,
        "hottest": hottest,
        "output": str(folder.absolute()),
    }


def churn(*, log: Mapping[str, Any]) -> Row:
    """Give how much changed, when and where. `ratio`: the share of files changed in the last 30 days before `last`."""
    commits = _history(log)
    present = git.sizes(log["repository"], log["head"]) if log["head"] else {}
    changed = measures.last_changes(commits)
    recent = sum(changed.get(path, 0) > log["last"] - 30 * DAY for path in present)
    return {
        "activity": measures.activity(commits, log["first"], log["last"]),
        "folders": measures.folders(commits, log["last"] - 90 * DAY, count=8),
        "ages": measures.ages(present, changed, log["last"]),
        "recent": recent,
        "ratio": round(recent / len(present), 4) if present else 0.0,
    }


def authors(*, log: Mapping[str, Any]) -> Row:
    """Give who wrote the commits, as names; addresses are nobody's business in a report."""
    return measures.authorship(_history(log), log["last"], _LISTED)


def size(*, log: Mapping[str, Any]) -> Row:
    """Give how large the checked-out tree is, by language, and its longest files."""
    present, lines = _tree(log)
    by_language: dict[str, list[int]] = {}
    for path, count in lines.items():
        totals = by_language.setdefault(measures.language(path) or "other text", [0, 0])
        totals[0] += 1
        totals[1] += count
    ranked = sorted(by_language.items(), key=lambda item: (-item[1][1], item[0]))
    code = [(count, path) for path, count in lines.items() if measures.language(path)]
    return {
        "files": len(present),
        "bytes": sum(present.values()),
        "lines": sum(lines.values()),
        "languages": [{"language": name, "files": files, "lines": count} for name, (files, count) in ranked[:_LISTED]],
        "longest": [
            {"path": path, "lines": count} for count, path in sorted(code, key=lambda row: (-row[0], row[1]))[:5]
        ],
    }


def tests(*, log: Mapping[str, Any]) -> Row:
    """Give how much of the code is tests. `ratio`: lines of tests per line of other code."""
    _, lines = _tree(log)
    code = {path: count for path, count in lines.items() if measures.language(path)}
    tested = {path: count for path, count in code.items() if measures.is_test(path)}
    others = sum(code.values()) - sum(tested.values())
    return {
        "files": len(tested),
        "lines": sum(tested.values()),
        "code": others,
        "ratio": round(sum(tested.values()) / others, 4) if others else 0.0,
    }


def hot_files(*, log: Mapping[str, Any]) -> Row:
    """Give the files that change most in the 180 days before `last`: `files` to look into, `scatter` to draw.

    `concentration`: the share of all changes to code that went into the five hottest.
    """
    _, lines = _tree(log)
    ranked = measures.heat(_history(log), lines, log["last"] - 180 * DAY)
    touches = sum(row["commits"] for row in ranked)
    return {
        "files": ranked[: log["hottest"]],
        "scatter": [{"path": row["path"], "commits": row["commits"], "lines": row["lines"]} for row in ranked[:80]],
        "concentration": round(sum(row["commits"] for row in ranked[:5]) / touches, 4) if touches else 0.0,
    }


def weigh(
    *,
    log: Mapping[str, Any],
    measured: Mapping[str, Any],
    thresholds: Mapping[str, Any],
    overrides: Mapping[str, Any] | None = None,
) -> Row:
    """Compare the measures with the thresholds: `reasons` has the worst first, `alarms` and `warnings` count them.

    `thresholds` maps a measure to `{attention, alarm}`, and `overrides` replaces those of the measures it names; for
    `tests` less is worse, for all others more is.
    """
    limits = {**thresholds, **(overrides or {})}
    reasons = []
    for measure, value, shown, sentence in _weighed(log, measured):
        for level in ("alarm", "attention"):
            limit = limits.get(measure, {}).get(level)
            if limit is not None and (value < limit if measure == "tests" else value > limit):
                bound = f"{'below' if measure == 'tests' else 'above'} {shown.format(limit)}"
                text = sentence.format(shown.format(value))
                reasons.append({"measure": measure, "level": level, "value": value, "text": text, "bound": bound})
                break
    reasons.sort(key=lambda reason: reason["level"] != "alarm")
    alarms = sum(reason["level"] == "alarm" for reason in reasons)
    return {"reasons": reasons, "alarms": alarms, "warnings": len(reasons) - alarms}


def inspect_file(*, log: Mapping[str, Any], path: str) -> Row:
    """Look into one file: its history, its owners, how hard it is to follow, and `notes` on what stands out."""
    written = list(git.history(log["repository"], log["head"], _MAX_COMMITS, path))
    owners = measures.authorship(written, log["last"], 3)["authors"]
    text = git.content(log["repository"], log["head"], path, _MAX_FILE_BYTES)
    estimate = measures.complexity(path, text or "")
    return {
        "path": path,
        "commits": len(written),
        "created": measures.day(min((commit.time for commit in written), default=log["first"])),
        "owners": [{"name": owner["name"], "share": owner["share"]} for owner in owners],
        "lines": len(text.splitlines()) if text is not None else None,
        **estimate,
        "notes": list(_notes(len(written), owners, estimate)),
    }


def write_report(
    *, log: Mapping[str, Any], measured: Mapping[str, Any], judgement: Mapping[str, Any], files: list[Row]
) -> Row:
    """Write `report.html` and `report.md` into the output folder; a repeated call replaces them."""
    folder = Path(log["output"])
    folder.mkdir(parents=True, exist_ok=True)
    written = {
        "html": _replace(folder / "report.html", page.render(log, measured, judgement, files)),
        "markdown": _replace(folder / "report.md", markdown.render(log, measured, judgement, files)),
    }
    return {"verdict": judgement["verdict"], "reasons": [each["text"] for each in judgement["reasons"]], **written}


def _history(log: Mapping[str, Any]) -> list[git.Commit]:
    return list(git.history(log["repository"], log["head"], _MAX_COMMITS)) if log["head"] else []


def _tree(log: Mapping[str, Any]) -> tuple[dict[str, int], dict[str, int]]:
    """Give the bytes of each file, and the lines of each text file."""
    if not log["head"]:
        return {}, {}
    present = git.sizes(log["repository"], log["head"])
    counted = git.line_counts(log["repository"], log["head"])
    return present, {path: lines for path, lines in counted.items() if path in present}


def _weighed(log: Mapping[str, Any], measured: Mapping[str, Any]) -> Iterator[tuple[str, float, str, str]]:
    """Give what can be judged: measure, value, how values are shown, and the sentence around one."""
    if log["last"] - log["first"] > _YOUNG_SECONDS:
        yield "churn", measured["churn"]["ratio"], "{:.0%}", "{} of the files changed within 30 days"
        share = measured["hotFiles"]["concentration"]
        yield "concentration", share, "{:.0%}", "{} of the changes to code went into five files"
    if measured["size"]["longest"]:
        largest = measured["size"]["longest"][0]
        path = largest["path"].replace("{", "{{").replace("}", "}}")
        yield "longest", largest["lines"], "{:,}", path + " has {} lines"
    if measured["tests"]["code"]:
        yield "tests", measured["tests"]["ratio"], "{:.2f}", "{} lines of tests per line of code"
    if log["head"]:
        yield "idle", (log["now"] - log["last"]) // DAY, "{:,}", "the last commit is {} days old"


def _notes(commits: int, owners: list[Row], estimate: Mapping[str, Any]) -> Iterator[str]:
    if commits >= 10 and owners and owners[0]["share"] > 0.8:
        yield "one owner"
    if estimate["depth"] >= 7:
        yield "deep nesting"
    if estimate["density"] >= 35:
        yield "many branches"
    if (estimate["longest"] or 0) > 80:
        yield "long function"


def _replace(path: Path, text: str) -> str:
    """Write a file whole or not at all, and give its path."""
    unfinished = path.with_suffix(path.suffix + ".part")
    unfinished.write_text(text, encoding="utf-8")
    unfinished.replace(path)
    return str(path)
