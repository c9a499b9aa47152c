"""Task graphs as people write them: every problem at its place, circles with their path, the order of the critical path."""

from __future__ import annotations

import json
import random
import time
from typing import Any

import pytest
import yaml

from interlock import errors
from interlock.flow.taskgraph import cycles, document, grammar, order, reading
from interlock.model.task import CommandTarget, ContainerTarget, PythonTarget, Resources, ShellTarget, WorkflowTarget
from interlock.model.task_graph import AgentTerms, RetryTerms, WorkspaceTerms


def problems(text: str) -> list[tuple[str, str, int]]:
    return [(each.code, each.path, each.line) for each in reading.read(text, "t.yaml").problems]


def task(text: str) -> Any:
    """Give the only task of a graph, typed."""
    (found,) = reading.read(f"graph: g\ntasks:\n  - {{id: a, {text}}}\n").required().tasks
    return found


WHOLE = """
graph: refactor-billing
namespace: shop
title: Refactor
repository: .
defaults: {cpu: 1, labels: {os: linux}, retry: {max_attempts: 5}, environment: {A: "1"}, priority: 3}
tasks:
  - id: schema
    title: Split
    description: Split the table
    run: [my-agent, -p, "Split"]
    required_skill: database
    skills: [sql, database]
    memory: 4 GiB
    gpu: 1
    labels: {zone: a}
    retry: {backoff: linear, initial_interval: 5s, max_interval: 1m, out_of_memory: 4}
    timeout: 30m
    deadline: 2h
    expected: 10m
    key: billing
    concurrency: {key: db, limit: 2}
    rate: {key: api, limit: 10, per: 1m}
    workspace: {branch: "agent/{id}", base: main, clean: never}
    inputs: {table: invoices}
    metadata: {owner: ops}
    environment: {B: "2"}
    stdin: text
  - id: api
    optional: true
    dependencies: [schema]
    run: {shell: "echo $1", arguments: [x]}
    pool: [spot, docker]
  - id: report
    dependencies: [api, {id: schema, blocking: false}]
    run: [report]
"""


def test_document_is_typed() -> None:
    graph = reading.read(WHOLE).required()
    assert (graph.name, graph.namespace, graph.title, graph.repository) == ("refactor-billing", "shop", "Refactor", ".")
    schema, api, report = graph.tasks
    assert schema.target == CommandTarget(
        argv=("my-agent", "-p", "Split"), environment={"A": "1", "B": "2"}, stdin="text"
    )
    spec = schema.spec
    assert (spec.id, spec.kind, spec.title, spec.description) == ("schema", "run", "Split", "Split the table")
    assert spec.skills == ("database", "sql")
    assert spec.resources == Resources(cpu=1, memory=4096, gpus=1)
    assert spec.labels == {"os": "linux", "zone": "a"}
    assert spec.retry == RetryTerms(
        budgets={"application": 4, "out_of_memory": 4}, backoff="linear", initial_seconds=5, longest_seconds=60
    )
    assert (spec.timeout_seconds, schema.deadline_seconds, spec.expected_seconds) == (1800, 7200, 600)
    assert (spec.key, spec.priority, spec.inputs, spec.metadata) == (
        "billing",
        3,
        {"table": "invoices"},
        {"owner": "ops"},
    )
    assert spec.workspace == WorkspaceTerms(branch="agent/schema", base="main", clean="never")
    concurrency, rate = schema.limits
    assert (concurrency.name, concurrency.capacity) == ("concurrency/shop/db", 2)
    assert (rate.name, rate.interval_seconds, rate.burst) == ("rate/shop/api", 6.0, 10)
    assert api.target == ShellTarget(command="echo $1", arguments=("x",), environment={"A": "1"})
    assert (api.spec.pools, api.spec.optional, api.spec.dependencies) == (("spot", "docker"), True, {"schema": True})
    assert report.spec.dependencies == {
        "api": False,
        "schema": False,
    }  # who waits for an optional one is never skipped for it


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("python: 'm:f', with: {x: 1}", PythonTarget(function="m:f", arguments={"x": 1})),
        ("container: img", ContainerTarget(image="img")),
        (
            "container: {image: i, command: run it, arguments: [a], environment: {E: x}, ports: {'80': 8080}, "
            "volumes: {/a: /b}, stdin: s, name: n, pull_policy: always}",
            ContainerTarget(
                image="i", command="run it", arguments=("a",), environment={"E": "x"}, ports={"80": 8080},
                volumes={"/a": "/b"}, stdin="s", name="n", pull_policy="always",
            ),
        ),
        ("workflow: {name: w, namespace: n, input: [1]}", WorkflowTarget(namespace="n", name="w", version="latest", input=[1])),
        ("workflow: w", WorkflowTarget(namespace="default", name="w", version="latest")),
        ("workflow: 'w:1.2.0'", WorkflowTarget(namespace="default", name="w", version="1.2.0")),
        ("agent: [claude, -p]", CommandTarget(argv=("claude", "-p"))),
    ],
)  # fmt: skip
def test_targets(text: str, target: object) -> None:
    (found,) = document.graph({"graph": "g", "tasks": [yaml.safe_load(f"{{id: a, {text}}}")]}).tasks
    assert found.target == target
    assert found.spec.kind == text.partition(":")[0]


def test_agent_is_told_what_to_do() -> None:
    """4.2: which prompt, which context, where its result is."""
    found = task("agent: {command: [a], prompt: do it, context: [README.md], result: out.json}")
    assert found.spec.agent == AgentTerms(prompt="do it", context=("README.md",), result="out.json")
    assert task("agent: [a], description: do that").spec.agent == AgentTerms(prompt="do that")
    assert task("run: [a]").spec.agent is None


def test_author_of_the_dispatcher_says_how_others_are_retried() -> None:
    graph = reading.read("graph: g\ntasks: [{id: a, run: [x]}, {id: b, run: [x], retry: {max_attempts: 1}}]").required()
    a, b = reading.with_retry(graph, RetryTerms(budgets={"application": 7}, initial_seconds=1)).tasks
    assert (a.spec.retry.budgets, b.spec.retry.budgets) == ({"application": 7}, {"application": 0})
    assert b.spec.retry.initial_seconds == 1


OF_PROGRAMS = {
    "environment": "{A: '1'}", "stdin": "text", "required_skill": "s", "skills": "[s]", "pool": "local", "cpu": "1",
    "memory": "1 GiB", "gpu": "1", "labels": "{os: linux}", "workspace": "{branch: b}",
}  # fmt: skip


def test_what_says_how_a_program_is_run_is_refused_of_a_workflow() -> None:
    assert set(OF_PROGRAMS) == grammar.OF_PROGRAMS
    for name, value in OF_PROGRAMS.items():
        text = f"graph: g\ntasks: [{{id: a, workflow: w, {name}: {value}}}]"
        assert problems(text) == [("exclusive-properties", f"/tasks/0/{name}", 2)]
        assert reading.read(text).problems[0].message.startswith(f"`{name}` is for programs")


@pytest.mark.parametrize("name", sorted(grammar.OF_PROCESSES))
def test_what_is_handed_to_a_process_is_refused_of_a_function(name: str) -> None:
    """It was accepted, and did nothing."""
    text = f"graph: g\ntasks: [{{id: a, python: 'm:f', {name}: {OF_PROGRAMS[name]}}}]"
    assert problems(text) == [("exclusive-properties", f"/tasks/0/{name}", 2)]
    assert "hand it over under `with`" in reading.read(text).problems[0].message


@pytest.mark.parametrize("field", ["timeout: 0", "rate: {key: k, limit: 1, per: 0s}"])
def test_time_that_is_none_is_refused_where_it_would_end_or_allow_everything(field: str) -> None:
    ((code, _, line),) = problems(f"graph: g\ntasks: [{{id: a, run: [x], {field}}}]")
    assert (code, line) == ("invalid-duration", 2)


def test_limits_of_one_key_that_differ_are_refused() -> None:
    """The last one would hold for both."""
    text = (
        "graph: g\ntasks:\n"
        "  - {id: a, run: [x], concurrency: {key: k, limit: 2}, rate: {key: k, limit: 1, per: 1s}}\n"
        "  - {id: b, run: [x], concurrency: {key: k, limit: 2}}\n"
        "  - {id: c, run: [x], concurrency: {key: k, limit: 3}}\n"
        "  - {id: d, run: [x], rate: {key: k, limit: 9, per: 1s}}\n"
    )
    assert problems(text) == [
        ("invalid-value", "/tasks/2/concurrency", 5),
        ("invalid-value", "/tasks/3/rate", 6),
    ]
    assert "that of item 1; a key has one limit" in reading.read(text).problems[0].message


@pytest.mark.parametrize(
    ("fields", "code", "place", "words"),
    [
        ('run: [a, "x\\0y"]', "invalid-value", "run/1", r"`x\0y` is not text without NUL characters; an argument or a variable"),
        ('run: {shell: " "}', "empty", "run/shell", "is not text that is not empty"),
        ('run: {shell: "a\\0"}', "invalid-value", "run/shell", "without NUL characters"),
        ('run: {shell: a, arguments: ["\\0"]}', "invalid-value", "run/arguments/0", "hand it over in `stdin`"),
        ('agent: [a, "\\0"]', "invalid-value", "agent/1", "without NUL characters"),
        ('agent: {command: ["\\0"]}', "invalid-value", "agent/command/0", "without NUL characters"),
        ('container: {image: i, command: "\\0"}', "invalid-value", "container/command", "without NUL characters"),
        ('container: {image: i, arguments: ["\\0"]}', "invalid-value", "container/arguments/0", "without NUL characters"),
        ('container: {image: i, environment: {A: "\\0"}}', "invalid-value", "container/environment/A", "without NUL characters"),
        ('run: [x], environment: {A: "\\0"}', "invalid-value", "environment/A", "without NUL characters"),
        ('run: [x], environment: {"A\\0": b}', "invalid-name", "environment", r"`A\0` cannot name a variable"),
        ('run: [x], environment: {"A=B": c}', "invalid-name", "environment", "no `=` and no NUL"),
        ('run: [x], environment: {"": c}', "invalid-name", "environment", "such a name is not empty"),
        ("run: [x], environment: [a]", "wrong-type", "environment", "must be a map"),
        ("workflow: ':::'", "invalid-name", "workflow", "write NAME, or NAME:VERSION with a version such as 1.2.0 or `latest`"),
        ("workflow: 'w:'", "invalid-name", "workflow", "write NAME, or NAME:VERSION"),
        ("workflow: 'a b'", "invalid-name", "workflow", "no hyphen at the ends: `a-b`"),
        ("workflow: 'w:1.2'", "invalid-name", "workflow", "did you mean `w:1.2.0`?"),
        ("workflow: {name: w, version: newest}", "invalid-version", "workflow/version", "`latest`; write three numbers such as 1.2.0"),
        ("python: nocolon", "invalid-value", "python", "`nocolon` is not the name of a function; write package.module:function"),
        ("python: 'm:'", "invalid-value", "python", "write package.module:function"),
        ("python: 'm.:f'", "invalid-value", "python", "write package.module:function"),
        ("python: 'jobs/m.py:f'", "invalid-value", "python", "write package.module:function"),
        ("container: UPPER case", "invalid-name", "container", "write it as registry.example/team/name:tag"),
        ("container: {image: Upper}", "invalid-name", "container/image", "the path in small letters, without blanks"),
        ("container: 'a:b:c'", "invalid-name", "container", "is not the name of a container image"),
        ("container: 'a@sha256:12'", "invalid-name", "container", "is not the name of a container image"),
        (f"container: {'a/' * 128}a", "invalid-name", "container", "is not the name of a container image"),
        (f"container: {'a' * 10_000}", "invalid-name", "container", "is not the name of a container image"),
    ],
)  # fmt: skip
def test_what_could_only_fail_when_it_is_run_is_refused(fields: str, code: str, place: str, words: str) -> None:
    text = f"graph: g\ntasks: [{{id: a, {fields}}}]"
    assert problems(text) == [(code, f"/tasks/0/{place}", 2)]
    assert words in reading.read(text).problems[0].message


@pytest.mark.parametrize(
    ("line", "place"),
    [
        ("tasks: [{id: a, run: [x], <<: *common}]", "/tasks/0/<<"),
        ("tasks: [{id: a, run: [x], retry: {<<: *common}}]", "/tasks/0/retry/<<"),
        ("tasks: [{id: a, run: [x], environment: {<<: *common, B: c}}]", "/tasks/0/environment/<<"),
        ("tasks: [{id: a, container: {image: i, <<: *common}}]", "/tasks/0/container/<<"),
        ("tasks: [{id: a, run: [x], workspace: {<<: *common}}]", "/tasks/0/workspace/<<"),
        ("tasks: [{id: a, run: [x]}]\ndefaults: {<<: *common}", "/defaults/<<"),
        ("tasks: [{id: a, run: [x]}]\n<<: *common", "/<<"),
    ],
)
def test_merge_keys_are_refused_with_what_is_there_for_it(line: str, place: str) -> None:
    text = f"graph: g\nmetadata: {{common: &common {{A: b}}}}\n{line}"
    (problem,) = reading.read(text).problems
    assert (problem.code, problem.path) == ("unknown-property", place)
    assert "write what tasks have in common once, under `defaults` beside `tasks`" in problem.message


@pytest.mark.parametrize(
    "fields",
    [
        "run: [x, '']", "run: [x], environment: {A.b: ''}", 'run: [x], stdin: "\\0"',
        "workflow: w", "workflow: 'w:1.0.0-alpha.1'", "workflow: 'w:latest'", "workflow: {name: w, version: latest}",
        "python: 'm:f'", "python: 'shop.prices:Total.of'", "python: 'my-script:step'", "python: 'm:f.<locals>.g'",
        "container: alpine", "container: 'alpine:3.22'", "container: 'localhost:5000/a_b/c--d/e__f.g:V1_x'",
        "container: '[::1]:5000/a'", "container: 'Registry.example/team/name'",
        f"container: 'a/b:1@sha256:{'0f' * 32}'", f"container: 'sha256:{'0f' * 32}'",
    ],
)  # fmt: skip
def test_what_can_be_run_is_taken(fields: str) -> None:
    assert problems(f"graph: g\ntasks: [{{id: a, {fields}}}]") == []


@pytest.mark.parametrize(
    ("dependencies", "place"),
    [("[{id: a, blocking: false}, a]", "1"), ("[a, a]", "1"), ("[a, c, {id: a}]", "2/id")],
)
def test_dependency_named_twice_is_refused(dependencies: str, place: str) -> None:
    """The last one counted, so that of two which contradict each other one was nothing."""
    text = f"graph: g\ntasks: [{{id: a, run: [x]}}, {{id: c, run: [x]}}, {{id: b, run: [x], dependencies: {dependencies}}}]"
    assert problems(text) == [("duplicate-dependency", f"/tasks/2/dependencies/{place}", 2)]
    message = reading.read(text).problems[0].message
    assert message.startswith("the task `b` waits for `a` twice; leave one of them")


def test_dependency_named_twice_is_refused_of_a_task_without_an_id() -> None:
    found = problems("graph: g\ntasks: [{id: a, run: [x]}, {run: [x], dependencies: [a, a]}]")
    assert [code for code, _, _ in found] == ["missing-property", "duplicate-dependency"]


def test_what_programs_of_a_graph_have_in_common_is_nothing_to_its_workflows() -> None:
    common = ", ".join(f"{name}: {value}" for name, value in OF_PROGRAMS.items() if name != "stdin")
    read = reading.read(
        f"graph: g\ndefaults: {{{common}, priority: 3, timeout: 5m}}\n"
        "tasks: [{id: a, workflow: w, priority: 4}, {id: b, run: [x]}]"
    )
    a, b = read.required().tasks
    assert (a.spec.resources, a.spec.pools, a.spec.skills, a.spec.labels) == (Resources(), (), (), {})
    assert (a.spec.workspace, a.spec.timeout_seconds, a.spec.priority) == (None, 300.0, 4)
    assert (b.spec.pools, b.spec.skills, b.spec.labels) == (("local",), ("s",), {"os": "linux"})


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("graph: g\ntasks: []", [("no-tasks", "/tasks", 2)]),
        ("graph: g", [("missing-property", "", 1)]),
        ("graph: a/b\ntasks: [{id: a, run: [x]}]", [("invalid-name", "/graph", 1)]),
        ("graph: g\ntasks: [{id: a, run: echo}]", [("wrong-type", "/tasks/0/run", 2)]),
        ("graph: g\ntasks: [{id: a, run: {command: x}}]", [("missing-property", "/tasks/0/run", 2), ("unknown-property", "/tasks/0/run/command", 2)]),
        ("graph: g\ntasks: [{id: a, run: ['']}]", [("empty", "/tasks/0/run/0", 2)]),
        ("graph: g\ntasks: [{id: a, agent: {command: [' ', x]}}]", [("empty", "/tasks/0/agent/command/0", 2)]),
        ("graph: g\ntasks: [{id: a, run: [x], workspace: {branch: a b}}]", [("invalid-name", "/tasks/0/workspace/branch", 2)]),
        ("graph: g\ntasks: [{id: a, run: [x], workspace: {branch: a/.b}}]", [("invalid-name", "/tasks/0/workspace/branch", 2)]),
        ("graph: g\ntasks: [{id: a, run: [x], workspace: {branch: 'work/{id}'}}]", []),
        ("graph: g\ntasks: [{id: a}]", [("missing-property", "/tasks/0", 2)]),
        ("graph: g\ntasks: [{id: a, run: [x], container: y}]", [("exclusive-properties", "/tasks/0/container", 2)]),
        ("graph: g\ntasks: [{id: a b, run: [x]}]", [("invalid-name", "/tasks/0/id", 2)]),
        ("graph: g\ntasks: [{id: a, run: [x], memory: 4 GBs}]", [("invalid-value", "/tasks/0/memory", 2)]),
        ("graph: g\ntasks: [{id: a, run: [x], memory: true}]", [("invalid-value", "/tasks/0/memory", 2)]),
        ("graph: g\ntasks: [{id: a, run: [x], cpu: -1}]", [("invalid-value", "/tasks/0/cpu", 2)]),
        ("graph: g\ntasks: [{id: a, run: [x], timeout: soon}]", [("invalid-duration", "/tasks/0/timeout", 2)]),
        ("graph: g\ntasks: [{id: a, run: [x], retry: {max_attempts: 2, application: 1}}]", [("exclusive-properties", "/tasks/0/retry/application", 2)]),
        ("graph: g\ntasks: [{id: a, run: [x], retry: 3}]", [("wrong-type", "/tasks/0/retry", 2)]),
        ("graph: g\ntasks: [{id: a, run: [x], retry: {max_attempt: 2}}]", [("unknown-property", "/tasks/0/retry/max_attempt", 2)]),
        ("graph: g\ntasks:\n- {id: a, run: [x]}\n- {id: a, run: [x]}", [("duplicate-task", "/tasks/1/id", 4)]),
        ("graph: g\ntasks:\n- {id: api, run: [x]}\n- {id: b, run: [x], dependencies: [aip]}", [("unknown-dependency", "/tasks/1/dependencies/0", 4)]),
        ("graph: g\ntasks:\n- {id: b, run: [x], dependencies: [zzzzzz]}", [("unknown-dependency", "/tasks/0/dependencies/0", 3)]),
        ("graph: g\ntasks: 3", [("wrong-type", "/tasks", 2)]),
        ("graph: g\ntasks: [3]", [("wrong-type", "/tasks/0", 2)]),
        ("graph: g\ngraph: h\ntasks: [{id: a, run: [x]}]", [("duplicate-key", "/graph", 2)]),
        ("graph: [", [("yaml-syntax", "", 2)]),
        ("graph: g\ntasks: [{id: a, run: [x], dependencies: [3]}]", [("wrong-type", "/tasks/0/dependencies/0", 2)]),
    ],
)  # fmt: skip
def test_problems_are_told_with_their_places(text: str, found: list[tuple[str, str, int]]) -> None:
    assert sorted(problems(text)) == sorted(found)


def test_all_problems_are_told_at_once_and_nothing_is_given() -> None:
    text = "graph: g\ntasks:\n- {id: a, run: [x], cpu: -1}\n- {id: a, run: [x], dependencies: [b]}"
    read = reading.read(text, "t.yaml")
    assert len(read.problems) == 3
    with pytest.raises(errors.InvalidDefinition, match=r"t\.yaml:3:26: .*\(and 2 more\)"):
        read.required()


def test_circles_are_told_with_their_path_and_their_members_only() -> None:
    """WF-03, DL-02: of 1, 2 and n tasks; one that only waits for a circle is no member."""
    text = (
        "graph: g\ntasks:\n"
        "- {id: self, run: [x], dependencies: [self]}\n"
        "- {id: a, run: [x], dependencies: [c]}\n"
        "- {id: b, run: [x], dependencies: [a]}\n"
        "- {id: c, run: [x], dependencies: [b]}\n"
        "- {id: outside, run: [x], dependencies: [a, self]}\n"
    )
    read = reading.read(text)
    assert [each.message for each in read.problems] == [
        "`self` waits for itself",
        "`a`, `c` and `b` wait for each other: a -> c -> b -> a",
    ]
    assert [(each.code, each.line) for each in read.problems] == [
        ("circular-dependency", 3),
        ("circular-dependency", 4),
    ]


@pytest.mark.parametrize("length", [1, 2, 3, 100, 20_000])
def test_circle_of_any_length_is_found(length: int) -> None:
    """DL-01, WF-03."""
    after = {str(n): [str((n + 1) % length)] for n in range(length)}
    (way,) = cycles.cycles(after)
    assert len(way) == length


def test_graph_without_circles_has_none_and_takes_no_time() -> None:
    """DL-01: none in a graph of 1,000 tasks; a chain of 100,000 needs no recursion."""
    draw = random.Random(7)
    after = {str(n): [str(draw.randrange(n)) for _ in range(min(n, 3))] for n in range(1000)}
    assert cycles.cycles(after) == []
    started = time.process_time()
    assert cycles.cycles({str(n): [str(n - 1)] if n else [] for n in range(100_000)}) == []
    assert time.process_time() - started < 30


def test_two_knots_are_two_circles_and_the_shortest_way_is_told() -> None:
    after = {"a": ["b", "d"], "b": ["c"], "c": ["a"], "d": ["a"], "x": ["y", "unknown"], "y": ["x"], "z": ["x", "a"]}
    assert cycles.cycles(after) == [["a", "d"], ["x", "y"]]


def test_json_is_read_as_yaml_is_and_its_problems_have_their_places() -> None:
    value = {"graph": "g", "tasks": [{"id": "a", "run": ["x"]}]}
    assert reading.read(json.dumps(value)) == reading.of_value(value)
    broken = json.dumps({"graph": "g", "tasks": [{"id": "a", "run": "x"}]}, indent=1)
    assert problems(broken) == [("wrong-type", "/tasks/0/run", 6)]
    assert problems('{"graph": "g", "graph": "h", "tasks": [{"id": "a", "run": ["x"]}]}')[0][0] == "duplicate-key"
    assert problems("{")[0][0] == "yaml-syntax"
    found = reading.of_value({"graph": "g"})
    with pytest.raises(errors.InvalidDefinition, match=r"^task graph:1:1: the document needs `tasks`$"):
        found.required()


@pytest.mark.parametrize(
    ("value", "megabytes"),
    [(5, 5.0), ("512", 512.0), ("4 GiB", 4096.0), ("1.5GB", 1500.0), ("2Gi", 2048.0), ("x", None), (-1, None), (None, None), ("3 TB", None)],
)  # fmt: skip
def test_megabytes(value: object, megabytes: float | None) -> None:
    assert grammar.megabytes(value) == megabytes


# -- the order -------------------------------------------------------------------------------------------------------


def test_longest_way_comes_first_and_everything_stands_behind_what_it_waits_for() -> None:
    after = {
        "short": (),
        "long": (),
        "after-short": ("short",),
        "after-long": ("long",),
        "last": ("after-long", "after-short"),
    }
    seconds = {"short": 1.0, "long": 5.0, "after-short": 1.0, "after-long": None, "last": 1.0}
    found = order.by_critical_path(after, seconds, {"after-long": 9.0})
    assert found == ["long", "after-long", "short", "after-short", "last"]


def test_nothing_known_counts_alike_and_equals_stay_as_written() -> None:
    after = {"b": (), "a": (), "c": ("a",)}
    assert order.by_critical_path(after, dict.fromkeys(after), {}) == ["a", "b", "c"]
    assert order.by_critical_path({"b": (), "a": ()}, {"a": 0.0, "b": 0.0}, {}) == ["b", "a"]
    assert order.by_critical_path({"b": ("a",), "a": ()}, {"a": 0.0, "b": 0.0}, {}) == ["a", "b"]


def test_random_graphs_are_ordered_topologically() -> None:
    draw = random.Random(11)
    for _ in range(50):
        ids = [str(n) for n in range(draw.randrange(1, 40))]
        after = {id: tuple(draw.sample(ids[:n], min(n, draw.randrange(3)))) for n, id in enumerate(ids)}
        found = order.by_critical_path(after, {id: draw.choice([None, draw.random()]) for id in ids}, {})
        assert sorted(found) == sorted(ids)
        place = {id: number for number, id in enumerate(found)}
        assert all(place[name] < place[id] for id, names in after.items() for name in names)


def test_first_wait_is_not_shortened_by_the_longest_one_that_nobody_gave() -> None:
    """`initial_interval: 1h` waited 5 minutes, the default of `max_interval`."""
    text = "graph: g\ntasks: [{id: a, run: [x], retry: {initial_interval: 1h}},"
    text += " {id: b, run: [x], retry: {initial_interval: 1h, max_interval: 30m}}, {id: c, run: [x]}]"
    tasks = reading.with_retry(reading.read(text).required(), RetryTerms(longest_seconds=60)).tasks
    assert [each.spec.retry.longest_seconds for each in tasks] == [3600, 1800, 60]
