"""The report as Markdown, for a terminal, a pull request or a wiki."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from interlock.demo import page

_SPARKS: Final = "▁▂▃▄▅▆▇█"
_SPECIAL: Final = re.compile(r"([\\`*_{}\[\]<>#|~])")


def render(
    log: Mapping[str, Any],
    measured: Mapping[str, Any],
    judgement: Mapping[str, Any],
    files: Sequence[Mapping[str, Any]],
) -> str:
    """Give the report. What comes from the repository is escaped, so that no name becomes markup."""
    return "\n".join(_lines(log, measured, judgement, files)) + "\n"


def _lines(
    log: Mapping[str, Any],
    measured: Mapping[str, Any],
    judgement: Mapping[str, Any],
    files: Sequence[Mapping[str, Any]],
) -> Iterator[str]:
    yield f"# {_plain(log['name'])}: {judgement['verdict']}"
    yield ""
    yield _plain(page.where(log))
    yield ""
    for each in judgement["reasons"]:
        yield f"- **{each['level']}**: {_plain(each['text'])} ({each['bound']})"
    if not log["head"]:
        return
    yield from _figures(measured)
    yield from _section("Churn by folder, 90 days", ("folder", "added", "deleted"), measured["churn"]["folders"])
    yield from _section("Authors", ("name", "commits", "last"), measured["authors"]["authors"])
    columns = ("path", "commits", "lines", "density", "depth", "notes")
    yield from _section("Hottest files", columns, files)
    yield from _section("Age of files", ("age", "files"), measured["churn"]["ages"])
    yield from _section("Languages", ("language", "files", "lines"), measured["size"]["languages"])
    if (partial := page.coverage(log)) is not None:
        yield ""
        yield partial


def _figures(measured: Mapping[str, Any]) -> Iterator[str]:
    activity = measured["churn"]["activity"]
    counts = [span["commits"] for span in activity["spans"]]
    highest = max(*counts, 1)
    yield ""
    bars = "".join(_SPARKS[count * (len(_SPARKS) - 1) // highest] for count in counts)
    yield f"`{bars}` commits per {activity['unit']}"
    yield ""
    yield (
        f"{measured['size']['files']:,} files, {measured['size']['lines']:,} lines; "
        f"{measured['tests']['ratio']:.2f} lines of tests per line of code; "
        f"{measured['churn']['ratio']:.0%} of the files changed within 30 days."
    )


def _section(title: str, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    yield ""
    yield f"## {title}"
    yield ""
    yield f"| {' | '.join(columns)} |"
    yield f"|{'|'.join('---' for _ in columns)}|"
    for row in rows:
        yield f"| {' | '.join(_cell(row[column]) for column in columns)} |"


def _cell(value: object) -> str:
    if isinstance(value, int | float):
        return f"{value:,}"
    if isinstance(value, list):
        return _plain(", ".join(value))
    return "" if value is None else _plain(str(value))


def _plain(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))
