"""What the fixtures do not show of the grammar: variants that are valid, advice, and the verdict on odd values."""

import pytest

from interlock.flow import check, structure, yaml
from interlock.flow.findings import Findings
from interlock.flow.grammar import patterns, shapes

_HEADER = "document: {dsl: 1.0.3, namespace: shop, name: order, version: 1.0.0}\n"


def _errors(text: str):
    return check.load(_HEADER + text).errors


_DURATIONS = [
    ("30s", "PT30S"), ("5m", "PT5M"), ("2h", "PT2H"), ("2d", "P2D"), ("1h30m", "PT1H30M"), ("90", "PT1M30S"),
    ("250ms", "PT0.25S"), ("0", "PT0S"), ("1d12h", "P1DT12H"), ("forever", None), ("9" * 400, None),
]  # fmt: skip


@pytest.mark.parametrize(("written", "near"), _DURATIONS, ids=[written[:20] for written, _ in _DURATIONS])
def test_a_short_duration_is_answered_in_iso_8601(written, near):
    assert patterns.about_duration(written)[1] == near


@pytest.mark.parametrize(("text", "near"), [(".x", "${ .x }"), ("${ .x } y", None), (".x\n| .y", None)])
def test_a_text_that_must_be_an_expression_is_answered_with_one(text, near):
    assert patterns.about_expression(text)[1] == near


@pytest.mark.parametrize(
    ("text", "is_uri", "is_expression"),
    [
        ("http://x/{a}?b={c}#d", True, False),
        ("relative/path", True, False),
        ("", False, False),
        (" x", False, False),
        ("http://x y", False, False),
        ("x\ufeffy", False, False),
        ("x\x1fy", True, False),  # white space to Python, not to ECMAScript
        ("${ .x }", False, True),
        ("\u00a0${ .x }\ufeff", False, True),
        ("${ .x }\n", False, True),
        ("${ .x\n}", False, False),
        ("${ .x\r}", False, True),
        ("${}", False, False),
        ("x ${ .x }", False, False),
    ],
)
def test_texts_match_as_in_ecmascript(text, is_uri, is_expression):
    assert (patterns.is_uri(text), patterns.is_expression(text)) == (is_uri, is_expression)
    assert patterns.is_endpoint(text) == (is_uri or is_expression)


@pytest.mark.parametrize("text", ["1.0.0\n", "1.0", "01.0.0", "1.0.0-01", "1.0.0-", "1.0.0+", "1.0.0-ü"])
def test_what_is_no_semantic_version_is_refused(text):
    assert not patterns.is_version(text)


@pytest.mark.parametrize(
    "text",
    [
        "do: [{a: {wait: {seconds: 3.0}}}]",
        "do: [{a: {call: grpc, with: {proto: {endpoint: x}, service: {name: a, host: h, port: 65535.0}, method: m}}}]",
        "do: [{a: {call: mcp, with: {method: tools/list, transport: {stdio: {command: x}}, more: 1}}}]",
        "do: [{a: {set: {x: 1}}}]\nuse: {authentications: {a: {basic: {use: ''}, bearer: {token: x}, more: 1}}}",
        "do: [{a: {set: {x: 1}}}]\nanything: else",
    ],
)
def test_what_the_schema_lets_pass_is_valid(text):
    assert structure.is_valid(yaml.read(_HEADER + text).value)


@pytest.mark.parametrize("value", [None, 3, "x", [], {}, {"document": None, "do": None}, True])
def test_what_is_no_workflow_is_not_valid(value):
    assert not structure.is_valid(value)


def test_a_problem_of_a_value_without_a_text_stands_at_the_start():
    findings = Findings()
    structure.check({"do": [{"a": {"set": {}}}], "document": {"dsl": 1}}, findings)

    assert {(problem.line, problem.column) for problem in findings.problems} == {(1, 1)}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("do: [{a: {set: {x: 1}, timeout: 5}}]", "`timeout` must be a map with `after`, or the name of a timeout"),
        ("do: [{a: {set: true}}]", "`set` must be a map or an expression, not the boolean true"),
        ("do: [{a: {if: true, set: {x: 1}}}]", "`if` must be an expression, not the boolean true; quote it: 'true'"),
        ("do: [{a: {set: {x: 1}, then: [b]}}]", "`then` must be continue, exit, end or the name of a task, not a list"),
        ("do: [{a: {call: http, with: 5}}]", "`with` must be a map, not the number 5"),
        ("do: [{a: {run: {script: {language: js, code: x, arguments: {a: b}}}}}]", "`arguments` must be a list"),
        ("do: [{a: {run: {shell: {command: x, environment: [a]}}}}]", "`environment` must be a map, not a list"),
        ("do: [{a: {run: {container: {image: x, pullPolicy: 5}}}}]", "must be `ifNotPresent`, `always` or `never`"),
        ("do: [{a: {run: {container: {image: x, lifetime: 5}}}}]", "`lifetime` must be a map, not the number 5"),
        ("do: [{a: {run: {container: {image: x, lifetime: {}}}}}]", "`lifetime` needs `cleanup`"),
        ("do: [{a: {fork: {branches: [], compete: 1}}}]", "`compete` must be true or false, not the number 1"),
        ("do: {a: 5}", "`a` must be a task, a map such as {set: {done: true}}, not the number 5"),
        (
            "do: [{a: {switch: [5]}}]",
            "item 1 of `switch` must be a case with its name, `- name: ...`, not the number 5",
        ),
        ("do: [{a: {call: http, with: {method: get, endpoint: '', body: 1}}}]", "`endpoint` is empty"),
        (f"do: [{{a: {{wait: {'x' * 80}}}}}]", f"`{'x' * 57}...` is not an ISO 8601 duration"),
        ("do: [{a: {call: htpp, wait: PT1S}}]", "`a` is `call` and `wait` at once"),
        ("do: [{a: {call: http, with: {method: get, endpoint: {uri: x, authentication: 5}}}}]", "not the number 5"),
        (
            "do: [{a: {call: http, with: {method: get, endpoint: {uri: x, authentication: {basic: 5}}}}}]",
            "`basic` must",
        ),
    ],
)
def test_messages_say_what_was_found_and_expected(text, message):
    assert any(message in error.message for error in _errors(text)), [error.message for error in _errors(text)]


def test_a_shape_that_is_used_before_it_is_made_stands_for_the_made_one():
    shape = shapes.Forward()
    shape.become(shapes.Boolean())

    assert shape.expected == "true or false"
    assert shapes.fits(shape, True)
    assert not shapes.fits(shape, "x")


@pytest.mark.parametrize("depth", [31, 32, 60])
def test_deeply_nested_tasks_are_read_or_refused(depth):
    text = f"{_HEADER}do: [{'{a: {do: [' * depth}{{a: {{set: {{x: 1}}}}}}{']}}' * depth}]"
    loaded = check.load(text)

    assert (loaded.workflow is not None) == (depth == 31)
    assert all(error.code == "too-deep" for error in loaded.errors)
