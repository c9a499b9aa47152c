"""The story of a run, told from its events, and the names under which its events go out."""

from __future__ import annotations

import pytest

from interlock.engine.cause import Cancel, Occurred, Recover, Reopen, Resume, Suspend
from interlock.model import event as events
from interlock.model.event import Event
from interlock.model.fault import RUNTIME, Fault
from interlock.model.lifecycle import LIFECYCLE, lifecycle
from interlock.model.states import RunStatus, StepStatus
from interlock.model.story import Story, enclosing
from unit.engine.world import World

BROKEN = Fault(type=RUNTIME, status=500, title="Broken")


def told(world: World) -> Story:
    story = Story()
    for event in world.history:  # one by one, as the live view gets them
        story.tell([event])
    return story


def statuses(story: Story) -> dict[str, str]:
    return {step.name: str(step.status) for step in story.steps.values()}


# -- names -----------------------------------------------------------------------------------------------------------


def sequence(world: World) -> list[str]:
    """The names of a history, each with the name of its step."""
    names = []
    for name, event in lifecycle(world.history):
        fault = getattr(event, "fault", None)
        path = fault.instance if name == "step.faulted" and fault is not None else getattr(event, "path", "")
        names.append(f"{name} {path.rsplit('/', 1)[-1]}".rstrip())
    return names


def test_events_of_a_run_are_named_in_causal_order() -> None:
    """WF-27"""
    world = World(
        """
        do:
          - both:
              fork:
                branches:
                  - a: {call: 'python:m:f'}
                  - b: {set: {x: 1}}
          - skipped: {if: '. == 0', set: {x: 1}}
          - loop: {for: {in: '[1, 2]'}, do: [{inner: {set: {x: 1}}}]}
          - pause: {wait: PT5S}
        """
    )
    world.start()
    world.done("a", 1)
    world.later(5)
    assert sequence(world) == [
        *("workflow.started", "step.started both", "step.forked both"),
        *("step.started a", "step.requested a"),
        *("step.started b", "step.completed b", "step.branch-ended"),
        *("step.completed a", "step.branch-ended", "step.completed both"),
        "step.skipped skipped",
        *("step.started loop", "step.iterated loop", "step.started inner", "step.completed inner"),
        *("step.iterated loop", "step.started inner", "step.completed inner", "step.completed loop"),
        *("step.started pause", "step.waiting pause", "step.completed pause"),
        "workflow.completed",
    ]


def test_errors_are_told_before_what_is_done_about_them() -> None:
    """WF-27"""
    world = World(
        """
        do:
          - safe:
              try: [{risky: {call: 'python:m:f', metadata: {interlock: {retry: {application: 1}}}}}]
              catch: {retry: {delay: PT1S, limit: {attempt: {count: 1, duration: PT9S}}}, do: [{note: {set: {x: 1}}}]}
          - shrug: {call: 'python:m:f', metadata: {interlock: {on_error: continue}}}
          - last: {call: 'python:m:f'}
        """
    )
    world.start()
    world.failed("risky")
    world.later(1)
    world.failed("risky")
    world.later(1)
    world.failed("risky")
    world.later(1)
    world.failed("risky")
    world.failed("shrug")
    world.failed("last")
    world.decide(Reopen())
    world.decide(Suspend())
    world.decide(Resume())
    world.decide(Recover())
    world.decide(Cancel("enough"))
    assert sequence(world) == [
        *("workflow.started", "step.started safe", "step.started risky", "step.requested risky"),
        *("step.attempt-failed risky", "step.requested risky", "step.faulted risky", "step.retry-scheduled safe"),
        *("step.retried safe", "step.started risky", "step.requested risky", "step.attempt-failed risky"),
        *("step.requested risky", "step.faulted risky", "step.caught safe"),
        *("step.started note", "step.completed note", "step.completed safe"),
        *("step.started shrug", "step.requested shrug", "step.faulted shrug"),
        *("step.started last", "step.requested last", "step.faulted last", "workflow.faulted last"),
        *("workflow.resumed", "step.started last", "step.requested last"),
        *("workflow.suspended", "workflow.resumed", "workflow.recovered", "step.requested last", "workflow.cancelled"),
    ]


def test_every_event_has_a_name() -> None:
    assert set(LIFECYCLE) == set(Event.__args__)  # type: ignore[attr-defined]


def test_error_of_the_run_itself_is_of_no_step() -> None:
    world = World("input: {schema: {document: {type: array}}}\ndo: [{a: {set: {x: 1}}}]")
    world.start()
    assert sequence(world) == ["workflow.started", "workflow.faulted"]
    story = told(world)
    assert story.status is RunStatus.FAULTED
    assert story.steps == {}


# -- steps -----------------------------------------------------------------------------------------------------------


def test_run_that_completes_tells_times_and_outputs() -> None:
    world = World("do: [{a: {call: 'python:m:f'}}, {b: {set: {x: 1}, then: end}}]")
    world.start()
    open_ = told(world)
    assert (open_.status, open_.began, open_.ended) == (RunStatus.RUNNING, 1000.0, None)
    a = open_.steps["/do/0/a"]
    assert (a.status, a.attempts, a.visits, a.began, a.ended) == (StepStatus.RUNNING, 1, 1, 1000.0, None)
    world.now = 1002.5
    world.done("a", 7)
    story = told(world)
    assert (story.status, story.ended, story.partial) == (RunStatus.COMPLETED, 1002.5, False)
    assert story.output is not None
    assert story.output.value == {"x": 1}
    a, b = story.steps.values()
    assert (a.status, a.ended, a.next) == (StepStatus.COMPLETED, 1002.5, "/do/1/b")
    assert a.output is not None
    assert a.output.value == 7
    assert (b.name, b.status, b.began, b.ended, b.next) == ("b", StepStatus.COMPLETED, 1002.5, 1002.5, "end")


def test_waiting_step_says_until_when() -> None:
    world = World("do: [{a: {wait: PT5S}}]")
    world.start()
    step = told(world).steps["/do/0/a"]
    assert (step.status, step.until) == (StepStatus.WAITING, 1005.0)
    world.later(5)
    step = told(world).steps["/do/0/a"]
    assert (step.status, step.until) == (StepStatus.COMPLETED, None)


def test_loop_tells_its_place_and_each_visit_counts() -> None:
    world = World("do: [{loop: {for: {in: '[1, 2, 3]'}, do: [{a: {call: 'python:m:f'}}]}}]")
    world.start()
    world.done("a")
    story = told(world)
    loop, inner = story.ordered()
    assert (loop.index, loop.items, loop.visits) == (1, 3, 1)
    assert (inner.visits, inner.attempts, inner.depth, loop.depth) == (2, 1, 1, 0)


def test_skipped_step_is_told() -> None:
    world = World("do: [{a: {if: .no, call: 'python:m:f'}}]")
    world.start()
    assert statuses(told(world)) == {"a": "skipped"}


def test_failed_attempt_waits_with_its_error_and_goes_on() -> None:
    world = World("do: [{a: {call: 'python:m:f', metadata: {interlock: {retry: {application: 2}}}}}]")
    world.start()
    world.failed("a")
    step = told(world).steps["/do/0/a"]
    assert (step.status, step.until, step.attempts) == (StepStatus.WAITING, 1001.0, 1)
    assert step.fault is not None
    world.later(1)
    step = told(world).steps["/do/0/a"]
    assert (step.status, step.until, step.attempts) == (StepStatus.RUNNING, None, 2)


def test_queued_effect_is_told_as_queued() -> None:
    world = World("do: [{a: {run: {shell: {command: ls}}}}]")
    world.start()
    assert told(world).steps["/do/0/a"].queued


@pytest.mark.parametrize("step", ["call: 'python:m:f'", "set: '${ error(\"no\") }'"])
def test_tolerated_error_makes_the_run_partial(step: str) -> None:
    world = World(f"do: [{{a: {{{step}, metadata: {{interlock: {{on_error: continue}}}}}}}}]")
    world.start()
    if world.requests:
        world.failed("a")
    story = told(world)
    assert (story.status, story.partial, statuses(story)) == (RunStatus.COMPLETED, True, {"a": "faulted"})
    assert story.steps["/do/0/a"].fault is not None


def test_caught_error_marks_its_step_and_what_was_open_inside() -> None:
    world = World(
        """
        do:
          - safe:
              try: [{list: {do: [{risky: {call: 'python:m:f'}}]}}]
              catch: {do: [{pause: {wait: PT1S}}]}
        """
    )
    world.start()
    world.failed("risky")
    story = told(world)
    assert statuses(story) == {"safe": "running", "list": "cancelled", "risky": "faulted", "pause": "waiting"}
    assert story.steps["/do/0/safe"].fault is not None
    assert [step.name for step in story.ordered()] == ["safe", "list", "risky", "pause"]


def test_error_of_a_step_that_was_never_opened_is_marked_too() -> None:
    world = World("do: [{safe: {try: [{bad: {raise: {error: {type: http://x.y, status: 400}}}}], catch: {}}}]")
    world.start()
    assert statuses(told(world)) == {"safe": "completed", "bad": "faulted"}


def test_error_that_names_another_instance_marks_no_step_of_that_name() -> None:
    error = "{type: http://x.y, status: 400, instance: /shop/orders/7}"
    world = World(
        f"do: [{{safe: {{try: [{{bad: {{raise: {{error: {error}}}}}}}], catch: {{}}}}}}, "
        f"{{worse: {{raise: {{error: {error}}}}}}}]"
    )
    world.start()
    story = told(world)
    assert statuses(story) == {"safe": "completed", "worse": "faulted"}
    assert story.fault is not None
    assert story.fault.instance == "/shop/orders/7"


def test_try_that_ran_out_of_time_is_not_its_own_culprit() -> None:
    world = World(
        """
        do:
          - safe:
              try: [{slow: {call: 'python:m:f'}}]
              catch: {retry: {delay: PT1S, limit: {attempt: {count: 2, duration: PT5S}}}}
        """
    )
    world.start()
    world.later(5)
    story = told(world)
    assert statuses(story) == {"safe": "waiting", "slow": "cancelled"}
    assert story.steps["/do/0/safe"].until == 1006.0
    world.later(1)
    story = told(world)
    assert statuses(story) == {"safe": "running", "slow": "running"}
    assert story.steps["/do/0/safe"].until is None


def test_fault_suspension_and_what_people_do_show_in_the_status() -> None:
    world = World("do: [{a: {call: 'python:m:f'}}]")
    world.start()
    world.failed("a")
    story = told(world)
    assert (story.status, story.ended, statuses(story)) == (RunStatus.FAULTED, 1000.0, {"a": "faulted"})
    assert story.fault is not None
    world.decide(Reopen())
    story = told(world)
    assert (story.status, story.ended, story.fault, statuses(story)) == (
        RunStatus.RUNNING,
        None,
        None,
        {"a": "running"},
    )
    world.decide(Suspend())
    assert told(world).status is RunStatus.SUSPENDED
    world.decide(Resume())
    assert told(world).status is RunStatus.RUNNING
    world.decide(Cancel(None))
    story = told(world)
    assert (story.status, story.ended, statuses(story)) == (RunStatus.CANCELLED, 1000.0, {"a": "cancelled"})


def test_loser_of_a_race_is_told_as_cancelled() -> None:
    world = World("do: [{race: {fork: {compete: true, branches: [{a: {call: 'python:m:f'}}, {b: {wait: PT5S}}]}}}]")
    world.start()
    world.done("a")
    assert statuses(told(world)) == {"race": "completed", "a": "completed", "b": "cancelled"}


def test_copied_history_changes_nothing() -> None:
    story = Story()
    story.tell([events.Copied(at=1.0, origin="other")])
    assert story == Story()


# -- places ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "around"),
    [
        ("/do/0/a", []),
        ("/do/0/a/do/12/b", ["/do/0/a"]),
        ("/do/0/a/try/1/b/catch/do/2/c", ["/do/0/a/try/1/b", "/do/0/a"]),
        ("/do/0/a/fork/branches/1/b/call/0/f", ["/do/0/a/fork/branches/1/b", "/do/0/a"]),
        ("/do/0/7/do/1/8", ["/do/0/7"]),
        ("/do/0/do/do/1/do", ["/do/0/do"]),
    ],
)
def test_steps_around_a_step_are_found_by_its_path(path: str, around: list[str]) -> None:
    assert list(enclosing(path)) == around


def test_name_is_the_last_part_as_it_was_written() -> None:
    world = World("do: [{'a/b~c': {set: {x: 1}}}]")
    world.start()
    assert [step.name for step in told(world).ordered()] == ["a/b~c"]


def test_story_of_a_listening_step() -> None:
    world = World(
        "do:\n  - hear:\n      listen: {to: {any: [], until: 'length == 2'}}\n      foreach: {do: [{inner: {set: {x: 1}}}]}\n"
    )
    world.start()
    story = told(world)
    assert (story.steps["/do/0/hear"].status, story.steps["/do/0/hear"].index) == (StepStatus.WAITING, 0)
    for number in range(2):
        world.decide(Occurred({"id": str(number), "source": "/s", "type": "t", "data": number}))
    assert statuses(told(world)) == {"hear": "completed", "inner": "completed"}
    assert sequence(world)[1:6] == [
        "step.started hear",
        "step.listening hear",
        "step.heard hear",
        "step.iterated hear",
        "step.started inner",
    ]


def test_an_emitted_event_is_told_after_its_step() -> None:
    world = World("do:\n  - tell: {emit: {event: {with: {type: t}}}}\n")
    world.start()
    assert sequence(world)[1:4] == ["step.started tell", "step.completed tell", "step.emitted tell"]
    assert statuses(told(world)) == {"tell": "completed"}


# -- rollbacks -------------------------------------------------------------------------------------------------------


def saga(extra: str = "") -> World:
    undo = "metadata: {interlock: {compensate: {call: 'python:m:u', metadata: {interlock: {retry: {application: 0}}}}}}"
    found = World(
        f"""
        do:
          - a: {{call: 'python:m:f', {undo}}}
          - b: {{call: 'python:m:f', {undo}}}
          - outer: {{do: [{{both: {{fork: {{branches: [{{c: {{call: 'python:m:f', {undo}}}}}, {{d: {{call: 'python:m:f'}}}}]}}}}}}]}}
          {extra}
        """
    )
    found.start()
    found.done("a")
    found.done("b")
    return found


def test_story_of_a_rollback_tells_what_was_undone_and_what_was_not() -> None:
    """WF-11: failures reported"""
    world = saga()
    world.failed("d")
    story = told(world)
    assert story.is_compensating
    assert statuses(story) == {
        "a": "completed", "b": "completed", "outer": "faulted", "both": "faulted", "c": "running", "d": "faulted",
    }  # fmt: skip
    world.failed("c")
    assert statuses(told(world))["c"] == "faulted"
    assert statuses(told(world))["undo b"] == "running"
    world.failed("undo b")
    world.done("undo a")
    story = told(world)
    assert not story.is_compensating
    assert story.status is RunStatus.FAULTED
    found = statuses(story)
    assert (found["a"], found["undo a"]) == ("compensated", "completed")
    assert (found["b"], found["undo b"]) == ("completed", "faulted")
    assert story.rollback is not None
    assert (story.rollback.undone, [path for path, _ in story.rollback.failed]) == (1, ["/do/1/b"])
    assert str(story.steps["/do/1/b"].undo_fault) == "Broken: it broke"


def test_step_that_a_rollback_waited_for_is_undone_like_those_before_it() -> None:
    world = saga()
    world.failed("d")
    world.done("c")
    found = statuses(told(world))
    assert (found["c"], found["undo c"], found["b"]) == ("completed", "running", "completed")
    world.done("undo c")
    assert statuses(told(world))["c"] == "compensated"


def test_step_with_a_visit_that_could_not_be_undone_is_not_told_as_undone() -> None:
    undo = "metadata: {interlock: {compensate: {call: 'python:m:u', metadata: {interlock: {retry: {application: 0}}}}}}"
    world = World(
        f"do: [{{l: {{for: {{in: '[1, 2]'}}, do: [{{a: {{call: 'python:m:f', {undo}}}}}]}}}}, {{w: {{wait: PT1H}}}}]"
    )
    world.start()
    world.done("a")
    world.done("a")
    world.decide(Cancel(rollback=True))
    world.failed("undo a")
    world.done("undo a")
    story = told(world)
    assert statuses(story) == {"l": "completed", "a": "completed", "undo a": "completed", "w": "cancelled"}
    assert story.status is RunStatus.CANCELLED


def test_events_of_a_rollback_are_named_and_its_fault_is_told_once() -> None:
    world = saga()
    world.failed("d")
    world.done("c")
    for name in ("undo c", "undo b"):
        world.done(name)
    world.failed("undo a")
    assert sequence(world)[-20:] == [
        "step.faulted d",
        "workflow.compensating d",
        "step.completed c",
        "step.awaited c",
        "step.compensating c",
        "step.started compensate",
        "step.requested compensate",
        "step.completed compensate",
        "step.compensated c",
        "step.compensating b",
        "step.started compensate",
        "step.requested compensate",
        "step.completed compensate",
        "step.compensated b",
        "step.compensating a",
        "step.started compensate",
        "step.requested compensate",
        "step.faulted compensate",
        "step.compensation-failed a",
        "workflow.faulted d",
    ]


def test_undo_belongs_to_its_step() -> None:
    undo = "/do/0/a/do/1/b/metadata/interlock/compensate"
    assert list(enclosing(undo)) == ["/do/0/a/do/1/b", "/do/0/a"]
    assert list(enclosing(f"{undo}/do/0/x")) == [undo, "/do/0/a/do/1/b", "/do/0/a"]
