"""The C `jq` as oracle: random small programs on random data give the same result.

Compared by value, numbers as doubles. Known and wanted differences, kept out of what is generated:

- integers are exact here, doubles there;
- an error on the left of `//` takes the right side here (and since jq 1.7), it is an error in jq 1.6;
- jq 1.6 takes `reduce ... as $x (...)` and `if ... end` as source of `as` only in parentheses;
- jq 1.6, 1.7 and 1.8 differ among themselves in: `index`, `add` and `has` of null, `flatten` and `reverse` of an
  object, `join` of nothing by no text, entries with keys that are no texts, `isempty` of an error, `any` of several
  results per element, `reduce` with an update that gives nothing, division of constants by zero, `test` by null, a text
  times zero, an update with nothing of several paths;
- messages of errors are worded differently.
"""

from __future__ import annotations

import json
import shutil
import subprocess

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from interlock.errors import ExpressionError
from interlock.expr import jq
from required import may_skip

JQ = shutil.which("jq")

pytestmark = pytest.mark.skipif(may_skip("jq", JQ is not None), reason="the C jq, the oracle, is not installed")

_FUNCTIONS = (
    "length keys type not any all sort unique min max to_entries tostring tojson floor first last values scalars empty "
    "tonumber ascii_upcase explode paths"
)
_WITH_ARGUMENT = """
map({}); select({}); [{}]; first({}); any([{}] | length > 1); all({}); sort_by({}); group_by({}); unique_by({})
min_by({})
max_by({}); contains({}); inside({}); try ({}) catch 7; map_values([{}]); [paths({})]; split({}); ({})?; startswith({})
{{a: {}}}; [.[] | {}]; walk({}); test([{}] | tojson); objects * ({} | objects); [{}] | length
objects | has({} | tostring); objects | with_entries({{key: .key, value: {}}}); map(tostring) | join(",")
"""
_names = st.sampled_from(["a", "b", "c"])
_numbers = st.integers(-5, 5)
_scalars = st.none() | st.booleans() | _numbers | st.sampled_from(["", "a", "b", "a,b", "xyz"])
_data = st.recursive(
    _scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_names, inner, max_size=3), max_leaves=8
)
_paths = st.sampled_from([".a", ".b", ".[0]", ".a.b", ".[]", ".a[]", ".[1:]", "(.a, .b)", ".[]?", ".a?", "first(.[])"])
_atoms = st.one_of(
    st.sampled_from(
        [".", ".a", ".b", ".a.b", ".[0]", ".[1:]", ".[]", ".[]?", ".a?", "..", "$v", "null", "true", "[]", "{}"]
    ),
    _numbers.map(lambda number: f"({number})"),
    st.sampled_from(
        ['"a"', '"x"', '"\\(.a)!"', "(arrays | add)", "(arrays | reverse)", "(objects | to_entries | from_entries)"]
    ),
    st.sampled_from(["(numbers | . / 2)", "(numbers | . * 3)", "(numbers | . % 3)", '(strings | . / ",")']),
    st.sampled_from(_FUNCTIONS.split()),
)


def _wider(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    two = st.tuples(inner, inner)
    operators = st.sampled_from(["+", "-", "==", "!=", "<", ">=", "and", "or", "//", ",", "|"])
    functions = st.sampled_from(_WITH_ARGUMENT.strip().replace("\n", "; ").split("; "))
    return st.one_of(
        st.tuples(operators, two).map(lambda drawn: f"({drawn[1][0]} {drawn[0]} {drawn[1][1]})"),
        st.tuples(functions, inner).map(lambda drawn: f"({drawn[0].format(drawn[1])})"),
        st.tuples(inner, inner, inner).map(lambda drawn: "if {} then {} else {} end".format(*drawn)),
        two.map(lambda drawn: "(({}) as $x | {} | [., $x])".format(*drawn)),
        inner.map("(reduce ({}) as $x (0; [., $x]))".format),
        st.tuples(_paths, st.sampled_from(["=", "|=", "+=", "//="]), inner).map("({0[0]} {0[1]} {0[2]})".format),
        st.tuples(st.sampled_from(["del({})", "[path({})]"]), _paths).map(lambda drawn: drawn[0].format(drawn[1])),
    )


_programs = st.recursive(_atoms, _wider, max_leaves=5)


@pytest.mark.slow
@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(source=_programs, data=_data, variable=_scalars)
def test_programs_give_what_jq_gives(source: str, data: object, variable: object) -> None:
    expected = _oracle(source, data, variable)
    assume(not (expected == "error" and "//" in source))
    assert _ours(source, data, variable) == expected


def _oracle(source: str, data: object, variable: object) -> object:
    assert JQ is not None, "INTERLOCK_REQUIRE names jq, which is not installed"
    command = [JQ, "-c", "--argjson", "v", json.dumps(variable), f"[limit(2; {source})]"]
    result = subprocess.run(command, input=json.dumps(data), capture_output=True, text=True, timeout=10, check=False)
    if result.returncode != 0:
        return "error"
    outputs = json.loads(result.stdout)
    return "error" if len(outputs) > 1 else (outputs or [None])[0]


def _ours(source: str, data: object, variable: object) -> object:
    try:
        return jq.compile(source).evaluate(data, {"v": variable})
    except ExpressionError:
        return "error"
