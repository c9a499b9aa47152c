"""Events: what is emitted, which are waited for, what is done with each.

A literal `time` may not be an expression: the schema gives two alternatives that both match one, and wants exactly one.
"""

from __future__ import annotations

from typing import Final

from interlock.flow.grammar.dataflow import EXPORT, OUTPUT
from interlock.flow.grammar.shapes import Anything, Either, Further, ListOf, MapOf, Record, Shape
from interlock.flow.grammar.values import ENDPOINT_TEXT, JQ, LITERAL, TASK_LIST, TEXT, VARIABLE

_EVENT_FIELDS: Final[dict[str, Shape]] = {
    "id": TEXT,
    "source": ENDPOINT_TEXT,
    "type": TEXT,
    "time": LITERAL,
    "subject": TEXT,
    "datacontenttype": TEXT,
    "dataschema": ENDPOINT_TEXT,
    "data": Anything(),
}
EVENT_TO_EMIT: Final = Record(who="an event", fields=_EVENT_FIELDS, required=("type",), further=Further.EVALUATED)
_EVENT_TO_MATCH: Final = Record(who="`with`", fields=_EVENT_FIELDS, minimum=1, further=Further.EVALUATED)
_CORRELATION: Final = Record(
    who="a correlation", fields={"from": JQ, "expect": TEXT}, required=("from",), further=Further.IGNORED
)
_EVENT_FILTER: Final = Record(
    who="an event filter",
    fields={"with": _EVENT_TO_MATCH, "correlate": MapOf(_CORRELATION)},
    required=("with",),
)
_EVENT_FILTERS: Final = ListOf(_EVENT_FILTER)
_MODES: Final[dict[str, Shape]] = {"all": _EVENT_FILTERS, "any": _EVENT_FILTERS, "one": _EVENT_FILTER}
_UNTIL: Final = Either(
    "an expression or an event strategy",
    text=JQ,
    mapping=Record(who="the strategy of `until`", fields=_MODES, one_of=(tuple(_MODES),)),
)
STRATEGY: Final = Record(
    who="an event strategy", fields={**_MODES, "until": _UNTIL}, one_of=(tuple(_MODES),), needs={"until": "any"}
)
ITERATOR: Final = Record(
    who="`foreach`",
    fields={"item": VARIABLE, "at": VARIABLE, "do": TASK_LIST, "output": OUTPUT, "export": EXPORT},
)
