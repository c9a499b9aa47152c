"""`$secrets` and `$authorization` in the pure core: what is asked for, what is stored, what is refused."""

from __future__ import annotations

import textwrap
from typing import Any

import pytest

from interlock.model import fault
from interlock.model.payload import Payload
from interlock.model.task import HttpTarget, OpenApiTarget, PythonTarget, ScriptTarget, ShellTarget
from interlock.secrets.bound import Bound
from interlock.secrets.form import START
from interlock.secrets.key import KeyRing
from interlock.secrets.markers import Markers, Reference
from unit.engine.world import World

MARKERS = Markers(KeyRing(["the-key-of-this-store"]), "run")
VALUES = {"token": "t0ken/+", "db": {"user": "admin", "password": "hunter2"}}
USE = "use: {secrets: [token, db, gone]}\n"


def marker(name: str, *path: str, form: str = "r") -> str:
    return MARKERS.make(Reference(name, path, form))


def world(text: str, input: Any = None) -> World:
    bound = Bound(MARKERS, VALUES, {"gone": "the secret 'gone' was not found; looked for the variable GONE"})
    started = World(USE + textwrap.dedent(text), input, secrets=bound)
    started.start()
    return started


def call(fields: str) -> str:
    return f"do: [{{a: {{call: http, with: {{method: get, {fields}}}}}}}]"


def http(text: str, input: Any = None) -> HttpTarget:
    target = world(text, input).requests["a"].target
    assert isinstance(target, HttpTarget)
    return target


def test_secret_is_stored_as_its_marker_wherever_it_is_read() -> None:
    text = """
    input: {from: '${ . + {i: $secrets.token} }'}
    do:
      - a: {if: '${ $secrets.token == "t0ken/+" }', set: {t: '${ $secrets.token }', i: '${ .i }', d: '${ $secrets["db"] }'}, export: {as: '${ {c: $secrets.token} }'}}
      - b: {set: '${ . + {c: $context.c} }', output: {as: '${ . + {o: $secrets.token} }'}}
    output: {as: '${ . + {w: $secrets.token} }'}
    """
    done = world(text)
    token = marker("token")
    secret = {"user": marker("db", "user"), "password": marker("db", "password")}
    assert done.output == {"t": token, "i": token, "d": secret, "c": token, "o": token, "w": token}
    assert "t0ken" not in repr(done.history)
    assert "hunter2" not in repr(done.history)


def test_expressions_without_secrets_are_not_looked_through() -> None:
    assert world("do: [{a: {set: {x: '${ \"hunter2\" }', y: hunter2}}}]").output == {"x": "hunter2", "y": "hunter2"}


def test_secret_in_a_longer_text_that_would_be_stored_is_refused() -> None:
    found = world("do: [{a: {set: {x: '${ \"Bearer \" + $secrets.token }'}}}]").fault
    assert (found.type, found.code) == (fault.EXPRESSION, "secret-in-data")
    assert "t0ken" not in str(found)


def test_secret_in_a_longer_text_goes_out_with_a_call() -> None:
    target = http(
        call(
            "endpoint: '${ \"https://x.example/\" + $secrets.token }', headers: {a: '${ \"Token \\($secrets.token)\" }'},"
            " query: {q: '${ $secrets.token }'}, body: {b: ['${ $secrets.db }']}"
        )
    )
    token = marker("token")
    assert target.uri == f"https://x.example/{token}"
    assert (target.headers, target.query) == ({"a": f"Token {token}"}, {"q": token})
    assert target.body == {"b": [{"user": marker("db", "user"), "password": marker("db", "password")}]}


def test_secret_in_a_uri_template_is_encoded() -> None:
    text = call("endpoint: 'https://x.example/{key}'").replace(
        "call:", "input: {from: {key: '${ $secrets.token }'}}, call:"
    )
    assert http(text).uri == f"https://x.example/{marker('token', form='u')}"


def test_secret_goes_out_with_processes_functions_and_openapi() -> None:
    done = world(
        """
        do:
          - sh: {run: {shell: {command: echo, arguments: ['${ "pw=\\($secrets.db.password)" }'], stdin: '${ $secrets.token }', environment: {T: '${ $secrets.token }'}}}}
          - js: {run: {script: {language: js, code: '${ "// " + $secrets.token }'}}}
          - py: {call: 'python:m:f', with: {x: '${ "a " + $secrets.token }'}}
          - api: {call: openapi, with: {document: {endpoint: {uri: 'http://x.example/{d}', authentication: {bearer: {use: token}}}}, operationId: o, parameters: {p: '${ "a " + $secrets.token }'}, authentication: {basic: {use: db}}}}
        """,
        {"d": "doc"},
    )
    token = marker("token")
    shell = done.requests["sh"].target
    assert isinstance(shell, ShellTarget)
    assert (shell.arguments, shell.stdin, shell.environment) == (
        (f"pw={marker('db', 'password')}",),
        token,
        {"T": token},
    )
    done.done("sh", {"code": 0, "stdout": "", "stderr": ""})
    script = done.requests["js"].target
    assert isinstance(script, ScriptTarget)
    assert script.code == f"// {token}"
    done.done("js", {"code": 0, "stdout": {"d": "doc"}, "stderr": ""})
    function = done.requests["py"].target
    assert isinstance(function, PythonTarget)
    assert function.arguments == {"x": f"a {token}"}
    done.done("py", {"d": "doc"})
    api = done.requests["api"].target
    assert isinstance(api, OpenApiTarget)
    assert (api.document, api.operation, api.parameters) == ("http://x.example/doc", "o", {"p": f"a {token}"})
    assert api.document_credentials is not None
    assert (api.document_credentials.scheme, api.document_credentials.properties) == ("bearer", token)
    assert api.credentials is not None
    assert api.credentials.properties == {"user": marker("db", "user"), "password": marker("db", "password")}
    assert done.requests["api"].has_secrets


def test_openapi_without_authentication_takes_its_document_from_an_expression() -> None:
    started = World(
        "do: [{a: {call: openapi, with: {document: {endpoint: '${ .d }'}, operationId: o, redirect: true}}}]",
        {"d": "http://x.example/doc"},
    )
    started.start()
    request = started.requests["a"]
    assert request.target == OpenApiTarget(document="http://x.example/doc", operation="o", redirect=True)
    assert not request.has_secrets


def test_secret_goes_into_a_function_inside_a_longer_text() -> None:
    bound = Bound(MARKERS, VALUES, {})
    started = World(
        """
        use: {secrets: [token], functions: {f: {set: {got: '${ .x }'}}}}
        do: [{a: {call: f, with: {x: '${ "T " + $secrets.token }'}}}]
        """,
        secrets=bound,
    )
    started.start()
    assert started.output == {"got": f"T {marker('token')}"}


@pytest.mark.parametrize("read", ["$secrets.gone", "$secrets | keys", '$secrets["gone"].x', "$secrets[.n]"])
def test_secret_that_cannot_be_read_fails_the_step(read: str) -> None:
    found = world(f"do: [{{a: {{set: {{x: '${{ {read} }}'}}}}}}]", {"n": "token"}).fault
    assert (found.type, found.status, found.code) == (fault.AUTHORIZATION, 403, "no-secret")
    assert (found.detail or "").startswith("the secret 'gone' was not found; looked for")


def test_secret_that_is_not_read_may_be_missing() -> None:
    assert world("do: [{a: {set: {x: '${ $secrets.token | length }'}}}]").output == {"x": 7}


def test_error_of_an_expression_does_not_quote_a_secret() -> None:
    found = world("do: [{a: {set: {x: '${ $secrets.db.password + 1 }'}}}]").fault
    assert found.type == fault.EXPRESSION
    assert "hunter2" not in str(found)


def test_slow_expression_reads_secrets_too() -> None:
    text = "do: [{a: {set: {x: '${ [range(3)] | map($secrets.token) }'}}}]"
    assert world(text).output == {"x": [marker("token")] * 3}


def test_what_only_looks_like_a_marker_stays_text() -> None:
    forged = Markers(KeyRing(["the-key-of-another"]), "run").make(Reference("token"))
    target = http(call("endpoint: 'https://x.example/{f}', headers: {h: '${ .f }'}"), {"f": forged})
    assert target.uri == f"https://x.example/{forged}"
    assert MARKERS.found(target.headers["h"]) == []
    assert START in forged


def test_secrets_without_declaration_are_refused_when_they_are_read() -> None:
    started = World("do: [{a: {set: {x: '${ $secrets | keys }'}}}]")
    started.start()
    assert "`use.secrets` declares none" in (started.fault.detail or "")


AUTHORIZED = (
    "do: [{a: {call: http, with: {method: get, endpoint: {uri: 'https://x.example', authentication: %s}},"
    " output: {as: '${ $authorization }'}}}]"
)


@pytest.mark.parametrize(
    ("authentication", "described"),
    [
        ("{basic: {username: u, password: p}}", {"scheme": "Basic", "parameter": "dTpw"}),
        ("{bearer: {token: '${ .t }'}}", {"scheme": "Bearer", "parameter": "given"}),
        ("{bearer: {token: '${ $secrets.token }'}}", {"scheme": "Bearer", "parameter": marker("token")}),
        ("{bearer: {use: token}}", {"scheme": "Bearer", "parameter": marker("token")}),
        ("{bearer: {use: db}}", {"scheme": "Bearer", "parameter": ""}),
        ("{basic: {use: token}}", {"scheme": "Basic", "parameter": "Og=="}),
        ("{basic: {username: u, password: '${ $secrets.token }'}}", {"scheme": "Basic", "parameter": None}),
        ("{digest: {username: u, password: p}}", {"scheme": "Digest", "parameter": None}),
        (
            "{oauth2: {authority: 'http://a.example', grant: client_credentials}}",
            {"scheme": "Bearer", "parameter": None},
        ),
        ("{oidc: {use: db}}", {"scheme": "Bearer", "parameter": None}),
    ],
)
def test_authorization_says_what_is_known_of_it(authentication: str, described: Any) -> None:
    done = world(AUTHORIZED % authentication, {"t": "given"})
    done.done("a", {"t": "given"})
    assert done.output == described


def test_authorization_is_not_there_before_the_input_is() -> None:
    found = world("do: [{a: {if: '${ $authorization.scheme }', set: {x: 1}}}]").fault
    assert found.detail == "$authorization is not available here"


def test_history_of_a_run_moves_to_another_run_with_its_markers() -> None:
    done = world(
        "do: [{a: {set: {x: '${ $secrets.token }', y: 1}}}, {b: {raise: {error: {type: t:u, status: 400, detail: '${ $secrets.token }'}}}}]"
    )
    moved = [MARKERS.moved(event, "copy") for event in done.history]
    other = Markers(KeyRing(["the-key-of-this-store"]), "copy").make(Reference("token"))
    completed = next(event for event in moved if type(event).__name__ == "Completed")
    faulted = next(event for event in moved if type(event).__name__ == "Faulted")
    assert completed.output == Payload({"x": other, "y": 1})  # type: ignore[attr-defined]
    assert faulted.fault.detail == other  # type: ignore[attr-defined]
    assert moved[0] == done.history[0]


def test_secret_in_an_event_is_refused_and_nothing_is_sent() -> None:
    started = world(
        "do: [{a: {set: {x: '${ $secrets.token }'}}}, {b: {emit: {event: {with: {type: t, source: 'http://x.example', data: '${ .x }'}}}}}]"
    )
    assert (started.fault.type, started.fault.code, started.fault.instance) == (
        fault.EXPRESSION,
        "secret-in-data",
        "/do/1/b",
    )
    assert "the secret 'token'" in (started.fault.detail or "")
    assert not [event for event in started.history if type(event).__name__ == "Emitted"]


def test_event_of_a_run_with_secrets_that_holds_none_is_sent() -> None:
    started = world("do: [{b: {emit: {event: {with: {type: t, source: 'http://x.example', data: 1}}}}}]")
    assert started.output["data"] == 1
