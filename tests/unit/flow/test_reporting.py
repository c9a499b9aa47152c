"""`call: approval:1.0.0@default` and `metadata.interlock.await`: what they may say, and on which tasks."""

from __future__ import annotations

import pytest

from interlock.flow import check
from interlock.flow import compile as flow_compile
from interlock.flow.diagram import outline
from interlock.flow.graph import ApprovalWork, Awaits

HEADER = """document: {dsl: 1.0.3, namespace: shop, name: order, version: 1.0.0}
use: {functions: {tax: {set: {x: 1}}}}
do:
"""
HTTP = "call: http, with: {method: post, endpoint: https://agent.example}"


def problems(task: str) -> list[tuple[str, str, str]]:
    loaded = check.load(f"{HEADER}  - a: {{{task}}}\n  - b: {{call: tax}}\n")
    return [(problem.code, problem.path, problem.message) for problem in loaded.problems]


def awaiting(task: str, value: str = "token") -> str:
    return f"{task}, metadata: {{interlock: {{await: {value}}}}}"


@pytest.mark.parametrize(
    "task",
    [
        HTTP,
        "call: openapi, with: {document: {endpoint: https://a.example}, operationId: x}",
        "call: 'python:a:b'",
        "call: 'charge:1.0.0@default'",
        "run: {shell: {command: x}}",
        "run: {script: {language: python, code: x}}",
    ],
)
@pytest.mark.parametrize(
    "value",
    ["token", "{token: {}}", "{token: {expires: 1h, heartbeat: '${ .beat }', operations: [complete, fail]}}"],
)
def test_calls_and_runs_may_wait_for_a_report(task: str, value: str) -> None:
    assert problems(awaiting(task, value)) == []


@pytest.mark.parametrize(
    ("task", "reason"),
    [
        ("set: {x: 1}", "this is `set`, and only a call or a run has an effect"),
        ("do: [{x: {set: {x: 1}}}]", "this is `do`"),
        ("for: {in: '${ [] }'}, do: [{x: {set: {x: 1}}}]", "this is `for`"),
        ("try: [{x: {set: {x: 1}}}], catch: {as: e}", "this is `try`"),
        ("wait: PT1S", "this is `wait`"),
        ("emit: {event: {with: {type: a}}}", "this is `emit`"),
        ("run: {workflow: {namespace: a, name: b, version: 1.0.0}}", "a workflow is waited for anyway"),
        ("call: tax", "`tax` is a task of its own; write `await` there"),
        ("call: 'approval:1.0.0@default'", "an approval waits for its answer anyway"),
    ],
)
def test_what_cannot_hand_a_token_on_is_refused_by_name(task: str, reason: str) -> None:
    ((code, path, message),) = problems(awaiting(task))
    assert (code, path) == ("invalid-metadata", "/do/0/a/metadata/interlock/await")
    assert message.startswith(f"`await` has no meaning here: {reason}")


@pytest.mark.parametrize(
    ("value", "place", "message"),
    [
        ("webhook", "", "`await` must be `token`, or"),
        ("1", "", "not the number 1"),
        ("{expires: 1h}", "", "`await` must be `token`, or"),
        ("{token: 1h}", "", "`await` must be `token`, or"),
        ("{token: {expire: 1h}}", "/token/expire", "a token has no `expire`; did you mean `expires`?"),
        ("{token: {zzz: 1h}}", "/token/zzz", "it has `expires`, `heartbeat` and `operations`"),
        ("{token: {expires: soon}}", "/token/expires", "`expires` must be a duration"),
        ("{token: {heartbeat: 0}}", "/token/heartbeat", "`heartbeat` must be a duration"),
        ("{token: {expires: '${ [ }'}}", "/token/expires", ""),
        ("{token: {operations: complete}}", "/token/operations", "`operations` must be a list"),
        ("{token: {operations: [compete]}}", "/token/operations/0", "did you mean `complete`?"),
        ("{token: {operations: [7]}}", "/token/operations/0", "there are `complete`, `fail`"),
    ],
)
def test_wrong_terms_are_told_with_their_place(value: str, place: str, message: str) -> None:
    ((_, path, told),) = problems(awaiting(HTTP, value))
    assert path == f"/do/0/a/metadata/interlock/await{place}"
    assert message in told


@pytest.mark.parametrize(
    ("arguments", "place", "message"),
    [
        ("{to: ops, question: '${ .q }', expires: '${ .e }', schema: {type: boolean}}", "", ""),
        ("{to: ops, qestion: x}", "with/qestion", "an approval has no `qestion`; did you mean `question`?"),
        ("{form: {}}", "with/form", "it has `to`, `question`, `expires` and `schema`"),
        ("{expires: soon}", "with/expires", "`expires` must be a duration"),
        ("{schema: {type: bool}}", "with/schema/type", "this is no JSON Schema"),
        ("{schema: x}", "with/schema", "a JSON Schema is a map"),
    ],
)
def test_questions_are_checked(arguments: str, place: str, message: str) -> None:
    found = problems(f"call: 'approval:1.0.0@default', with: {arguments}")
    if not place:
        assert found == []
        return
    ((_, path, told),) = found
    assert path == f"/do/0/a/{place}"
    assert message in told


@pytest.mark.parametrize("name", ["approval@default", "approval:2.0.0@default"])
def test_there_is_one_version_of_approval(name: str) -> None:
    found = [message for code, path, message in problems(f"call: '{name}'") if path == "/do/0/a/call"]
    assert any("write approval:1.0.0@default" in message for message in found)


def test_question_that_is_no_map_is_left_to_the_structure() -> None:
    assert {path for _, path, _ in problems("call: 'approval:1.0.0@default', with: 1")} == {"/do/0/a/with"}


def test_graph_says_what_a_step_waits_for() -> None:
    text = f"""{HEADER}
  - a: {{call: 'approval:1.0.0@default', with: {{question: 'Ship?', schema: {{type: boolean}}}}}}
  - b: {{{awaiting(HTTP, "{token: {operations: [fail]}}")}}}
  - c: {{call: tax}}
"""
    loaded = check.load(text)
    graph = flow_compile.compile(loaded.required(), loaded.value)
    approval, call = graph.nodes["/do/0/a"], graph.nodes["/do/1/b"]
    assert isinstance(approval.work, ApprovalWork)
    assert approval.work.schema == {"type": "boolean"}
    assert (approval.awaits, call.awaits) == (Awaits(), Awaits(operations=("fail",)))
    assert graph.nodes["/do/2/c"].awaits is None
    captions = [outline.caption(named) for named in loaded.required().do]
    assert [(each.kind, each.detail) for each in captions[:2]] == [
        ("approval", "Ship?"), ("call http, awaits token", "POST https://agent.example"),
    ]  # fmt: skip
