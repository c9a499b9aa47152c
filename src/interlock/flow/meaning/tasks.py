"""What `call: tasks:1.0.0@default` may say: the graph is checked like a file of its own, as far as it is written out."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from interlock.expr import template
from interlock.flow import nearest, pointer
from interlock.flow.findings import Findings, Role
from interlock.flow.grammar.patterns import about_name, is_name
from interlock.flow.grammar.shapes import Text, kind_of, listed, quoted
from interlock.flow.reporting import TASKS, TASKS_ARGUMENTS
from interlock.flow.taskgraph import reading
from interlock.model.json import Json

_OTHER_TASKS: Final = re.compile(r"tasks(:[^@]*)?@default")
_NAME: Final = Text("a valid name", is_name, "invalid-name", about_name)


def check(root: Json, findings: Findings) -> None:
    """Note wrong graphs in the tasks that load some. `root`: the workflow."""
    evaluate = root.get("evaluate") if isinstance(root, dict) else None
    is_loose = isinstance(evaluate, dict) and evaluate.get("mode") == "loose"
    is_computed = _may_be_computed if is_loose else template.is_expression
    for path, task in findings.places[Role.TASK]:
        call = task.get("call")
        if call == TASKS:
            _check_arguments(f"{path}/with", path, task.get("with", {}), findings, is_computed)
        elif isinstance(call, str) and _OTHER_TASKS.fullmatch(call):
            message = f"there is one version of `tasks`: write {TASKS}, not {quoted(call)}"
            findings.add("unknown-function", message, f"{path}/call", found=call, nearest=TASKS)


def _may_be_computed(text: str) -> bool:
    return template.is_expression(text) or template.possible(text) is not None


def _check_arguments(
    place: str, task: str, given: Json, findings: Findings, is_computed: Callable[[str], bool]
) -> None:
    if not isinstance(given, dict):
        return  # the structure says so
    for key in given:
        if key not in TASKS_ARGUMENTS:
            near = nearest.name(key, TASKS_ARGUMENTS)
            advice = f"; did you mean `{near}`?" if near else f"; it has {listed(list(TASKS_ARGUMENTS), 'and')}"
            message = f"a task graph is given no `{key}`{advice}"
            findings.add("unknown-property", message, pointer.child(place, key), at_key=True, found=key, nearest=near)
    if "graph" not in given:
        findings.add("missing-property", "`call: tasks` needs `graph` under `with`", task, expected="graph")
    elif isinstance(given["graph"], dict):
        _check_graph(f"{place}/graph", given["graph"], findings, is_computed)
    elif not _is_text(given["graph"], is_computed):
        message = f"`graph` must be a task graph or an expression, not {kind_of(given['graph'])}"
        findings.add("wrong-type", message, f"{place}/graph", expected="a map with `tasks`")
    if "name" in given and not _is_text(given["name"], is_computed):
        _NAME.check(given["name"], f"{place}/name", findings)


def _is_text(value: Json, is_computed: Callable[[str], bool]) -> bool:
    return isinstance(value, str) and is_computed(value)


def _check_graph(place: str, graph: dict[str, Json], findings: Findings, is_computed: Callable[[str], bool]) -> None:
    reading.check_inside(graph, place, findings, is_computed=is_computed)
    if "namespace" in graph:
        message = "the graph of a workflow belongs to the namespace of the run; leave `namespace` out"
        findings.add("ignored-property", message, f"{place}/namespace", at_key=True)
