"""Schemas and transformations of data, errors, retry policies."""

from __future__ import annotations

from typing import Final

from interlock.flow.findings import Role
from interlock.flow.grammar.authentication import RESOURCE
from interlock.flow.grammar.shapes import Anything, Further, Integer, Record
from interlock.flow.grammar.values import DATA_MAP, DURATION, ENDPOINT_TEXT, JQ, LITERAL, PLAIN_TEXT, TEXT, TRANSFORM

_SCHEMA: Final = Record(
    who="a schema",
    fields={"format": PLAIN_TEXT, "document": Anything(role=None), "resource": RESOURCE},
    one_of=(("document", "resource"),),
    role=Role.SCHEMA,
)
INPUT: Final = Record(who="`input`", fields={"schema": _SCHEMA, "from": TRANSFORM})
OUTPUT: Final = Record(who="`output`", fields={"schema": _SCHEMA, "as": TRANSFORM})
EXPORT: Final = Record(who="`export`", fields={"schema": _SCHEMA, "as": TRANSFORM})

ERROR: Final = Record(
    who="an error",
    fields={"type": ENDPOINT_TEXT, "status": Integer(), "instance": LITERAL, "title": TEXT, "detail": TEXT},
    required=("type", "status"),
)
ERROR_FILTER: Final = Record(
    who="an error filter",
    fields={"type": TEXT, "status": Integer(), "instance": TEXT, "title": TEXT, "detail": TEXT},
    minimum=1,
    further=Further.EVALUATED,
)
_BACKOFFS: Final = ("constant", "exponential", "linear")
RETRY: Final = Record(
    who="a retry policy",
    fields={
        "when": JQ,
        "exceptWhen": JQ,
        "delay": DURATION,
        "backoff": Record(who="`backoff`", fields=dict.fromkeys(_BACKOFFS, DATA_MAP), one_of=(_BACKOFFS,)),
        "limit": Record(
            who="`limit`",
            fields={
                "attempt": Record(who="`attempt`", fields={"count": Integer(), "duration": DURATION}),
                "duration": DURATION,
            },
            homes={"count": "under `attempt`"},
        ),
        "jitter": Record(who="`jitter`", fields={"from": DURATION, "to": DURATION}, required=("from", "to")),
    },
    homes=dict.fromkeys(("count", "max", "maxAttempts", "attempts"), "under `limit.attempt`, as `count`"),
    role=Role.RETRY,
)
