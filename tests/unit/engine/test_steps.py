"""The rules of the language, one by one, without a database."""

from __future__ import annotations

import pytest

from interlock.engine.cause import Cancel, Recover, Reopen, Resume, Suspend
from interlock.model import fault
from interlock.model.states import RunStatus
from interlock.model.task import FailureClass
from unit.engine.world import World, run


def test_set_replaces_the_data() -> None:
    assert run("do: [{a: {set: {x: 1}}}, {b: {set: {y: '${ .x }'}}}]") == {"y": 1}


def test_output_of_a_step_is_the_input_of_the_next() -> None:
    """WF-18"""
    assert run("do: [{a: {set: {n: '${ .n + 1 }'}}}, {b: {set: {n: '${ .n * 10 }'}}}]", {"n": 1}) == {"n": 20}


def test_export_replaces_the_context() -> None:
    text = """
    do:
      - a: {set: {x: 1}, export: {as: '${ $context + {seen: .x} }'}}
      - b: {set: {y: 2}}
      - c: {set: {both: '${ [$context.seen, .y] }'}}
    """
    assert run(text) == {"both": [1, 2]}


def test_condition_chooses_one_branch_and_the_other_is_skipped() -> None:
    """WF-12"""
    text = """
    do:
      - judge:
          switch:
            - big: {when: .n > 10, then: large}
            - other: {then: small}
      - large: {set: {size: large}, then: end}
      - small: {set: {size: small}, then: end}
    """
    assert run(text, {"n": 11}) == {"size": "large"}
    assert run(text, {"n": 1}) == {"size": "small"}


def test_false_if_skips_a_step_and_passes_its_input_on() -> None:
    assert run("do: [{a: {if: .go, set: {x: 1}}}]", {"go": False}) == {"go": False}


def test_for_feeds_each_iteration_the_output_of_the_last() -> None:
    text = """
    do:
      - sum:
          for: {each: n, at: i, in: .numbers}
          while: .total == null or .total < 100
          do: [{add: {set: {total: '${ (.total // 0) + $n * ($i + 1) }'}}}]
    """
    assert run(text, {"numbers": [1, 2, 3]}) == {"total": 14}


def test_for_over_nothing_gives_its_input() -> None:
    assert run("do: [{l: {for: {in: .none}, do: [{a: {set: {x: 1}}}]}}]", {"k": 1}) == {"k": 1}


def test_for_over_no_array_is_an_expression_error() -> None:
    world = World("do: [{l: {for: {in: .x}, do: [{a: {set: {y: 1}}}]}}]", {"x": 3})
    world.start()
    assert (world.fault.type, world.fault.status, world.fault.instance) == (fault.EXPRESSION, 400, "/do/0/l")


def test_fork_gives_the_outputs_in_declaration_order() -> None:
    """WF-06"""
    text = """
    do:
      - both:
          fork:
            branches:
              - slow: {call: 'python:m:f'}
              - fast: {set: {v: fast}}
    """
    world = World(text)
    world.start()
    assert world.state.live_status() is RunStatus.RUNNING
    world.done("slow", {"v": "slow"})
    assert world.output == [{"v": "slow"}, {"v": "fast"}]


def test_race_is_won_once_and_its_losers_are_interrupted() -> None:
    text = """
    do:
      - race:
          fork:
            compete: true
            branches:
              - one: {call: 'python:m:f'}
              - two: {run: {shell: {command: sleep}}}
    """
    world = World(text)
    world.start()
    queued = world.requests["two"].effect
    world.done("one", 1)
    assert world.output == 1
    assert world.interrupts == {queued: True}


def test_branches_merge_their_contexts_in_declaration_order() -> None:
    text = """
    do:
      - both:
          fork:
            branches:
              - one: {set: {v: 1}, export: {as: '${ $context + {a: 1, who: "one"} }'}}
              - two: {set: {v: 2}, export: {as: '${ $context + {b: 2, who: "two"} }'}}
      - see: {set: {c: '${ $context }'}}
    """
    assert run(text) == {"c": {"a": 1, "b": 2, "who": "two"}}


def test_error_is_caught_by_the_innermost_try_that_fits() -> None:
    text = """
    do:
      - outer:
          try:
            - inner:
                try: [{boom: {raise: {error: {type: https://x/other, status: 418, title: Tea}}}}]
                catch: {errors: {with: {status: 500}}, do: [{wrong: {set: {w: 1}}}]}
          catch:
            errors: {with: {status: 418}}
            as: e
            do: [{right: {set: {at: '${ $e.instance }', title: '${ $e.title }'}}}]
    """
    assert run(text) == {"at": "/do/0/outer/try/0/inner/try/0/boom", "title": "Tea"}


def test_uncaught_error_faults_the_run_with_its_instance() -> None:
    """WF-09"""
    world = World("do: [{boom: {raise: {error: {type: https://x/y, status: 400, title: Bad}}}}]")
    world.start()
    assert world.state.status is RunStatus.FAULTED
    assert (world.fault.instance, world.fault.title) == ("/do/0/boom", "Bad")


def test_on_error_continue_makes_the_run_partial() -> None:
    """WF-09"""
    text = """
    do:
      - bad: {call: 'python:m:f', metadata: {interlock: {on_error: continue}}}
      - after: {set: {got: '${ . }'}}
    """
    world = World(text)
    world.start()
    world.failed("bad")
    assert world.output == {"got": None}
    assert world.state.head.partial


RETRY = """
do:
  - attempt:
      try: [{work: {call: 'python:m:f'}}]
      catch:
        errors: {with: {status: 500}}
        retry: {delay: PT2S, backoff: {BACKOFF: {}}, limit: {attempt: {count: 3}}}
"""


@pytest.mark.parametrize(
    ("backoff", "delays"), [("constant", [2, 2, 2]), ("linear", [2, 4, 6]), ("exponential", [2, 4, 8])]
)
def test_backoff_grows_as_its_kind_says_and_count_is_of_retries(backoff: str, delays: list[float]) -> None:
    """WF-15"""
    world = World(RETRY.replace("BACKOFF", backoff))
    world.start()
    for delay in delays:
        world.failed("work")
        assert world.state.wake_at() == world.now + delay
        world.later(delay)
    world.failed("work")
    assert world.state.status is RunStatus.FAULTED
    assert world.fault.instance == "/do/0/attempt/try/0/work"


def test_retry_leaves_other_errors_alone() -> None:
    """WF-15"""
    world = World(RETRY.replace("BACKOFF", "constant"))
    world.start()
    world.failed("work", fault=fault.Fault(type=fault.RUNTIME, status=503))
    assert world.state.status is RunStatus.FAULTED


def test_retry_rounds_have_their_own_idempotency_keys_and_attempts_share_one() -> None:
    world = World(RETRY.replace("BACKOFF", "constant"))
    world.start()
    first = world.requests["work"].idempotency_key
    world.failed("work", FailureClass.LOST)
    world.later(0)
    assert world.requests["work"].idempotency_key == first
    assert world.requests["work"].attempt == 2
    world.failed("work")
    world.later(2)
    assert world.requests["work"].idempotency_key != first


def test_backward_jump_gives_each_visit_its_own_key() -> None:
    text = """
    do:
      - work: {call: 'python:m:f'}
      - again: {switch: [{yes: {when: . < 2, then: work}}, {no: {then: end}}]}
    """
    world = World(text)
    world.start()
    keys = [world.requests["work"].idempotency_key]
    world.done("work", 1)
    keys.append(world.requests["work"].idempotency_key)
    world.done("work", 2)
    assert world.output == 2
    assert len(set(keys)) == 2


def test_wait_takes_its_time_and_passes_its_input_on() -> None:
    world = World("do: [{w: {wait: {seconds: 30}}}]", {"x": 1})
    world.start()
    assert world.state.live_status() is RunStatus.WAITING
    world.later(29)
    assert not world.state.ended
    world.later(1)
    assert world.output == {"x": 1}


def test_step_timeout_interrupts_the_effect_and_can_be_caught() -> None:
    """WF-16"""
    text = """
    do:
      - guarded:
          try: [{slow: {call: 'python:m:f', timeout: {after: PT5S}}}]
          catch: {errors: {with: {type: https://serverlessworkflow.io/spec/1.0.0/errors/timeout}}, do: [{late: {set: {late: true}}}]}
    """
    world = World(text)
    world.start()
    effect = world.requests["slow"].effect
    world.later(5)
    assert world.output == {"late": True}
    assert world.interrupts == {effect: False}


def test_workflow_timeout_faults_the_run_and_late_results_are_ignored() -> None:
    """WF-16"""
    world = World("timeout: {after: PT10S}\ndo: [{slow: {call: 'python:m:f'}}]")
    world.start()
    request = world.requests["slow"]
    world.later(10)
    assert (world.fault.type, world.fault.status) == (fault.TIMEOUT, 408)
    world.requests["slow"] = request
    assert world.done("slow", 1) == []
    assert world.state.wake_at() is None


def test_suspended_run_keeps_the_outcome_and_starts_nothing_new() -> None:
    """WF-17"""
    world = World("do: [{a: {call: 'python:m:f'}}, {b: {call: 'python:m:g'}}]")
    world.start()
    world.decide(Suspend())
    world.done("a", 1)
    assert world.state.live_status() is RunStatus.SUSPENDED
    assert not world.requests
    world.decide(Resume())
    assert world.requests["b"].path == "/do/1/b"
    assert world.decide(Resume()) == []
    world.done("b", 2)
    assert world.output == 2


def test_cancel_interrupts_what_is_in_flight() -> None:
    """WF-17"""
    world = World("do: [{a: {call: 'python:m:f'}}]")
    world.start()
    effect = world.requests["a"].effect
    world.decide(Cancel("enough"))
    assert world.state.status is RunStatus.CANCELLED
    assert world.interrupts == {effect: False}


def test_reopened_run_repeats_the_failed_step_only() -> None:
    world = World("do: [{a: {call: 'python:m:f'}}, {b: {call: 'python:m:g'}}]")
    world.start()
    world.done("a", 1)
    world.failed("b")
    world.decide(Reopen())
    assert list(world.requests) == ["b"]
    world.done("b", 2)
    assert world.output == 2
    assert world.names() == ["a", "b"]


def test_recovered_run_asks_again_for_what_was_in_flight() -> None:
    """WF-19"""
    world = World("do: [{a: {call: 'python:m:f'}}]")
    world.start()
    world.requests.clear()
    world.decide(Recover())
    assert world.requests["a"].attempt == 2
    world.done("a", 1)
    assert world.output == 1


def test_step_that_kills_its_process_is_not_asked_for_ever() -> None:
    world = World("do: [{a: {call: 'python:m:f'}}]")
    world.start()
    for _ in range(4):
        world.decide(Recover())
    assert world.state.status is RunStatus.FAULTED
    assert world.fault.code == "lost"


def test_lost_attempts_do_not_use_the_authors_retries() -> None:
    world = World("do: [{a: {call: 'python:m:f', metadata: {interlock: {retry: {application: 1}}}}}]")
    world.start()
    for failure in (FailureClass.LOST, FailureClass.APPLICATION, FailureClass.LOST):
        world.failed("a", failure)
        world.later(60)
    world.failed("a")
    assert world.state.status is RunStatus.FAULTED


@pytest.mark.slow
def test_endless_loop_pauses_and_goes_on() -> None:
    text = "do: [{a: {set: {n: '${ .n + 1 }'}}, {b: {switch: [{more: {when: .n < 20000, then: a}}]}}]"
    text = "do:\n  - a: {set: {n: '${ .n + 1 }'}}\n  - b: {switch: [{more: {when: .n < 20000, then: a}}]}"
    world = World(text, {"n": 0})
    world.start()
    assert world.decisions > 1
    assert world.output == {"n": 20000}


def test_slow_expression_is_evaluated_elsewhere_and_the_step_goes_on() -> None:
    world = World("do: [{a: {set: {n: '${ [range(5)] | add }', m: '${ [range(.k)] | length }'}}}]", {"k": 3})
    world.start()
    assert world.output == {"n": 10, "m": 3}
    assert world.decisions == 3


def test_function_of_the_document_runs_with_its_arguments_as_input() -> None:
    text = """
    use: {functions: {double: {input: {schema: {document: {type: object, required: [n]}}}, set: {twice: '${ .n * 2 }'}}}}
    do: [{call2: {call: double, with: {n: '${ .k }'}}}]
    """
    assert run(text, {"k": 21}) == {"twice": 42}


def test_input_that_does_not_fit_its_schema_faults_at_once() -> None:
    world = World("input: {schema: {document: {type: object, required: [order]}}}\ndo: [{a: {set: {x: 1}}}]")
    world.start()
    assert (world.fault.type, world.fault.status) == (fault.VALIDATION, 400)
    assert "order" in (world.fault.detail or "")


def test_bare_runtime_arguments_are_there() -> None:
    text = (
        "do: [{a: {set: {w: '${ $workflow.id }', r: '${ $runtime.name }', t: '${ $task.name }', i: '${ $input.x }'}}}]"
    )
    assert run(text, {"x": 1}) == {"w": "id", "r": "interlock", "t": "a", "i": 1}


@pytest.mark.parametrize(
    ("property", "is_caught"),
    [("title: Tea", True), ("title: Coffee", False), ("code: tea", False), ("colour: red", False)],
)
def test_error_is_caught_only_when_every_property_of_the_filter_fits(property: str, is_caught: bool) -> None:
    world = World(
        f"""
        do:
          - a:
              try: [{{b: {{raise: {{error: {{type: http://x.y/tea, status: 418, title: Tea}}}}}}}}]
              catch: {{errors: {{with: {{status: 418, {property}}}}}}}
        """
    )
    world.start()
    assert (world.state.fault is None) is is_caught
