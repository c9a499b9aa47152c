"""Programs: what they give, what they read, and how they fail."""

from __future__ import annotations

import re

import pytest

from interlock.errors import ExpressionError, ExpressionSyntax
from interlock.expr import jq

DATA = {"a": {"b": 2}, "xs": [{"y": 1}, {"y": 2}], "name": "Ada", "large": 9007199254740993}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (".a.b", 2),
        (".missing.deeper", None),
        ("[.xs[].y]", [1, 2]),
        ("empty", None),
        (".xs[] | select(.y == 3)", None),
        (".large + 1", 9007199254740994),
        ("123456789012345678901234567890 + .a.b", 123456789012345678901234567892),
        ("1.5 * 2", 3),
        ("10 / 4", 2.5),
        ("[nan, infinite, -infinite]", [None, 1.7976931348623157e308, -1.7976931348623157e308]),
        ("1e17", 1e17),
        ('"Hello \\(.name)"', "Hello Ada"),
        ('"\\ud800x"', "�x"),
        ('"é"', "é"),
        ('"\\"é\\"" | fromjson', "é"),
        ("{(.name): .a}", {"Ada": {"b": 2}}),
        (".xs |= map(.y)", {**DATA, "xs": [1, 2]}),
        (".a.b += 1.0", {**DATA, "a": {"b": 3}}),
        ("try error({code: 7}) catch .code", 7),
        ("def twice: . * 2; .a.b | twice", 4),
        ("[label $out | .xs[] | .y, break $out]", [1]),
        ('@base64 "\\(.name)"', "QWRh"),
        ("[[3, null, 2], [3, 1, 2], []] | map(min)", [None, 1, None]),
        ("def min: 7; [1] | min", 7),
    ],
)
def test_program_gives_its_one_result(source: str, expected: object) -> None:
    assert jq.compile(source).evaluate(DATA, {}) == expected


def test_data_passes_through_unchanged() -> None:
    value = {"float": 3.0, "tiny": 1e-300, "deep": [[["é"]]]}
    assert jq.compile(".").evaluate(value, {}) is value


@pytest.mark.parametrize(
    ("source", "names"),
    [
        (".a", set()),
        ("$input.x + $y", {"input", "y"}),
        (". as $x | $x + $y", {"y"}),
        (". as {a: $b, $c, $d: {e: $f}} | [$b, $c, $d, $f, $g]", {"g"}),
        (". as [$a, [$b]] ?// $c | $a + $b + $c", set()),
        (". as {($k): $v} | $v", {"k"}),
        ("reduce .[] as $i ($start; . + $i)", {"start"}),
        ("foreach .[] as $i (0; . + $i; [$i, $z])", {"z"}),
        ("def f($p; g): $p + g + p; f($q; $r)", {"q", "r"}),
        ("$x as $x | $x", {"x"}),
        ('"\\($n)"', {"n"}),
        ("{$item, b: 1}", {"item"}),
        ("$__loc__", set()),
    ],
)
def test_arguments_are_the_names_that_are_read_and_not_bound(source: str, names: set[str]) -> None:
    assert jq.compile(source).arguments == names


def test_arguments_are_handed_in_by_name() -> None:
    expression = jq.compile("$input.x + $context.n + .y")
    assert expression.evaluate({"y": 3}, {"input": {"x": 1}, "context": {"n": 2}, "unused": 0}) == 6


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (".xs[]", r"several results; wrap it in \[...\] to get an array, in the expression `\.xs\[\]`"),
        (".name + 1", r"cannot be added, in the expression"),
        ("$nobody", r"\$nobody is not defined"),
        ('error("no such order")', "no such order"),
        ("error({a: 1})", r'\{"a":1\} \(not a string\)'),
        ("1000 | exp10", "."),
        ("[limit(20000; repeat([.]))] | last | def f: .[0] | f; f", "recurses too deeply"),
    ],
)
def test_failure_names_its_cause_and_the_expression(source: str, message: str) -> None:
    """WF-13: errors surface."""
    with pytest.raises(ExpressionError, match=message) as raised:
        jq.compile(source).evaluate(DATA, {})
    assert raised.value.code == "expression"


def test_long_expression_is_shortened_in_messages() -> None:
    with pytest.raises(ExpressionError) as raised:
        jq.compile(".name + 1 +\n " + "0 + " * 100 + "0").evaluate(DATA, {})
    assert str(raised.value).endswith("0 + 0 + 0 +…`")


@pytest.mark.parametrize(
    ("source", "message", "column"),
    [
        ("", "empty", 0),
        (" \n", "empty", 0),
        (".a > > 2", "unexpected `>`", 5),
        (".a ==", "unexpected end", 5),
        (".a[", "unexpected end", 3),
        ("if . then 1", "unexpected end", 11),
        ("}", "unexpected `}`", 0),
        (".a ; 1", "unexpected `;`", 3),
        (".a # why\n  } ", "unexpected `}`", 11),
        (".ä", "unexpected `ä`", 1),
        (". as x | 1", "unexpected `x`", 5),
        ('"abc', "unterminated string", None),
        ('"\\(.a +)"', "unexpected text in a string interpolation", None),
        ("[" * 70 + "]" * 70, "nests too deeply", None),
        ("1" * 5000, "too many digits", None),
        ("|".join(["."] * 5000), "nests too deeply", None),
        ('import "a" as $a; 1', "`import` is shut off: an expression reads no files", 0),
        ('include "a"; 1', "`include` is shut off", 0),
        ("lenght", "unknown function `lenght`; did you mean `length`?", 0),
        ("frobnicate", "unknown function `frobnicate`", 0),
        (". | map(.a; .b)", "`map` takes 1 argument, not 2", 4),
        ("split", "`split` takes 1 or 2 arguments, not 0", 0),
        ("@bas64", "unknown format `@bas64`; did you mean `@base64`?", 0),
        ('"x" | @nope "\\(.)"', "unknown format `@nope`", 6),
        ("[.[] | break $out]", "no `label $out` encloses", 13),
        ('"\\(lenght)"', "unknown function `lenght`", None),
        ("(def f: 1; f) | f", "unknown function `f`", 5),
        ("def f(g): g; g", "unknown function `g`", 6),
    ],
)
def test_program_that_cannot_be_is_refused_with_its_column(source: str, message: str, column: int | None) -> None:
    with pytest.raises(ExpressionSyntax, match=re.escape(message)) as raised:
        jq.compile(source)
    assert (raised.value.column, raised.value.source) == (column, source)


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("env.HOME", "env"),
        ("$ENV.HOME", "$ENV"),
        ("$__prog_args", "$__prog_args"),
        ("now", "now"),
        ("now | todate", "now"),
        ("0 | localtime", "localtime"),
        ('0 | strflocaltime("%c")', "strflocaltime"),
        ("input", "input"),
        ("[inputs]", "inputs"),
        ("input_filename", "input_filename"),
        ("input_line_number", "input_line_number"),
        ("halt", "halt"),
        ("halt_error", "halt_error"),
        ("halt_error(1)", "halt_error"),
        ("debug", "debug"),
        ('debug("x")', "debug"),
        ("stderr", "stderr"),
        ("(def env: 1; env), env", "env"),
        ("def f(env): 1; f(2) | env", "env"),
        ('"\\(env)"', "env"),
        ("{a: [.b | env]}", "env"),
        ("try env catch .", "env"),
        (". as {(env): $x} | 1", "env"),
        ("reduce env as $x (0; 1)", "env"),
        (".a |= now", "now"),
    ],
)
def test_what_leaves_the_data_is_shut_off(source: str, name: str) -> None:
    """WF-13, OP-07: no environment, clock, files, terminal or process behind an expression."""
    with pytest.raises(ExpressionSyntax, match=re.escape(f"`{name}` is shut off")):
        jq.compile(source)


def test_own_function_may_have_the_name_of_one_that_is_shut_off() -> None:
    assert jq.compile("def now: 7; now").evaluate(None, {}) == 7


def test_far_names_are_not_suggested() -> None:
    with pytest.raises(ExpressionSyntax, match=r"unknown function `frobnicate`$"):
        jq.compile("frobnicate")


def test_compiled_programs_are_kept() -> None:
    assert jq.compile(".kept") is jq.compile(".kept")
    assert repr(jq.compile(".kept")) == "Expression('.kept')"


@pytest.mark.parametrize(
    "hostile",
    ["$(touch owned)", "`id`", "'; DROP TABLE runs; --", "${ env }", "\\(env)", '"); halt; ("', "{{7*7}}", "\x00"],
)
def test_hostile_text_in_data_stays_text(hostile: str) -> None:
    """WF-13, OP-07: an injection string is inert."""
    data = {"name": hostile, hostile: 1}
    assert jq.compile('"<\\(.name)>"').evaluate(data, {}) == f"<{hostile}>"
    assert jq.compile(".[.name] + $n").evaluate(data, {"n": 1, hostile: 2}) == 2
    assert jq.compile("{(.name): .name}").evaluate(data, {}) == {hostile: hostile}
