"""A valid document becomes the typed tree, with nothing lost."""

from pathlib import Path

import msgspec
import pytest

from interlock.flow import check, document
from interlock.flow.document import NamedTask

_EVERYTHING = check.load(Path(__file__).with_name("everything.yaml").read_text("utf-8"), "everything.yaml")


def _task(text: str) -> document.Task:
    header = "document: {dsl: 1.0.3, namespace: shop, name: order, version: 1.0.0}\n"
    (named,) = check.load(f"{header}do:\n  - t: {text}\n").required().do
    return named.task


def test_a_document_of_every_construct_is_typed():
    workflow = _EVERYTHING.required()

    kinds = {type(named.task) for named in workflow.do}
    assert kinds == set(document.Task.__args__)
    assert workflow.document.tags == {"a": 1}
    assert workflow.timeout == "t"
    assert workflow.language == "jq"


def test_reusable_components_are_typed():
    use = _EVERYTHING.required().use

    assert use.authentications["a"].properties == document.Basic(username="a", password="b")
    assert use.authentications["b"].properties == document.Bearer(token="x")
    assert use.authentications["c"] == document.Authentication(
        scheme="digest", properties=document.SecretReference(use="s")
    )
    assert isinstance(use.authentications["d"].properties, document.OAuth2)
    assert use.authentications["f"].properties == document.Digest(username="a", password="b")
    assert use.errors["e"] == document.ErrorDefinition(
        type="${ .x }", status=400, instance="/do/1", title="${ .a }", detail="b"
    )
    assert use.extensions[0].name == "x"
    assert isinstance(use.functions["f"], document.CallHttp)
    assert use.retries["r"] == document.RetryPolicy(
        when=".a",
        except_when=".b",
        delay="PT1S",
        backoff="linear",
        attempt_count=3,
        attempt_duration="PT1S",
        limit_duration="PT1H",
        jitter_from="PT1S",
        jitter_to="PT2S",
    )
    assert use.secrets == ("s",)
    assert use.timeouts == {"t": document.Timeout(after="${ .x }")}
    assert use.catalogs["c"].endpoint.uri == "http://x"


def test_a_reusable_authentication_takes_its_valid_scheme():
    loaded = check.load(
        "document: {dsl: 1.0.3, namespace: shop, name: order, version: 1.0.0}\n"
        "do: [{t: {set: {x: 1}}}]\n"
        "use: {authentications: {a: {basic: 5, bearer: {token: x}}}}\n"
    )

    assert loaded.required().use.authentications["a"] == document.Authentication(
        scheme="bearer", properties=document.Bearer(token="x")
    )


def test_the_schedule_and_its_events_are_typed():
    schedule = _EVERYTHING.required().schedule

    assert schedule is not None
    assert schedule.on is not None
    assert schedule.on.mode == "any"
    assert schedule.on.until == document.EventStrategy(
        mode="one", filters=(document.EventFilter(with_={"id": "x"}),), until=None
    )
    assert schedule.read == "raw"


_TASKS = [
    (
        "{call: http, with: {method: get, endpoint: {uri: http://x, authentication: {bearer: {token: x}}}}}",
        document.CallHttp(
            method="get",
            endpoint=document.Endpoint(
                uri="http://x",
                authentication=document.Authentication(scheme="bearer", properties=document.Bearer(token="x")),
            ),
        ),
    ),
    (
        "{call: 'python:app:main', with: {a: 1}, if: .x, then: end}",
        document.CallFunction(function="python:app:main", with_={"a": 1}, if_=".x", then="end"),
    ),
    ("{call: mcp, with: {method: tools/list, transport: {stdio: {command: x}}}}", None),
    ("{do: [{u: {wait: PT1S}}]}", document.Do(do=(NamedTask(name="u", task=document.Wait(wait="PT1S")),))),
    (
        "{for: {in: .x, each: i, at: n}, while: .y, do: [{u: {wait: PT1S}}]}",
        document.For(
            in_=".x", each="i", at="n", while_=".y", do=(NamedTask(name="u", task=document.Wait(wait="PT1S")),)
        ),
    ),
    (
        "{fork: {compete: true, branches: [{u: {wait: PT1S}}, {v: {wait: {seconds: 2}}}]}}",
        document.Fork(
            compete=True,
            branches=(
                NamedTask(name="u", task=document.Wait(wait="PT1S")),
                NamedTask(name="v", task=document.Wait(wait={"seconds": 2})),
            ),
        ),
    ),
    (
        "{raise: {error: {type: http://x, status: 400.0}}}",
        document.Raise(error=document.ErrorDefinition(type="http://x", status=400)),
    ),
    (
        "{run: {shell: {command: x, arguments: [a]}, await: true, return: all}}",
        document.RunShell(command="x", arguments=("a",), return_="all"),
    ),
    ("{run: {script: {language: js, code: x}}}", document.RunScript(language="js", code="x")),
    (
        "{run: {workflow: {namespace: a, name: b, version: c, input: {}}}}",
        document.RunWorkflow(namespace="a", name="b", version="c", child_input={}),
    ),
    ("{run: {container: {image: x}}}", document.RunContainer(container={"image": "x"})),
    ("{set: '${ .x }', output: {as: .y}}", document.Set(set="${ .x }", output=document.Output(as_=".y"))),
    (
        "{switch: [{a: {when: .x, then: end}}, {b: {then: continue}}]}",
        document.Switch(
            cases=(
                document.SwitchCase(name="a", when=".x", then="end"),
                document.SwitchCase(name="b", then="continue"),
            )
        ),
    ),
    (
        "{try: [{u: {wait: PT1S}}], catch: {errors: {with: {status: 4.0, type: a, code: 7}}, as: e, then: end}}",
        document.Try(
            try_=(NamedTask(name="u", task=document.Wait(wait="PT1S")),),
            errors=document.ErrorFilter(type="a", status=4, others={"code": 7}),
            as_="e",
            catch_then="end",
        ),
    ),
    ("{emit: {event: {}}}", document.Emit(event={})),
    (
        "{listen: {to: {any: []}}, foreach: {do: []}}",
        document.Listen(
            to=document.EventStrategy(mode="any", filters=()), foreach=document.SubscriptionIterator(do=())
        ),
    ),
]


@pytest.mark.parametrize(("text", "task"), _TASKS, ids=[text for text, _ in _TASKS])
def test_tasks_are_typed(text, task):
    if task is None:
        with_ = {"method": "tools/list", "transport": {"stdio": {"command": "x"}}}
        task = document.CallProtocol(protocol="mcp", with_=with_)

    assert _task(text) == task


def test_null_is_not_the_same_as_absent():
    with_null = _task("{call: http, with: {method: get, endpoint: http://x, body: null}}")
    without = _task("{call: http, with: {method: get, endpoint: http://x}}")

    assert with_null.body is None
    assert without.body is msgspec.UNSET
