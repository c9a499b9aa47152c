"""Steps that end when somebody reports so by a token: `call: approval:1.0.0@default`, `call: tasks:1.0.0@default`, for which
the end of its graph does that, and `metadata.interlock.await`.

approve: {call: "approval:1.0.0@default", with: {to: ops, question: "Ship it?", expires: 2h, schema: {type: boolean}}}
build:   {call: "tasks:1.0.0@default", with: {graph: {tasks: [{id: test, run: [make, test]}]}}}
agent:   {call: http, with: {...}, metadata: {interlock: {await: {token: {expires: 1h, heartbeat: 1m}}}}}
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from interlock.flow.graph import ApprovalWork, Awaits, TasksWork
from interlock.flow.reading import Reader
from interlock.model.json import Json

APPROVAL: Final = "approval:1.0.0@default"
ARGUMENTS: Final = ("to", "question", "expires", "schema")
TASKS: Final = "tasks:1.0.0@default"
TASKS_ARGUMENTS: Final = ("graph", "name")
TOKEN: Final = "token"  # noqa: S105 (a key of the language)
TERMS: Final = ("expires", "heartbeat", "operations")


def approval(arguments: Mapping[str, Json], reader: Reader) -> ApprovalWork:
    """Give the work of a question to somebody."""
    asked = {name: arguments[name] for name in ("to", "question") if name in arguments}
    return ApprovalWork(terms=reader.template(asked), schema=arguments.get("schema"))


def tasks(arguments: Mapping[str, Json], reader: Reader) -> TasksWork:
    """Give the work of a task graph."""
    name = arguments.get("name")
    return TasksWork(graph=reader.template(arguments["graph"]), name=None if name is None else reader.template(name))


def awaits(function: str | None, arguments: Mapping[str, Json], await_: Json, reader: Reader) -> Awaits | None:
    """Give the report that a step waits for, None when its own effect ends it.

    `function` and `arguments`: of a call of a function. `await_`: the key of `metadata.interlock`, None without it.
    """
    if function == TASKS:
        return Awaits(endless=True)
    if function == APPROVAL:
        terms: Mapping[str, Json] = arguments
    elif await_ is None:
        return None
    else:
        terms = await_[TOKEN] if isinstance(await_, dict) else {}
    return Awaits(
        expires=reader.template(terms["expires"]) if "expires" in terms else None,
        heartbeat=reader.template(terms["heartbeat"]) if "heartbeat" in terms else None,
        operations=tuple(terms.get("operations", ())),
    )
