"""`call: tasks:1.0.0@default`: its graph is checked where it stands, as far as it is written out."""

from __future__ import annotations

import pytest

from interlock.flow import check
from interlock.flow import compile as flow_compile
from interlock.flow.diagram import outline
from interlock.flow.graph import Awaits, TasksWork
from interlock.flow.reporting import TASKS

HEADER = """document: {dsl: 1.0.3, namespace: shop, name: build, version: 1.0.0}
do:
  - a:
      call: tasks:1.0.0@default
      with:
"""
GOOD = "graph: {graph: ci, tasks: [{id: x, run: [make]}, {id: y, run: [make], dependencies: [x]}]}"


def text(arguments: str, mode: str = "") -> str:
    return f"{HEADER}        {{{arguments}}}\n{mode}"


def problems(arguments: str, mode: str = "") -> list[tuple[str, str, str]]:
    return [(each.code, each.path, each.message) for each in check.load(text(arguments, mode)).problems]


@pytest.mark.parametrize(
    "arguments",
    [
        GOOD,
        f"{GOOD}, name: nightly",
        f"{GOOD}, name: '${{ .name }}'",
        "graph: '${ .graph }'",
        "graph: {tasks: '${ .tasks }'}",
        "graph: {tasks: [{id: '${ .id }', run: [make, '${ .target }'], priority: '${ .priority }', timeout: '${ .t }'}]}",
        "graph: {tasks: ['${ .first }', {id: x, run: [make], dependencies: '${ .after }'}]}",
        "graph: {tasks: [{id: '${ .id }', run: [make]}, {id: y, run: [make], dependencies: [x]}]}",
        "graph: {tasks: [{id: '${ .id }', run: [make]}, {id: '${ .id }', run: [make]}]}",
    ],
)
def test_graph_may_be_written_out_or_computed_in_parts(arguments: str) -> None:
    assert problems(arguments) == []


@pytest.mark.parametrize(
    ("arguments", "code", "path", "message"),
    [
        ("graph: {tasks: []}", "no-tasks", "/graph/tasks", "the graph has no tasks"),
        ("graph: {tasks: [{id: x, rnu: [make]}]}", "unknown-property", "/graph/tasks/0/rnu", "did you mean `run`?"),
        ("graph: {tasks: [{id: x, run: [make], dependencies: [z]}]}", "unknown-dependency", "/graph/tasks/0/dependencies/0", "no task `z`"),
        ("graph: {tasks: [{id: x, run: [make], dependencies: [x]}]}", "circular-dependency", "/graph/tasks/0/dependencies", "waits for itself"),
        ("graph: {tasks: [{id: x, run: [make]}, {id: x, run: [make]}]}", "duplicate-task", "/graph/tasks/1/id", "two tasks"),
        ("graph: {tasks: 1}", "wrong-type", "/graph/tasks", ""),
        ("graph: {tasks: [1]}", "wrong-type", "/graph/tasks/0", ""),
        ("graph: {title: no tasks}", "missing-property", "/graph", "tasks"),
        ("graph: {namespace: shop, tasks: [{id: x, run: [make]}]}", "ignored-property", "/graph/namespace", "leave `namespace` out"),
        ("graph: tasks.yaml", "wrong-type", "/graph", "`graph` must be a task graph or an expression"),
        ("graph: [1]", "wrong-type", "/graph", "`graph` must be a task graph or an expression"),
        ("file: tasks.yaml", "unknown-property", "/file", "it has `graph` and `name`"),
        (f"{GOOD}, nam: x", "unknown-property", "/nam", "did you mean `name`?"),
        (f"{GOOD}, name: a b", "invalid-name", "/name", "a-b"),
        (f"{GOOD}, name: 1", "wrong-type", "/name", ""),
    ],
)  # fmt: skip
def test_mistakes_are_told_with_their_place(arguments: str, code: str, path: str, message: str) -> None:
    found = [each for each in problems(arguments) if each[:2] == (code, f"/do/0/a/with{path}")]
    assert found, problems(arguments)
    assert message in found[0][2]


def test_place_is_that_of_the_line() -> None:
    source = (
        HEADER
        + "        graph:\n          tasks:\n            - id: x\n              run: [make]\n              dependencies: [z]\n"
    )
    (found,) = check.load(source, "build.yaml").problems
    assert (found.line, found.column, found.file) == (10, 30, "build.yaml")


def test_graph_is_needed_and_arguments_are_a_map() -> None:
    assert ("missing-property", "/do/0/a", "`call: tasks` needs `graph` under `with`") in problems("name: x")
    bare = check.load(HEADER.replace("      with:\n", "      with: 1\n"))
    assert {each.path for each in bare.problems} == {"/do/0/a/with"}
    assert check.load("1").workflow is None
    unnamed = check.load(HEADER.replace("      with:\n", ""))
    assert [each.code for each in unnamed.problems] == ["missing-property"]


def test_what_may_be_an_expression_in_the_loose_mode_is_left_to_the_run() -> None:
    arguments = "graph: {tasks: [{id: x, run: [make], priority: .priority, timeout: soon}]}"
    found = {path for _, path, _ in problems(arguments, "evaluate: {mode: loose}\n")}
    assert found == {"/do/0/a/with/graph/tasks/0/timeout"}
    assert "/do/0/a/with/graph/tasks/0/priority" in {path for _, path, _ in problems(arguments)}
    assert problems("graph: '.graph'", "evaluate: {mode: loose}\n") == []


@pytest.mark.parametrize("name", ["tasks@default", "tasks:2.0.0@default"])
def test_there_is_one_version_of_tasks(name: str) -> None:
    source = text(GOOD).replace(f"call: {TASKS}", f"call: '{name}'")
    assert any(f"write {TASKS}" in each.message for each in check.load(source).problems if each.path == "/do/0/a/call")


def test_await_has_no_meaning_for_it() -> None:
    source = text(GOOD) + "      metadata: {interlock: {await: token}}\n"
    (found,) = check.load(source).problems
    assert found.message == "`await` has no meaning here: a task graph is waited for anyway"


def test_step_is_compiled_and_drawn() -> None:
    loaded = check.load(text(f"{GOOD}, name: nightly"))
    node = flow_compile.compile(loaded.required(), loaded.value).nodes["/do/0/a"]
    assert isinstance(node.work, TasksWork)
    assert node.work.name is not None
    assert node.awaits == Awaits(endless=True)
    unnamed = check.load(text(GOOD))
    work = flow_compile.compile(unnamed.required(), unnamed.value).nodes["/do/0/a"].work
    assert isinstance(work, TasksWork)
    assert work.name is None


@pytest.mark.parametrize(
    ("graph", "detail"),
    [
        ("{graph: ci, tasks: [{id: x, run: [make]}]}", "ci"),
        ("{tasks: [{id: x, run: [make]}]}", "1 task"),
        ("{tasks: [{id: x, run: [make]}, {id: y, run: [make]}]}", "2 tasks"),
        ("{tasks: '${ .tasks }'}", ".tasks"),
        ("'${ .graph }'", ".graph"),
    ],
)
def test_caption_names_the_graph_or_counts_its_tasks(graph: str, detail: str) -> None:
    caption = outline.caption(check.load(text(f"graph: {graph}")).required().do[0])
    assert (caption.kind, caption.detail) == ("tasks", detail)
