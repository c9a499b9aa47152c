"""Emit and listen: which events a step takes, what it makes of them, when it is done."""

from __future__ import annotations

from typing import Any

import pytest

from interlock.engine.cause import Occurred, Start
from interlock.model.states import RunStatus
from unit.engine.world import World


def event(type: str = "t", data: Any = None, **more: Any) -> dict[str, Any]:
    return {"specversion": "1.0", "id": "1", "source": "/s", "type": type, "data": data, **more}


def heard(world: World, *events: dict[str, Any]) -> World:
    for item in events:
        world.decide(Occurred(item))
    return world


def listening(to: str, **more: Any) -> World:
    world = World(
        f"do:\n  - hear:\n      listen:\n        to: {to}\n" + "".join(f"        {k}: {v}\n" for k, v in more.items())
    )
    world.start()
    return world


# -- emit ------------------------------------------------------------------------------------------------------------


def test_emit_gives_the_envelope_and_hands_it_to_the_commit() -> None:
    world = World(
        """
        do:
          - tell: {emit: {event: {with: {type: order.placed, data: {n: "${ .n + 1 }"}, subject: s, mine: 7}}}}
          - after: {set: {id: "${ .id }", type: "${ .type }", data: "${ .data }"}}
        """,
        {"n": 1},
    )
    decision = world._decide(Start(), [])
    assert world.output == {"id": decision.emitted[0]["id"], "type": "order.placed", "data": {"n": 2}}
    sent = decision.emitted[0]
    assert sent["specversion"] == "1.0"
    assert sent["source"] == "urn:interlock:default:id"
    assert sent["time"] == "1970-01-01T00:16:40.000Z"
    assert sent["datacontenttype"] == "application/json"
    assert (sent["subject"], sent["mine"]) == ("s", 7)


def test_every_visit_of_an_emitting_step_sends_another_event() -> None:
    world = World(
        "do:\n  - loop:\n      for: {in: '[1, 2]'}\n      do:\n        - tell: {emit: {event: {with: {type: t}}}}\n"
    )
    decision = world._decide(Start(), [])
    assert len({item["id"] for item in decision.emitted}) == 2


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ("{type: '${ null }'}", "no `type`"),
        ("{type: t, source: '${ \"no uri\" }'}", "`source` is no URI"),
        ("{type: t, Mine: 1}", "`Mine`"),
        ("{type: t, mine: [1]}", "`mine` is list"),
        ("{type: t, specversion: '2'}", "specversion"),
        ("{type: '${ 5 }'}", "`type`"),
        ("{type: t, data: '${ [range(300000)] | tostring }'}", "larger than"),
    ],
)
def test_what_is_no_event_is_not_sent(given: str, complaint: str) -> None:
    world = World(f"do:\n  - tell: {{emit: {{event: {{with: {given}}}}}}}\n")
    world.start()
    assert complaint in str(world.fault.detail)
    assert world.fault.status == 400


def test_binary_data_is_passed_as_it_is() -> None:
    world = listening("{one: {with: {type: t}}}", read="raw")
    heard(world, {**event(), "data_base64": "AAE="})
    assert world.output == ["AAE="]


# -- strategies ------------------------------------------------------------------------------------------------------


def test_one_takes_the_first_event_that_fits_and_no_more() -> None:
    world = listening("{one: {with: {type: t, source: /s}}}")
    assert world.state.live_status() is RunStatus.WAITING
    heard(world, event("other"), event("t", source="/else"))
    assert world.state.listeners
    heard(world, event(data=1), event(data=2))
    assert world.output == [1]


def test_any_without_filters_takes_every_event() -> None:
    assert heard(listening("{any: []}"), event("whatever", 5)).output == [5]


def test_any_takes_an_event_that_fits_one_of_its_filters() -> None:
    world = listening("{any: [{with: {type: a}}, {with: {type: b}}]}")
    assert heard(world, event("c"), event("b", 2)).output == [2]


def test_all_waits_for_one_event_per_filter_in_any_order() -> None:
    world = listening("{all: [{with: {type: a}}, {with: {type: b}}]}")
    heard(world, event("b", 1), event("b", 2), event("c", 3))
    assert world.state.output is None
    assert heard(world, event("a", 4)).output == [1, 4]


def test_one_event_fits_only_one_filter_of_all() -> None:
    world = listening("{all: [{with: {type: a}}, {with: {source: /s}}]}")
    heard(world, event("a", 1))
    assert world.state.output is None
    assert heard(world, event("a", 2)).output == [1, 2]


def test_until_counts_the_events_that_were_consumed() -> None:
    world = listening("{any: [], until: '( . | length ) > 2'}")
    heard(world, *(event(data=n) for n in range(5)))
    assert world.output == [0, 1, 2]


def test_until_an_event_that_is_no_part_of_the_output() -> None:
    world = listening("{any: [{with: {type: a}}], until: {one: {with: {type: stop}}}}")
    heard(world, event("a", 1), event("b", 0), event("a", 2))
    assert world.state.output is None
    assert heard(world, event("stop", 9)).output == [1, 2]


def test_until_all_of_several_events() -> None:
    world = listening("{any: [{with: {type: a}}], until: {all: [{with: {type: x}}, {with: {type: y}}]}}")
    heard(world, event("y"), event("a", 1))
    assert world.state.output is None
    assert heard(world, event("x")).output == [1]


@pytest.mark.parametrize(
    ("read", "output"), [("data", [{"a": 1}]), ("envelope", [event(data={"a": 1})]), ("raw", [{"a": 1}])]
)
def test_read_says_what_is_taken_of_an_event(read: str, output: Any) -> None:
    assert heard(listening("{one: {with: {type: t}}}", read=read), event(data={"a": 1})).output == output


# -- filters ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "given", "fits"),
    [
        ("{data: '${ .temperature > 38 }'}", {"data": {"temperature": 39}}, True),
        ("{data: '${ .temperature > 38 }'}", {"data": {"temperature": 37}}, False),
        ("{data: '${ .temperature > 38 }'}", {"data": "no object"}, False),
        ("{data: {a: 1, b: {c: '${ . > 2 }'}}}", {"data": {"a": 1, "b": {"c": 3}, "d": 4}}, True),
        ("{data: {a: 1, b: {c: '${ . > 2 }'}}}", {"data": {"a": 1, "b": {"c": 1}}}, False),
        ("{data: {a: 1}}", {"data": {"a": True}}, False),
        ("{data: {a: 1}}", {"data": [1]}, False),
        ("{subject: s}", {}, False),
        ("{subject: '${ . == null }'}", {}, True),
        ("{subject: '${ $context.wanted // \"s\" }'}", {"subject": "s"}, True),
        ("{mine: 7}", {"mine": 7}, True),
        ("{mine: 7}", {"mine": 8}, False),
    ],
)
def test_filter_by_attributes_and_parts_of_the_data(wanted: str, given: dict[str, Any], fits: bool) -> None:
    world = listening(f"{{one: {{with: {wanted}}}}}")
    heard(world, {**event(), **given})
    assert (world.state.output is not None) is fits


def test_filter_with_a_slow_expression_is_evaluated_elsewhere() -> None:
    world = listening("{all: [{with: {type: '${ test(\"^a\") }'}}, {with: {type: '${ test(\"b$\") }'}}]}")
    heard(world, event("ax", 1), event("ay", 2), event("xb", 3))
    assert world.output == [1, 3]


CORRELATED = "{all: [{with: {type: a}, correlate: {room: {from: .data.room}}}, {with: {type: b}, correlate: {room: {from: .data.room}}}]}"


def test_correlated_events_share_a_value() -> None:
    world = listening(CORRELATED)
    heard(world, event("a", {"room": 1}), event("b", {"room": 2}), event("b", {}))
    assert world.state.output is None
    heard(world, event("b", {"room": 1}))
    assert world.output == [{"room": 1}, {"room": 1}]


def test_correlation_with_what_is_expected() -> None:
    world = World(
        """
        do:
          - hear:
              listen:
                to: {one: {with: {type: a}, correlate: {order: {from: .data.order, expect: "${ .wanted }"}}}}
        """,
        {"wanted": "o-1"},
    )
    world.start()
    heard(world, event("a", {"order": "o-2"}), event("a", "none"))
    assert world.state.output is None
    assert heard(world, event("a", {"order": "o-1"})).output == [{"order": "o-1"}]


# -- foreach ---------------------------------------------------------------------------------------------------------

FOREACH = """
do:
  - hear:
      listen:
        to: {any: [{with: {type: t}}], until: {one: {with: {type: stop}}}}
      foreach:
        item: it
        at: n
        do:
          - call: {call: http, with: {method: post, endpoint: "http://x", body: {it: "${ $it }", n: "${ $n }", dot: "${ . }"}}}
        output: {as: "{n: $n, got: .}"}
        export: {as: "{last: $it}"}
  - after: {set: {out: "${ . }", context: "${ $context }"}}
"""


def test_foreach_processes_the_events_one_at_a_time_in_order() -> None:
    world = World(FOREACH)
    world.start()
    heard(world, event(data="a"), event(data="b"), event("stop"), event(data="late"))
    assert world.requests["call"].target.body == {"it": "a", "n": 0, "dot": "a"}  # type: ignore[union-attr]
    world.done("call", 1)
    assert world.requests["call"].target.body == {"it": "b", "n": 1, "dot": "b"}  # type: ignore[union-attr]
    world.done("call", 2)
    assert world.output == {"out": [{"n": 0, "got": 1}, {"n": 1, "got": 2}], "context": {"last": "b"}}


def test_foreach_without_a_list_shapes_each_event() -> None:
    world = World(
        "do:\n  - hear:\n      listen: {to: {any: [], until: 'length == 2'}}\n      foreach: {output: {as: '. * 2'}}\n"
    )
    world.start()
    assert heard(world, event(data=1), event(data=2)).output == [2, 4]


def test_until_is_asked_after_each_item_and_drops_what_came_later() -> None:
    world = World(
        """
        do:
          - hear:
              listen: {to: {any: [], until: ". == [1]"}}
              foreach: {do: [{call: {call: http, with: {method: get, endpoint: "http://x"}}}]}
        """
    )
    world.start()
    heard(world, event(data="a"), event(data="b"))
    world.done("call", 1)
    assert world.output == [1]


def test_listening_for_ever_keeps_nothing_of_the_past() -> None:
    world = World("do:\n  - hear:\n      listen: {to: {any: [], until: '${ false }'}}\n      foreach: {item: e}\n")
    world.start()
    heard(world, *(event(data=n) for n in range(50)))
    frame = world.state.scopes[""].frames[0]
    assert (frame.processed, frame.outputs, frame.heard) == (50, [], [])
    assert world.state.live_status() is RunStatus.WAITING


def test_schemas_of_items_are_checked() -> None:
    world = World(
        """
        do:
          - hear:
              listen: {to: {any: [], until: "false"}}
              foreach:
                output: {schema: {document: {type: integer}}}
                export: {schema: {document: {required: [x]}}}
        """
    )
    world.start()
    heard(world, event(data="text"))
    assert "output of an event" in str(world.fault.title)
    world = World(
        "do:\n  - hear:\n      listen: {to: {any: [], until: 'false'}}\n      foreach: {export: {as: '{y: 1}', schema: {document: {required: [x]}}}}\n"
    )
    world.start()
    heard(world, event())
    assert "export" in str(world.fault.title)


# -- around ----------------------------------------------------------------------------------------------------------


def test_timeout_of_a_listening_step() -> None:
    world = World("do:\n  - hear:\n      listen: {to: {one: {with: {type: t}}}}\n      timeout: {after: PT10S}\n")
    world.start()
    world.later(11)
    assert world.fault.status == 408
    assert not world.state.listeners


def test_two_branches_hear_the_same_event() -> None:
    world = World(
        """
        do:
          - both:
              fork:
                branches:
                  - a: {listen: {to: {one: {with: {type: t}}}}}
                  - b: {listen: {to: {one: {with: {type: t}}}}}
        """
    )
    world.start()
    assert len(world.state.listeners) == 2
    assert heard(world, event(data=1)).output == [[1], [1]]


def test_slow_filters_in_two_branches_hear_an_event_once_each() -> None:
    branch = "{listen: {to: {one: {with: {type: '${ test(\"^t\") }'}}}}}"
    world = World(f"do:\n  - both:\n      fork:\n        branches:\n          - a: {branch}\n          - b: {branch}\n")
    world.start()
    assert heard(world, event(data=1)).output == [[1], [1]]


def test_events_after_the_end_change_nothing() -> None:
    world = heard(listening("{any: []}"), event(data=1))
    assert world.decide(Occurred(event(data=2))) == []


def test_an_error_while_an_item_is_processed_belongs_to_its_step() -> None:
    world = World(
        """
        do:
          - hear:
              listen: {to: {any: [], until: "false"}}
              foreach: {do: [{bad: {raise: {error: {type: about:blank, status: 500}}}}]}
        """
    )
    world.start()
    heard(world, event())
    assert world.fault.instance == "/do/0/hear/foreach/do/0/bad"


def test_faulted_listener_listens_again_when_the_run_is_reopened() -> None:
    from interlock.engine.cause import Reopen

    world = World(
        """
        do:
          - both:
              fork:
                branches:
                  - a: {listen: {to: {one: {with: {type: t}}}}}
                  - b: {call: http, with: {method: get, endpoint: "http://x"}}
        """
    )
    world.start()
    world.failed("b")
    assert not world.state.listeners
    world.decide(Reopen())
    assert len(world.state.listeners) == 1
    heard(world, event(data=1))
    world.done("b", 2)
    assert world.output == [[1], 2]


def test_items_see_the_names_of_loops_around_them() -> None:
    world = World(
        """
        do:
          - rooms:
              for: {each: room, in: "['a']"}
              do:
                - hear:
                    listen: {to: {one: {with: {type: t}}}}
                    foreach: {item: it, do: [{both: {set: {room: "${ $room }", it: "${ $it }"}}}]}
        """.replace("['a']", '[\\"a\\"]')
    )
    world.start()
    assert heard(world, event(data=1)).output == [{"room": "a", "it": 1}]


# -- child runs ------------------------------------------------------------------------------------------------------

CHILD = "do: [{call: {run: {AWAIT workflow: {namespace: n, name: w, version: 1.0.0 INPUT}}}}]\n"


def test_a_child_run_is_asked_for_with_its_input() -> None:
    world = World(CHILD.replace("AWAIT", "").replace("INPUT", ", input: {x: '${ .x + 1 }'}"), {"x": 1})
    world.start()
    request = world.requests["call"]
    assert request.queued
    assert (request.target.name, request.target.input) == ("w", {"x": 2})  # type: ignore[union-attr]
    world.done("call", 5)
    assert world.output == 5


def test_a_child_that_is_not_awaited_lets_the_input_go_on() -> None:
    world = World(CHILD.replace("AWAIT", "await: false,").replace("INPUT", ""), {"x": 1})
    world.start()
    assert world.requests["call"].target.input == {"x": 1}  # type: ignore[union-attr]
    world.done("call")
    assert world.output == {"x": 1}
