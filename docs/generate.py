"""Writes `docs/reference/python.md` from the docstrings of the public names: `python docs/generate.py`.

What a name is stands in its docstring alone. A sentence that begins with the name of a parameter, as in "`retries`: how often
...", is its row in the table; examples are left to the pages that execute them.
"""

from __future__ import annotations

import dataclasses
import enum
import inspect
import re
import textwrap
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import interlock
from interlock import errors, sync, testing
from interlock.app.deliveries import Deliveries, Delivery
from interlock.app.tokens import Alive, Reported, Tokens, TokenView
from interlock.client.fleet import RemoteFleet
from interlock.client.graphs import RemoteGraphs, RemotePools
from interlock.client.groups import RemoteLocks, RemoteMemory, RemoteTokens
from interlock.client.records import RemoteArtifacts, RemoteDefinitions, RemoteDeliveries, RemoteKeys
from interlock.coord.balancer import Assignment, LoadBalancer
from interlock.coord.cell import Cell, Change, Outcome
from interlock.coord.heartbeats import HeartbeatMonitor
from interlock.coord.lock import Held, Lock
from interlock.coord.locks import LockManager
from interlock.coord.memory import MemorySyncManager
from interlock.coord.timing import Timing
from interlock.coord.watch import Watch
from interlock.coord.workers import WorkerRegistry
from interlock.decisions.task import Task
from interlock.model.worker import Capabilities, Device, Worker

PAGE = Path(__file__).with_name("reference") / "python.md"

_HEAD = """# Python

All public names, made from their docstrings by `docs/generate.py`. Everything is imported from `interlock`. How arguments and
results are stored is told in [Values in Python workflows](python-values.md).

- A *duration* is `"30s"`, `"5m"`, `"2h"`, `"2d"`, `"PT5M"`, a number of seconds, or a `timedelta`.
- A `Call` is awaited; a workflow that is a plain function asks it for its `.result()`.
- `key` is the [identity](../howto/evolving-python-workflows.md) of a call, instead of one made of its arguments.
- `conn` is a transaction of `Interlock.transaction()`, which the call joins.
"""
_WIDTH = 126
_SYNC = """## Without an event loop

`interlock.sync.Interlock` has the methods below, and its runs those of `Run`. Each waits for what the one of the same name
gives; `with Interlock(url) as app:` opens and closes it.
"""
_SYNC_COORDINATION = """\
`interlock.sync.Coordination` has the parts and methods of `Coordination`, and each waits. But a watch is followed by
`for`, looked at by `next(timeout)` and ended by `close()`; what is called back (`on_lost`, `lost`, `unheard`, `recovered`) is
called in a thread of its own; a block under `hold` is not stopped when its lock is lost, but told by LeaseLost at its end.
"""
_COORDINATION = """## Coordination

What processes agree on, without workflows: [locks](../howto/locks.md), [shared memory](../howto/shared-memory.md) and
[workers](../howto/workers.md). `interlock.Coordination` has the five classes below as its parts; `interlock.coord` and
`interlock.decisions` have what they take and give.
"""
_PARTS: list[tuple[type, set[str]]] = [
    (LockManager, {"start", "stop"}),
    (Lock, {"released", "lost", "expired"}),
    (Held, set()),
    (MemorySyncManager, {"start", "stop"}),
    (Watch, set()),
    (Outcome, set()),
    (Cell, set()),
    (Change, set()),
    (WorkerRegistry, set()),
    (Worker, set()),
    (Capabilities, set()),
    (Device, set()),
    (HeartbeatMonitor, {"look"}),
    (Timing, set()),
    (LoadBalancer, set()),
    (Task, set()),
    (Assignment, set()),
]
"""Classes of the parts of Coordination, each with the methods that are between the parts."""
_TESTING = """## In tests

`interlock.testing.Kit` is an `Interlock` in memory, whose time stands still but for `advance`; with pytest the fixture
`interlock` is one. It has besides:
"""
_SECTIONS: dict[str, list[str]] = {
    "Defining": ["step", "Step", "Retries", "Limit", "Rate", "workflow", "Workflow", "step_context", "StepContext"],
    "Within a workflow: waiting": [
        "gather", "sleep", "sleep_until", "wait_for_event", "token", "Token", "run_workflow", "continue_as_new",
    ],
    "Within a workflow: values that stay": ["now", "random", "uuid", "patched"],
    "Within a workflow: showing": ["set_progress", "set_status", "set_attributes"],
    "In a program": ["Interlock", "Run"],
    "Of a server": ["Client"],
}  # fmt: skip
_HIDDEN = {"session", "source", "digest", "budgets", "plan"}  # between the parts of Interlock
_SENTENCE = re.compile(r"(?:(?<=[.;] )|\A)(?=`\w+`(?:, `\w+`)*(?: and `\w+`)?:)")
_NAMED = re.compile(r"((?:`\w+`(?:, | and )?)+): (.*)", re.DOTALL)


_OF_CLIENT = (
    ("tokens", RemoteTokens), ("locks", RemoteLocks), ("memory", RemoteMemory), ("artifacts", RemoteArtifacts),
    ("definitions", RemoteDefinitions), ("deliveries", RemoteDeliveries), ("fleet", RemoteFleet), ("keys", RemoteKeys),
    ("graphs", RemoteGraphs), ("pools", RemotePools),
)  # fmt: skip


def page() -> str:
    """Give the text of the page."""
    parts = [_HEAD]
    for title, names in _SECTIONS.items():
        parts.append(f"## {title}\n")
        for name in names:
            parts += entry(name, getattr(interlock, name))
            if name == "Interlock":
                parts += _class("Interlock.tokens", Tokens)
                parts += _class("Reported", Reported)
                parts += _class("Alive", Alive)
                parts += _class("TokenView", TokenView)
                parts += _class("Interlock.deliveries", Deliveries)
                parts += _class("Delivery", Delivery)
            if name == "Client":
                for part, value in _OF_CLIENT:
                    parts.append(f"`Client.{part}`\n")
                    parts += _summary(value, set())
    parts.append(_COORDINATION)
    parts += entry("Coordination", interlock.Coordination)
    for value, without in _PARTS:
        parts += _told(value, without)
    parts.append(_SYNC)
    parts += _methods_listed(sync.Interlock)
    parts.append(_SYNC_COORDINATION)
    parts.append(_TESTING)
    parts += _summary(testing.Kit, {"close"})
    parts.append("## Errors\n")
    parts.append("| name | is a | meaning |\n|---|---|---|")
    for name in public_errors():
        error = getattr(interlock, name)
        bases = ", ".join(f"`{base.__name__}`" for base in error.__bases__)
        parts.append(f"| `{name}` | {bases} | {_prose(error)[0]} |")
    parts.append("\nThe others are in `interlock.errors`:\n")
    parts.append("| name | is a | meaning |\n|---|---|---|")
    for error in _other_errors():
        bases = ", ".join(f"`{base.__name__}`" for base in error.__bases__)
        parts.append(f"| `{error.__name__}` | {bases} | {_prose(error)[0]} |")
    return "\n".join(parts).rstrip() + "\n"


def public_errors() -> list[str]:
    return [
        name for name in sorted(interlock.__all__) if inspect.isclass(_of(name)) and issubclass(_of(name), Exception)
    ]


def covered() -> set[str]:
    """Give the public names that the page has."""
    return {name for names in _SECTIONS.values() for name in names} | {"Coordination"} | set(public_errors())


def _of(name: str) -> Any:
    return getattr(interlock, name)


def _other_errors() -> list[type[Exception]]:
    """Give the errors that are not among the public names, in the order of their tree."""
    found = [
        each for each in vars(errors).values() if inspect.isclass(each) and issubclass(each, errors.InterlockError)
    ]
    return [each for each in found if each.__name__ not in interlock.__all__ and each.__module__ == errors.__name__]


def entry(name: str, value: Any) -> list[str]:
    """Give the lines of one public name."""
    return _class(name, value) if inspect.isclass(value) else _function(name, value, "###")


def _class(name: str, value: type) -> list[str]:
    lines = [f"### {name}\n"]
    if dataclasses.is_dataclass(value):
        lines += [*_described(name, value, _fields(value)), *_methods(name, value)]
        return lines
    made = "__init__" in vars(value) and name in ("Interlock", "Client", "Coordination")
    lines += [*_described(name, value, {}), *(_function(name, vars(value)["__init__"], "") if made else [])]
    return [*lines, *_attributes(value), *_methods(name, value)]


def _told(value: type, without: set[str]) -> list[str]:
    """Give the lines of a class of Coordination: what it is, and its methods as they are written."""
    lines = [f"### {value.__name__}\n", *[f"{textwrap.fill(part, _WIDTH)}\n" for part in _prose(value)]]
    lines += _attributes(value)
    for method, member in vars(value).items():
        if not method.startswith("_") and method not in without and inspect.isfunction(member) and member.__doc__:
            lines += _function(f"{value.__name__}.{method}", member, "####", tabled=False)
    return lines


def _function(name: str, function: Callable[..., Any], level: str, *, tabled: bool = True) -> list[str]:
    """Give the heading, the signature and the description of a function; `tabled`: with a row for each parameter."""
    overloads = typing.get_overloads(function)
    chosen = overloads[-1] if function in (interlock.step, interlock.workflow) else function
    signature = inspect.signature(chosen)
    known = [each for each in signature.parameters.values() if each.name not in ("self", "cls")]
    begins = "async " if inspect.iscoroutinefunction(function) else ""
    gives = "" if level == "" else _gives(function, signature)
    lines = [f"{level} {name}\n"] if level else []
    text = ", ".join(_separated(known))
    lines.append(f"```text\n{_wrapped(f'{begins}{name}(', text, f'){gives}')}\n```\n")
    if not tabled:
        return lines + [f"{textwrap.fill(part, _WIDTH)}\n" for part in _prose(function)]
    return lines + _described(name, function, {each.name: _default(each) for each in known})


def _gives(function: Callable[..., Any], signature: inspect.Signature) -> str:
    given = signature.return_annotation
    text = "" if given is inspect.Signature.empty else str(given)
    return f" -> {text}" if text and text != "Any" and "Decorator" not in text else ""


def _separated(parameters: list[inspect.Parameter]) -> Iterator[str]:
    """Give the parameters as they stand in a call, with `*` and `/`."""
    starred = False
    for position, each in enumerate(parameters):
        if each.kind is each.KEYWORD_ONLY and not starred:
            yield "*"
        starred = starred or each.kind in (each.KEYWORD_ONLY, each.VAR_POSITIONAL)
        annotation = "" if each.annotation is each.empty or str(each.annotation) == "Any" else f": {each.annotation}"
        given = _written(each.default)
        default = "" if each.default is each.empty else f" = {given}" if annotation else f"={given}"
        stars = "*" if each.kind is each.VAR_POSITIONAL else "**" if each.kind is each.VAR_KEYWORD else ""
        yield f"{stars}{each.name}{annotation}{default}"
        after = parameters[position + 1] if position + 1 < len(parameters) else None
        if each.kind is each.POSITIONAL_ONLY and (after is None or after.kind is not each.POSITIONAL_ONLY):
            yield "/"


def _wrapped(begin: str, text: str, end: str) -> str:
    """Give a signature on one line, or with a parameter a line."""
    one = f"{begin}{text}{end}"
    if len(one) <= 100:
        return one
    inner = re.split(r", (?=[\w*/]+(?::|=|,|$)|\*|/)", text)
    return "\n".join([begin, *(f"    {each}," for each in inner), end])


def _default(parameter: inspect.Parameter) -> str:
    return "" if parameter.default is parameter.empty else _shown(parameter.default)


def _shown(value: object) -> str:
    return f"`{_written(value)}`"


def _written(value: object) -> str:
    """Give a default as one would write it."""
    if isinstance(value, enum.Enum):
        return repr(value.value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type) and value == type(value)():
        return f"{type(value).__name__}()"
    return repr(value)


def _fields(value: type) -> dict[str, str]:
    found = {}
    for each in dataclasses.fields(value):
        found[each.name] = "" if each.default is dataclasses.MISSING else _shown(each.default)
    return found


def _prose(value: Any) -> list[str]:
    """Give the paragraphs of a docstring, without its examples."""
    text = inspect.cleandoc(value.__doc__ or "")
    paragraphs = [part for part in text.split("\n\n") if part and not part.startswith(("    ", "async with"))]
    return [" ".join(line.strip() for line in part.splitlines()) for part in paragraphs]


def _described(name: str, value: Any, parameters: dict[str, str]) -> list[str]:
    """Give the description, with a table of what is said of single parameters."""
    prose: list[str] = []
    meanings: dict[str, str] = {}
    for paragraph in _prose(value):
        rest = []
        for sentence in _SENTENCE.split(paragraph):
            told = _NAMED.match(sentence)
            names = re.findall(r"`(\w+)`", told[1]) if told else []
            if told and set(names) <= set(parameters):
                meanings |= dict.fromkeys(names, told[2].strip().rstrip(";.").replace("|", "\\|"))
            else:
                rest.append(sentence)
        text = " ".join(part.strip() for part in rest if part.strip())
        prose += [text] if text else []
    lines = [f"{textwrap.fill(part, _WIDTH)}\n" for part in prose]
    if meanings:
        lines += ["| option | default | meaning |", "|---|---|---|"]
        for parameter, default in parameters.items():
            if parameter in meanings:
                lines.append(f"| `{parameter}` | {default} | {meanings[parameter]} |")
        lines.append("")
    missing = [each for each in parameters if each not in meanings and each not in _BY_ITSELF]
    if missing and (meanings or dataclasses.is_dataclass(value)):
        raise SystemExit(f"{name}: its docstring does not tell of {', '.join(missing)}")
    return lines


_BY_ITSELF = {
    "function", "workflow", "args", "kwargs", "calls", "type", "data", "name", "input", "key", "conn",
}  # fmt: skip
"""Parameters that the first sentence of a docstring tells of, or the head of the page."""


def _attributes(value: type) -> list[str]:
    """Give the table of what may be read of an object, where it says what that is."""
    rows = []
    for name, member in vars(value).items():
        if isinstance(member, property) and not name.startswith("_") and name not in _HIDDEN and member.__doc__:
            rows.append(f"| `{name}` | {_prose(member)[0]} |")
    return ["| property | meaning |", "|---|---|", *rows, ""] if rows else []


def _methods(name: str, value: type) -> list[str]:
    lines: list[str] = []
    for method, member in vars(value).items():
        function = member.__func__ if isinstance(member, classmethod | staticmethod) else member
        if method.startswith("_") or method in _HIDDEN or not inspect.isfunction(function) or not function.__doc__:
            continue
        lines += _function(
            f"{name}.{method}", inspect.unwrap(function) if method == "transaction" else function, "####"
        )
    return lines


def _summary(value: type, without: set[str]) -> list[str]:
    """Give the table of the methods of a class that are not those of the class it extends."""
    lines = ["| method | what it does |", "|---|---|"]
    for name, member in vars(value).items():
        if inspect.isfunction(member) and member.__doc__ and not name.startswith("_") and name not in without:
            lines.append(f"| `{name}` | {_prose(member)[0]} |")
    return [*lines, ""]


def _methods_listed(value: type) -> list[str]:
    names = [name for name in vars(value) if not name.startswith("_")]
    return [", ".join(f"`{name}`" for name in names) + ".\n"]


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
