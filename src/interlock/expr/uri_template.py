"""URI templates: simple expansion of `{name}` (RFC 6570, level 1) as the Open Workflow Specification narrows it.

A name is a top-level property of the data, its value a scalar. A name that is missing or null expands to nothing;
`$context` and the other arguments cannot be named.
"""

from __future__ import annotations

import re
import urllib.parse
from typing import Final

from interlock.errors import ExpressionError, ExpressionSyntax
from interlock.expr import jq
from interlock.model.json import Json

_NAME: Final = re.compile(r"(?:[A-Za-z0-9_]|%[0-9A-Fa-f]{2})(?:[A-Za-z0-9_.-]|%[0-9A-Fa-f]{2})*")
"""RFC 6570, section 2.3, and `-`, which property names often have."""


def is_template(text: str) -> bool:
    """Say whether a URI has anything to expand."""
    return "{" in text


def check(text: str) -> None:
    """Raise ExpressionSyntax, with the column, unless `text` is a well-formed template of simple names."""
    position = 0
    while (position := text.find("{", position)) >= 0:
        end = text.find("}", position)
        if end < 0:
            raise ExpressionSyntax("`{` is never closed", text, position)
        name = text[position + 1 : end]
        if not _NAME.fullmatch(name):
            raise ExpressionSyntax(
                f"`{{{name}}}` is no simple name: only {{property}} is expanded, without operators", text, position
            )
        position = end


def expand(text: str, data: Json) -> str:
    """Give the URI with each `{name}` replaced by that property of `data`, percent-encoded.

    Raises ExpressionError when the property is an array or an object, ExpressionSyntax when the template is malformed.
    """
    check(text)
    return re.sub(r"\{([^}]*)\}", lambda match: _expanded(match.group(1), data, text), text)


def _expanded(name: str, data: Json, text: str) -> str:
    value = data.get(name) if isinstance(data, dict) else None
    if isinstance(value, dict | list):
        kind = "an object" if isinstance(value, dict) else "an array"
        raise ExpressionError(f"`{name}` is {kind}; a URI takes texts, numbers and booleans, in the template `{text}`")
    return urllib.parse.quote("" if value is None else _scalar(value), safe="")


def _scalar(value: str | float) -> str:
    return value if isinstance(value, str) else str(jq.compile("tostring").evaluate(value, {}))
