"""What is wrong with a definition, told so that it can be put right at once."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Severity(StrEnum):
    ERROR = "error"
    WARNING = "warning"


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One problem of one document.

    `code` is kebab-case and stable. `line` and `column` count from 1. `path` is the JSON pointer of the value.
    `found`, `expected` and `nearest` (the closest valid name) are given where they help.
    """

    code: str
    message: str
    path: str
    line: int
    column: int
    severity: Severity = Severity.ERROR
    file: str | None = None
    found: str | None = None
    expected: str | None = None
    nearest: str | None = None
    excerpt: str | None = None
    """Lines to show under the message, such as an expression with a caret below it."""
