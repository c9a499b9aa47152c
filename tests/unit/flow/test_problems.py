"""Every code has a document that shows it, with its place. WF-02"""

from pathlib import Path

import pytest

from interlock.flow import check, yaml
from interlock.flow.codes import CODES

OF_GRAPHS = {"unknown-dependency", "circular-dependency", "duplicate-dependency", "no-tasks"}
"""Those of task graphs, which `test_taskgraph` shows."""
_TABLE = yaml.read(Path(__file__).with_name("problems.yaml").read_text("utf-8"))
_HEADER = "document: {dsl: 1.0.3, namespace: shop, name: order, version: 1.0.0}\n"

_TASKS = "".join(f"  - t{n}: {{set: {{x: 1}}}}\n" for n in range(101))
_BRANCHES = "".join(f"          - t{n}: {{set: {{x: 1}}}}\n" for n in range(21))
_LARGE = [
    {"code": "too-deep", "at": "3:113", "path": "", "text": f"do:\n  - a: {{set: {{x: {'[' * 101}{']' * 101}}}}}\n"},
    {"code": "too-many-steps", "at": "103:5", "path": "/do/100/t100", "text": f"do:\n{_TASKS}"},
    {
        "code": "too-many-branches",
        "at": "5:9",
        "path": "/do/0/a/fork/branches",
        "text": f"do:\n  - a:\n      fork:\n        branches:\n{_BRANCHES}",
    },
    {
        "code": "name-too-long",
        "at": "3:5",
        "path": f"/do/0/{'n' * 256}",
        "text": f"do:\n  - {'n' * 256}: {{set: {{x: 1}}}}\n",
    },
]
_LEVELS = zip("abcde", "bcdef", strict=True)
_ALIASES = "".join(f"{name}: &{name} [{', '.join(['*' + below] * 10)}]\n" for below, name in _LEVELS)
_WHOLE = [
    {
        "code": "too-many-aliases",
        "at": "5:40",
        "path": "/e/8",
        "text": f"a: &a [1, 2, 3, 4, 5, 6, 7, 8, 9]\n{_ALIASES}",
    },
    {
        "code": "summary-too-long",
        "at": "1:79",
        "path": "/document/summary",
        "text": "document: {dsl: 1.0.3, namespace: shop, name: order, version: 1.0.0, summary: "
        f"{'s' * 1001}}}\ndo:\n  - a: {{set: {{x: 1}}}}\n",
    },
]
_ERRORS = [
    *_TABLE.value["texts"],
    *_WHOLE,
    *({**row, "text": _HEADER + row["text"]} for row in _TABLE.value["structure"] + _TABLE.value["meaning"] + _LARGE),
]
_WARNINGS = [{**row, "text": _HEADER + row["text"]} for row in _TABLE.value["warnings"]]


@pytest.mark.parametrize("row", _ERRORS, ids=lambda row: f"{row['code']} {row['at']}")
def test_the_one_error_has_its_code_and_place(row):
    loaded = check.load(row["text"])

    assert [(error.code, f"{error.line}:{error.column}", error.path) for error in loaded.errors] == [
        (row["code"], row["at"], row["path"])
    ]
    assert loaded.workflow is None


@pytest.mark.parametrize("row", _WARNINGS, ids=lambda row: f"{row['code']} {row['at']}")
def test_the_one_warning_has_its_code_and_place_and_leaves_the_workflow(row):
    loaded = check.load(row["text"])

    assert [(problem.code, f"{problem.line}:{problem.column}", problem.path) for problem in loaded.warnings] == [
        (row["code"], row["at"], row["path"])
    ]
    assert loaded.workflow is not None


def test_every_code_has_a_document_that_shows_it():
    """WF-02"""
    assert {row["code"] for row in _ERRORS + _WARNINGS} == set(CODES) - OF_GRAPHS
    assert len(_ERRORS) > 150
