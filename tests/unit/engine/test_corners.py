"""The rarer rules of the language, and what the pure core does with input that does not fit."""

from __future__ import annotations

from typing import Any

import pytest

from interlock.engine import cause as causes
from interlock.engine import fold
from interlock.engine import state as states
from interlock.engine.cause import Cancel, Continue, Drain, Recover, Reopen, Resume, Start, Suspend, Tick
from interlock.model import event as events
from interlock.model import fault
from interlock.model.call import Requirements
from interlock.model.payload import Payload
from interlock.model.states import RunStatus
from interlock.model.task import ContainerTarget, Done, FailureClass, HttpTarget, ScriptTarget, ShellTarget
from unit.engine.world import World, run

# -- data flow -------------------------------------------------------------------------------------------------------


def test_input_from_is_what_the_definition_sees_and_raw_is_what_task_input_shows() -> None:
    text = "do: [{a: {input: {from: .inner}, set: {x: '${ .v }', raw: '${ $task.input }', mine: '${ $input }'}}}]"
    assert run(text, {"inner": {"v": 1}}) == {"x": 1, "raw": {"inner": {"v": 1}}, "mine": {"v": 1}}


def test_workflow_input_from_and_output_as_transform_the_ends() -> None:
    text = (
        "input: {from: '${ {n: .order.n} }'}\noutput: {as: '${ {twice: (.n * 2)} }'}\ndo: [{a: {set: {n: '${ .n }'}}}]"
    )
    assert run(text, {"order": {"n": 4}}) == {"twice": 8}


def test_output_schema_of_the_workflow_faults_the_run_and_reopening_checks_again() -> None:
    world = World("output: {schema: {document: {type: string}}}\ndo: [{a: {set: {n: 1}}}]")
    world.start()
    assert (world.fault.type, world.fault.instance) == (fault.VALIDATION, "/")
    world.decide(Reopen())
    assert world.state.status is RunStatus.FAULTED


def test_wrong_input_stays_wrong_when_reopened() -> None:
    world = World("input: {schema: {document: {type: array}}}\ndo: [{a: {set: {n: 1}}}]")
    world.start()
    world.decide(Reopen())
    assert world.state.status is RunStatus.FAULTED
    assert world.names() == []


def test_output_schema_of_a_step_is_checked_after_output_as() -> None:
    text = "do: [{a: {set: {n: 1}, output: {as: .n, schema: {document: {type: string}}}}}]"
    world = World(text)
    world.start()
    assert (world.fault.type, world.fault.instance) == (fault.VALIDATION, "/do/0/a")


def test_export_schema_checks_the_context() -> None:
    text = "do: [{a: {set: {n: 1}, export: {as: '${ {k: .n} }', schema: {document: {type: object, required: [z]}}}}}]"
    world = World(text)
    world.start()
    assert "z" in (world.fault.detail or "")
    kept = "do: [{a: {set: {n: 1}, export: {schema: {document: {type: object}}}}}]"
    assert run(kept) == {"n": 1}


def test_export_sees_the_transformed_output_and_output_as_the_raw_one() -> None:
    text = """
    do:
      - a:
          set: {n: 1}
          output: {as: '${ {m: .n, raw: $task.output} }'}
          export: {as: '${ {seen: $output.m} }'}
      - b: {set: {c: '${ $context }', p: '${ . }'}}
    """
    assert run(text) == {"c": {"seen": 1}, "p": {"m": 1, "raw": {"n": 1}}}


@pytest.mark.parametrize("name", ["output", "nothing"])
def test_argument_that_does_not_exist_here_is_an_expression_error(name: str) -> None:
    world = World("do: [{a: {set: {x: 1}}}]")
    node = world.graph.nodes["/do/0/a"]
    world.start()
    from interlock import errors
    from interlock.engine.bindings import Bindings

    bindings = Bindings(world.graph, world.state, states.root_scope(Payload({}), ""), node)
    with pytest.raises(errors.ExpressionError, match="not available" if name == "output" else "not defined"):
        bindings.pick(frozenset({name}))
    with pytest.raises(errors.ExpressionError, match="not"):
        Bindings(world.graph, world.state, None, None).pick(frozenset({name}))


def test_branches_that_replace_the_context_by_something_else_win_in_order() -> None:
    text = """
    do:
      - both:
          fork:
            branches:
              - one: {set: {v: 1}, export: {as: '${ [1] }'}}
              - two: {set: {v: 2}}
      - see: {set: {c: '${ $context }'}}
    """
    assert run(text) == {"c": [1]}


# -- directives ------------------------------------------------------------------------------------------------------


def test_exit_leaves_the_list_and_end_leaves_the_workflow() -> None:
    text = """
    do:
      - group:
          do:
            - a: {set: {v: a}}
            - judge: {switch: [{out: {when: .v == "a", then: exit}}]}
            - b: {set: {v: b}}
      - c: {set: {v: '${ .v + "c" }'}}
    """
    assert run(text) == {"v": "ac"}
    assert run("do: [{g: {do: [{a: {set: {v: 1}, then: end}}]}}, {b: {set: {v: 2}}}]") == {"v": 1}


def test_end_in_a_branch_ends_the_whole_run() -> None:
    text = """
    do:
      - f: {fork: {branches: [{a: {call: 'python:m:f'}}, {b: {set: {v: b}, then: end}}]}}
      - never: {set: {v: 0}}
    """
    world = World(text)
    world.start()
    assert world.output == {"v": "b"}
    assert list(world.interrupts.values()) == [False]


def test_empty_lists_give_their_input() -> None:
    assert run("do: [{g: {do: []}}]", {"k": 1}) == {"k": 1}


def test_skipped_step_that_led_backwards_counts_as_a_lap() -> None:
    text = """
    do:
      - a: {set: {n: '${ .n + 1 }'}}
      - b: {if: .n < 3, set: {n: '${ .n }'}, then: a}
    """
    assert run(text, {"n": 0}) == {"n": 3}


# -- loops -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "kind"), [("true", "a boolean"), ('"x"', "a string"), ("{}", "an object"), ("1", "a number")]
)
def test_loop_over_something_else_says_what_it_was(value: str, kind: str) -> None:
    world = World(f"do: [{{l: {{for: {{in: '${{ {value} }}'}}, do: [{{a: {{set: {{x: 1}}}}}}]}}}}]")
    world.start()
    assert kind in (world.fault.detail or "")


def test_while_can_stop_a_loop_before_it_begins() -> None:
    assert run("do: [{l: {for: {in: '${ [1,2] }'}, while: 'false', do: [{a: {set: {x: 1}}}]}}]", {"k": 1}) == {"k": 1}


def test_effects_in_nested_loops_have_keys_of_their_own() -> None:
    text = """
    do:
      - outer:
          for: {each: a, in: '${ [1, 2] }'}
          do:
            - inner: {for: {each: b, in: '${ [1, 2] }'}, do: [{work: {call: 'python:m:f', with: {a: '${ $a }', b: '${ $b }'}}}]}
    """
    world = World(text)
    world.start()
    keys = []
    for _ in range(4):
        keys.append(world.requests["work"].idempotency_key)
        world.done("work", 1)
    assert world.output == 1
    assert keys == [f"run/do/0/outer/do/0/inner/do/0/work?loop={a}&loop={b}" for a in (0, 1) for b in (0, 1)]


def test_author_may_name_the_idempotency_key() -> None:
    world = World(
        "do: [{a: {call: 'python:m:f', metadata: {interlock: {idempotency_key: '${ .order }'}}}}]", {"order": 7}
    )
    world.start()
    assert world.requests["a"].idempotency_key == "7"


# -- errors ----------------------------------------------------------------------------------------------------------


CATCH = "do: [{t: {try: [{r: {raise: {error: {type: https://x/y, status: 400, title: T, detail: '${ \"d\" + .k }'}}}}], catch: {CATCH}}}]"


@pytest.mark.parametrize(
    ("catch", "caught"),
    [
        ("when: '$error.status == 400'", True),
        ("when: '$error.status == 500'", False),
        ("exceptWhen: '$error.status == 400'", False),
        ("exceptWhen: '$error.status == 500'", True),
        ("errors: {with: {type: https://x/other}}", False),
        ("errors: {with: {title: T, detail: dk}}", True),
        ("when: '$error | error'", False),
    ],
)
def test_conditions_of_a_catch_decide(catch: str, caught: bool) -> None:
    world = World(CATCH.replace("{CATCH}", "{" + catch + "}"), {"k": "k"})
    world.start()
    assert (world.state.fault is None) is caught
    if caught:
        assert world.output == {"k": "k"}


def test_catch_then_leads_on_and_error_in_a_handler_goes_outward() -> None:
    text = """
    do:
      - t:
          try: [{r: {raise: {error: {type: https://x/y, status: 400}}}}]
          catch: {do: [{h: {set: {v: h}}}], then: last}
      - skipped: {set: {v: skipped}}
      - last: {set: {v: '${ .v + "!" }'}}
    """
    assert run(text) == {"v": "h!"}
    world = World("""
    do:
      - outer:
          try:
            - t:
                try: [{r: {raise: {error: {type: https://x/y, status: 400}}}}]
                catch: {do: [{h: {raise: {error: {type: https://x/z, status: 500}}}}]}
          catch: {do: [{seen: {set: {at: '${ $error.instance }'}}}]}
    """)
    world.start()
    assert world.output == {"at": "/do/0/outer/try/0/t/catch/do/0/h"}


@pytest.mark.parametrize(
    ("policy", "wakes"),
    [
        ("{delay: PT1S, when: '$error.status == 500'}", True),
        ("{delay: PT1S, when: '$error.status == 501'}", False),
        ("{delay: PT1S, exceptWhen: '$error.status == 500'}", False),
        ("{delay: PT1S, exceptWhen: '$error.status == 501'}", True),
        ("{delay: PT10S, limit: {duration: PT5S}}", False),
        ("{delay: PT1S, limit: {duration: PT5S}}", True),
        ("{}", True),
        ("{delay: '${ \"soon\" }'}", False),
    ],
)
def test_retry_policy_decides_whether_there_is_another_round(policy: str, wakes: bool) -> None:
    """WF-15"""
    world = World(f"do: [{{t: {{try: [{{a: {{call: 'python:m:f'}}}}], catch: {{retry: {policy}}}}}}}]")
    world.start()
    world.failed("a")
    assert (world.state.wake_at() is not None) is wakes


def test_jitter_lies_within_its_bounds_and_the_cap_holds() -> None:
    """WF-15: the random back-off."""
    policy = "{delay: PT4S, jitter: {from: PT1S, to: PT3S}}"
    text = f"do: [{{t: {{try: [{{a: {{call: 'python:m:f'}}}}], catch: {{retry: {policy}}}, metadata: META}}}}]"
    world = World(text.replace("META", "{}"))
    world.start()
    world.failed("a")
    assert world.state.wake_at() == world.now + 6
    world = World(text.replace("META", "{interlock: {max_interval: 5s}}"))
    world.start()
    world.failed("a")
    assert world.state.wake_at() == world.now + 5


def test_retries_by_name_and_errors_by_name_are_found() -> None:
    text = """
    use:
      retries: {quick: {delay: {seconds: 1}, limit: {attempt: {count: 1}}}}
      errors: {broken: {type: https://x/broken, status: 503, title: '${ "no " + .k }'}}
      timeouts: {short: {after: {seconds: 9}}}
    timeout: short
    do: [{t: {try: [{r: {raise: {error: broken}}}], catch: {retry: quick}}}]
    """
    world = World(text, {"k": "go"})
    world.start()
    world.later(1)
    assert (world.fault.status, world.fault.title) == (503, "no go")


def test_each_attempt_of_a_try_has_its_own_limit() -> None:
    """Decision 5: limit.attempt.duration bounds every attempt."""
    policy = "{delay: PT1S, limit: {attempt: {count: 1, duration: PT5S}}}"
    world = World(f"do: [{{t: {{try: [{{a: {{call: 'python:m:f'}}}}], catch: {{retry: {policy}}}}}}}]")
    world.start()
    world.later(5)
    assert not world.requests
    world.later(1)
    assert "a" in world.requests
    world.later(5)
    assert (world.fault.type, world.state.status) == (fault.TIMEOUT, RunStatus.FAULTED)


def test_error_inside_a_tolerant_step_makes_it_null_and_the_run_partial() -> None:
    """WF-09"""
    text = """
    do:
      - group: {do: [{a: {raise: {error: {type: https://x/y, status: 400}}}}], metadata: {interlock: {on_error: continue}}}
      - after: {set: {got: '${ . }'}}
    """
    world = World(text)
    world.start()
    assert world.output == {"got": None}
    assert world.state.head.partial


def test_tolerant_step_that_leads_backwards_can_loop() -> None:
    text = """
    do:
      - a: {call: 'python:m:f'}
      - b: {raise: {error: {type: https://x/y, status: 400}}, then: a, metadata: {interlock: {on_error: continue}}}
    """
    world = World(text)
    world.start()
    world.done("a", 1)
    assert "a" in world.requests


def test_failing_branch_cancels_its_siblings_and_the_error_is_the_forks() -> None:
    """Decision 9: the first error wins."""
    text = """
    do:
      - t:
          try: [{f: {fork: {branches: [{a: {call: 'python:m:f'}}, {b: {call: 'python:m:g'}}]}}}]
          catch: {do: [{h: {set: {at: '${ $error.instance }'}}}]}
    """
    world = World(text)
    world.start()
    other = world.requests["b"].effect
    world.failed("a")
    assert world.output == {"at": "/do/0/t/try/0/f/fork/branches/0/a"}
    assert world.interrupts == {other: False}


def test_expression_that_fails_is_an_error_of_its_step() -> None:
    """WF-13"""
    world = World("do: [{a: {set: {x: '${ .n + \"a\" }'}}}]", {"n": 1})
    world.start()
    assert (world.fault.type, world.fault.status, world.fault.instance) == (fault.EXPRESSION, 400, "/do/0/a")


def test_error_in_output_as_of_an_effect_is_an_error_of_its_step() -> None:
    world = World("do: [{a: {call: 'python:m:f', output: {as: '.x + 1'}}}]")
    world.start()
    world.done("a", {"x": "text"})
    assert world.fault.instance == "/do/0/a"


def test_value_that_is_too_large_is_an_error_of_its_step_with_a_name() -> None:
    world = World("do: [{a: {call: 'python:m:f'}}]", max_payload_bytes=100)
    world.start()
    world.done("a", "x" * 101)
    assert world.fault.code == "payload-too-large"


def test_duration_that_is_none_is_an_expression_error() -> None:
    world = World("do: [{a: {wait: '${ .d }'}}]", {"d": "soon"})
    world.start()
    assert "not a duration" in (world.fault.detail or "")


def test_timeout_expression_of_the_workflow_can_fail_the_start() -> None:
    world = World("timeout: {after: '${ .d }'}\ndo: [{a: {set: {x: 1}}}]", {"d": "soon"})
    world.start()
    assert world.fault.instance == "/"


def test_input_transformation_that_fails_faults_the_start() -> None:
    world = World("input: {from: '.x + 1'}\ndo: [{a: {set: {x: 1}}}]", {"x": "a"})
    world.start()
    assert world.fault.type == fault.EXPRESSION


# -- effects ---------------------------------------------------------------------------------------------------------


def test_http_request_is_built_from_expressions_and_templates() -> None:
    text = """
    use: {authentications: {me: {basic: {username: u, password: '${ .pass }'}}}}
    do:
      - a:
          call: http
          with:
            method: post
            endpoint: {uri: 'https://x.example/pets/{id}', authentication: {use: me}}
            headers: {X-N: '${ .id | tostring }', auth: '${ $authorization.parameter }'}
            query: {q: '${ .q }'}
            body: {all: '${ . }'}
            redirect: true
            output: response
          output: {as: '${ {s: $authorization.scheme} }'}
      - b:
          call: http
          with: {method: get, endpoint: {uri: '${ "https://y.example/" + .s }', authentication: {bearer: {token: t}}}, headers: '${ {a: $authorization.parameter} }'}
      - c: {call: http, with: {method: get, endpoint: https://z.example/}, output: {as: '${ {a: $authorization} }'}}
    """
    data = {"id": 7, "q": "x", "pass": "p"}
    world = World(text, data)
    world.start()
    target = world.requests["a"].target
    assert isinstance(target, HttpTarget)
    assert (target.method, target.uri, target.query, target.body) == (
        "POST",
        "https://x.example/pets/7",
        {"q": "x"},
        {"all": data},
    )
    assert target.headers == {"X-N": "7", "auth": "dTpw"}
    assert target.credentials is not None
    assert (target.credentials.scheme, target.redirect) == ("basic", True)
    assert target.credentials.properties == {"username": "u", "password": "p"}
    world.done("a", {})
    target = world.requests["b"].target
    assert isinstance(target, HttpTarget)
    assert (target.uri, target.headers) == ("https://y.example/Basic", {"a": "t"})
    world.done("b", {})
    world.done("c", {})
    assert world.output == {"a": None}


def test_authorization_from_a_slow_expression_waits_for_it() -> None:
    text = """
    do:
      - a:
          call: http
          with: {method: get, endpoint: {uri: https://x.example, authentication: {bearer: {token: '${ [range(3)] | join("") }'}}}, headers: {a: '${ $authorization.parameter }'}}
    """
    world = World(text)
    world.start()
    target = world.requests["a"].target
    assert isinstance(target, HttpTarget)
    assert target.headers == {"a": "012"}


@pytest.mark.parametrize(
    "arguments",
    [
        "{method: get, endpoint: 'https://x.example/{list}'}",
        "{method: get, endpoint: '${ .list }'}",
        "{method: get, endpoint: 'https://x.example', headers: '${ .list }'}",
    ],
)
def test_request_of_the_wrong_types_is_an_expression_error(arguments: str) -> None:
    world = World(f"do: [{{a: {{call: http, with: {arguments}}}}}]", {"list": [1]})
    world.start()
    assert world.fault.type == fault.EXPRESSION


def test_process_arguments_become_text_and_missing_variables_are_left_out() -> None:
    text = """
    do:
      - a: {run: {shell: {command: ls, stdin: '${ {x: 1} }', arguments: ['${ .n }', b], environment: {N: '${ .n }', NONE: '${ .none }'}}}}
      - b: {run: {script: {language: python, code: '${ .code }', arguments: [x]}}}
    """
    world = World(text, {"n": 5})
    world.start()
    request = world.requests["a"]
    assert request.queued
    assert request.target == ShellTarget(command="ls", stdin='{"x":1}', arguments=("5", "b"), environment={"N": "5"})
    world.done("a", {"code": 0, "stdout": "", "stderr": ""})
    assert world.fault.instance == "/do/1/b"
    world = World(text.replace("${ .code }", "print(1)"), {"n": 5})
    world.start()
    world.done("a", {"code": 0, "stdout": "out", "stderr": ""})
    assert world.requests["b"].target == ScriptTarget(language="python", code="print(1)", arguments=("x",))


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("stdout", "o"),
        ("stderr", "e"),
        ("code", 3),
        ("all", {"code": 3, "stdout": "o", "stderr": "e"}),
        ("none", None),
    ],
)
def test_process_gives_what_return_asks_for(kind: str, value: Any) -> None:
    world = World(f"do: [{{a: {{run: {{shell: {{command: x}}, return: {kind}}}}}}}]")
    world.start()
    world.done("a", {"code": 3, "stdout": "o", "stderr": "e"})
    assert world.output == value


def test_outcome_of_an_attempt_that_nobody_waits_for_any_more_is_ignored() -> None:
    """WF-16"""
    text = """
    do:
      - t:
          try: [{a: {call: 'python:m:f', timeout: {after: PT1S}}}]
          catch: {do: [{b: {call: 'python:m:g'}}]}
    """
    world = World(text)
    world.start()
    late = world.requests["a"]
    world.later(1)
    world.requests["a"] = late
    assert world.done("a", "late") == []
    world.done("b", "handled")
    assert world.output == "handled"


def test_handlers_run_once_the_retries_are_used_up() -> None:
    policy = "{limit: {attempt: {count: 1}}}"
    text = f"do: [{{t: {{try: [{{a: {{call: 'python:m:f'}}}}], catch: {{retry: {policy}, do: [{{h: {{set: {{h: 1}}}}}}]}}}}}}]"
    world = World(text)
    world.start()
    world.failed("a")
    world.later(0)
    world.failed("a")
    assert world.output == {"h": 1}


def test_snoozed_attempt_is_asked_again_later_free_of_charge() -> None:
    world = World("do: [{a: {call: 'python:m:f'}}]")
    world.start()
    world.snoozed("a", 5)
    assert world.state.live_status() is RunStatus.WAITING
    world.later(5)
    assert world.requests["a"].attempt == 1


def test_attempt_that_cancelled_itself_is_an_error() -> None:
    world = World("do: [{a: {call: 'python:m:f'}}]")
    world.start()
    world.cancelled("a")
    assert world.fault.title == "Cancelled"


def test_timeout_budget_repeats_the_attempt_with_a_new_deadline() -> None:
    """WF-16"""
    world = World(
        "do: [{a: {call: 'python:m:f', timeout: {after: PT5S}, metadata: {interlock: {retry: {timeout: 1}}}}}]"
    )
    world.start()
    world.later(5)
    assert world.state.live_status() is RunStatus.WAITING
    world.later(1)
    assert world.requests["a"].attempt == 2
    world.later(5)
    assert world.fault.type == fault.TIMEOUT


def test_repeated_request_can_fail_to_be_built() -> None:
    world = World(
        "do: [{a: {call: http, with: {method: get, endpoint: '${ .u }'}, timeout: {after: PT5S}}}]",
        {"u": "https://x.example"},
    )
    world.start()
    world.failed("a", FailureClass.LOST)
    world.state.scopes[""].frames[-1].raw = Payload({"u": 3})
    decision = world._decide(Tick(), [])
    assert type(decision.events[-1]).__name__ == "Faulted"


def test_deadline_of_an_outer_step_comes_before_that_of_an_inner_one() -> None:
    text = """
    do:
      - outer:
          do: [{w: {wait: PT10S, timeout: {after: PT5S}}}]
          timeout: {after: PT5S}
    """
    world = World(text)
    world.start()
    world.later(5)
    assert world.fault.instance == "/do/0/outer"


def test_deadline_reaches_into_branches() -> None:
    text = "do: [{f: {fork: {branches: [{a: {wait: PT9S}}, {b: {set: {x: 1}}}]}, timeout: {after: PT2S}}}]"
    world = World(text)
    world.start()
    world.later(2)
    assert world.fault.instance == "/do/0/f"


def test_waits_in_branches_end_one_by_one() -> None:
    world = World("do: [{f: {fork: {branches: [{a: {wait: PT1S}}, {b: {wait: PT2S}}]}}}]", {"k": 1})
    world.start()
    world.later(1)
    assert world.state.wake_at() == world.now + 1
    world.later(1)
    assert world.output == [{"k": 1}, {"k": 1}]


# -- life of a run ---------------------------------------------------------------------------------------------------


def test_nothing_moves_an_ended_run_but_reopening_a_faulted_one() -> None:
    world = World("do: [{a: {set: {x: 1}}}]")
    world.start()
    for cause in (Start(), Tick(), Cancel(), Suspend(), Resume(), Recover(), Drain(), Continue(), Reopen()):
        assert world.decide(cause) == []
    assert world.state.wake_at() is None
    assert world.state.waiting_frame(5) is None


def test_pending_run_has_no_timers_and_is_begun_by_recovery() -> None:
    world = World("do: [{a: {set: {x: 1}}}]")
    assert world.decide(Tick()) == []
    assert world.state.live_status() is RunStatus.PENDING
    world.decide(Recover())
    assert world.output == {"x": 1}


def test_suspending_twice_is_suspending_once_and_time_stands_still() -> None:
    """WF-17"""
    world = World("do: [{w: {wait: PT1S}}]")
    world.start()
    assert len(world.decide(Suspend())) == 1
    assert world.decide(Suspend()) == []
    assert world.state.wake_at() is None
    assert world.later(5) == []
    world.decide(Resume())
    assert world.state.ended


def test_reopening_puts_back_stopped_siblings_and_gives_new_time() -> None:
    text = """
    timeout: {after: PT60S}
    do:
      - f:
          fork: {branches: [{a: {call: 'python:m:f'}}, {b: {call: 'python:m:g', timeout: {after: PT9S}}}, {c: {wait: PT1S}}]}
          timeout: {after: PT20S}
    """
    world = World(text)
    world.start()
    world.now += 10
    world.failed("a")
    assert world.state.head.failed_path == "/do/0/f/fork/branches/0/a"
    world.decide(Reopen())
    assert sorted(world.requests) == ["a", "b"]
    assert world.state.head.deadline == world.now + 60
    world.done("a", 1)
    world.done("b", 2)
    world.later(1)
    assert world.output == [1, 2, {}]


def test_failed_inline_step_is_entered_again_when_reopened() -> None:
    world = World("do: [{a: {set: {x: '${ .n + 1 }'}}}]", {"n": "a"})
    world.start()
    world.decide(Reopen())
    assert world.fault.instance == "/do/0/a"


def test_run_that_faulted_while_it_was_suspended_goes_on_when_it_is_reopened() -> None:
    """Found by the simulation, seed 9083: it was suspended for good, since nobody resumes what has faulted."""
    world = World("do: [{a: {call: 'python:m:f'}}]")
    world.start()
    world.decide(Suspend())
    world.failed("a")
    assert world.state.status is RunStatus.FAULTED
    world.decide(Reopen())
    assert world.state.status is RunStatus.RUNNING
    world.done("a", 1)
    assert world.output == 1


def test_drained_effects_are_asked_again_without_counting_as_lost() -> None:
    text = "do: [{f: {fork: {branches: [{a: {call: 'python:m:f'}}, {b: {run: {shell: {command: x}}}}]}}}]"
    world = World(text)
    world.start()
    world.decide(Drain())
    assert list(world.requests) == ["b"]
    world.decide(Recover())
    assert world.requests["a"].attempt == 1
    assert world.state.scopes["1.0"].frames[-1].retries == {}


def test_copied_history_changes_nothing() -> None:
    state = states.new("r", "n", "i", Payload(None))
    fold.apply(state, events.Copied(at=1.0, origin="other"))
    assert state.status is RunStatus.PENDING


def test_event_that_does_not_fit_the_state_is_a_damaged_history() -> None:
    state = states.new("r", "n", "i", Payload(None))
    with pytest.raises(KeyError):
        fold.apply(state, events.Skipped(at=1.0, scope="9", path="/do/0/a", next=""))


def test_causes_travel_as_json() -> None:
    for cause in (causes.Settled(3, Done({"x": 1})), Cancel("why"), Suspend(), Resume(), Reopen()):
        assert causes.decode(causes.encode(cause)) == cause


def test_pause_splits_a_decision() -> None:
    text = "do:\n  - a: {set: {n: '${ .n + 1 }'}}\n  - b: {switch: [{more: {when: .n < 40, then: a}}]}"
    world = World(text, {"n": 0}, pause=lambda: True)
    world.start()
    assert world.output == {"n": 40}
    assert world.decisions > 3


# -- pools -----------------------------------------------------------------------------------------------------------


def test_effect_of_a_pool_goes_through_the_queue_with_what_it_requires_and_again_when_it_is_lost() -> None:
    asked = "metadata: {interlock: {pool: gpu, requires: {skills: [cuda]}}}"
    world = World(f"do: [{{a: {{call: 'python:jobs:train', with: {{}}, {asked}}}}}]")
    expected = (True, "gpu", Requirements(skills=("cuda",)))
    world.start()
    first = world.requests["a"]
    assert (first.queued, first.pool, first.requires) == expected
    world.failed("a", FailureClass.LOST)
    world.later(60)
    again = world.requests["a"]
    assert (again.queued, again.pool, again.requires, again.attempt) == (*expected, 2)
    world.done("a", 7)
    assert world.output == 7


def test_container_gets_every_field_evaluated() -> None:
    """OWS 1.0.3, run container."""
    text = """
    do:
      - a:
          run:
            container:
              image: '${ .image }'
              command: run it
              arguments: ['${ .n }']
              environment: {N: '${ .n }'}
              stdin: '${ {x: 1} }'
              name: box
              pullPolicy: never
              ports: {8080: '${ .n }', 81: '82'}
              volumes: {./here: /there}
              lifetime: {cleanup: eventually, after: {minutes: 5}}
            return: all
          metadata: {interlock: {requires: {cpu: 2}}}
    """
    world = World(text, {"image": "alpine", "n": 5})
    world.start()
    request = world.requests["a"]
    assert (request.queued, request.result, request.pool, request.requires) == (True, "all", "", Requirements(cpu=2.0))
    assert request.target == ContainerTarget(
        image="alpine",
        command="sh",
        arguments=("-c", "run it", "sh", "5"),
        environment={"N": "5"},
        ports={"8080": 5, "81": 82},
        volumes={"./here": "/there"},
        stdin='{"x":1}',
        name="box",
        pull_policy="never",
        cleanup="eventually",
        cleanup_seconds=300.0,
    )
    world = World("do: [{a: {run: {container: {image: i, lifetime: {cleanup: never}}}}}]")
    world.start()
    assert world.requests["a"].target == ContainerTarget(image="i", cleanup="never")


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ("ports: {http: 80}", "1 to 65535 each; 'http' is none"),
        ("ports: {80: 70000}", "70000 is none"),
        ("ports: {80: true}", "True is none"),
        ("volumes: {a: 1}", "volumes"),
        ("lifetime: {cleanup: eventually, after: '${ .x }'}", "`lifetime.after` of the container"),
    ],
)
def test_container_that_its_expressions_make_wrong_is_a_fault_of_its_step(fields: str, told: str) -> None:
    world = World(f"do: [{{a: {{run: {{container: {{image: i, {fields}}}}}}}}}]", {"x": "soon"})
    world.start()
    assert (world.fault.type, world.fault.instance) == (fault.EXPRESSION, "/do/0/a")
    assert told in (world.fault.detail or "")
