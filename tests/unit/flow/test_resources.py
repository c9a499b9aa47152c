"""What a definition needs from elsewhere, and how it becomes a part of its graph."""

from __future__ import annotations

import textwrap
from typing import Any

import pytest

from interlock import errors
from interlock.flow import check, resources
from interlock.flow import compile as flow_compile
from interlock.flow.graph import FunctionWork, Graph, ProcessWork, SetWork

HEADER = "document: {dsl: 1.0.3, namespace: default, name: tested, version: 1.0.0}\n"
CATALOG = "https://catalog.example/c"
USE = f"use: {{catalogs: {{mine: {{endpoint: {CATALOG}/}}}}}}\n"
FUNCTION = "input: {schema: {document: {type: object}}}\nset: {got: '${ .x }'}\n"


def loaded(text: str) -> check.Loaded:
    return check.load(HEADER + textwrap.dedent(text))


def wanted(text: str) -> list[str]:
    workflow = loaded(text).required()
    return [each.uri for each in resources.wanted(workflow, workflow.use)]


def compiled(text: str, fetched: dict[str, str]) -> Graph:
    document = loaded(text)
    return flow_compile.compile(document.required(), document.value, fetched)


@pytest.mark.parametrize(
    ("uri", "raw"),
    [
        ("https://github.com/o/r/tree/main", "https://raw.githubusercontent.com/o/r/main"),
        ("https://github.com/o/r/tree/v1/deep/", "https://raw.githubusercontent.com/o/r/v1/deep"),
        ("https://github.com/o/r/blob/main/f.yaml", "https://raw.githubusercontent.com/o/r/main/f.yaml"),
        ("https://github.com/o/r", "https://raw.githubusercontent.com/o/r/main"),
        ("https://github.com/o/r.git", "https://raw.githubusercontent.com/o/r/main"),
        ("https://gitlab.com/o/r/tree/main", "https://gitlab.com/o/r/tree/main"),
    ],
)
def test_pages_at_github_stand_for_their_texts(uri: str, raw: str) -> None:
    assert resources.raw(uri) == raw


def test_everything_from_elsewhere_is_found_once_wherever_it_stands() -> None:
    text = USE + textwrap.dedent("""
    input: {schema: {resource: {endpoint: https://x.example/in.json}}}
    do:
      - a: {call: 'f:1.0.0@mine'}
      - b: {fork: {branches: [{c: {call: https://x.example/g.yaml}}, {d: {call: https://x.example/g.yaml}}]}}
      - e:
          try: [{f: {run: {script: {language: js, source: {endpoint: {uri: file:main.js}}}}}}]
          catch: {do: [{g: {call: 'tax:1.0.0@default'}}, {h: {call: 'python:m:f'}}]}
      - i: {set: {x: 1}, output: {schema: {resource: {endpoint: https://x.example/out.json}}}}
    """)
    assert sorted(wanted(text)) == [
        "file:main.js",
        f"{CATALOG}/functions/f/1.0.0/function.yaml",
        "https://x.example/g.yaml",
        "https://x.example/in.json",
        "https://x.example/out.json",
    ]
    assert wanted("use: {functions: {f: {set: {x: 1}}}}\ndo: [{a: {call: f}}]") == []


def test_function_from_a_catalog_is_unfolded_where_it_is_called() -> None:
    graph = compiled(USE + "do: [{a: {call: 'f:1.0.0@mine', with: {x: 1}}}]", {wanted_uri("f"): FUNCTION})
    outer = graph.nodes["/do/0/a"].work
    assert isinstance(outer, FunctionWork)
    inner = graph.nodes[outer.first]
    assert isinstance(inner.work, SetWork)
    assert (inner.path, inner.input_schema is not None) == ("/do/0/a/call/0/f:1.0.0@mine", True)


def wanted_uri(name: str) -> str:
    return f"{CATALOG}/functions/{name}/1.0.0/function.yaml"


def test_functions_call_functions_of_the_same_catalogs_and_of_the_workflow() -> None:
    text = (
        USE.replace("use: {", "use: {functions: {own: {set: {x: 1}}}, ")
        + "do: [{a: {call: 'f:1.0.0@mine'}}, {o: {call: own}}]"
    )
    fetched = {
        wanted_uri("f"): "do: [{a: {call: 'g:1.0.0@mine'}}, {b: {call: own}}]",
        wanted_uri("g"): "set: {x: 1}",
    }
    assert sorted(compiled(text, fetched).nodes)[:3] == [
        "/do/0/a",
        "/do/0/a/call/0/f:1.0.0@mine",
        "/do/0/a/call/0/f:1.0.0@mine/do/0/a",
    ]


def test_script_from_a_source_holds_no_expressions() -> None:
    text = "do: [{a: {run: {script: {language: js, source: {endpoint: file:main.js}, arguments: ['${ .x }']}}}}]"
    work = compiled(text, {"file:main.js": "${ .x }"}).nodes["/do/0/a"].work
    assert isinstance(work, ProcessWork)
    assert work.text == "${ .x }"


@pytest.mark.parametrize("written", ['{"type": "integer"}', "type: integer"])
def test_schema_from_a_resource_checks_values(written: str) -> None:
    graph = compiled(
        "do: [{a: {set: {x: 1}}}]\ninput: {schema: {resource: {endpoint: https://x.example/s}}}",
        {"https://x.example/s": written},
    )
    assert graph.input_schema is not None
    assert graph.input_schema.complaint(1) is None
    assert graph.input_schema.complaint("x") is not None


_SCHEMA = "do: [{a: {set: {x: 1}}}]\ninput: {schema: {resource: {endpoint: https://x.example/s}}}"
_CALL = USE + "do: [{a: {call: 'f:1.0.0@mine'}}]"


@pytest.mark.parametrize(
    ("text", "fetched", "message"),
    [
        (_SCHEMA, {}, "the resource https://x.example/s was not fetched"),
        (_SCHEMA, {"https://x.example/s": "a: ["}, "https://x.example/s is no JSON Schema: line 2, column 1"),
        (_SCHEMA, {"https://x.example/s": "[1]"}, "is no JSON Schema: a JSON Schema is a map"),
        (_SCHEMA, {"https://x.example/s": "type: number-ish"}, "https://x.example/s is no JSON Schema"),
        (_SCHEMA, {"https://x.example/s": "$ref: http://169.254.169.254/s"}, "is no JSON Schema"),
        (_CALL, {wanted_uri("f"): "set: {x: 1}\nthen: nowhere"}, "function.yaml:2:7"),
        (_CALL, {wanted_uri("f"): "x: ["}, "function.yaml:2:1"),
        (_CALL, {wanted_uri("f"): "- a"}, "function.yaml:1:1"),
        (_CALL, {wanted_uri("f"): "set: {x: '${ $secrets.undeclared }'}"}, "`use.secrets` has no `undeclared`"),
        (_CALL, {wanted_uri("f"): "call: other"}, "no function is called `other`"),
        (
            _CALL,
            {wanted_uri("f"): "call: mcp\nwith: {method: tools/list, transport: {stdio: {command: c}}}"},
            "`call: mcp`",
        ),
        (
            _CALL,
            {wanted_uri("f"): "run: {script: {language: js, source: {endpoint: main.js}}}"},
            "`main.js` is relative",
        ),
        (
            _CALL,
            {wanted_uri("f"): "call: 'g:1.0.0@mine'", wanted_uri("g"): "do: [{a: {call: 'f:1.0.0@mine'}}]"},
            "a function calls itself: f:1.0.0@mine → g:1.0.0@mine → f:1.0.0@mine",
        ),
    ],
)
def test_what_is_not_as_it_should_be_is_told_with_its_uri(text: str, fetched: Any, message: str) -> None:
    with pytest.raises(errors.InvalidDefinition) as refused:
        compiled(text, fetched)
    assert message in str(refused.value)


def test_validation_fetches_nothing_and_warns_of_nothing() -> None:
    assert loaded(_SCHEMA).problems == ()
    assert loaded(_CALL).problems == ()
