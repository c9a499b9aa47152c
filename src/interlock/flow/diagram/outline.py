"""What a drawing of a workflow shows: a caption for each task, the lists within it, and where each task leads."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeAlias, assert_never

from interlock.flow import document as doc
from interlock.flow import reporting
from interlock.model.json import Json

_OTHERWISE: Final = "otherwise"
_SKIPPED: Final = "skipped"  # by its `if`; then the next in line follows, whatever `then` says
_LONGEST: Final = 44  # characters of a detail; more would make a box wider than it helps


class Place(StrEnum):
    """Where a flow leads when it leaves its list."""

    EXIT = "exit"
    END = "end"


Target: TypeAlias = int | Place
"""The number of a task in its list, or a way out of the list."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """A way from a task of a list; `label` may be empty; `caught` means after an error was caught."""

    source: int
    target: Target
    label: str = ""
    caught: bool = False


class Family(StrEnum):
    """What sort of thing a task does; drawings give each its look."""

    DATA = "data"
    CHOICE = "choice"
    CALL = "call"
    PROCESS = "process"
    EVENT = "event"
    PAUSE = "pause"
    FAILURE = "failure"
    GROUP = "group"


@dataclass(frozen=True, slots=True, kw_only=True)
class Caption:
    """`kind` is the word of the language (`call http`); `detail` what is special here; `condition` the task's `if`."""

    name: str
    kind: str
    detail: str
    condition: str
    family: Family


class Role(StrEnum):
    BODY = "body"
    LOOP = "loop"
    BRANCH = "branch"
    TRY = "try"
    CATCH = "catch"


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A list within a task. A CATCH section may be empty: the error is caught and the flow goes on.

    `pointer`: from the task to the list, as in the paths of steps; `first`: the number of its first task there.
    """

    role: Role
    title: str
    tasks: doc.TaskList
    pointer: str
    first: int = 0


def flows(tasks: doc.TaskList) -> list[Flow]:
    """Give every way between the tasks of one list and out of it; several ways to the same place become one."""
    numbers = {named.name: number for number, named in enumerate(tasks)}
    merged: dict[tuple[int, Target, bool], list[str]] = {}
    for number, named in enumerate(tasks):
        follow: Target = number + 1 if number + 1 < len(tasks) else Place.EXIT
        ways = _ways(number, named.task, follow, numbers)
        if named.task.if_ is not None and all(way.target != follow or way.caught for way in ways):
            ways.append(Flow(source=number, target=follow, label=_SKIPPED))
        for way in ways:
            labels = merged.setdefault((way.source, way.target, way.caught), [])
            if way.label:
                labels.append(way.label)
    return [
        Flow(source=source, target=target, label=" / ".join(labels), caught=caught)
        for (source, target, caught), labels in merged.items()
    ]


def _ways(number: int, task: doc.Task, follow: Target, numbers: dict[str, int]) -> list[Flow]:
    then = _target(task.then, follow, numbers)
    match task:
        case doc.Switch(cases=cases):
            ways = [
                Flow(
                    source=number,
                    target=_target(case.then, follow, numbers),
                    label=shortened(_bare(case.when or _OTHERWISE)),
                )
                for case in cases
            ]
            if all(case.when for case in cases):
                ways.append(Flow(source=number, target=then, label=_OTHERWISE))
            return ways
        case doc.Raise():
            return []
        case doc.Try(catch_then=str(directive)):
            caught = Flow(source=number, target=_target(directive, follow, numbers), caught=True)
            return [Flow(source=number, target=then), caught]
        case _:
            return [Flow(source=number, target=then)]


def _target(directive: str | None, follow: Target, numbers: dict[str, int]) -> Target:
    match directive:
        case None | "continue":
            return follow
        case "exit":
            return Place.EXIT
        case "end":
            return Place.END
        case name:
            return numbers[name]


def sections(task: doc.Task) -> tuple[Section, ...]:
    """Give the lists within a task, none for a task that is drawn as one box."""
    match task:
        case doc.Do(do=tasks) if tasks:
            return (Section(role=Role.BODY, title="", tasks=tasks, pointer="/do"),)
        case doc.For(do=tasks) if tasks:
            return (Section(role=Role.LOOP, title="next item", tasks=tasks, pointer="/do"),)
        case doc.Listen(foreach=doc.SubscriptionIterator(do=tuple(tasks))) if tasks:
            return (Section(role=Role.LOOP, title="next event", tasks=tasks, pointer="/foreach/do"),)
        case doc.Fork(branches=branches):
            return tuple(
                Section(role=Role.BRANCH, title="", tasks=(named,), pointer="/fork/branches", first=number)
                for number, named in enumerate(branches)
            )
        case doc.Try():
            return (
                Section(role=Role.TRY, title=_retry_text(task), tasks=task.try_, pointer="/try"),
                Section(role=Role.CATCH, title=_catch_text(task), tasks=task.catch_do or (), pointer="/catch/do"),
            )
        case _:
            return ()


def caption(named: doc.NamedTask) -> Caption:
    """Give what is written on the box of a task."""
    kind, detail, family = _description(named.task)
    if "await" in named.task.metadata.get("interlock", {}):
        kind += ", awaits token"
    condition = shortened(_bare(named.task.if_ or ""))
    return Caption(name=shortened(named.name), kind=kind, detail=shortened(detail), condition=condition, family=family)


def _graph_text(given: Mapping[str, Json]) -> str:
    """Name a task graph, or say how many tasks it has."""
    graph = given.get("graph")
    if not isinstance(graph, dict):
        return _bare(str(graph))
    tasks = graph.get("tasks")
    if "graph" in graph or not isinstance(tasks, list):
        return _bare(str(graph.get("graph", tasks)))
    return f"{len(tasks)} task{'s' if len(tasks) != 1 else ''}"


def _description(task: doc.Task) -> tuple[str, str, Family]:
    match task:
        case doc.Set(set=values):
            return "set", _bare(values) if isinstance(values, str) else ", ".join(values), Family.DATA
        case doc.Switch():
            return "switch", "", Family.CHOICE
        case doc.CallHttp(method=method, endpoint=endpoint):
            return "call http", f"{method.upper()} {endpoint.uri}", Family.CALL
        case doc.CallOpenApi(operation_id=operation):
            return "call openapi", operation, Family.CALL
        case doc.CallProtocol(protocol=protocol, with_=given):
            return f"call {protocol}", str(given.get("method", "")), Family.CALL
        case doc.CallFunction(function=reporting.APPROVAL, with_=given):
            return "approval", _bare(str(given.get("question", given.get("to", "")))), Family.PAUSE
        case doc.CallFunction(function=reporting.TASKS, with_=given):
            return "tasks", _graph_text(given), Family.CALL
        case doc.CallFunction(function=function):
            return "call", function, Family.CALL
        case doc.RunShell(command=command):
            return "run shell", command, Family.PROCESS
        case doc.RunScript(language=language):
            return "run script", language, Family.PROCESS
        case doc.RunContainer(container=container):
            return "run container", str(container.get("image", "")), Family.PROCESS
        case doc.RunWorkflow(namespace=namespace, name=name, version=version):
            return "run workflow", f"{namespace}/{name}:{version}", Family.PROCESS
        case doc.Emit(event=event):
            return "emit", str(event.get("type", "")), Family.EVENT
        case doc.Listen(to=strategy):
            return "listen", _strategy_text(strategy), Family.EVENT
        case doc.Wait(wait=amount):
            return "wait", _amount(amount), Family.PAUSE
        case doc.Raise(error=error):
            return "raise", error if isinstance(error, str) else _error_text(error.type, error.status), Family.FAILURE
        case doc.For(each=each, in_=items, while_=condition):
            source = _bare(items) if isinstance(items, str) else json.dumps(items, ensure_ascii=False)
            return (
                "for",
                f"each {each} in {source}" + (f", while {_bare(condition)}" if condition else ""),
                Family.GROUP,
            )
        case doc.Fork(compete=compete):
            return "fork", "the first to finish wins" if compete else "", Family.GROUP
        case doc.Try():
            return "try", "", Family.GROUP
        case doc.Do():
            return "do", "", Family.GROUP
        case _:
            assert_never(task)


def _strategy_text(strategy: doc.EventStrategy) -> str:
    types = [str(filter_.with_.get("type", "event")) for filter_ in strategy.filters]
    until = f", until {strategy.until}" if isinstance(strategy.until, str) else ""
    return f"{strategy.mode} of {', '.join(types) or 'all events'}{until}"


def _retry_text(task: doc.Try) -> str:
    policy = task.retry
    if policy is None:
        return "try"
    if isinstance(policy, str):
        return f"try, retry {shortened(policy)}"
    parts = ["try, retry"]
    if policy.attempt_count is not None:
        parts.append(f"{policy.attempt_count} times")
    if policy.delay is not None:
        parts.append(f"after {_amount(policy.delay)}")
    return shortened(" ".join([*parts, policy.backoff or ""]).strip())


def _catch_text(task: doc.Try) -> str:
    what = "" if task.errors is None else _error_text(task.errors.type or "", task.errors.status)
    when = f"when {_bare(task.when)}" if task.when else ""
    unless = f"unless {_bare(task.except_when)}" if task.except_when else ""
    return shortened(" ".join(part for part in ("catch", what or "any error", when, unless) if part))


def _error_text(type_: str, status: int | None) -> str:
    last = type_.rstrip("/").rpartition("/")[2]
    return " ".join(part for part in (last, "" if status is None else str(status)) if part)


def _amount(value: Json) -> str:
    if isinstance(value, dict):
        return " ".join(f"{amount} {unit}" for unit, amount in value.items())
    return str(value)


def _bare(expression: str) -> str:
    """Give an expression without `${ }`."""
    return expression.strip().removeprefix("${").removesuffix("}").strip() if "${" in expression else expression


def shortened(text: str) -> str:
    """Give a text on one line and at most 44 characters long."""
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1].rstrip()}…"
