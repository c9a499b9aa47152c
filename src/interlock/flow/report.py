"""Problems as people read them in a terminal, and as JSON for programs."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from interlock.flow.problem import Problem, Severity

_INDENT: Final = "    "
_WIDTH: Final = 118
_CODE_WIDTH: Final = 18


def text(problems: Iterable[Problem]) -> str:
    """Give one paragraph per problem, in the given order, and the count of errors and warnings; empty for none."""
    listed = list(problems)
    if not listed:
        return ""
    width = max(len(_place(problem)) for problem in listed)
    return "\n".join([line for problem in listed for line in _lines(problem, width)] + [summary(listed)]) + "\n"


def summary(problems: Iterable[Problem]) -> str:
    """Give the count in words: "3 errors", "1 error, 2 warnings", "no problems"."""
    severities = [problem.severity for problem in problems]
    counts = [
        _counted(severities.count(severity), word)
        for severity, word in ((Severity.ERROR, "error"), (Severity.WARNING, "warning"))
        if severity in severities
    ]
    return ", ".join(counts) or "no problems"


def json(problems: Iterable[Problem]) -> bytes:
    """Give a JSON list of problems, one object each; absent fields are left out, `severity` never."""
    return msgspec.json.encode([{"severity": problem.severity, **msgspec.to_builtins(problem)} for problem in problems])


def _counted(count: int, word: str) -> str:
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


def _place(problem: Problem) -> str:
    return f"{problem.file or 'definition'}:{problem.line}:{problem.column}"


def _lines(problem: Problem, width: int) -> Iterator[str]:
    code = problem.code if problem.severity is Severity.ERROR else f"{problem.code} (warning)"
    yield f"{_place(problem):<{width}} {code:<{_CODE_WIDTH}} {problem.path}".rstrip()
    if problem.excerpt is None:
        yield from textwrap.wrap(
            problem.message,
            _WIDTH,
            initial_indent=_INDENT,
            subsequent_indent=_INDENT,
            break_long_words=False,
            break_on_hyphens=False,
        )
        return
    *lines, caret = problem.excerpt.split("\n")
    yield from (_INDENT + line for line in lines)
    yield f"{_INDENT}{caret} {problem.message}"
