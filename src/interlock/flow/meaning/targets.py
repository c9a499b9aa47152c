"""Where the flow goes: names of tasks in their lists, `then`, and tasks that nothing ever reaches.

Source: OWS 1.0.3, "Flow Directive": a directive is continue, exit, end or a task of the same list. Backward jumps are
allowed. A task whose `if` is false is passed over, whatever its `then` says.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from interlock.flow import nearest, pointer
from interlock.flow.findings import Findings, Role
from interlock.flow.grammar.shapes import quoted
from interlock.flow.grammar.tasks import kinds_of
from interlock.model.json import Json

DIRECTIVES: Final = ("continue", "exit", "end")


def check(findings: Findings) -> None:
    """Note doubtful task names, directives without a target, and tasks out of reach."""
    lists = {path: _entries(path, items) for path, items in findings.places[Role.TASK_LIST]}
    tasks = {path for path, _ in findings.places[Role.TASK]}
    is_sound = not findings.has_errors()
    for entries in lists.values():
        _check_names(entries, findings)
    are_found = [_check_directive(path, text, lists, tasks, findings) for path, text in _directives(findings)]
    for task_path, task in findings.places[Role.TASK]:
        _check_defaults(task_path, task, findings)
    if is_sound and all(are_found):
        for path, entries in lists.items():
            if not _is_fork(path, tasks):
                _check_reach(entries, findings)


@dataclass(frozen=True, slots=True)
class _Entry:
    """One task of a list."""

    path: str
    name: str
    task: Json


def _entries(path: str, items: list[Json]) -> list[_Entry]:
    return [
        _Entry(pointer.child(f"{path}/{index}", name), name, task)
        for index, item in enumerate(items)
        if isinstance(item, dict)
        for name, task in item.items()
    ]


def _check_names(entries: list[_Entry], findings: Findings) -> None:
    first: dict[str, _Entry] = {}
    for entry in entries:
        if entry.name in DIRECTIVES:
            message = f"a task cannot be called `{entry.name}`: as a target of `then` it means something else"
            findings.add("reserved-name", message, entry.path, at_key=True, found=entry.name)
        if not entry.name.strip() or "\n" in entry.name:
            message = f"{quoted(entry.name)} is no name for a task; write a word on one line"
            findings.add("invalid-task-name", message, entry.path, at_key=True, found=entry.name)
        if entry.name in first:
            message = f"two tasks of this list are called {quoted(entry.name)}; the first is {first[entry.name].path}"
            findings.add("duplicate-task", message, entry.path, at_key=True, found=entry.name)
        first.setdefault(entry.name, entry)


# -- directives ------------------------------------------------------------------------------------------------------


def _directives(findings: Findings) -> list[tuple[str, str]]:
    return [(path, text) for path, text in findings.places[Role.DIRECTIVE] if text not in DIRECTIVES]


def _check_directive(
    path: str, target: str, lists: dict[str, list[_Entry]], tasks: set[str], findings: Findings
) -> bool:
    list_path = pointer.parent(pointer.parent(_owner(path, tasks)))
    names = [entry.name for entry in lists.get(list_path, ())]
    is_fork = _is_fork(list_path, tasks)
    if target in names and not is_fork:
        return True
    if target in names:
        message = "the branches of a fork run side by side; `then` cannot lead from one to another"
        findings.add("unknown-target", message, path, found=target)
        return False
    elsewhere = next((entry.path for entries in lists.values() for entry in entries if entry.name == target), None)
    if elsewhere is not None:
        message = f"{quoted(target)} is a task at another depth ({elsewhere}); `then` leads only within its list"
        findings.add("unknown-target", message, path, found=target)
        return False
    near = nearest.name(target, [*(() if is_fork else names), *DIRECTIVES])
    advice = f"; did you mean `{near}`?" if near else "; `then` takes continue, exit, end or such a task"
    message = f"no task {quoted(target)} in this scope{advice}"
    findings.add("unknown-target", message, path, found=target, nearest=near)
    return False


def _owner(path: str, tasks: set[str]) -> str:
    """Give the task that a directive belongs to: the innermost around it, since a nested one has its own."""
    while path and path not in tasks:
        path = pointer.parent(path)
    return path


def _is_fork(list_path: str, tasks: set[str]) -> bool:
    return list_path.endswith("/fork/branches") and pointer.parent(pointer.parent(list_path)) in tasks


def _check_defaults(path: str, task: dict[str, Json], findings: Findings) -> None:
    switch = task.get("switch")
    defaults = [
        case.path
        for case in _entries(f"{path}/switch", switch if isinstance(switch, list) else [])
        if isinstance(case.task, dict) and "when" not in case.task
    ]
    for extra in defaults[1:]:
        message = f"a switch has one case without `when`, its default; the first is {quoted(pointer.last(defaults[0]))}"
        findings.add("several-defaults", message, extra, at_key=True)


# -- reach -----------------------------------------------------------------------------------------------------------


def _check_reach(entries: list[_Entry], findings: Findings) -> None:
    """Note each task that nothing reaches, unless the one before it is out of reach too and was noted."""
    indexes = {entry.name: index for index, entry in reversed(list(enumerate(entries)))}
    reached: set[int] = set()
    open_indexes = [0]
    while open_indexes:
        index = open_indexes.pop()
        if index not in reached and index < len(entries):
            reached.add(index)
            open_indexes.extend(_successors(index, entries[index].task, indexes))
    for index, entry in enumerate(entries):
        if index not in reached and index - 1 in reached:
            before = quoted(entries[index - 1].name)
            message = f"nothing leads to {quoted(entry.name)}: {before} never goes on to it, and no `then` names it"
            findings.add("unreachable", message, entry.path, at_key=True)


def _successors(index: int, task: dict[str, Json], indexes: dict[str, int]) -> Iterator[int]:
    directives = list(_ways_out(task))
    if "if" in task:
        directives.append("continue")
    for directive in directives:
        if directive == "continue":
            yield index + 1
        elif directive in indexes:
            yield indexes[directive]


def _ways_out(task: dict[str, Json]) -> Iterator[str]:
    """Give every directive that the end of a task may follow; a raised error leaves the list, unless it is tolerated."""
    then = task.get("then", "continue")
    (kind,) = kinds_of(task)
    if kind == "switch":
        cases = [case for item in task["switch"] for case in item.values()]
        yield from (case["then"] for case in cases)
        if any("when" not in case for case in cases):
            return
    if kind == "try":
        yield task["catch"].get("then", then)
    if kind != "raise" or _tolerates(task):
        yield then


def _tolerates(task: dict[str, Json]) -> bool:
    metadata = task.get("metadata")
    extension = metadata.get("interlock") if isinstance(metadata, dict) else None
    return isinstance(extension, dict) and extension.get("on_error") == "continue"
