"""Small values that stand everywhere: texts, durations, timeouts, free maps."""

from __future__ import annotations

from typing import Final

from interlock.flow.findings import Role
from interlock.flow.grammar import patterns
from interlock.flow.grammar.shapes import Anything, Choice, Either, Forward, Integer, ListOf, MapOf, Record, Text

TEXT: Final = Text(role=Role.TEMPLATE)
PLAIN_TEXT: Final = Text()
JQ: Final = Text("an expression", role=Role.EXPRESSION)
EXPRESSION: Final = Text(
    "an expression `${ ... }`",
    patterns.is_expression,
    "invalid-expression",
    patterns.about_expression,
    role=Role.TEMPLATE,
)
LITERAL: Final = Text(
    "literal text", patterns.is_literal, "invalid-value", lambda _: ("; the schema takes no expression here", None)
)
ENDPOINT_TEXT: Final = Text(
    "a URI or an expression `${ ... }`",
    patterns.is_endpoint,
    "invalid-uri",
    patterns.about_endpoint,
    role=Role.TEMPLATE,
)
URI: Final = Text("a URI", patterns.is_uri, "invalid-uri", patterns.about_endpoint)
VERSION: Final = Text("a semantic version", patterns.is_version, "invalid-version", patterns.about_version)
NAME: Final = Text("a valid name", patterns.is_name, "invalid-name", patterns.about_name)
FREE_MAP: Final = MapOf(Anything())
DATA_MAP: Final = MapOf(Anything(role=None))
TEXT_MAP: Final = MapOf(TEXT)
TEXTS: Final = ListOf(TEXT)
READ: Final = Choice(("data", "envelope", "raw"))
HTTP_OUTPUT: Final = Choice(("raw", "content", "response"))

_UNITS: Final = ("days", "hours", "minutes", "seconds", "milliseconds")
DURATION: Final = Either(
    "a duration such as PT30S or {seconds: 30}",
    text=Text(
        "an ISO 8601 duration", patterns.is_duration, "invalid-duration", patterns.about_duration, role=Role.TEMPLATE
    ),
    mapping=Record(who="a duration", fields=dict.fromkeys(_UNITS, Integer()), minimum=1),
    role=Role.DURATION,
)
TIMEOUT: Final = Record(who="a timeout", fields={"after": DURATION}, required=("after",), role=Role.TIMEOUT)
TIMEOUT_OR_NAME: Final = Either(
    "a map with `after`, or the name of a timeout", text=Text(role=Role.TIMEOUT_NAME), mapping=TIMEOUT
)
TRANSFORM: Final = Either("an expression or a map", text=JQ, mapping=FREE_MAP)
TASK_LIST: Final = Forward()
VARIABLE: Final = Text("a variable name", role=Role.VARIABLE)
DIRECTIVE: Final = Text("continue, exit, end or the name of a task", role=Role.DIRECTIVE)

TASK_LEVEL: Final = dict.fromkeys(
    ("if", "input", "output", "export", "timeout", "then", "metadata"), "to the task itself, beside its keyword"
)
"""Where the properties of every task belong, for records inside of tasks."""
