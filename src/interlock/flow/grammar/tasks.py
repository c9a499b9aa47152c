"""The twelve kinds of tasks, and lists of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from interlock.flow import nearest, pointer
from interlock.flow.findings import Findings, Role
from interlock.flow.grammar.calls import CALLS
from interlock.flow.grammar.dataflow import ERROR, ERROR_FILTER, EXPORT, INPUT, OUTPUT, RETRY
from interlock.flow.grammar.events import EVENT_TO_EMIT, ITERATOR, STRATEGY
from interlock.flow.grammar.lists import NamedList, OneEntry
from interlock.flow.grammar.processes import PROCESSES, RUN
from interlock.flow.grammar.shapes import (
    Anything,
    Boolean,
    Either,
    Further,
    ListOf,
    MapOf,
    Record,
    Shape,
    Text,
    label,
    listed,
    wrong_type,
)
from interlock.flow.grammar.values import (
    DATA_MAP,
    DIRECTIVE,
    DURATION,
    FREE_MAP,
    JQ,
    PLAIN_TEXT,
    READ,
    TASK_LEVEL,
    TASK_LIST,
    TEXT,
    TIMEOUT_OR_NAME,
    VARIABLE,
)
from interlock.model.json import Json

_BASE: Final[dict[str, Shape]] = {
    "if": JQ,
    "input": INPUT,
    "output": OUTPUT,
    "export": EXPORT,
    "timeout": TIMEOUT_OR_NAME,
    "then": DIRECTIVE,
    "metadata": DATA_MAP,
}
_CASE: Final = Record(who="a case", fields={"when": JQ, "then": DIRECTIVE}, required=("then",))
_CATCH: Final = Record(
    who="`catch`",
    fields={
        "errors": Record(
            who="`errors`",
            fields={"with": ERROR_FILTER},
            homes=dict.fromkeys(("type", "status", "instance", "title", "detail"), "under `with`"),
            further=Further.IGNORED,
        ),
        "as": VARIABLE,
        "when": JQ,
        "exceptWhen": JQ,
        "retry": Either("a retry policy or the name of one", text=Text(role=Role.RETRY_NAME), mapping=RETRY),
        "do": TASK_LIST,
        "then": DIRECTIVE,
    },
    homes={"with": "under `errors`", **dict.fromkeys(("type", "status"), "under `errors.with`")},
)
_EMIT: Final = Record(
    who="`emit`",
    fields={"event": Record(who="`event`", fields={"with": EVENT_TO_EMIT}, further=Further.IGNORED)},
    required=("event",),
    homes={**TASK_LEVEL, "with": "under `event`"},
)
_FOR: Final = Record(
    who="`for`",
    fields={
        "each": VARIABLE,
        "in": Either("an expression or a list of maps", text=JQ, items=ListOf(FREE_MAP)),
        "at": VARIABLE,
    },
    required=("in",),
    homes={**TASK_LEVEL, "do": "beside `for`", "while": "beside `for`"},
)
_FORK: Final = Record(
    who="`fork`",
    fields={"branches": TASK_LIST, "compete": Boolean()},
    required=("branches",),
    homes=TASK_LEVEL,
)
_LISTEN: Final = Record(
    who="`listen`",
    fields={"to": STRATEGY, "read": READ},
    required=("to",),
    homes={
        **TASK_LEVEL,
        "foreach": "beside `listen`",
        **dict.fromkeys(("all", "any", "one", "until"), "under `to`"),
    },
)
_RAISE: Final = Record(
    who="`raise`",
    fields={"error": Either("an error or the name of one", text=Text(role=Role.ERROR_NAME), mapping=ERROR)},
    required=("error",),
    homes={**TASK_LEVEL, **dict.fromkeys(("type", "status", "title", "detail"), "under `error`")},
)
_CASES: Final = NamedList(OneEntry(_CASE, "a case", frozenset(_CASE.fields)), minimum=1)

_KINDS: Final[dict[str, dict[str, Shape]]] = {
    "call": {"call": PLAIN_TEXT, "with": FREE_MAP},
    "do": {"do": TASK_LIST},
    "emit": {"emit": _EMIT},
    "for": {"for": _FOR, "while": JQ, "do": TASK_LIST},
    "fork": {"fork": _FORK},
    "listen": {"listen": _LISTEN, "foreach": ITERATOR},
    "raise": {"raise": _RAISE},
    "run": {"run": RUN},
    "set": {"set": Either("a map or an expression", text=TEXT, mapping=MapOf(Anything(), minimum=1))},
    "switch": {"switch": _CASES},
    "try": {"try": TASK_LIST, "catch": _CATCH},
    "wait": {"wait": DURATION},
}
_AROUND: Final = dict.fromkeys(("retry", "retries", "catch", "on_error"), "to a `try` task around this one")
_REQUIRED: Final = {"for": ("for", "do"), "try": ("try", "catch")}
_HOMES: Final[dict[str, dict[str, str]]] = {
    "do": dict.fromkeys(("foreach", "loop", "each", "in", "while"), "to `for`, which stands beside `do`"),
    "emit": {"event": "under `emit`"},
    "for": dict.fromkeys(_FOR.fields, "under `for`"),
    "fork": dict.fromkeys(_FORK.fields, "under `fork`"),
    "listen": dict.fromkeys(_LISTEN.fields, "under `listen`"),
    "raise": {"error": "under `raise`"},
    "run": dict.fromkeys((*PROCESSES, "await", "return"), "under `run`"),
    "switch": {"when": "to a case of the switch"},
    "try": {
        **dict.fromkeys(("errors", "as", "when", "exceptWhen", "retry"), "under `catch`"),
        "retries": "under `catch`, as `retry`",
    },
}
_RECORDS: Final = {
    kind: Record(
        who=f"`{kind}`",
        fields={**fields, **_BASE},
        required=_REQUIRED.get(kind, (kind,)),
        homes={**_AROUND, **_HOMES.get(kind, {})},
    )
    for kind, fields in _KINDS.items()
}
_CALL_RECORDS: Final = {
    protocol: Record(
        who=f"`call: {protocol}`",
        fields={"call": PLAIN_TEXT, "with": arguments, **_BASE},
        required=("call", "with"),
        homes={**_AROUND, **dict.fromkeys(arguments.fields, "under `with`")},
    )
    for protocol, arguments in CALLS.items()
}


@dataclass(frozen=True, slots=True)
class _Task:
    """One task: the kind is told by its keyword, and for calls by the name that is called."""

    expected: str = "a task, a map such as {set: {done: true}}"

    def check(self, value: Json, path: str, findings: Findings) -> None:
        if not isinstance(value, dict):
            wrong_type(value, path, findings, self.expected)
            return
        findings.note(Role.TASK, path, value)
        kinds = kinds_of(value)
        if len(kinds) == 1:
            _record(kinds[0], value).check(value, path, findings)
        elif kinds:
            self._refuse_mixture(kinds, value, path, findings)
        else:
            self._refuse_unknown(value, path, findings)

    def _refuse_mixture(self, kinds: list[str], value: dict[str, Json], path: str, findings: Findings) -> None:
        message = f"{label(path)} is {listed(kinds, 'and')} at once; a task does one thing, make it {len(kinds)} tasks"
        findings.add("several-task-kinds", message, pointer.child(path, kinds[1]), at_key=True)
        fields: dict[str, Shape] = {}
        for kind in kinds:
            fields.update(_record(kind, value).fields)
        Record(who="a task", fields=fields).check(value, path, findings)

    def _refuse_unknown(self, value: dict[str, Json], path: str, findings: Findings) -> None:
        unknown = [key for key in value if key not in _BASE]
        meant = next(((key, near) for key in unknown if (near := nearest.name(key, _KINDS))), None)
        rest = {key: item for key, item in value.items() if key in _BASE}
        Record(who="a task", fields=_BASE).check(rest, path, findings)
        if meant is None:
            first = f"; it has {listed(unknown, 'and')}" if unknown else ""
            message = f"{label(path)} says nothing to do: a task needs {listed(list(_KINDS))}{first}"
            findings.add("unknown-task-kind", message, path, at_key=True, expected=", ".join(_KINDS))
            return
        key, near = meant
        findings.add(
            "unknown-task-kind",
            f"no task kind is called `{key}`; did you mean `{near}`?",
            pointer.child(path, key),
            at_key=True,
            found=key,
            expected=", ".join(_KINDS),
            nearest=near,
        )


def kinds_of(task: dict[str, Json]) -> list[str]:
    """Give the kinds whose keywords a task has; a valid task has one. `do` belongs to `for` where both stand."""
    kinds = [key for key in task if key in _KINDS]
    return [kind for kind in kinds if kind != "do"] if "for" in kinds else kinds


def undo_of(task: dict[str, Json]) -> Json:
    """Give the task that undoes a task, `metadata.interlock.compensate`; None when it has none."""
    metadata = task.get("metadata")
    extension = metadata.get("interlock") if isinstance(metadata, dict) else None
    return extension.get("compensate") if isinstance(extension, dict) else None


def _record(kind: str, task: dict[str, Json]) -> Record:
    protocol = task.get("call") if kind == "call" else None
    if isinstance(protocol, str) and protocol in _CALL_RECORDS:
        return _CALL_RECORDS[protocol]
    return _RECORDS[kind]


TASK: Final = _Task()
TASK_LIST.become(NamedList(OneEntry(TASK, "a task", frozenset({*_KINDS, *_BASE, "with"})), role=Role.TASK_LIST))
