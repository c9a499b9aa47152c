"""The components of `use`, wherever the specification allows their names."""

from __future__ import annotations

import pytest

from interlock.model import fault
from unit.engine.world import World

USE = """
use:
  errors: {bad: {type: 'https://x.example/bad', status: 418, title: Bad, detail: '${ "of " + (.n | tostring) }'}}
  retries: {thrice: {delay: {seconds: 1}, backoff: {linear: {}}, limit: {attempt: {count: 3}}}}
  timeouts: {long: {after: PT1H}, short: {after: PT5S}}
  authentications: {login: {basic: {username: jo, password: '${ .pw }'}}}
  functions:
    risky:
      input: {schema: {document: {type: object, required: [n]}}}
      try: [{fail: {raise: {error: bad}}}]
      catch: {retry: thrice, as: e, do: [{handle: {set: {caught: '${ $e.detail }'}}}]}
    loop:
      for: {in: '${ .items }'}
      do: [{inner: {call: risky, with: {n: '${ $item }'}}}]
    forked:
      fork: {branches: [{one: {call: loop, with: {items: '${ .items }'}}}, {two: {set: {two: true}}}]}
    choice:
      switch: [{big: {when: '${ .n > 5 }', then: exit}}]
    slow: {timeout: short, wait: PT1M}
    remote:
      call: http
      with: {method: get, endpoint: {uri: 'https://x.example/{id}', authentication: {use: login}}}
    shell: {run: {shell: {command: 'echo "$1"', arguments: ['${ .x }']}}}
    block: {do: [{one: {if: '${ true }', set: {n: 1}, then: three}}, {two: {set: {n: 2}}}, {three: {set: {seen: '${ .n }'}}}]}
"""


def world(steps: str, input: object = None) -> World:
    started = World(f"{USE}timeout: long\ndo: [{steps}]", input)
    started.start()
    return started


def test_functions_of_every_kind_nest() -> None:
    running = world("{a: {call: forked, with: {items: [1, 2]}}}")
    for number in (1, 2):
        for seconds in (1, 2, 3):
            assert running.state.output is None, number
            running.later(seconds)
    assert running.output == [{"caught": "of 2"}, {"two": True}]


@pytest.mark.parametrize(
    ("step", "output"),
    [
        ("{call: block}", {"seen": 1}),
        ("{call: choice, with: {n: 7}}", {"n": 7}),
        ("{call: loop, with: {items: []}}", {"items": []}),
    ],
)
def test_function_gives_what_its_task_gives(step: str, output: object) -> None:
    assert world(f"{{a: {step}}}").output == output


def test_input_of_a_function_has_to_fit_its_schema() -> None:
    found = world("{a: {call: risky, with: {m: 1}}}").fault
    assert (found.type, found.instance) == (fault.VALIDATION, "/do/0/a/call/0/risky")


def test_timeout_of_a_function_is_its_own() -> None:
    running = world(
        "{a: {try: [{b: {call: slow}}], catch: {errors: {with: {status: 408}}, do: [{c: {set: {late: true}}}]}}}"
    )
    running.later(5)
    assert running.output == {"late": True}


def test_effects_inside_of_functions_are_asked_for_with_the_functions_input() -> None:
    running = world("{a: {call: remote, with: {id: 7, pw: x}}}, {b: {call: shell, with: {x: '${ .n }'}}}")
    target = running.requests["remote"].target
    assert (target.uri, target.credentials.properties) == (  # type: ignore[union-attr]
        "https://x.example/7",
        {"username": "jo", "password": "x"},
    )
    running.done("remote", {"n": 8})
    assert running.requests["shell"].target.arguments == ("8",)  # type: ignore[union-attr]
    running.done("shell", {"code": 0, "stdout": "8", "stderr": ""})
    assert running.output == "8"


def test_timeout_of_the_workflow_may_be_named() -> None:
    running = world("{a: {wait: PT2H}}")
    running.later(3600)
    assert running.fault.type == fault.TIMEOUT


def test_script_from_a_source_is_text() -> None:
    text = "do: [{a: {run: {script: {language: js, source: {endpoint: 'file:main.js'}, stdin: '${ .x }'}}}}]"
    running = World(text, {"x": "in"}, fetched={"file:main.js": "${ .x }"})
    running.start()
    target = running.requests["a"].target
    assert (target.code, target.stdin) == ("${ .x }", "in")  # type: ignore[union-attr]
