"""Templates: which strings are expressions, and what becomes of the others."""

from __future__ import annotations

import pytest

from interlock.errors import ExpressionDeadline, ExpressionError, ExpressionSyntax
from interlock.expr import template
from interlock.expr.evaluation import Evaluation, Failure, Pending, Value


@pytest.mark.parametrize(
    ("text", "program"),
    [
        ("${ .a }", ".a"),
        ("${.a}", ".a"),
        ("  ${ .a }\n", ".a"),
        ("${ {a: 1} }", "{a: 1}"),
        ('${ "}" }', '"}"'),
        ('${ "a\\"}b" }', '"a\\"}b"'),
        ('${ "\\("}")" }', '"\\("}")"'),
        ("${}", ""),
        ("${ {a: .b }", "{a: .b"),
        ("${ [.a[0], (.b)] }", "[.a[0], (.b)]"),
    ],
)
def test_whole_string_in_braces_is_an_expression(text: str, program: str) -> None:
    assert template.is_expression(text)
    assert template.inner(text) == program


@pytest.mark.parametrize(
    "text", ["Hello ${ .a }!", "${ .a } and ${ .b }", "${ .a", "$.a}", "{ .a }", "", "${ .a } }", "price: ${5}"]
)
def test_text_around_braces_stays_text(text: str) -> None:
    assert not template.is_expression(text)
    compiled = template.compile(text)
    assert compiled.constant
    assert compiled.evaluate(Evaluation(), {"a": 1}, {}) == text


def test_each_leaf_is_evaluated_and_the_rest_kept() -> None:
    compiled = template.compile(
        {"a": "${ .x }", "b": ["${ $y }", "k ${ . }", 1, None], "c": {"d": [True]}, "${ .x }": 0}
    )
    assert not compiled.constant
    assert compiled.arguments == {"y"}
    result = compiled.evaluate(Evaluation(), {"x": [1]}, {"y": 3})
    assert result == {"a": [1], "b": [3, "k ${ . }", 1, None], "c": {"d": [True]}, "${ .x }": 0}


def test_expression_syntax_in_data_is_never_evaluated() -> None:
    """WF-13, OP-07: only the definition holds expressions."""
    data = {"a": "${ env }", "b": {"c": "${ .a }"}}
    compiled = template.compile({"copy": "${ . }", "one": "${ .a }"})
    assert compiled.evaluate(Evaluation(), data, {}) == {"copy": data, "one": "${ env }"}


def test_template_without_expressions_is_constant() -> None:
    value = {"a": [1, "text"], "b": {}}
    compiled = template.compile(value)
    assert (compiled.constant, compiled.arguments) == (True, frozenset())
    assert compiled.evaluate(Evaluation(), None, {}) == value


def test_failing_leaf_fails_the_template() -> None:
    with pytest.raises(ExpressionError, match="cannot be added"):
        template.compile({"a": '${ .x + "s" }'}).evaluate(Evaluation(), {"x": 1}, {})


def test_leaf_that_does_not_compile_is_refused() -> None:
    with pytest.raises(ExpressionSyntax, match="unexpected end"):
        template.compile(["${ .a + }"])


@pytest.mark.parametrize("text", [".a.b", "${ .a.b }", "  .a.b\n", " ${.a.b} "])
def test_property_that_is_an_expression_needs_no_braces(text: str) -> None:
    assert template.expression(text).source == ".a.b"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (".x", 1),
        ("$y.z + .x", 3),
        ("if .x == 1 then true else false end", True),
        ("${ .x }", 1),
        ("status", "status"),
        ("length", "length"),
        ("true", "true"),
        ("42", "42"),
        ('"quoted"', '"quoted"'),
        ("two words", "two words"),
        (".x.deeper", ".x.deeper"),
        ("$HOME", "$HOME"),
        ("", ""),
        ("Hello .x", "Hello .x"),
    ],
)
def test_loose_mode_evaluates_what_names_data_and_keeps_the_rest(text: str, expected: object) -> None:
    assert template.compile(text, "loose").evaluate(Evaluation(), {"x": 1}, {"y": {"z": 2}}) == expected


def test_names_that_only_uncertain_texts_read_are_dispensable() -> None:
    compiled = template.compile({"a": "$x + $y", "b": "${ $y }", "c": "$5"}, "loose")
    assert (compiled.arguments, compiled.dispensable) == ({"x", "y"}, {"x"})


def test_loose_mode_reports_failures_inside_braces() -> None:
    with pytest.raises(ExpressionError):
        template.compile("${ .x.deeper }", "loose").evaluate(Evaluation(), {"x": 1}, {})


def test_loose_mode_reports_an_expression_that_ran_too_long() -> None:
    compiled = template.compile("[range(.x)]", "loose")
    with pytest.raises(ExpressionDeadline):
        compiled.evaluate(Evaluation([Failure("expression-deadline", "too long")]), {"x": 1}, {})


def test_costly_leaves_take_prepared_answers_in_order() -> None:
    compiled = template.compile({"a": "${ [range(1)] }", "b": "${ 1 }", "c": "${ [range(2)] }"})
    with pytest.raises(Pending) as pending:
        compiled.evaluate(Evaluation([Value([0])]), None, {})
    assert pending.value.request.source == "[range(2)]"
    result = compiled.evaluate(Evaluation([Value([0]), Value([0, 1])]), None, {})
    assert result == {"a": [0], "b": 1, "c": [0, 1]}
