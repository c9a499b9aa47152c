"""The structure of a workflow document: stage one of validation.

The verdict on any JSON value equals that of the JSON Schema of Open Workflow Specification 1.0.3 (formats are not
asserted there), which the tests prove by mutation; the words are ours. Where the schema surprises, it is followed, and
the place in `flow.grammar` says so. The document itself is open: further names beside `document` and `do` are valid.
"""

from __future__ import annotations

from typing import Final

from interlock.flow.findings import Findings
from interlock.flow.grammar.authentication import ENDPOINT, ReusableAuthentication
from interlock.flow.grammar.dataflow import ERROR, INPUT, OUTPUT, RETRY
from interlock.flow.grammar.events import STRATEGY
from interlock.flow.grammar.lists import NamedList, OneEntry
from interlock.flow.grammar.shapes import Choice, Further, ListOf, MapOf, Record, Shape, fits
from interlock.flow.grammar.tasks import TASK
from interlock.flow.grammar.values import (
    DATA_MAP,
    DURATION,
    JQ,
    NAME,
    PLAIN_TEXT,
    READ,
    TASK_LIST,
    TIMEOUT,
    TIMEOUT_OR_NAME,
    VERSION,
)
from interlock.model.json import Json


def check(value: Json, findings: Findings) -> None:
    """Note every structural problem of a document, and the places that the second stage looks at."""
    if value is None:
        message = "the document is empty; it needs `document` and `do`"
        findings.add("wrong-type", message, "", found="nothing", expected="a map")
        return
    WORKFLOW.check(value, "", findings)


def is_valid(value: Json) -> bool:
    """Say whether a document has the structure that the specification's schema demands."""
    return fits(WORKFLOW, value)


_HEADER: Final = Record(
    who="`document`",
    fields={
        "dsl": VERSION,
        "namespace": NAME,
        "name": NAME,
        "version": VERSION,
        "title": PLAIN_TEXT,
        "summary": PLAIN_TEXT,
        "tags": DATA_MAP,
        "metadata": DATA_MAP,
    },
    required=("dsl", "namespace", "name", "version"),
)
_EXTENSION: Final = Record(
    who="an extension",
    fields={
        "extend": Choice(
            ("call", "composite", "emit", "for", "listen", "raise", "run", "set", "switch", "try", "wait", "all")
        ),
        "when": JQ,
        "before": TASK_LIST,
        "after": TASK_LIST,
    },
    required=("extend",),
)
_USE: Final[dict[str, Shape]] = {
    "authentications": MapOf(ReusableAuthentication()),
    "errors": MapOf(ERROR),
    "extensions": NamedList(OneEntry(_EXTENSION, "an extension", frozenset(_EXTENSION.fields))),
    "functions": MapOf(TASK),
    "retries": MapOf(RETRY),
    "secrets": ListOf(PLAIN_TEXT),
    "timeouts": MapOf(TIMEOUT),
    "catalogs": MapOf(Record(who="a catalog", fields={"endpoint": ENDPOINT}, required=("endpoint",))),
}
WORKFLOW: Final = Record(
    who="the document",
    fields={
        "document": _HEADER,
        "input": INPUT,
        "use": Record(who="`use`", fields=_USE),
        "do": TASK_LIST,
        "timeout": TIMEOUT_OR_NAME,
        "output": OUTPUT,
        "schedule": Record(
            who="`schedule`",
            fields={"every": DURATION, "cron": PLAIN_TEXT, "after": DURATION, "on": STRATEGY, "read": READ},
            needs={"read": "on"},
        ),
        "evaluate": Record(who="`evaluate`", fields={"language": PLAIN_TEXT, "mode": Choice(("strict", "loose"))}),
    },
    required=("document", "do"),
    homes={
        **dict.fromkeys(_HEADER.fields, "under `document`"),
        **dict.fromkeys(_USE, "under `use`"),
        **dict.fromkeys(("cron", "every", "on"), "under `schedule`"),
        **dict.fromkeys(("language", "mode"), "under `evaluate`"),
    },
    further=Further.IGNORED,
    expected="a map with `document` and `do`",
)
