"""The one door to a task graph: text in, a typed graph and every problem out."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from interlock import errors
from interlock.flow import pointer, yaml
from interlock.flow.findings import Findings, note_flaws
from interlock.flow.grammar.shapes import listed
from interlock.flow.problem import Problem, Severity
from interlock.flow.taskgraph import cycles, document, grammar
from interlock.flow.taskgraph.document import GraphDocument
from interlock.model.json import Json
from interlock.model.task_graph import RetryTerms

_UNNAMED: Final = "unnamed"  # stands for the name that a graph of a workflow is given when it is loaded


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadGraph:
    """What was read. `graph` is None when there is an error; warnings leave it."""

    graph: GraphDocument | None
    problems: tuple[Problem, ...]
    file: str | None = None

    def required(self) -> GraphDocument:
        """Give the graph. Raises InvalidDefinition, with all problems, when there is an error."""
        if self.graph is None:
            found = [problem for problem in self.problems if problem.severity is Severity.ERROR]
            first = found[0]
            more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
            place = f"{self.file or 'task graph'}:{first.line}:{first.column}"
            raise errors.InvalidDefinition(f"{place}: {first.message}{more}", self.problems)
        return self.graph


def with_retry(graph: GraphDocument, retry: RetryTerms) -> GraphDocument:
    """Give a graph whose tasks are retried as `retry` says where they say nothing."""
    return document.graph(graph.value, retry)


def read(text: str, file: str | None = None) -> ReadGraph:
    """Read and check one task graph in YAML or JSON. Never raises: see `ReadGraph.problems`. `file` is only for messages."""
    quick = _read_json(text, file)
    if quick is not None:
        return quick
    source = yaml.read(text)
    findings = Findings(source=source, file=file)
    note_flaws(source, findings)
    return _checked(source.value, findings) if source.is_complete else _result(None, findings)


def _read_json(text: str, file: str | None) -> ReadGraph | None:
    """Read JSON without mistakes ten times as quickly; None: its problems are to be found, with their places."""
    if not text.lstrip().startswith("{"):
        return None
    try:
        value = json.loads(text, object_pairs_hook=_unique)
    except ValueError:
        return None
    found = _checked(value, Findings(file=file))
    return None if found.problems else found


def _unique(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key stands twice")
    return found


def check_inside(value: dict[str, Json], path: str, findings: Findings, *, is_computed: Callable[[str], bool]) -> None:
    """Note every problem of a graph that stands at `path` of another document, where it needs no name.

    `is_computed`: whether a text is an expression there; what such a text stands for is looked at once it is known.
    """
    inside = Findings(source=findings.source, file=findings.file)
    named = {"graph": _UNNAMED, **value}
    grammar.GRAPH.check(named, path, inside)
    tasks = named.get("tasks")
    if isinstance(tasks, list):
        _check_meaning(tasks, inside, path)
    ids = [task.get("id") for task in tasks if isinstance(task, dict)] if isinstance(tasks, list) else []
    any_id = any(isinstance(id, str) and is_computed(id) for id in ids)
    findings.problems += [
        problem
        for problem in inside.problems
        if not _stands_in(named, pointer.parts(problem.path.removeprefix(path)), is_computed)
        and not (any_id and problem.code == "unknown-dependency")
    ]


def _stands_in(value: Json, way: Sequence[str], is_computed: Callable[[str], bool]) -> bool:
    """Say whether a place of a document is, or lies in, what a computed text stands for."""
    for part in way:
        value = value[int(part)] if isinstance(value, list) else value.get(part)
    return isinstance(value, str) and is_computed(value)


def of_value(value: Json) -> ReadGraph:
    """The same for a graph that is no text: from Python, or the body of a request."""
    return _checked(value, Findings())


def _checked(value: Json, findings: Findings) -> ReadGraph:
    grammar.GRAPH.check(value, "", findings)
    if isinstance(value, dict) and isinstance(value.get("tasks"), list):
        _check_meaning(value["tasks"], findings)
    return _result(value, findings)


def _result(value: Json, findings: Findings) -> ReadGraph:
    graph = None if findings.has_errors() or value is None else document.graph(value)
    problems = sorted(findings.problems, key=lambda problem: (problem.line, problem.column, problem.path))
    return ReadGraph(graph=graph, problems=tuple(problems), file=findings.file)


def _check_meaning(tasks: list[Json], findings: Findings, base: str = "") -> None:
    """Look at ids and dependencies, whatever else is wrong. `base`: where the graph stands."""
    if not tasks:
        findings.add("no-tasks", "the graph has no tasks", f"{base}/tasks", at_key=True)
    places: dict[str, str] = {}
    for number, task in enumerate(tasks):
        id = task.get("id") if isinstance(task, dict) else None
        if not isinstance(id, str):
            continue
        if id in places:
            message = f"two tasks have the id `{id}`; the other one is item {int(places[id].rpartition('/')[2]) + 1}"
            findings.add("duplicate-task", message, f"{base}/tasks/{number}/id", found=id)
        places.setdefault(id, f"{base}/tasks/{number}")
    _check_limits(tasks, findings, base)
    after: dict[str, list[str]] = {}
    for number, task in enumerate(tasks):
        names = _dependencies(task) if isinstance(task, dict) else []
        for where, name in names:
            if name not in places:
                near = grammar.nearest(name, list(places))
                advice = f"; did you mean `{near}`?" if near else ""
                message = f"the graph has no task `{name}`{advice}"
                findings.add("unknown-dependency", message, f"{base}/tasks/{number}{where}", found=name, nearest=near)
        _check_repeated(task, names, f"{base}/tasks/{number}", findings)
        if isinstance(task, dict) and "workflow" in task:
            _check_workflow(task, f"{base}/tasks/{number}", findings)
        elif isinstance(task, dict) and "python" in task:
            _check_function(task, f"{base}/tasks/{number}", findings)
        if isinstance(task, dict) and isinstance(task.get("id"), str):
            after.setdefault(task["id"], [name for _, name in names])
    for way in cycles.cycles(after):
        message = f"{listed(way, 'and')} wait for each other: {' -> '.join([*way, way[0]])}"
        if len(way) == 1:
            message = f"`{way[0]}` waits for itself"
        findings.add("circular-dependency", message, f"{places[way[0]]}/dependencies", at_key=True)


def _check_repeated(task: Json, names: list[tuple[str, str]], path: str, findings: Findings) -> None:
    """Note dependencies that stand twice: one may be blocking and the other not."""
    first: dict[str, str] = {}
    for where, name in names:
        other = first.setdefault(name, where)
        if other != where:
            id = task.get("id")
            who = f"the task `{id}`" if isinstance(id, str) else "the task"
            message = f"{who} waits for `{name}` twice; leave one of them, with `blocking: false` or without"
            findings.add("duplicate-dependency", message, f"{path}{where}", found=name)


def _check_workflow(task: dict[str, Json], path: str, findings: Findings) -> None:
    """Note what says how a program is run, and means nothing for a run: that goes to whichever engine can execute it."""
    for name in sorted(grammar.OF_PROGRAMS & task.keys()):
        message = f"`{name}` is for programs, and a workflow is none: its own steps say where they are executed"
        findings.add("exclusive-properties", message, f"{path}/{name}", at_key=True)


def _check_function(task: dict[str, Json], path: str, findings: Findings) -> None:
    """Note what is handed to a process: a function is called with arguments, in a process that may have others."""
    for name in sorted(grammar.OF_PROCESSES & task.keys()):
        message = f"`{name}` is for programs, and a function is none: hand it over under `with`"
        findings.add("exclusive-properties", message, f"{path}/{name}", at_key=True)


def _check_limits(tasks: list[Json], findings: Findings, base: str) -> None:
    """Note limits of one key that allow different things: the last one would hold for all of its tasks."""
    first: dict[tuple[str, str], tuple[int, Json]] = {}
    for number, task in enumerate(tasks):
        for name in ("concurrency", "rate"):
            given = task.get(name) if isinstance(task, dict) else None
            if not isinstance(given, dict) or not isinstance(key := given.get("key"), str):
                continue
            item, other = first.setdefault((name, key), (number, given))
            if other != given:
                message = f"`{name}` of the key `{key}` differs from that of item {item + 1}; a key has one limit"
                findings.add("invalid-value", message, f"{base}/tasks/{number}/{name}", found=key)


def _dependencies(task: dict[str, Json]) -> list[tuple[str, str]]:
    """Give what a task waits for, each with its place in the task."""
    found = []
    given = task.get("dependencies")
    for number, each in enumerate(given if isinstance(given, list) else ()):
        name, place = (each.get("id"), "/id") if isinstance(each, dict) else (each, "")
        if isinstance(name, str):
            found.append((f"/dependencies/{number}{place}", name))
    return found
