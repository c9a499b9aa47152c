"""Rollbacks: what is undone, in which order, with which data, and what becomes of the run. WF-10, WF-11"""

from __future__ import annotations

from typing import Any

import pytest

from interlock.engine import compensation
from interlock.engine.cause import Cancel, Continue, Drain, Occurred, Recover, Reopen, Resume, Start, Suspend, Tick
from interlock.engine.machine import Machine
from interlock.engine.state import NULL, Rollback
from interlock.model import event as events
from interlock.model import fault
from interlock.model.event import Copied
from interlock.model.memo import Memo, Undo
from interlock.model.states import RunStatus
from interlock.model.task import FailureClass
from unit.engine.world import World

BOOM = "{raise: {error: {type: 'https://x.example/boom', status: 500, title: Boom}}}"


def step(name: str, extra: str = "") -> str:
    """A step that leaves the run, with an undo that does too."""
    undo = "{call: 'python:m:undo', with: {gave: '${ . }', got: '${ $input }'}}"
    more = f", {extra}" if extra else ""
    return f"{{{name}: {{call: 'python:m:do', metadata: {{interlock: {{compensate: {undo}}}}}{more}}}}}"


def world(*steps: str, input: Any = None, head: str = "", **options: Any) -> World:
    found = World(f"{head}\ndo: [{', '.join(steps)}]", input, **options)
    found.start()
    return found


def undone(found: World) -> list[str]:
    """The steps whose undo began, in order."""
    return [event.path.rsplit("/", 1)[-1] for event in found.history if isinstance(event, events.UndoBegan)]


def ends(found: World) -> list[tuple[str, str]]:
    """How the undos ended, in order."""
    kinds = (events.Undone, events.UndoFailed)
    return [(type(e).__name__, e.path.rsplit("/", 1)[-1]) for e in found.history if isinstance(e, kinds)]


def undo_all(found: World) -> None:
    """Let every undo succeed."""
    while not found.state.ended:
        (name,) = found.requests
        assert name.startswith("undo ")
        found.done(name)


# -- when ------------------------------------------------------------------------------------------------------------


def test_run_without_undos_faults_at_once_and_can_be_retried() -> None:
    """WF-10: fail_fast"""
    found = world("{a: {call: 'python:m:f'}}", f"{{b: {BOOM}}}")
    found.done("a")
    assert found.state.status is RunStatus.FAULTED
    assert found.state.head.rollback is None
    assert found.decide(Reopen())


def test_run_that_completes_undoes_nothing() -> None:
    """WF-11: only on rollback"""
    found = world(step("a"))
    found.done("a", 1)
    assert found.output == 1
    assert undone(found) == []


def test_step_that_may_fail_is_not_undone_and_the_run_goes_on() -> None:
    """WF-10: continue"""
    found = world("{a: {call: 'python:m:f', metadata: {interlock: {on_error: continue, compensate: {set: {x: 1}}}}}}")
    found.failed("a")
    assert found.state.status is RunStatus.COMPLETED
    assert found.memos == []


def test_step_that_is_retried_is_remembered_once() -> None:
    """WF-10: retry"""
    retry = "{call: 'python:m:f', metadata: {interlock: {retry: {application: 1}, compensate: {call: 'python:m:u'}}}}"
    found = world(f"{{a: {retry}}}", f"{{b: {BOOM}}}")
    found.failed("a")
    found.later(1)
    found.done("a")
    undo_all(found)
    assert undone(found) == ["a"]


def test_run_that_fails_undoes_what_it_finished_in_reverse_and_then_faults() -> None:
    """WF-10: rollback; WF-11: in reverse order of completion, once"""
    found = world(step("a"), step("b"), step("c"), f"{{d: {BOOM}}}")
    for name in "abc":
        found.done(name, f"made by {name}")
    assert found.state.live_status() is RunStatus.RUNNING
    undo_all(found)
    assert undone(found) == ["c", "b", "a"]
    assert ends(found) == [("Undone", name) for name in "cba"]
    assert (found.fault.type, found.fault.instance) == ("https://x.example/boom", "/do/3/d")
    assert found.state.scopes == {}


def test_each_undo_ends_in_the_decision_that_begins_the_next() -> None:
    found = world(step("a"), step("b"), f"{{c: {BOOM}}}")
    found.done("a")
    found.done("b")
    assert [type(event).__name__ for event in found.done("undo b")] == [
        "Completed", "Undone", "UndoBegan", "Entered", "Requested",
    ]  # fmt: skip


def test_undos_of_branches_run_in_reverse_order_of_completion_whatever_branch() -> None:
    branches = f"{{all: {{fork: {{branches: [{{l: {{do: [{step('a')}, {step('b')}]}}}}, {{r: {{do: [{step('c')}, {step('d')}]}}}}]}}}}}}"
    found = world(branches, f"{{z: {BOOM}}}")
    for name in "acdb":
        found.done(name)
    undo_all(found)
    assert undone(found) == ["b", "d", "c", "a"]


def test_step_of_a_loop_is_undone_once_per_visit_with_its_own_data() -> None:
    loop = f"{{l: {{for: {{each: n, in: '${{ [1, 2, 3] }}'}}, do: [{step('a', 'input: {from: $n}')}]}}}}"
    found = world(loop, f"{{z: {BOOM}}}")
    for n in (1, 2, 3):
        found.done("a", n * 10)
    seen, keys = [], set()
    while not found.state.ended:
        request = found.requests["undo a"]
        seen.append(request.target.arguments)  # type: ignore[union-attr]
        keys.add(request.idempotency_key)
        found.done("undo a")
    assert seen == [{"gave": 30, "got": 3}, {"gave": 20, "got": 2}, {"gave": 10, "got": 1}]
    assert len(keys) == 3


def test_composite_step_is_undone_before_what_is_in_it() -> None:
    found = world(
        f"{{outer: {{do: [{step('a')}], metadata: {{interlock: {{compensate: {{call: 'python:m:u'}}}}}}}}}}",
        f"{{z: {BOOM}}}",
    )
    found.done("a")
    undo_all(found)
    assert undone(found) == ["outer", "a"]


def test_step_before_an_error_that_was_caught_is_undone_when_the_run_fails_later() -> None:
    found = world(
        f"{{t: {{try: [{step('a')}, {{b: {BOOM}}}], catch: {{do: [{{h: {{set: {{x: 1}}}}}}]}}}}}}", f"{{z: {BOOM}}}"
    )
    found.done("a")
    undo_all(found)
    assert undone(found) == ["a"]


def test_step_without_effect_is_undone_too() -> None:
    text = """
    do:
      - a: {input: {from: '{n: .given}'}, set: {n: 1}, metadata: {interlock: {compensate: {call: 'python:m:u', with: {got: '${ $input }', gave: '${ . }'}}}}}
      - b: {raise: {error: {type: 'https://x.example/boom', status: 500}}}
    """
    found = World(text, {"given": 7})
    found.start()
    assert found.requests["undo a"].target.arguments == {"got": {"n": 7}, "gave": {"n": 1}}  # type: ignore[union-attr]
    undo_all(found)


def test_steps_inside_of_an_undo_are_not_remembered() -> None:
    found = world("{a: {set: {x: 1}, metadata: {interlock: {compensate: {call: takeBack}}}}}", f"{{b: {BOOM}}}",
                  head=f"use: {{functions: {{takeBack: {{do: [{step('inner')}]}}}}}}")  # fmt: skip
    found.done("inner")
    assert found.state.ended
    assert undone(found) == ["a"]


# -- with what -------------------------------------------------------------------------------------------------------


def test_undo_sees_the_output_as_its_input_the_steps_input_and_the_context_of_the_run() -> None:
    undo = """{do: [{x: {set: {dot: '${ . }', input: '${ $input }', context: '${ $context }', task: '${ $task.name }'}}},
      {y: {call: 'python:m:u', with: {seen: '${ . }', input: '${ $input }'}}}]}"""
    found = world(
        "{pre: {set: {x: 1}, export: {as: {exported: true}}}}",
        f"{{a: {{call: 'python:m:f', input: {{from: '{{n: 5}}'}}, output: {{as: '{{out: .}}'}}, metadata: {{interlock: {{compensate: {undo}}}}}}}}}",
        f"{{b: {BOOM}}}",
    )
    found.done("a", 9)
    target = found.requests["y"].target
    expected = {"dot": {"out": 9}, "input": {"n": 5}, "context": {"exported": True}, "task": "x"}
    assert target.arguments == {"seen": expected, "input": {"n": 5}}  # type: ignore[union-attr]
    assert found.requests["y"].path == "/do/1/a/metadata/interlock/compensate/do/1/y"
    undo_all_named(found, "y")


def undo_all_named(found: World, name: str) -> None:
    found.done(name)
    assert found.state.ended


def test_function_that_an_undo_calls_has_its_own_input() -> None:
    head = "use: {functions: {takeBack: {call: 'python:m:u', with: {own: '${ $input }', dot: '${ . }'}}}}"
    found = world(
        "{a: {call: 'python:m:f', metadata: {interlock: {compensate: {call: takeBack, with: {id: '${ .id }', was: '${ $input.n }'}}}}}}",
        f"{{b: {BOOM}}}", head=head, input={"n": 3},
    )  # fmt: skip
    found.done("a", {"id": 7})
    given = {"id": 7, "was": 3}
    assert found.requests["takeBack"].target.arguments == {"own": given, "dot": given}  # type: ignore[union-attr]
    undo_all_named(found, "takeBack")


def test_input_of_the_step_is_seen_in_the_branches_of_an_undo() -> None:
    fork = "{fork: {branches: [{l: {call: 'python:m:u', with: {i: '${ $input }'}}}, {r: {set: {i: '${ $input }'}}}]}}"
    found = world(f"{{a: {{call: 'python:m:f', metadata: {{interlock: {{compensate: {fork}}}}}}}}}", f"{{b: {BOOM}}}", input=4)  # fmt: skip
    found.done("a")
    assert found.requests["l"].target.arguments == {"i": 4}  # type: ignore[union-attr]
    undo_all_named(found, "l")


def test_key_of_an_undo_is_its_own_and_stays_over_attempts_and_crashes() -> None:
    found = world(step("a"), f"{{b: {BOOM}}}")
    forward = found.requests["a"].idempotency_key
    found.done("a")
    key = found.requests["undo a"].idempotency_key
    assert key not in ("", forward)
    found.failed("undo a")
    found.later(1)
    assert (found.requests["undo a"].idempotency_key, found.requests["undo a"].attempt) == (key, 2)
    found.requests.clear()
    found.decide(Recover())
    assert (found.requests["undo a"].idempotency_key, found.requests["undo a"].attempt) == (key, 3)
    undo_all(found)


def test_condition_of_an_undo_decides_whether_there_is_something_to_do() -> None:
    undo = "{if: .created, call: 'python:m:u'}"
    found = world(f"{{a: {{call: 'python:m:f', metadata: {{interlock: {{compensate: {undo}}}}}}}}}", f"{{b: {BOOM}}}")
    found.done("a", {"created": False})
    assert found.state.ended
    assert ends(found) == [("Undone", "a")]


def test_end_of_the_run_in_an_undo_ends_the_undo() -> None:
    undo = "{fork: {branches: [{l: {do: [{x: {set: {n: 1}, then: end}}]}}, {r: {call: 'python:m:u'}}]}}"
    found = world(
        step("first"), f"{{a: {{call: 'python:m:f', metadata: {{interlock: {{compensate: {undo}}}}}}}}}", f"{{b: {BOOM}}}"
    )  # fmt: skip
    found.done("first")
    found.done("a")
    assert ends(found) == [("Undone", "a")]
    assert list(found.requests) == ["undo first"]
    undo_all(found)


def test_extension_applies_to_undos_too_and_has_its_own_input() -> None:
    head = "use: {extensions: [{log: {extend: call, before: [{note: {set: {i: '${ $input }'}}}], after: [{noted: {set: {x: 1}}}]}}]}"
    found = world(step("a"), f"{{b: {BOOM}}}", head=head)
    found.done("a", 5)
    undo_all(found)
    assert ends(found) == [("Undone", "a")]
    noted = [event for event in found.history if isinstance(event, events.Completed) and event.path.endswith("/note")]
    assert [event.output.value for event in noted] == [{"i": {}}, {"i": 5}]
    assert found.names().count("noted") == 2


# -- what is in flight -----------------------------------------------------------------------------------------------


def forked(*branches: str) -> str:
    return f"{{all: {{fork: {{branches: [{', '.join(branches)}]}}}}}}"


def test_effect_in_flight_with_an_undo_is_awaited_and_undone_one_without_is_stopped() -> None:
    found = world(step("first"), forked(step("slow"), "{plain: {call: 'python:m:f'}}", "{bad: {call: 'python:m:f'}}"))
    found.done("first")
    plain = found.requests["plain"].effect
    found.failed("bad")
    assert list(found.requests) == ["slow"]
    assert plain in found.interrupts
    assert undone(found) == []
    assert found.state.live_status() is RunStatus.RUNNING
    found.done("slow", 1)
    undo_all(found)
    assert undone(found) == ["slow", "first"]
    assert found.fault.instance == "/do/1/all/fork/branches/2/bad"


def test_rollback_is_begun_for_what_is_in_flight_alone() -> None:
    found = world(forked(step("slow"), "{bad: {call: 'python:m:f'}}"))
    found.failed("bad")
    assert not found.state.ended
    found.done("slow")
    undo_all(found)
    assert undone(found) == ["slow"]


@pytest.mark.parametrize("failure", [FailureClass.APPLICATION, FailureClass.TIMEOUT, FailureClass.LAUNCH])
def test_effect_in_flight_that_fails_is_not_tried_again_and_not_undone(failure: FailureClass) -> None:
    more = "{slow: {call: 'python:m:f', metadata: {interlock: {retry: {application: 3, timeout: 3}, compensate: {set: {x: 1}}}}}}"
    found = world(step("first"), forked(more, "{bad: {call: 'python:m:f'}}"))
    found.done("first")
    found.failed("bad")
    found.failed("slow", failure)
    undo_all(found)
    assert undone(found) == ["first"]


def test_effect_in_flight_whose_time_is_over_is_left() -> None:
    found = world(step("first"), forked(step("slow", "timeout: {after: PT5S}"), "{bad: {call: 'python:m:f'}}"))
    found.done("first")
    found.failed("bad")
    effect = found.requests["slow"].effect
    found.later(5)
    assert effect in found.interrupts
    undo_all(found)
    assert undone(found) == ["first"]


def test_effect_in_flight_that_was_lost_is_asked_for_again_and_then_undone() -> None:
    found = world(forked(step("slow"), "{bad: {call: 'python:m:f'}}"))
    key = found.requests["slow"].idempotency_key
    found.failed("bad")
    found.requests.clear()
    found.decide(Recover())
    assert found.requests["slow"].idempotency_key == key
    found.failed("slow", FailureClass.PREEMPTED)
    found.later(0)
    found.decide(Drain())
    found.decide(Recover())
    found.done("slow")
    undo_all(found)
    assert undone(found) == ["slow"]


def test_effect_lost_too_often_is_left() -> None:
    found = world(step("first"), forked(step("slow"), "{bad: {call: 'python:m:f'}}"))
    found.done("first")
    found.failed("bad")
    for _ in range(4):
        found.requests.clear()
        found.decide(Recover())
    assert undone(found) == ["first"]
    undo_all(found)


def test_effect_that_was_just_lost_is_awaited_when_the_run_fails_before_it_is_asked_for_again() -> None:
    found = world(forked(step("slow"), "{w: {wait: PT1H}}"), head="timeout: {after: PT1M}")
    found.now += 60
    found.requests.clear()
    found.decide(Recover())
    assert found.state.head.rollback is not None
    found.later(0)
    assert list(found.requests) == ["slow"]
    found.done("slow")
    undo_all(found)
    assert (undone(found), found.fault.type) == (["slow"], fault.TIMEOUT)


def test_effect_in_flight_deep_inside_is_awaited_with_what_its_end_needs() -> None:
    inner = step("slow", "output: {as: '{n: $item, at: $index}'}")
    loop = f"{{l: {{for: {{in: '${{ [7, 8] }}'}}, do: [{inner}]}}}}"
    tried = f"{{t: {{timeout: {{after: PT1M}}, try: [{loop}], catch: {{retry: {{limit: {{attempt: {{count: 2, duration: PT1M}}}}}}}}}}}}"
    found = world(forked(forked(tried, "{other: {wait: PT1H}}"), "{bad: {call: 'python:m:f'}}"))
    found.done("slow", "first")
    found.failed("bad")
    found.later(100)  # the timeouts of what is around it are void
    found.done("slow", "second")
    assert found.requests["undo slow"].target.arguments["gave"] == {"n": 8, "at": 1}  # type: ignore[union-attr]
    undo_all(found)
    assert undone(found) == ["slow", "slow"]


def test_listening_around_an_effect_in_flight_ends() -> None:
    listen = f"{{l: {{listen: {{to: {{any: []}}}}, foreach: {{do: [{step('slow')}]}}}}}}"
    found = world(forked(listen, "{bad: {call: 'python:m:f'}}"))
    occurred = Occurred({"id": "1", "source": "s", "type": "t", "specversion": "1.0", "data": 1})
    found.decide(occurred)
    found.failed("bad")
    assert found.state.listeners == {}
    found.decide(occurred)
    found.done("slow")
    undo_all(found)
    assert undone(found) == ["slow"]


def test_effect_in_flight_at_the_outermost_level_is_awaited() -> None:
    found = world(step("slow"), head="timeout: {after: PT1M}")
    found.later(60)
    assert found.state.wake_at() is None
    found.done("slow")
    undo_all(found)
    assert undone(found) == ["slow"]


def test_step_that_failed_by_its_own_timeout_is_not_awaited() -> None:
    found = world(step("a", "timeout: {after: PT1M}"))
    found.later(60)
    assert found.state.ended
    assert found.state.head.rollback is None


def test_effect_in_flight_whose_output_is_wrong_is_not_undone() -> None:
    found = world(forked(step("slow", "output: {as: '.x.y'}"), "{bad: {call: 'python:m:f'}}"))
    found.failed("bad")
    found.done("slow", "no object")
    assert found.state.ended
    assert undone(found) == []


# -- failures --------------------------------------------------------------------------------------------------------


def test_undo_is_tried_again_and_a_failure_for_good_is_noted_while_the_rollback_goes_on() -> None:
    """WF-11: failures reported"""
    found = world(step("a"), step("b"), step("c"), f"{{d: {BOOM}}}")
    for name in "abc":
        found.done(name)
    found.done("undo c")
    waits = []
    for _ in range(6):
        found.failed("undo b")
        waits.append((found.state.wake_at() or found.now) - found.now)
        found.later(waits[-1])
    assert waits == [1, 2, 4, 8, 16, 0]
    undo_all(found)
    assert ends(found) == [("Undone", "c"), ("UndoFailed", "b"), ("Undone", "a")]
    (failure,) = [event for event in found.history if isinstance(event, events.UndoFailed)]
    assert (failure.fault.detail, failure.fault.instance) == ("it broke", "/do/1/b/metadata/interlock/compensate")
    assert found.state.head.rollback is not None
    assert found.state.head.rollback.failed == 1
    assert found.fault.type == "https://x.example/boom"


def test_author_says_how_often_an_undo_is_tried() -> None:
    undo = "{call: 'python:m:u', timeout: {after: PT5S}, metadata: {interlock: {retry: {application: 0, timeout: 1}}}}"
    found = world(f"{{a: {{call: 'python:m:f', metadata: {{interlock: {{compensate: {undo}}}}}}}}}", f"{{b: {BOOM}}}")
    found.done("a")
    found.later(5)
    found.later(1)
    found.failed("undo a")
    assert ends(found) == [("UndoFailed", "a")]


def test_undo_whose_expression_is_wrong_fails_at_once() -> None:
    undo = "{call: 'python:m:u', with: {x: '${ .a.b }'}}"
    found = world(f"{{a: {{call: 'python:m:f', metadata: {{interlock: {{compensate: {undo}}}}}}}}}", f"{{b: {BOOM}}}")
    found.done("a", "text")
    assert ends(found) == [("UndoFailed", "a")]
    assert found.state.ended


def test_undo_catches_its_own_errors_and_stops_its_branches_when_one_fails() -> None:
    catches = "{try: [{x: {call: 'python:m:u', metadata: {interlock: {retry: {application: 0}}}}}], catch: {do: [{h: {set: {n: 1}}}]}}"
    fork = f"{{fork: {{branches: [{{l: {{call: 'python:m:u'}}}}, {{r: {BOOM}}}]}}}}"
    found = world(
        f"{{a: {{call: 'python:m:f', metadata: {{interlock: {{compensate: {catches}}}}}}}}}",
        f"{{b: {{call: 'python:m:f', metadata: {{interlock: {{compensate: {fork}}}}}}}}}",
        f"{{z: {BOOM}}}",
    )
    found.done("a")
    found.done("b")
    assert ends(found) == [("UndoFailed", "b")]
    found.failed("x")
    assert ends(found) == [("UndoFailed", "b"), ("Undone", "a")]


def test_step_within_an_undo_may_fail_and_be_passed_over() -> None:
    undo = "{do: [{x: {call: 'python:m:u', metadata: {interlock: {on_error: continue, retry: {application: 0}}}}}]}"
    found = world(f"{{a: {{call: 'python:m:f', metadata: {{interlock: {{compensate: {undo}}}}}}}}}", f"{{b: {BOOM}}}")
    found.done("a")
    found.failed("x")
    assert ends(found) == [("Undone", "a")]


# -- cancel, suspend, retry, crash -----------------------------------------------------------------------------------


def test_cancel_with_rollback_undoes_and_then_cancels() -> None:
    found = world(step("a"), step("b"), step("c"))
    found.done("a")
    found.done("b")
    found.decide(Cancel("no longer wanted", rollback=True))
    assert list(found.requests) == ["c"]
    found.done("c")
    undo_all(found)
    assert undone(found) == ["c", "b", "a"]
    assert found.state.status is RunStatus.CANCELLED
    assert found.state.fault is None
    assert found.history[-1] == events.Cancelled(at=found.now, reason="no longer wanted")


def test_cancel_without_rollback_undoes_nothing() -> None:
    found = world(step("a"), step("b"))
    found.done("a")
    found.decide(Cancel())
    assert found.state.status is RunStatus.CANCELLED
    assert undone(found) == []


def test_cancel_with_rollback_cancels_at_once_where_nothing_was_finished() -> None:
    found = world("{w: {wait: PT1H}}")
    found.decide(Cancel(rollback=True))
    assert found.state.status is RunStatus.CANCELLED
    assert found.state.head.rollback is None


def test_cancel_with_rollback_of_a_suspended_run_lifts_the_suspension() -> None:
    found = world(step("a"), "{w: {wait: PT1H}}")
    found.done("a")
    found.decide(Suspend())
    found.decide(Cancel(rollback=True))
    undo_all(found)
    assert found.state.status is RunStatus.CANCELLED


@pytest.mark.parametrize("rollback", [False, True])
def test_cancel_does_not_cut_a_rollback_short(rollback: bool) -> None:
    found = world(step("a"), f"{{b: {BOOM}}}")
    found.done("a")
    assert found.decide(Cancel(rollback=rollback)) == []
    undo_all(found)
    assert found.state.status is RunStatus.FAULTED


def test_timeout_of_the_run_begins_a_rollback_and_does_not_end_it() -> None:
    found = world(step("a"), "{w: {wait: PT1H}}", head="timeout: {after: PT1M}")
    found.done("a")
    found.later(60)
    found.later(3600)
    assert list(found.requests) == ["undo a"]
    undo_all(found)
    assert (found.fault.type, found.fault.instance) == (fault.TIMEOUT, "/")


def test_wrong_output_of_the_run_begins_a_rollback() -> None:
    found = world(step("a"), head="output: {schema: {document: {type: string}}}")
    found.done("a", 5)
    undo_all(found)
    assert (found.fault.type, undone(found)) == (fault.VALIDATION, ["a"])


def test_suspended_rollback_goes_on_when_it_is_resumed() -> None:
    found = world(step("a"), step("b"), f"{{c: {BOOM}}}")
    found.done("a")
    found.done("b")
    found.decide(Suspend())
    found.done("undo b")
    assert found.requests == {}
    assert found.state.live_status() is RunStatus.SUSPENDED
    found.decide(Resume())
    undo_all(found)
    assert undone(found) == ["b", "a"]


def test_fault_of_a_suspended_run_begins_a_rollback_that_waits() -> None:
    found = world(step("a"), "{b: {call: 'python:m:f'}}")
    found.done("a")
    found.decide(Suspend())
    found.failed("b")
    assert (found.requests, undone(found)) == ({}, [])
    found.decide(Resume())
    undo_all(found)


def test_retry_of_a_run_that_rolled_back_ends_it_as_it_had() -> None:
    found = world(step("a"), f"{{b: {BOOM}}}")
    found.done("a")
    undo_all(found)
    was = found.fault
    (event,) = found.decide(Reopen())
    assert isinstance(event, events.Faulted)
    assert found.fault == was


@pytest.mark.parametrize("step_of_rollback", range(4))
def test_crash_in_a_rollback_repeats_no_undo_that_ended(step_of_rollback: int) -> None:
    found = world(step("a"), step("b"), step("c"), f"{{d: {BOOM}}}")
    for name in "abc":
        found.done(name)
    for _ in range(step_of_rollback):
        found.done(*found.requests)
    found.requests.clear()
    found.decide(Recover())
    if not found.state.ended:
        undo_all(found)
    assert undone(found) == ["c", "b", "a"]


def test_undos_without_effects_run_in_one_decision_which_pauses_now_and_then() -> None:
    steps = [
        f"{{s{n}: {{set: {{n: {n}}}, metadata: {{interlock: {{compensate: {{set: {{n: 0}}}}}}}}}}}}" for n in range(40)
    ]
    found = World(f"do: [{', '.join(steps)}, {{z: {BOOM}}}]")
    turns = iter([False, True] * 100)
    found.options["pause"] = lambda: next(turns)
    found.start()
    assert undone(found) == [f"s{n}" for n in reversed(range(40))]


def test_pause_between_memo_and_undo_goes_on() -> None:
    found = world(step("a"), f"{{b: {BOOM}}}")
    found.done("a")
    assert found.decide(Continue()) == []
    assert found.decide(Tick()) == []
    undo_all(found)


def test_fork_of_a_run_keeps_what_there_is_to_undo() -> None:
    origin = world(step("a"), step("b"), f"{{c: {BOOM}}}")
    origin.done("a", {"n": 1})
    prefix = list(origin.history)
    fork = World(f"do: [{step('a')}, {step('b')}, {{c: {BOOM}}}]")
    for event in prefix:
        fork.apply(event)
    fork.apply(Copied(at=fork.now, origin="other", since=fork.now))
    fork.decide(Recover())
    fork.done("b")
    undo_all(fork)
    assert undone(fork) == ["b", "a"]


def test_large_value_is_given_to_the_undo_as_it_was() -> None:
    large = "x" * 200_000
    found = world(step("a"), f"{{b: {BOOM}}}", input={"in": large})
    found.done("a", {"out": large})
    arguments = found.requests["undo a"].target.arguments  # type: ignore[union-attr]
    assert (arguments["got"]["in"], arguments["gave"]["out"]) == (large, large)
    undo_all(found)


def test_slow_expression_in_an_undo_is_waited_for() -> None:
    undo = "{call: 'python:m:u', with: {n: '${ [range(.k)] | length }'}}"
    found = world(f"{{a: {{call: 'python:m:f', metadata: {{interlock: {{compensate: {undo}}}}}}}}}", f"{{b: {BOOM}}}")
    found.done("a", {"k": 3})
    assert found.requests["undo a"].target.arguments == {"n": 3}  # type: ignore[union-attr]
    undo_all(found)


def test_start_is_what_it_was_for_a_run_with_undos() -> None:
    found = World(f"input: {{schema: {{document: {{type: string}}}}}}\ndo: [{step('a')}]", 5)
    found.decide(Start())
    assert found.state.status is RunStatus.FAULTED
    assert found.decide(Cancel(rollback=True)) == []


def test_outcome_is_a_fault_of_the_undo_when_its_attempt_cancelled_itself() -> None:
    found = world(step("a"), f"{{b: {BOOM}}}")
    found.done("a")
    found.cancelled("undo a")
    assert ends(found) == [("UndoFailed", "a")]


def test_several_effects_in_flight_are_awaited_before_the_first_undo() -> None:
    found = world(forked(step("x"), step("y"), "{bad: {call: 'python:m:f'}}"))
    found.failed("bad")
    found.done("y")
    assert undone(found) == []
    found.done("x")
    undo_all(found)
    assert undone(found) == ["x", "y"]


def test_undo_is_looked_for_among_the_memos_of_this_decision_first() -> None:
    found = world(step("a"))
    machine = Machine(found.graph, found.state, found.now, max)
    undo = Undo(step="/do/0/a", input=NULL)
    found.state.memos += [Memo(number=7, call="a", at=0, undo=undo), Memo(number=8, call="b", at=0)]
    found.state.head.memos = 8
    stored = [Memo(number=6, call="c", at=0, undo=undo), Memo(number=2, call="d", at=0, undo=undo)]
    rollback = Rollback(scope="", path="")
    order = []
    while (memo := compensation._next(machine, rollback, stored)) is not None:
        order.append(memo.number)
        rollback.before = memo.number
    assert order == [7, 6, 2]
    found.state.memos.clear()
