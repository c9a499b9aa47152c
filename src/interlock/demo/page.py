"""The report as one HTML file: no scripts, no requests, light and dark by the reader's system."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from importlib import resources
from typing import Any, Final

from interlock.demo import charts, measures

_GLYPHS: Final = {"calm": "✓", "attention": "△", "alarm": "✕"}
_AUTHORS_DRAWN: Final = 7


def render(
    log: Mapping[str, Any],
    measured: Mapping[str, Any],
    judgement: Mapping[str, Any],
    files: Sequence[Mapping[str, Any]],
) -> str:
    """Give the page. Everything that comes from the repository is escaped."""
    style = resources.files(__package__).joinpath("page.css").read_text("utf-8")
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8"/>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1"/>\n'
        f"<title>{escape(log['name'])}: repository report</title>\n<style>\n{style}</style>\n</head>\n<body>\n"
        + "\n".join([_header(log, judgement), *_sections(log, measured, files), _footer(log)])
        + "\n</body>\n</html>\n"
    )


def where(log: Mapping[str, Any]) -> str:
    """Say what the report is about: branch, commit and span of time."""
    if not log["head"]:
        return "no commits yet"
    place = log["branch"] or "detached"
    return (
        f"{place} at {log['head'][:10]} · {log['commits']:,} commits from {measures.day(log['first'])}"
        f" to {measures.day(log['last'])}"
    )


def coverage(log: Mapping[str, Any]) -> str | None:
    """Say that not the whole history was read, None where it was."""
    if log["shallow"]:
        return "This is a shallow clone: older history is missing."
    if log["examined"] < log["commits"]:
        return f"The newest {log['examined']:,} of {log['commits']:,} commits were examined."
    return None


def _header(log: Mapping[str, Any], judgement: Mapping[str, Any]) -> str:
    verdict = judgement["verdict"]
    reasons = "".join(_reason(each) for each in judgement["reasons"])
    return (
        f"<header><h1>{escape(log['name'])}</h1>"
        f'<span class="verdict {verdict}">{_GLYPHS[verdict]} {verdict}</span>'
        f"<p>{escape(where(log))}</p></header>" + (f'<ul class="reasons">{reasons}</ul>' if reasons else "")
    )


def _reason(each: Mapping[str, Any]) -> str:
    return (
        f'<li><span class="{each["level"]}">{_GLYPHS[each["level"]]}</span><span>{escape(each["text"])}</span>'
        f'<span class="soft">{each["level"]} {each["bound"]}</span></li>'
    )


def _section(title: str, note: str, content: str = "") -> str:
    return f"<section><h2>{title}</h2><p>{note}</p>{content}</section>"


def _columns(left: str, right: str) -> str:
    return f'<div class="columns">{left}{right}</div>'


def _sections(log: Mapping[str, Any], measured: Mapping[str, Any], files: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if not log["head"]:
        yield _section("Nothing to measure", "The repository has no commits. Make one and run this again.")
        return
    yield _figures(log, measured)
    yield _activity(measured["churn"]["activity"])
    yield _columns(_folders(measured["churn"]["folders"]), _authors(measured["authors"]))
    yield _columns(_hot(measured["hotFiles"]), _ages(measured["churn"]["ages"]))
    yield _inspected(files)
    yield _columns(_languages(measured["size"]["languages"]), _longest(measured["size"]["longest"]))


def _figures(log: Mapping[str, Any], measured: Mapping[str, Any]) -> str:
    size, tests, authors, churn = measured["size"], measured["tests"], measured["authors"], measured["churn"]
    active, spans = measured["authors"]["active"], churn["activity"]["spans"]
    recent = sum(span["commits"] for span in spans)
    figures = [
        ("commits", f"{log['commits']:,}", f"{recent:,} in 52 {churn['activity']['unit']}s"),
        ("authors", f"{authors['total']:,}", f"{active:,} active in 90 days"),
        ("files", f"{size['files']:,}", f"{size['bytes'] / 1e6:,.1f} MB"),
        ("lines", f"{size['lines']:,}", f"{tests['code'] + tests['lines']:,} of code"),
        ("tests", f"{tests['ratio']:.2f}", "lines per line of code"),
        ("churn", f"{churn['ratio']:.0%}", "of the files in 30 days"),
    ]
    cells = "".join(f"<div><dt>{name}</dt><dd>{value}<small>{note}</small></dd></div>" for name, value, note in figures)
    return f'<dl class="figures">{cells}</dl>'


def _activity(activity: Mapping[str, Any]) -> str:
    unit, spans = activity["unit"], activity["spans"]
    busiest = max(spans, key=lambda span: span["commits"])
    titles = [
        f"{unit} to {_moment(unit, span['ends'])}: {span['commits']:,} commits, +{span['added']:,} −{span['deleted']:,}"
        for span in spans
    ]
    chart = charts.columns(
        [span["commits"] for span in spans],
        titles,
        list(_marks(unit, [span["ends"] for span in spans])),
        width=1032,
        height=190,
        name=f"Commits per {unit}",
    )
    busy = sum(span["commits"] > 0 for span in spans)
    note = (
        f"The busiest {unit}, to {_moment(unit, busiest['ends'])}, has {busiest['commits']:,};"
        f" {busy} of 52 {unit}s have commits."
    )
    return _section(f"Commits per {unit}", note, f'<div class="scroll">{chart}</div>')


def _moment(unit: str, ends: int) -> str:
    return (
        f"{datetime.datetime.fromtimestamp(ends, datetime.UTC):%Y-%m-%d %H:%M}"
        if unit == "hour"
        else measures.day(ends)
    )


def _marks(unit: str, ends: Sequence[int]) -> Iterator[str]:
    """Give a label for the spans that begin a month (of weeks), a week (of days) or a quarter of a day (of hours)."""
    previous = None
    for end in ends:
        moment = datetime.datetime.fromtimestamp(end, datetime.UTC)
        match unit:
            case "week":
                mark = f"{moment:%b}"
            case "day":
                mark = f"{moment - datetime.timedelta(days=moment.weekday()):%-d %b}"
            case _:
                mark = f"{moment.hour // 6 * 6:02d}:00"
        yield mark if previous not in (None, mark) else ""
        previous = mark


def _folders(folders: Sequence[Mapping[str, Any]]) -> str:
    rows = [(each["folder"], each["added"], each["deleted"]) for each in folders]
    legend = '<span class="swatch"></span>added<span class="swatch second"></span>deleted'
    chart = charts.pairs(rows, width=492, name="Churn by folder", sides=("added", "deleted"))
    return _section("Churn by folder", f"Changed lines in the last 90 days: {legend}", chart)


def _authors(authors: Mapping[str, Any]) -> str:
    listed = authors["authors"][: _AUTHORS_DRAWN - 1]
    rows = [
        (each["name"], each["share"], f"{each['name']}: {each['commits']:,} commits, the last on {each['last']}")
        for each in listed
    ]
    if (rest := authors["total"] - len(listed)) > 0:
        name = "1 other" if rest == 1 else f"{rest:,} others"
        rows.append((name, max(0.0, 1 - sum(each["share"] for each in listed)), name))
    many = "One author has" if authors["majority"] == 1 else f"{authors['majority']} authors have"
    chart = charts.shares(rows, width=492, name="Commits by author")
    return _section("Authors", f"{many} written more than half of the commits.", chart)


def _hot(hot: Mapping[str, Any]) -> str:
    points = [(each["path"], each["commits"], each["lines"]) for each in hot["scatter"]]
    note = f"Five files took {hot['concentration']:.0%} of the changes to code in 180 days."
    chart = charts.scatter(
        points, width=492, height=300, name="Hot files: commits and lines", axes=("commits", "lines"), named=6
    )
    return _section("Hot files", note, chart)


def _ages(ages: Sequence[Mapping[str, Any]]) -> str:
    total = sum(each["files"] for each in ages)
    titles = [f"{each['age']}: {each['files']:,} of {total:,} files" for each in ages]
    labels = [each["age"].replace(" months", " m").replace(" years", " y").replace("a month", "1 m") for each in ages]
    chart = charts.columns(
        [each["files"] for each in ages], titles, labels, width=492, height=300, name="Files by age of the last change"
    )
    return _section("Age of files", "Files by the time from their last change to the newest commit.", chart)


def _inspected(files: Sequence[Mapping[str, Any]]) -> str:
    if not files:
        return _section("A closer look", "No code changed in the last 180 days.")
    heads = ("hottest file", "commits", "lines", "branches / 100", "depth", "longest", "main owner", "stands out")
    note = "Complexity is estimated from the text: branches, indentation, and the longest function in Python."
    table = _table(heads, range(1, 6), (_cells(each) for each in files))
    return _section("A closer look", note, f'<div class="scroll">{table}</div>')


def _cells(each: Mapping[str, Any]) -> Iterator[str]:
    yield _path(each)
    for value in (each["commits"], each["lines"], each["density"], each["depth"], each["longest"]):
        yield _number(value)
    owner = "".join(
        f'{escape(each["name"])} <span class="soft">{each["share"]:.0%}</span>' for each in each["owners"][:1]
    )
    yield f"<td>{owner}</td>"
    yield f'<td class="notes">{escape(", ".join(each["notes"]))}</td>'


def _languages(languages: Sequence[Mapping[str, Any]]) -> str:
    rows = (
        (f"<td>{escape(each['language'])}</td>", _number(each["files"]), _number(each["lines"])) for each in languages
    )
    table = _table(("language", "files", "lines"), range(1, 3), rows)
    return _section("Languages", "Text files of the checked-out tree.", table)


def _longest(longest: Sequence[Mapping[str, Any]]) -> str:
    table = _table(("file", "lines"), range(1, 2), ((_path(each), _number(each["lines"])) for each in longest))
    return _section("Longest files", "Of code.", table)


def _table(heads: Sequence[str], numeric: range, rows: Iterable[Iterable[str]]) -> str:
    head = "".join(f'<th class="number">{n}</th>' if i in numeric else f"<th>{n}</th>" for i, n in enumerate(heads))
    body = "".join(f"<tr>{''.join(cells)}</tr>" for cells in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _path(each: Mapping[str, Any]) -> str:
    return f'<td class="path">{escape(each["path"])}</td>'


def _number(value: float | None) -> str:
    return f'<td class="number">{"" if value is None else f"{value:,}"}</td>'


def _footer(log: Mapping[str, Any]) -> str:
    notes = [f"Made on {measures.day(log['now'])} by the Interlock workflow <code>repository-report</code>."]
    if (partial := coverage(log)) is not None:
        notes.append(partial)
    return f"<footer>{' '.join(notes)}</footer>"
