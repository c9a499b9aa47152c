"""`evaluate.mode: loose`: every text that can be read as an expression is tried, and stands for itself when it fails."""

from __future__ import annotations

import textwrap
from typing import Any

import pytest

from interlock.engine.cause import Occurred
from interlock.model import fault
from interlock.model.task import HttpTarget, ScriptTarget, ShellTarget
from interlock.secrets.bound import Bound
from interlock.secrets.key import KeyRing
from interlock.secrets.markers import Markers, Reference
from unit.engine.world import World

MARKERS = Markers(KeyRing(["the-key-of-this-store"]), "run")


def world(text: str, input: Any = None, **options: Any) -> World:
    started = World("evaluate: {mode: loose}\n" + textwrap.dedent(text), input, **options)
    started.start()
    return started


def test_texts_that_read_something_are_expressions_everywhere_in_the_data_flow() -> None:
    done = world(
        """
        input: {from: {n: .number}}
        do:
          - a: {input: {from: {m: .n}}, set: {x: .m, y: '$input.m', z: '${ .m }'}, output: {as: {o: '. + {t: 1}'}}, export: {as: {c: .o.x}}}
          - b: {set: {o: .o, c: $context.c, w: $workflow.input.number}}
        output: {as: {all: .}}
        """,
        {"number": 5},
    )
    assert done.output == {"all": {"o": {"x": 5, "y": 5, "z": 5, "t": 1}, "c": 5, "w": 5}}


def test_texts_that_read_nothing_or_fail_stand_for_themselves() -> None:
    texts = ["status", "42", "two words", "example.com", "$HOME", ".a.b.c", "$output", "$item"]
    done = world(f"do: [{{a: {{set: {{x: {texts!r}}}}}}}]", {"a": 1})
    assert done.output == {"x": texts}


def test_authorization_before_the_input_is_there_is_text() -> None:
    assert world("do: [{a: {input: {from: {x: $authorization.scheme}}, set: {y: .x}}}]").output == {
        "y": "$authorization.scheme"
    }


def test_expression_in_braces_still_fails_in_company_of_text_that_need_not_succeed() -> None:
    found = world("do: [{a: {set: {x: '${ $output }', y: $HOME}}}]").fault
    assert (found.type, found.detail) == (fault.EXPRESSION, "$output is not available here")


def test_strict_mode_keeps_texts() -> None:
    done = World("do: [{a: {set: {x: .y}}}]", {"y": 1})
    done.start()
    assert done.output == {"x": ".y"}


def test_slow_text_is_evaluated_too() -> None:
    assert world("do: [{a: {set: {x: '[range(.n)]'}}}]", {"n": 3}).output == {"x": [0, 1, 2]}


def test_arguments_of_calls_are_tried_and_uris_keep_their_own_syntax() -> None:
    text = "do: [{a: {call: http, with: {method: post, endpoint: 'https://x.example/{id}', headers: {h: .id}, body: {b: .id, c: .no.way}}}}]"
    target = world(text, {"id": "7", "no": 1}).requests["a"].target
    assert isinstance(target, HttpTarget)
    assert (target.uri, target.headers, target.body) == ("https://x.example/7", {"h": "7"}, {"b": "7", "c": ".no.way"})


def test_commands_and_code_are_texts_of_other_languages() -> None:
    done = world(
        """
        do:
          - sh: {run: {shell: {command: $EDITOR, arguments: [.id], environment: {E: .id}, stdin: .id}}}
          - js: {run: {script: {language: js, code: .id}}}
        """,
        {"id": "7"},
    )
    shell = done.requests["sh"].target
    assert isinstance(shell, ShellTarget)
    assert (shell.command, shell.arguments, shell.environment, shell.stdin) == ("$EDITOR", ("7",), {"E": "7"}, "7")
    done.done("sh", {"code": 0, "stdout": {"id": "7"}, "stderr": ""})
    script = done.requests["js"].target
    assert isinstance(script, ScriptTarget)
    assert script.code == ".id"


def test_events_are_filtered_and_made_by_such_texts() -> None:
    done = world(
        """
        do:
          - hear: {listen: {to: {one: {with: {type: com.example.told, data: .n > $input.least, subject: plain.text}}}}}
          - tell: {emit: {event: {with: {type: com.example.heard, source: 'https://x.example', data: {n: '.[0].n'}}}}}
        """,
        {"least": 2},
    )
    for number, subject in ((1, "plain.text"), (3, "other"), (4, "plain.text")):
        done.decide(Occurred({"type": "com.example.told", "subject": subject, "data": {"n": number}}))
    assert (done.output["type"], done.output["data"]) == ("com.example.heard", {"n": 4})


SECRET = "use: {secrets: [token, gone]}\ndo: [{a: {set: {x: %s}}}]"


def bound() -> Bound:
    return Bound(MARKERS, {"token": "t0ken"}, {"gone": "the secret 'gone' was not found"})


def test_secret_that_a_text_reads_is_stored_as_its_marker() -> None:
    assert world(SECRET % "$secrets.token", secrets=bound()).output == {"x": MARKERS.make(Reference("token"))}


def test_secret_that_cannot_be_read_fails_the_step_also_here() -> None:
    assert world(SECRET % "$secrets.gone", secrets=bound()).fault.code == "no-secret"


def test_text_about_secrets_stands_for_itself_where_none_are_declared() -> None:
    assert world("do: [{a: {set: {x: '$secrets | keys'}}}]").output == {"x": "$secrets | keys"}


@pytest.mark.parametrize("wanted", ["$authorization.parameter", "${ $authorization.parameter }"])
def test_authorization_is_there_for_both_forms(wanted: str) -> None:
    text = (
        "do: [{a: {call: http, with: {method: get, endpoint: {uri: 'https://x.example', authentication:"
        f" {{bearer: {{token: .t}}}}}}}}, output: {{as: {{p: '{wanted}'}}}}}}}}]"
    )
    done = world(text, {"t": "given"})
    done.done("a", {})
    assert done.output == {"p": "given"}
