"""Where programs run: on the loop, there when the data is small, or in a process of their own."""

from __future__ import annotations

import time

import pytest
from purejq.builtins import PY_BUILTINS
from purejq.prelude import prelude_env

from interlock.errors import ExpressionSyntax
from interlock.expr import arithmetic, builtins, jq
from interlock.expr.cost import Place, is_small

INLINE = [
    ".",
    ".a.b",
    '.["a"]?',
    ".a[0]",
    ".a[1:3]",
    ".a[:2]",
    "$x",
    "$input.items[] | select(.ok)",
    "$input.items | map(.x)",
    "$table[.i]",
    ".a + 1",
    "-.a",
    ".a == 1 and .b != $x or false",
    ".a // 7",
    "try .a catch 1",
    "try .a",
    "if .a then .b elif .c then 1 else .d end",
    "if .a then .b end",
    "[.xs[].y]",
    ".orders[].lines[].price",
    "map(.lines | length)",
    "map(.lines | map(.price))",
    "map(select(.id == $id))",
    "map(select(.price * .count > $limit))",
    "any(.xs[]; .ok)",
    "all(.ok)",
    "first(.xs[] | select(.ok))",
    "[limit($n; .xs[])]",
    "isempty(.xs[])",
    "{a: .x, b: [.y[] | .z], (.k): 1}",
    "[.[] | {(.k): 1}]",
    "{}",
    "[]",
    '"Hi \\(.name), \\(.age)"',
    '"plain"',
    "@base64",
    '@uri "x=\\(.x)"',
    ". as $x | $x.a",
    ". as [$a, {b: $c}] | $a + $c",
    "[.[] | . as $x | $x.a]",
    ".a = .b",
    ".a.b |= . + 1",
    ".a += 1",
    ".a[3] = 1",
    '.["k"] = 1',
    ".items + [$x]",
    "$defaults * .",
    '"ab" * 3',
    "label $out | .[] | ., break $out",
    "$__loc__",
    "[.xs[] | .a] | max",
    "error(.message)",
    "[.[] | tostring]",
    "isvalid(.a)",
]
WHEN_SMALL = [
    "add",
    "sort",
    "map(add)",
    "group_by(.a)",
    "sort_by(.a) | map(.a) | add",
    ".[] |= . + 1",
    "map_values(. + 1)",
    "with_entries(.value += 1)",
    "del(.a)",
    "[.[] as $x | $x]",
    "[.[] as $x | .[] as $y | $x == $y]",
    "[.[] | {id, owner: $o}]",
    '[.[] | "\\(.id) \\($big)"]',
    "[.[] | $table[.id]]",
    "[.[] | . as $o | .lines[] | {id: $o.id, price}]",
    "{a: .xs[], b: .y}",
    '[.[] | tostring] | join(",")',
    "[if .xs[].ok then . else 1 end]",
    "[.[] + .[]]",
    "[.xs[] = 1]",
    "[select(.xs[])]",
]
ISOLATED = [
    "[range(3)]",
    "[limit(3; repeat(1))]",
    "[.[] | while(. < 9; . + 1)]",
    "until(. > 9; . + 1)",
    "..",
    "[recurse]",
    "walk(.)",
    "[paths]",
    "[combinations]",
    "def f: .; f",
    "reduce .[] as $x (0; . + $x)",
    "[foreach .[] as $x (0; . + $x)]",
    'test("a")',
    '[match("a"; "g")]',
    'sub("a"; "b")',
    '[splits(", *")]',
    'strptime("%Y")',
    "pow(10; 1000000000)",
    'setpath(["a"]; 1)',
    ".[5000000] = 1",
    ".[$i] = 1",
    "getpath($path) = 1",
    ".a | nth(9999999) |= 1",
    ". as {(.k): $v} | $v",
    "[.[] as $x | .[] as $y | .[] as $z | 1]",
    "|".join(["[., .]"] * 11),
    "|".join(["(1, 2)"] * 11),
    "{a: (1, 2, 3, 4), b: (1, 2, 3, 4), c: (1, 2, 3, 4), d: (1, 2, 3, 4), e: (1, 2, 3, 4)}",
    "INDEX(.id)",
]


@pytest.mark.parametrize("source", INLINE)
def test_linear_programs_run_on_the_loop(source: str) -> None:
    assert jq.compile(source).place is Place.INLINE


@pytest.mark.parametrize("source", WHEN_SMALL)
def test_quadratic_programs_run_on_the_loop_when_the_data_is_small(source: str) -> None:
    assert jq.compile(source).place is Place.INLINE_WHEN_SMALL


@pytest.mark.parametrize("source", ISOLATED)
def test_unbounded_programs_never_run_on_the_loop(source: str) -> None:
    assert jq.compile(source).place is Place.ISOLATED


def test_every_function_of_purejq_is_judged_or_shut_off() -> None:
    private = {("$ENV", 0), ("_strindices", 1)}
    known = set(PY_BUILTINS) | set(prelude_env().funcs)
    judged = builtins.BUILTINS.keys() | {function for function in known if function[0] in builtins.SHUT_OFF}
    assert judged == known - private


@pytest.mark.parametrize("name", ["_strindices", "__loc__"])
def test_private_functions_of_purejq_cannot_be_called(name: str) -> None:
    with pytest.raises(ExpressionSyntax, match="unknown function"):
        jq.compile(f"{name}(.)")


_LARGE = {
    "xs": [{"id": number, "k": str(number), "ok": True, "lines": [1, 2, 3], "price": 2} for number in range(10_000)],
    "text": "x" * 100_000,
}


@pytest.mark.parametrize("source", INLINE)
def test_inline_programs_end_soon_on_large_data(source: str) -> None:
    """The promise behind `Place.INLINE`, tried on 80,000 values: refused by bounded arithmetic, failed, or quick."""
    arguments = dict.fromkeys(("x", "id", "limit", "n", "defaults", "table", "input"), _LARGE)
    program = jq.compile(source)
    started = time.process_time()
    for data in (_LARGE, _LARGE["xs"], _LARGE["text"]):
        _ignoring_failure(program, data, arguments)
    assert time.process_time() - started < 2.0


def _ignoring_failure(program: jq.Expression, data: object, arguments: dict[str, object]) -> None:
    try:
        program.evaluate_inline(data, arguments)
    except (jq.ExpressionError, arithmetic.TooLarge):
        return


@pytest.mark.parametrize(
    ("value", "small"),
    [
        (None, True),
        ([0] * 255, True),
        ([0] * 256, False),
        ({str(number): 0 for number in range(255)}, True),
        ({str(number): 0 for number in range(300)}, False),
        ([[0] * 100, [0] * 100, [0] * 100], False),
        ("x" * 16_000, True),
        ("x" * 17_000, False),
    ],
)
def test_data_is_small_up_to_256_values(value: object, small: bool) -> None:
    assert is_small(value) is small


def test_small_counts_data_and_the_arguments_that_are_read() -> None:
    program = jq.compile("[.[] | {id, owner: $owner}]")
    assert program.evaluate_inline([{"id": 1}], {"owner": "me", "other": [0] * 999}) == [{"id": 1, "owner": "me"}]
    with pytest.raises(arithmetic.TooLarge):
        program.evaluate_inline([{"id": 1}], {"owner": [0] * 999})
    with pytest.raises(arithmetic.TooLarge):
        jq.compile("add").evaluate_inline([1] * 999, {})


@pytest.mark.parametrize(
    ("source", "data"),
    [
        (".a + .b", {"a": [0] * 600, "b": [0] * 600}),
        (".a + .b", {"a": "x" * 9000, "b": "x" * 9000}),
        (".a + .b", {"a": {str(n): n for n in range(600)}, "b": {f"b{n}": n for n in range(600)}}),
        (".a - .b", {"a": [0] * 100, "b": [0] * 100}),
        (".a * 100000", {"a": "text"}),
        ("100000 * .a", {"a": "text"}),
        ("infinite * .a", {"a": "text"}),
        (".a * .b", {"a": {str(n): n for n in range(600)}, "b": {f"b{n}": n for n in range(600)}}),
        ('.a / ","', {"a": "," * 20_000}),
        (".a += .b", {"a": [0] * 600, "b": [0] * 600}),
    ],
)
def test_large_operands_are_not_worked_on_here(source: str, data: object) -> None:
    with pytest.raises(arithmetic.TooLarge):
        jq.compile(source).evaluate_inline(data, {})


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("[1, 2] + [3]", [1, 2, 3]),
        ('"a" + "b"', "ab"),
        ("{a: 1} + {b: 2}", {"a": 1, "b": 2}),
        ("[1, 2] - [2]", [1]),
        ("3 - 1", 2),
        ('"ab" * 2', "abab"),
        ('2 * "ab"', "abab"),
        ('"ab" * -1', None),
        ("{a: {b: 1}} * {a: {c: 2}}", {"a": {"b": 1, "c": 2}}),
        ('"a,b" / ","', ["a", "b"]),
        ("7 / 2", 3.5),
        ("7 % 4", 3),
        ("null + 1", 1),
        (". as $x | $x * 2", 42),
        ("[.] | map(. - 1)", [20]),
    ],
)
def test_bounded_arithmetic_gives_what_plain_arithmetic_gives(source: str, expected: object) -> None:
    program = jq.compile(source)
    assert program.evaluate_inline(21, {}) == program.evaluate(21, {}) == expected
