"""Steps that load a task graph and wait for its end: what is asked for, and what its end and time do to them."""

from __future__ import annotations

import re
import textwrap

from interlock.engine.cause import Cancel, Reopen
from interlock.engine.state import Gone
from interlock.model import event as events
from interlock.model import fault
from interlock.model.fault import Fault
from interlock.model.states import RunStatus
from interlock.model.task import Done, Failed, FailureClass, GraphTarget
from interlock.secrets.bound import Bound
from interlock.secrets.key import KeyRing
from interlock.secrets.markers import Markers
from unit.engine.world import World

BUILD = """
do:
  - build:
      call: tasks:1.0.0@default
      with: {graph: {tasks: [{id: x, run: [make, '${ .target }']}]}%s}
      %s
  - after: {set: {got: '${ . }'}}
"""


def started(name: str = "", more: str = "", text: str = BUILD) -> World:
    world = World(text % (name, more), {"target": "all"})
    world.start()
    return world


def target(world: World, step: str = "build") -> GraphTarget:
    found = world.requests[step].target
    assert isinstance(found, GraphTarget)
    return found


def tasks_failed(final: bool = False) -> Failed:
    error = Fault(type=fault.TASKS_FAILED, status=500, title="Tasks failed", details={"tasks": {"x": {}}})
    return Failed(FailureClass.APPLICATION, error, final=final)


def test_graph_is_loaded_in_the_node_and_its_end_is_the_output() -> None:
    world = started()
    found = target(world)
    assert found.document == {"tasks": [{"id": "x", "run": ["make", "all"]}]}
    assert re.fullmatch(r"build-[0-9a-f]{16}", found.name)
    (issued,) = [event for event in world.history if isinstance(event, events.Issued)]
    assert (issued.token, issued.expires, issued.warns) == (found.token, None, None)
    assert not world.requests["build"].queued
    world.done("build")
    assert world.state.live_status() is RunStatus.WAITING
    world.report("build", Done({"status": "completed"}))
    assert world.output == {"got": {"status": "completed"}}


def test_name_is_the_authors_own_or_made_of_what_there_is() -> None:
    assert target(started(", name: '${ \"ci-\" + .target }'")).name == "ci-all"
    assert target(started(text=BUILD.replace("{graph: {tasks", "{graph: {graph: nightly, tasks"))).name.startswith(
        "nightly-"
    )
    odd = World("do: [{'a b': {call: 'tasks:1.0.0@default', with: {graph: '${ {graph: 7, tasks: []} }'}}}]")
    odd.start()
    assert target(odd, "a b").name.startswith("graph-")
    long = World(f"do: [{{{'a' * 60}: {{call: 'tasks:1.0.0@default', with: {{graph: {{tasks: '${{ [] }}'}}}}}}}}]")
    long.start()
    assert len(target(long, "a" * 60).name) == 63


def test_graph_that_is_no_map_and_name_that_is_no_text_fault_the_step() -> None:
    for text in ("{graph: '${ 7 }'}", "{graph: {tasks: '${ [] }'}, name: '${ 7 }'}"):
        world = World(f"do: [{{a: {{call: 'tasks:1.0.0@default', with: {text}}}}}]")
        world.start()
        assert (world.fault.type, world.fault.title) == (fault.EXPRESSION, "Wrong type of value")


def test_every_iteration_has_a_graph_of_its_own_and_every_attempt_the_same() -> None:
    world = World(
        """
        do:
          - each:
              for: {in: '[1, 2]'}
              do:
                - build:
                    call: tasks:1.0.0@default
                    with: {graph: {tasks: [{id: x, run: [make]}]}}
                    metadata: {interlock: {retry: {application: 1}}}
        """
    )
    world.start()
    first = target(world)
    world.done("build")
    world.report("build", tasks_failed())
    world.later(60.0)
    again = target(world)
    assert (again.name, again.visit) == (first.name, first.visit)
    assert again.token != first.token
    world.done("build")
    world.report("build", Done({}))
    second = target(world)
    assert (second.name == first.name, second.visit == first.visit) == (False, False)


def test_failed_graph_is_caught_by_its_type() -> None:
    world = World(
        f"""
        do:
          - try:
              try:
                - build: {{call: 'tasks:1.0.0@default', with: {{graph: {{tasks: [{{id: x, run: [make]}}]}}}}}}
              catch:
                errors: {{with: {{type: '{fault.TASKS_FAILED}'}}}}
                do: [{{told: {{set: {{tasks: '${{ $error.details.tasks }}'}}}}}}]
        """
    )
    world.start()
    world.done("build")
    world.report("build", tasks_failed())
    assert world.output == {"tasks": {"x": {}}}


def test_timeout_and_cancel_give_its_token_up() -> None:
    late = started(more="timeout: {after: PT10S}")
    token = target(late).token
    late.done("build")
    late.later(10.0)
    assert late.fault.type == fault.TIMEOUT
    assert late.state.tokens == [] or late.state.tokens[0].token == token
    cancelled = started()
    token = target(cancelled).token
    cancelled.done("build")
    cancelled.decide(Cancel("enough"))
    assert cancelled.state.status is RunStatus.CANCELLED


def test_timeout_in_a_try_revokes_the_token() -> None:
    world = World(
        """
        do:
          - try:
              try:
                - build:
                    call: tasks:1.0.0@default
                    timeout: {after: PT10S}
                    with: {graph: {tasks: [{id: x, run: [make]}]}}
              catch: {do: [{told: {set: {late: true}}}]}
          - wait: {wait: PT1H}
        """
    )
    world.start()
    token = target(world).token
    world.done("build")
    world.later(10.0)
    assert [gone.token for gone in world.state.tokens] == [token]
    assert isinstance(world.state.tokens[0], Gone)


def test_run_that_is_tried_again_asks_for_the_same_graph_by_the_same_token() -> None:
    world = started()
    first = target(world)
    world.done("build")
    world.report("build", tasks_failed())
    assert world.fault.type == fault.TASKS_FAILED
    world.decide(Reopen())
    assert target(world) == first


def test_secret_in_a_graph_is_refused() -> None:
    markers = Markers(KeyRing(["the-key-of-this-store"]), "run")
    text = """
    use: {secrets: [token]}
    do: [{build: {call: 'tasks:1.0.0@default', with: {graph: {tasks: [{id: x, run: [make, '%s']}]}}}}]
    """
    refused = World(textwrap.dedent(text % "${ $secrets.token }"), secrets=Bound(markers, {"token": "hunter22"}, {}))
    refused.start()
    assert (refused.fault.title, refused.fault.code) == ("Secret in a task graph", "secret-in-data")
    assert "hunter22" not in str(refused.fault)
    without = World(textwrap.dedent(text % "all"), secrets=Bound(markers, {"token": "hunter22"}, {}))
    without.start()
    assert target(without).document["tasks"][0]["run"] == ["make", "all"]
