"""The graph of a document: positions, where each step leads, what is compiled how, and what is refused."""

from __future__ import annotations

import textwrap
from typing import Any

import pytest

from interlock import errors
from interlock.expr.evaluation import Evaluation
from interlock.expr.jq import Expression
from interlock.expr.template import Template
from interlock.flow import check
from interlock.flow import compile as flow_compile
from interlock.flow.compile import NotExecutable, target_position
from interlock.flow.graph import (
    Checker,
    DoWork,
    ForkWork,
    ForWork,
    FunctionWork,
    Graph,
    HttpWork,
    ProcessWork,
    PythonWork,
    RaiseWork,
    SetWork,
    SwitchWork,
    TryWork,
    WaitWork,
)
from interlock.model import retry
from interlock.model.call import Requirements
from interlock.model.event import LIST_END, RUN_END
from interlock.model.task import FailureClass

HEADER = "document: {dsl: 1.0.3, namespace: default, name: tested, version: 1.0.0}\n"


def compiled(text: str) -> Graph:
    loaded = check.load(HEADER + textwrap.dedent(text))
    return flow_compile.compile(loaded.required(), loaded.value)


def only(text: str) -> Any:
    """Give what the one step of a document does."""
    return compiled(f"do: [{{a: {text}}}]").nodes["/do/0/a"].work


def literal(template: Template | None) -> Any:
    assert template is not None
    return template.evaluate(Evaluation(), None, {})


# -- positions -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("directive", "position"),
    [
        (None, "/do/1/b"),
        ("continue", "/do/1/b"),
        ("exit", LIST_END),
        ("end", RUN_END),
        ("c", "/do/2/c"),
    ],
)
def test_directive_leads_to_its_position(directive: str | None, position: str) -> None:
    assert target_position(directive, "/do/1/b", {"c": "/do/2/c"}) == position


def test_steps_of_a_list_lead_to_the_next_and_the_last_one_to_its_end() -> None:
    graph = compiled("do: [{a: {set: {x: 1}}}, {b/c: {set: {x: 2}}}, {'~': {set: {x: 3}}}]")
    assert graph.first == "/do/0/a"
    assert {path: (node.next, node.follow, node.order) for path, node in graph.nodes.items()} == {
        "/do/0/a": ("/do/1/b~1c", "/do/1/b~1c", 0),
        "/do/1/b~1c": ("/do/2/~0", "/do/2/~0", 1),
        "/do/2/~0": (LIST_END, LIST_END, 2),
    }
    assert [node.name for node in graph.nodes.values()] == ["a", "b/c", "~"]


def test_then_leads_elsewhere_and_leaves_what_follows_in_line() -> None:
    graph = compiled(
        """
        do:
          - a: {set: {x: 1}, then: c}
          - b: {set: {x: 1}, then: end}
          - c: {set: {x: 1}, then: d}
          - d: {do: [{e: {set: {x: 1}, then: exit}}], then: b}
        """
    )
    ways = {node.name: (node.next, node.follow) for node in graph.nodes.values()}
    assert ways == {
        "a": ("/do/2/c", "/do/1/b"),
        "b": (RUN_END, "/do/2/c"),
        "c": ("/do/3/d", "/do/3/d"),
        "d": ("/do/1/b", LIST_END),
        "e": (LIST_END, LIST_END),
    }


def test_lists_within_steps_are_named_by_their_first_node() -> None:
    graph = compiled(
        """
        do:
          - list: {do: [{a: {set: {x: 1}}}, {b: {set: {x: 1}}}]}
          - loop: {for: {in: .x}, do: [{a: {set: {x: 1}}}]}
          - both: {fork: {branches: [{a: {set: {x: 1}}}, {b: {do: [{c: {set: {x: 1}}}]}}]}}
          - safe: {try: [{a: {set: {x: 1}}}], catch: {do: [{b: {set: {x: 1}}}], then: list}}
          - bare: {try: [{a: {set: {x: 1}}}], catch: {}}
        """
    )
    work = {node.name: node.work for node in graph.nodes.values() if node.path.count("/") == 3}
    assert isinstance(work["list"], DoWork)
    assert work["list"].first == "/do/0/list/do/0/a"
    assert isinstance(work["loop"], ForWork)
    assert work["loop"].first == "/do/1/loop/do/0/a"
    assert isinstance(work["both"], ForkWork)
    assert work["both"].branches == ("/do/2/both/fork/branches/0/a", "/do/2/both/fork/branches/1/b")
    assert isinstance(work["safe"], TryWork)
    assert (work["safe"].first, work["safe"].catch_first) == ("/do/3/safe/try/0/a", "/do/3/safe/catch/do/0/b")
    assert work["safe"].catch_next == "/do/0/list"
    assert isinstance(work["bare"], TryWork)
    assert (work["bare"].catch_first, work["bare"].catch_next) == (LIST_END, None)
    assert graph.nodes["/do/2/both/fork/branches/1/b/do/0/c"].next == LIST_END


def test_branch_that_ends_the_run_leads_there() -> None:
    graph = compiled("do: [{f: {fork: {branches: [{a: {set: {x: 1}, then: end}}, {b: {set: {x: 1}}}]}}}]")
    assert graph.nodes["/do/0/f/fork/branches/0/a"].next == RUN_END
    assert graph.nodes["/do/0/f/fork/branches/1/b"].next == LIST_END


# -- kinds -----------------------------------------------------------------------------------------------------------


def test_switch_leads_by_its_cases() -> None:
    work = (
        compiled("do: [{s: {switch: [{a: {when: .x, then: t}}, {b: {then: end}}]}}, {t: {set: {x: 1}}}]")
        .nodes["/do/0/s"]
        .work
    )
    assert isinstance(work, SwitchWork)
    assert [(case.when is None, case.next) for case in work.cases] == [(False, "/do/1/t"), (True, RUN_END)]


@pytest.mark.parametrize("items", ["'${ .pets }'", ".pets"])
def test_items_of_a_loop_are_an_expression(items: str) -> None:
    work = only(f"{{for: {{each: pet, at: i, in: {items}}}, while: .ok, do: [{{b: {{set: {{x: 1}}}}}}]}}")
    assert isinstance(work.items, Expression)
    assert isinstance(work.while_, Expression)
    assert (work.each, work.at) == ("pet", "i")


def test_items_of_a_loop_may_be_written_out() -> None:
    work = only("{for: {in: [{n: 1}]}, do: [{b: {set: {x: 1}}}]}")
    assert literal(work.items) == [{"n": 1}]
    assert work.while_ is None


@pytest.mark.parametrize("error", ["{type: http://x.y/e, status: 418, title: Tea}", "tea"])
def test_raised_error_is_written_out_or_named(error: str) -> None:
    graph = compiled(
        f"""
        use: {{errors: {{tea: {{type: http://x.y/e, status: 418, title: Tea}}}}}}
        do: [{{a: {{raise: {{error: {error}}}}}}}]
        """
    )
    work = graph.nodes["/do/0/a"].work
    assert isinstance(work, RaiseWork)
    assert literal(work.error) == {"type": "http://x.y/e", "status": 418, "title": "Tea"}


@pytest.mark.parametrize(
    "retry",
    [
        "{when: .a, exceptWhen: .b, delay: PT1S, backoff: {linear: {}},"
        " limit: {attempt: {count: 3, duration: PT5S}, duration: {minutes: 1}}, jitter: {from: PT0S, to: PT2S}}",
        "often",
    ],
)
def test_retry_policy_is_written_out_or_named(retry: str) -> None:
    named = (
        "{when: .a, exceptWhen: .b, delay: PT1S, backoff: {linear: {}},"
        " limit: {attempt: {count: 3, duration: PT5S}, duration: {minutes: 1}}, jitter: {from: PT0S, to: PT2S}}"
    )
    graph = compiled(
        f"""
        use: {{retries: {{often: {named}}}}}
        do:
          - a:
              try: [{{b: {{set: {{x: 1}}}}}}]
              catch: {{retry: {retry}}}
              metadata: {{interlock: {{max_interval: 90s}}}}
        """
    )
    work = graph.nodes["/do/0/a"].work
    assert isinstance(work, TryWork)
    plan = work.retry
    assert plan is not None
    assert isinstance(plan.when, Expression)
    assert isinstance(plan.except_when, Expression)
    assert (plan.backoff, plan.count, plan.longest_seconds) == ("linear", 3, 90.0)
    assert (literal(plan.delay), literal(plan.attempt_duration)) == ("PT1S", "PT5S")
    assert literal(plan.total_duration) == {"minutes": 1}
    assert plan.jitter is not None
    assert [literal(bound) for bound in plan.jitter] == ["PT0S", "PT2S"]


def test_empty_retry_policy_says_nothing() -> None:
    plan = only("{try: [{b: {set: {x: 1}}}], catch: {retry: {}}}").retry
    assert (plan.when, plan.delay, plan.backoff, plan.count, plan.jitter) == (None,) * 5
    assert (plan.attempt_duration, plan.total_duration, plan.longest_seconds) == (None,) * 3


def test_error_filter_holds_every_property_that_is_written() -> None:
    work = only(
        "{try: [{b: {set: {x: 1}}}], catch: {as: e, when: .a, exceptWhen: .b, errors: {with: {status: 404.0, code: c}}}}"
    )
    assert work.filter == {"status": 404, "code": "c"}
    assert work.as_ == "e"
    assert isinstance(work.when, Expression)
    assert isinstance(work.except_when, Expression)
    assert only("{try: [{b: {set: {x: 1}}}], catch: {}}").filter == {}


def test_http_call_keeps_uri_templates_as_text_and_compiles_expressions() -> None:
    work = only("{call: http, with: {method: get, endpoint: 'https://x.y/{id}'}}")
    assert isinstance(work, HttpWork)
    assert (work.method, work.uri, work.body, work.credentials) == ("GET", "https://x.y/{id}", None, None)
    assert (literal(work.headers), literal(work.query), work.output_format, work.redirect) == ({}, {}, "content", False)
    other = only(
        "{call: http, with: {method: post, endpoint: '${ \"https://x.y\" }', body: null, headers: {a: b}, query: {c: d},"
        " output: raw, redirect: true}}"
    )
    assert literal(other.uri) == "https://x.y"
    assert literal(other.body) is None
    assert (literal(other.headers), literal(other.query), other.output_format, other.redirect) == (
        {"a": "b"}, {"c": "d"}, "raw", True,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("authentication", "credentials"),
    [
        ("{basic: {username: u, password: p}}", {"scheme": "basic", "properties": {"username": "u", "password": "p"}}),
        (
            "{digest: {username: u, password: p}}",
            {"scheme": "digest", "properties": {"username": "u", "password": "p"}},
        ),
        ("{bearer: {token: t}}", {"scheme": "bearer", "properties": {"token": "t"}}),
        ("{use: named}", {"scheme": "bearer", "properties": {"token": "n"}}),
        (
            "{oauth2: {authority: http://a.b, grant: client_credentials}}",
            {"scheme": "oauth2", "properties": {"authority": "http://a.b", "grant": "client_credentials"}},
        ),
    ],
)
def test_credentials_are_written_out_or_named(authentication: str, credentials: dict[str, Any]) -> None:
    graph = compiled(
        f"""
        use: {{authentications: {{named: {{bearer: {{token: n}}}}}}}}
        do: [{{a: {{call: http, with: {{method: get, endpoint: {{uri: http://x.y, authentication: {authentication}}}}}}}}}]
        """
    )
    work = graph.nodes["/do/0/a"].work
    assert isinstance(work, HttpWork)
    assert literal(work.credentials) == credentials


@pytest.mark.parametrize(
    ("function", "found"),
    [
        ("python:shop.orders:place", "shop.orders:place"),
        ("tax:1.0.0@default", "tax:1.0.0@default"),
    ],
)
def test_call_of_a_python_function_keeps_its_name(function: str, found: str) -> None:
    work = only(f"{{call: '{function}', with: {{a: 1}}, metadata: {{interlock: {{isolated: true}}}}}}")
    assert isinstance(work, PythonWork)
    assert (work.function, literal(work.arguments), work.isolated) == (found, {"a": 1}, True)


def test_function_of_the_document_becomes_a_node_of_each_call() -> None:
    graph = compiled(
        """
        use: {functions: {inner: {set: {x: 1}}, outer: {do: [{b: {call: inner}}]}}}
        do: [{a: {call: outer, with: {y: 2}}}, {c: {call: inner}}]
        """
    )
    work = graph.nodes["/do/0/a"].work
    assert isinstance(work, FunctionWork)
    assert (work.first, literal(work.arguments)) == ("/do/0/a/call/0/outer", {"y": 2})
    assert list(graph.nodes) == [
        "/do/0/a/call/0/outer/do/0/b/call/0/inner",
        "/do/0/a/call/0/outer/do/0/b",
        "/do/0/a/call/0/outer",
        "/do/0/a",
        "/do/1/c/call/0/inner",
        "/do/1/c",
    ]
    assert graph.nodes["/do/1/c/call/0/inner"].definition == {"set": {"x": 1}}


def test_processes_carry_their_fields() -> None:
    shell = only("{run: {shell: {command: cat, stdin: hi, arguments: [a], environment: {B: c}}, return: all}}")
    assert isinstance(shell, ProcessWork)
    assert (shell.kind, shell.result) == ("shell", "all")
    assert isinstance(shell.text, Template)
    assert literal(shell.text) == "cat"
    assert literal(shell.fields) == {"stdin": "hi", "arguments": ["a"], "environment": {"B": "c"}}
    script = only("{run: {script: {language: python, code: print()}}}")
    assert (script.kind, script.language, script.result) == ("script", "python", "stdout")
    assert literal(script.text) == "print()"
    assert literal(script.fields) == {"arguments": [], "environment": {}}
    box = only(
        "{run: {container: {image: i, command: run it, ports: {80: 8080}, lifetime: {cleanup: never}}, return: code}}"
    )
    assert (box.kind, box.language, box.result) == ("container", "", "code")
    assert literal(box.text) == "run it"
    assert literal(box.fields) == {
        "arguments": [], "environment": {}, "image": "i", "ports": {"80": 8080}, "lifetime": {"cleanup": "never"},
    }  # fmt: skip


def test_set_and_wait_are_templates() -> None:
    work = only("{set: {x: 1}}")
    assert isinstance(work, SetWork)
    assert literal(work.value) == {"x": 1}
    work = only("{wait: {seconds: 3}}")
    assert isinstance(work, WaitWork)
    assert literal(work.duration) == {"seconds": 3}


# -- what every node has ---------------------------------------------------------------------------------------------


def test_data_flow_of_workflow_and_step_is_compiled() -> None:
    flow = "{schema: {document: {type: object}}, %s: '.x'}"
    graph = compiled(
        f"""
        input: {flow % "from"}
        output: {flow % "as"}
        timeout: {{after: PT1H}}
        do:
          - a:
              if: .ok
              set: {{x: 1}}
              input: {flow % "from"}
              output: {flow % "as"}
              export: {flow % "as"}
              timeout: soon
              metadata: {{interlock: {{on_error: continue, retry: {{application: 2}}, idempotency_key: .id}}}}
        use: {{timeouts: {{soon: {{after: {{seconds: 5}}}}}}}}
        """
    )
    node = graph.nodes["/do/0/a"]
    for value in (graph.input_from, graph.output_as, node.if_, node.input_from, node.output_as, node.export_as):
        assert isinstance(value, Expression)
    for schema in (graph.input_schema, graph.output_schema, node.input_schema, node.output_schema, node.export_schema):
        assert isinstance(schema, Checker)
    assert (literal(graph.timeout), literal(node.timeout)) == ("PT1H", {"seconds": 5})
    assert node.tolerates
    assert node.budgets[FailureClass.APPLICATION] == 2
    assert isinstance(node.idempotency_key, Expression)


def test_plain_step_has_nothing_around_it() -> None:
    graph = compiled("do: [{a: {set: {x: 1}, output: {as: {y: '${ .x }'}}}}]")
    node = graph.nodes["/do/0/a"]
    assert (graph.input_schema, graph.input_from, graph.output_as, graph.output_schema, graph.timeout) == (None,) * 5
    assert (node.if_, node.input_schema, node.input_from, node.output_schema, node.timeout) == (None,) * 5
    assert (node.export_as, node.export_schema, node.idempotency_key, node.tolerates) == (None, None, None, False)
    assert isinstance(node.output_as, Template)
    assert node.budgets == retry.WORKFLOW_BUDGETS


def test_checker_names_the_first_three_points() -> None:
    checker = Checker({"type": "object", "properties": {key: {"type": "integer"} for key in "abcd"}, "required": ["a"]})
    assert checker.complaint({"a": 1}) is None
    complaint = checker.complaint(dict.fromkeys("abcd", "x"))
    assert complaint is not None
    assert complaint.startswith('/a: "x" is not of type "integer"; /b: ')
    assert complaint.count(";") == 2
    assert checker.complaint({}) == 'value: "a" is a required property'


# -- what is refused -------------------------------------------------------------------------------------------------

_CALL = "do: [{a: {call: %s, with: %s}}]"


@pytest.mark.parametrize(
    ("text", "path", "what"),
    [
        (_CALL % ("mcp", "{method: tools/list, transport: {stdio: {command: c}}}"), "/do/0/a", "call mcp"),
        ("do: [{a: {run: {shell: {command: ls}, await: false}}}]", "/do/0/a", "run with `await: false`"),
    ],
)
def test_what_cannot_be_executed_yet_is_refused_by_name_and_was_warned_about(text: str, path: str, what: str) -> None:
    loaded = check.load(HEADER + text)
    assert "not-executable-yet" in {problem.code for problem in loaded.warnings}
    with pytest.raises(NotExecutable) as refused:
        flow_compile.compile(loaded.required(), loaded.value)
    assert str(refused.value).startswith(f"{path}: {what} cannot be executed yet; ")


# -- names -----------------------------------------------------------------------------------------------------------


def test_step_is_known_by_its_path_or_by_a_name_that_only_it_has() -> None:
    graph = compiled("do: [{a: {do: [{b: {set: {x: 1}}}]}}, {c: {do: [{b: {set: {x: 1}}}]}}]")
    assert graph.named("c") == graph.named("/do/1/c") == "/do/1/c"
    with pytest.raises(errors.Invalid, match="several steps are called 'b': /do/0/a/do/0/b, /do/1/c/do/0/b"):
        graph.named("b")
    with pytest.raises(errors.NotFound, match="no step 'd'; its steps are"):
        graph.named("d")


def test_pool_and_requirements_stand_at_their_node() -> None:
    graph = compiled(
        """
        do:
          - a: {run: {shell: {command: x}}, metadata: {interlock: {pool: gpu, requires: {skills: [rust], cpu: 2}}}}
          - b: {call: 'python:a:b', metadata: {interlock: {pool: gpu}}}
          - c: {run: {shell: {command: x}}}
        """
    )
    asked = {path: (node.pool, node.requires) for path, node in graph.nodes.items()}
    assert asked == {
        "/do/0/a": ("gpu", Requirements(skills=("rust",), cpu=2.0)),
        "/do/1/b": ("gpu", None),
        "/do/2/c": ("", None),
    }
