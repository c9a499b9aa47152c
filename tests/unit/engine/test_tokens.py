"""Steps that end when somebody reports so: what a report, the step's own effect, time and silence do to them."""

from __future__ import annotations

from typing import Any

import pytest

from interlock.engine.cause import Cancel, Drain, Recover, Reopen, Resume, Settled, Suspend
from interlock.engine.state import Gone
from interlock.model import event as events
from interlock.model import lifecycle, story
from interlock.model.fault import RUNTIME, TIMEOUT, Fault
from interlock.model.states import RunStatus, StepStatus
from interlock.model.task import Done, Failed, FailureClass
from unit.engine.world import World

APPROVE = """
use: {functions: {}}
do:
  - approve:
      call: approval:1.0.0@default
      with: {to: '${ .who }', question: Ship it?, schema: {type: boolean}, expires: PT1H%s}
      metadata: {interlock: {retry: {timeout: 1}}}
"""

AGENT = """
do:
  - agent:
      call: http
      with: {method: post, endpoint: https://agent.example/work}
      %s
      metadata:
        interlock:
          retry: {application: 1, timeout: 1}
          await: {token: {expires: PT1H, heartbeat: '${ "PT30S" }', operations: [complete, fail]}}
  - after: {set: {got: '${ . }'}}
"""


def broken(final: bool = False) -> Failed:
    return Failed(FailureClass.APPLICATION, Fault(type=RUNTIME, status=500, title="No"), final=final)


def agent(more: str = "") -> World:
    world = World(AGENT % more)
    world.start()
    return world


def issued(world: World) -> list[events.Issued]:
    return [event for event in world.history if isinstance(event, events.Issued)]


def told(world: World) -> list[str]:
    return [name for name, _ in lifecycle.lifecycle(world.history)]


def kinds(news: list[events.Event]) -> list[str]:
    return [type(event).__name__ for event in news]


# -- approvals -----------------------------------------------------------------------------------------------------------


def test_approval_asks_nobody_for_an_effect_and_gives_the_answer() -> None:
    world = World(APPROVE % "", {"who": "ops"})
    world.start()
    (event,) = issued(world)
    assert not world.requests
    assert world.state.live_status() is RunStatus.WAITING
    assert event.terms == {"to": "ops", "question": "Ship it?", "schema": {"type": "boolean"}}
    assert (event.waits, event.expires, event.warns, event.heartbeat) == (True, 4600.0, 3880.0, None)
    world.report("approve", Done(True))
    assert world.output is True
    assert world.state.tokens == []


def test_question_has_a_day_unless_it_says_otherwise() -> None:
    """TK-10."""
    text = "do: [{a: {call: 'approval:1.0.0@default'}}]"
    world, longer = World(text), World(text, token_seconds=60.0)
    world.start()
    longer.start()
    assert (issued(world)[0].expires, issued(world)[0].terms) == (1000.0 + 86_400, {})
    assert issued(longer)[0].expires == 1060.0


def test_warning_comes_once_and_then_the_step_fails_with_a_timeout_or_asks_again() -> None:
    """TK-10."""
    world = World(APPROVE % "", {"who": "ops"})
    world.start()
    first = issued(world)[0].token
    assert world.state.wake_at() == 3880.0
    assert kinds(world.later(2880.0)) == ["Expiring"]
    assert world.state.wake_at() == 4600.0
    assert world.later(10.0) == []
    assert kinds(world.later(710.0)) == ["AttemptFailed"]
    assert world.state.tokens == [Gone(first, f"the step is given to somebody else: {_late()}", superseded=True)]
    world.later(1.0)
    assert [event.token == first for event in issued(world)] == [True, False]
    assert issued(world)[1].waits
    world.later(3600.0)
    assert (world.fault.type, world.fault.instance) == (TIMEOUT, "/do/0/approve")


def _late() -> str:
    return "Timeout: nobody reported the outcome of `approve` before its token expired"


def test_timeout_of_a_question_counts_anew_when_it_is_asked_again() -> None:
    world = World(
        APPROVE.replace("call: approval", "timeout: {after: PT10M}\n      call: approval") % "", {"who": "ops"}
    )
    world.start()
    world.later(600.0)
    world.later(1.0)
    assert [event.deadline for event in issued(world)] == [1600.0, 2201.0]
    assert world.state.wake_at() == 2201.0


def test_expression_of_a_question_that_fails_faults_before_anything_is_issued() -> None:
    world = World(APPROVE.replace("PT1H", '"${ .who }"') % "", {"who": 1.5})
    world.start()
    assert world.state.live_status() is RunStatus.WAITING
    world = World(APPROVE.replace("PT1H", '"${ .who }"') % "", {"who": "soon"})
    world.start()
    assert world.fault.title == "Not a duration"
    assert issued(world) == []


# -- steps with an effect ------------------------------------------------------------------------------------------------


def test_effect_goes_out_with_the_token_and_the_report_is_the_output() -> None:
    world = agent()
    (event,) = issued(world)
    assert not event.waits
    assert event.terms == {"operations": ["complete", "fail"]}
    assert world.requests["agent"].target.token == event.token  # type: ignore[union-attr]  # it is an HTTP call
    assert world.state.live_status() is RunStatus.RUNNING
    assert kinds(world.done("agent", "accepted")) == ["HandedOver"]
    assert world.state.live_status() is RunStatus.WAITING
    world.report("agent", Done({"pr": 812}))
    assert world.output == {"got": {"pr": 812}}
    assert world.interrupts == {}


def test_report_that_comes_before_the_answer_of_the_effect_wins() -> None:
    world = agent()
    effect = world.requests["agent"].effect
    world.report("agent", Done(1))
    assert world.output == {"got": 1}
    assert world.interrupts == {effect: False}


def test_effect_that_fails_is_tried_again_with_the_same_token() -> None:
    world = agent()
    world.failed("agent")
    number = world.ticket("agent")
    world.later(1.0)
    assert len(issued(world)) == 1
    assert world.requests["agent"].target.token == issued(world)[0].token  # type: ignore[union-attr]  # as above
    assert world.ticket("agent") == number
    world.failed("agent")
    assert world.fault.title == "Broken"
    assert world.state.live_status() is RunStatus.FAULTED


def test_report_is_taken_while_a_failed_effect_waits_for_its_retry() -> None:
    world = agent()
    world.failed("agent")
    world.report("agent", Done(1))
    assert world.output == {"got": 1}


@pytest.mark.parametrize("final", [False, True])
def test_failure_that_is_reported_is_retried_when_whoever_reports_lets_it_be(final: bool) -> None:
    """TK-04."""
    world = agent()
    world.done("agent")
    world.report("agent", broken(final))
    if final:
        assert world.fault.title == "No"
        return
    assert [gone.superseded for gone in world.state.tokens] == [True]
    world.later(1.0)
    first, second = issued(world)
    assert first.token != second.token
    assert world.requests["agent"].target.token == second.token  # type: ignore[union-attr]  # it is an HTTP call
    assert world.decide(Settled(first.effect, Done("late"))) == []
    world.report("agent", Done(2))
    assert world.output == {"got": 2}


@pytest.mark.parametrize("handed_over", [False, True])
def test_timeout_of_the_step_gives_its_token_up(handed_over: bool) -> None:
    world = agent("timeout: {after: PT1M}")
    if handed_over:
        world.done("agent")
    world.later(60.0)
    assert [gone.superseded for gone in world.state.tokens] == [True]
    world.later(1.0)
    assert len(issued(world)) == 2
    assert world.state.wake_at() == 1091.0  # when its holder is silent for too long
    world.later(60.0, {})
    assert world.fault.type == TIMEOUT


def test_workflow_that_is_awaited_and_exit_codes_keep_their_meaning() -> None:
    text = "do: [{a: {run: {shell: {command: 'true'}, return: code}, metadata: {interlock: {await: token}}}}]"
    world = World(text)
    world.start()
    assert (world.requests["a"].result, world.requests["a"].queued) == ("", True)
    world.done("a", {"code": 0, "stdout": "", "stderr": ""})
    world.report("a", Done("done"))
    assert world.output == "done"


# -- signs of life -------------------------------------------------------------------------------------------------------


def test_silence_counts_only_when_somebody_looked_and_gives_the_step_to_another_one() -> None:
    world = agent()
    world.done("agent")
    assert world.state.wake_at() == 1030.0
    assert world.later(30.0) == []
    assert world.later(0.0, {world.ticket("agent"): 1020.0}) == []
    assert world.state.wake_at() == 1050.0
    assert kinds(world.later(20.0, {world.ticket("agent"): 1020.0})) == ["AttemptFailed", "Requested", "Issued"]
    (failed,) = [event for event in world.history if isinstance(event, events.AttemptFailed)]
    assert failed.failure is FailureClass.LOST
    assert failed.fault.detail == "whoever has the token of `agent` has given no sign of life for 30 s"
    assert len(issued(world)) == 2


# -- the run around it -----------------------------------------------------------------------------------------------------


def test_cancelled_run_waits_for_nobody() -> None:
    world = agent()
    world.done("agent")
    number = world.ticket("agent")
    world.decide(Cancel("enough"))
    assert world.state.live_status() is RunStatus.CANCELLED
    assert world.decide(Settled(number, Done(1))) == []


def test_suspended_run_neither_warns_nor_expires_until_it_goes_on() -> None:
    world = World(APPROVE % "", {"who": "ops"})
    world.start()
    world.decide(Suspend())
    assert world.state.wake_at() is None
    assert world.later(3000.0) == []
    assert kinds(world.decide(Resume())) == ["Resumed", "Expiring"]


def test_node_that_dies_or_drains_while_somebody_else_works_repeats_nothing() -> None:
    """TK-16."""
    world = agent()
    world.done("agent")
    assert world.decide(Drain()) == []
    (recovered,) = world.decide(Recover())
    assert recovered == events.Recovered(at=1000.0, lost=[])
    world.report("agent", Done(1))
    assert world.output == {"got": 1}


@pytest.mark.parametrize("ending", [Drain, Recover])
def test_effect_that_was_in_flight_is_repeated_with_the_same_token(ending: Any) -> None:
    """TK-16."""
    world = agent()
    world.decide(ending())
    world.later(0.0)
    assert len(issued(world)) == 1
    assert world.requests["agent"].target.token == issued(world)[0].token  # type: ignore[union-attr]  # an HTTP call
    assert world.requests["agent"].effect > issued(world)[0].effect


FORKED = """
do:
  - both:
      fork:
        branches:
          - ask: {call: 'approval:1.0.0@default'}
          - work:
              call: http
              with: {method: get, endpoint: https://x.example}
              metadata: {interlock: {await: token}}
          - fail: {call: http, with: {method: get, endpoint: https://x.example}}
"""


def test_retry_by_hand_asks_again_by_the_same_tokens() -> None:
    world = World(FORKED)
    world.start()
    world.done("work")
    world.failed("fail")
    assert world.state.live_status() is RunStatus.FAULTED
    before = {event.token for event in issued(world)}
    world.decide(Reopen())
    assert {event.token for event in issued(world)} == before
    assert len(issued(world)) == 4
    assert world.state.tokens == []
    world.done("work")
    world.done("fail", 3)
    world.report("ask", Done(1))
    world.report("work", Done(2))
    assert world.output == [1, 2, 3]


def test_fork_of_a_run_has_other_tokens() -> None:
    world = World(FORKED)
    world.start()
    world.done("work")
    tokens = {event.token for event in issued(world)}
    world.apply(events.Copied(at=1000.0, origin="run", since=1000.0))
    world.state.run = "other"
    world.later(0.0)
    assert len(issued(world)) == 4
    assert {event.token for event in issued(world)[2:]}.isdisjoint(tokens)


def test_race_that_is_decided_gives_the_tokens_of_the_others_up() -> None:
    world = World(FORKED.replace("fork:", "fork:\n        compete: true"))
    world.start()
    tokens = [event.token for event in issued(world)]
    world.done("fail", 3)
    assert world.output == 3
    assert world.state.tokens == [Gone(token, "the step does not wait for it any more") for token in tokens]


UNDOING = """
do:
  - both:
      fork:
        branches:
          - kept:
              call: http
              with: {method: get, endpoint: https://x.example}
              metadata: {interlock: {await: token, compensate: {call: http, with: {method: get, endpoint: https://u.example}}}}
          - left: {call: 'approval:1.0.0@default'}
          - fail: {call: http, with: {method: get, endpoint: https://x.example}}
"""


def test_rollback_waits_for_work_that_may_have_to_be_undone_and_gives_the_rest_up() -> None:
    world = World(UNDOING)
    world.start()
    world.done("kept")
    world.failed("fail")
    assert [gone.reason for gone in world.state.tokens] == ["the run is being rolled back"]
    world.report("kept", Done(1))
    world.done("undo kept")
    assert world.fault.title == "Broken"


def test_result_of_a_report_that_cannot_go_on_faults_the_step() -> None:
    world = agent("output: {schema: {format: json, document: {type: integer}}}")
    world.done("agent")
    world.report("agent", Done("text"))
    assert world.fault.title == "The output does not fit its schema"


# -- what people see -----------------------------------------------------------------------------------------------------


def test_story_tells_that_a_step_waits_for_a_report_and_how_often_it_was_asked_for() -> None:
    world = agent()
    seen = story.Story()
    seen.tell(world.history)
    step = seen.steps["/do/0/agent"]
    assert (step.status, step.attempts, step.token) == (StepStatus.RUNNING, 1, issued(world)[0])
    seen.tell(world.done("agent"))
    assert step.status is StepStatus.WAITING
    seen.tell(world.later(2880.0))
    seen.tell(world.report("agent", broken()))
    assert step.token is None
    assert "step.token-expiring" in told(world)
    world = World(APPROVE % "", {"who": "ops"})
    world.start()
    seen = story.Story()
    seen.tell(world.history)
    step = seen.steps["/do/0/approve"]
    assert (step.status, step.attempts, step.token) == (StepStatus.WAITING, 1, issued(world)[0])
