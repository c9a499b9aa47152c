"""What a run that changes hands owes to the time that passed and to the process that is gone."""

from __future__ import annotations

from interlock.engine.cause import Recover, Reopen
from interlock.model.event import Copied
from interlock.model.states import RunStatus
from unit.engine.world import World

SLOW = "'${ [range(.k)] | length }'"
BRANCHES = f"""
do:
  - all:
      fork:
        branches:
          - a: {{call: 'python:m:f', with: {{n: {SLOW}}}}}
          - b: {{call: 'python:m:f', with: {{n: {SLOW}}}}}
          - c: {{call: 'python:m:f', with: {{n: {SLOW}}}}}
          - d: {{call: 'python:m:f', with: {{n: {SLOW}}}}}
          - e: {{call: 'python:m:f', with: {{n: {SLOW}}}}}
"""


def test_slow_expressions_do_not_make_a_recovery_lose_an_effect_twice() -> None:
    world = World(BRANCHES, {"k": 3})
    world.start()
    world.requests.clear()
    world.decide(Recover())
    assert world.state.status is not RunStatus.FAULTED, world.state.fault
    assert [request.attempt for request in world.requests.values()] == [2] * 5
    for step in "abcde":
        world.done(step, step)
    assert world.output == list("abcde")


def test_every_step_that_was_lost_too_often_fails_and_none_is_asked_again() -> None:
    text = """
    do:
      - all:
          fork:
            branches:
              - a: {call: 'python:m:f', metadata: {interlock: {on_error: continue, retry: {lost: 0}}}}
              - b: {call: 'python:m:f', metadata: {interlock: {on_error: continue, retry: {lost: 0}}}}
    """
    world = World(text)
    world.start()
    world.requests.clear()
    world.decide(Recover())
    assert not world.requests
    assert world.output == [None, None]


def test_round_of_a_try_keeps_the_time_that_was_left_when_the_run_is_reopened() -> None:
    text = """
    do:
      - t:
          try:
            - a: {call: 'python:m:f'}
          catch: {errors: {with: {status: 1}}, retry: {limit: {attempt: {duration: PT5S}}}}
    """
    world = World(text)
    world.start()
    world.now += 2
    world.failed("a")
    world.now += 1000
    world.decide(Reopen())
    world.later(2)
    world.done("a", 1)
    assert world.output == 1


def test_copied_run_keeps_the_time_that_was_left() -> None:
    text = """
    timeout: {after: PT1H}
    do:
      - t:
          timeout: {after: PT10M}
          do:
            - a: {call: 'python:m:f'}
            - w: {wait: PT1M}
    """
    world = World(text)
    world.start()
    world.done("a")
    since, world.now = world.now, world.now + 86400
    world.apply(Copied(at=world.now, origin="other", since=since))
    world.decide(Recover())
    assert world.state.wake_at() == world.now + 60
    world.later(60)
    assert world.state.status is RunStatus.COMPLETED


def test_copied_run_asks_for_the_queued_effects_that_were_in_flight_in_the_other() -> None:
    text = "do: [{all: {fork: {branches: [{a: {run: {shell: {command: 'true'}}}}, {b: {call: 'python:m:f'}}]}}}]"
    world = World(text)
    world.start()
    world.requests.clear()
    world.apply(Copied(at=world.now, origin="other", since=world.now))
    world.decide(Recover())
    assert {name: request.attempt for name, request in world.requests.items()} == {"a": 1, "b": 1}
