"""Finds in the source of a Python workflow what would not survive a restart, or would do another thing after it.

Looked at are the workflow, the functions inside it, and the plain functions of its module that it calls; what a step does is
its own affair. `# interlock: ignore[code] reason` on the line of a finding silences it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from types import FunctionType
from typing import Any, Final

import msgspec

from interlock.flow.python import ordering, rules
from interlock.flow.python.rules import Known, Remark
from interlock.flow.python.source import UNKNOWN, Source, walk

_IGNORED: Final = re.compile(r"#\s*interlock:\s*ignore\[([\w\s,-]+)\]")


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """`line` and `column` count from 1. `function` is the one that the line stands in, `suggestion` what to do instead."""

    code: str
    message: str
    file: str
    line: int
    column: int
    function: str
    suggestion: str


def check(workflow: FunctionType, is_step: Callable[[Any], bool], is_inside: Callable[[Any], bool]) -> list[Finding]:
    """Give what is wrong with a workflow, by file and line. Raises NotFound when its source cannot be had."""
    known = Known(is_step, is_inside)
    root = Source(workflow)
    findings: set[Finding] = set()
    for reached in _reached(root, known):
        for remark in (*rules.check(reached, known, root.is_async), *ordering.check(reached, known)):
            source = remark.source or reached
            if not _is_ignored(source, remark):
                findings.add(_finding(source, remark))
    return sorted(findings, key=lambda finding: (finding.file, finding.line, finding.column, finding.code))


def _finding(source: Source, remark: Remark) -> Finding:
    return Finding(
        code=remark.code,
        message=remark.message,
        file=source.file,
        line=remark.node.lineno,
        column=remark.node.col_offset + 1,
        function=source.owner(remark.node),
        suggestion=remark.suggestion,
    )


def _is_ignored(source: Source, remark: Remark) -> bool:
    found = _IGNORED.search(source.lines[remark.node.lineno - 1])
    return found is not None and remark.code in re.split(r"[\s,]+", found.group(1))


def _reached(workflow: Source, known: Known) -> list[Source]:
    """Give the workflow and the plain functions of its module that it calls, and those that they call."""
    reached = [workflow]
    for source in reached:
        for node in walk(source.tree):
            called = source.resolve(node.func) if isinstance(node, ast.Call) else UNKNOWN
            if not isinstance(called, FunctionType) or known.is_effect(called):
                continue
            if called.__module__ == workflow.function.__module__ and not _is_in(called, reached):
                reached.append(workflow.of(called))
    return reached


def _is_in(function: FunctionType, sources: list[Source]) -> bool:
    return any(source.code is getattr(function, "__wrapped__", function).__code__ for source in sources)
