"""Extensions: lists before and after a step, which steps they apply to, and how the step stays what it was."""

from __future__ import annotations

import pytest

from interlock.model import lifecycle, story
from interlock.model.event import EXTENDED
from unit.engine.world import World, run

LOG = """
use:
  extensions:
    - log:
        extend: {extend}
        before: [{{pre: {{set: {{seen: "${{ $task.name }}"}}, export: {{as: '{{log: ((($context.log) // []) + ["+" + $task.name])}}'}}}}}}]
        after: [{{post: {{set: {{gone: 1}}, export: {{as: '{{log: ($context.log + ["-" + $task.name])}}'}}}}}}]
"""


def log(extend: str = "all") -> str:
    return LOG.format(extend=extend)


def test_lists_run_around_the_step_and_leave_its_data_alone() -> None:
    text = (
        log() + "do:\n  - a: {set: {x: '${ .x + 1 }'}}\n  - b: {set: {x: '${ .x * 10 }', log: '${ $context.log }'}}\n"
    )
    assert run(text, {"x": 1}) == {"x": 20, "log": ["+a", "-a", "+b"]}


def test_extension_applies_to_steps_of_its_kind_only() -> None:
    text = log("wait") + "do:\n  - a: {set: {x: 1}}\n  - b: {wait: PT1S}\n  - c: {set: {log: '${ $context.log }'}}\n"
    world = World(text)
    world.start()
    world.later(1)
    assert world.output == {"log": ["+b", "-b"]}


@pytest.mark.parametrize(("kind", "logged"), [("composite", ["+d", "-d"]), ("set", ["+s", "-s"])])
def test_composite_stands_for_steps_that_hold_others(kind: str, logged: list[str]) -> None:
    text = log(kind) + "do:\n  - d: {do: [{s: {set: {x: 1}}}]}\n  - w: {wait: PT1S, output: {as: $context.log}}\n"
    world = World(text)
    world.start()
    world.later(1)
    assert world.output == logged


MOCK = """
use:
  extensions:
    - mock:
        extend: call
        when: $task.with.endpoint == "http://mocked"
        before: [{answer: {set: {mocked: true}, then: exit}}]
        after: [{never: {raise: {error: {type: about:blank, status: 500}}}}]
do:
  - first: {switch: [{a: {when: "true", then: get}}, {b: {then: between}}]}
  - get: {call: http, with: {method: get, endpoint: "http://ENDPOINT"}, then: last}
  - between: {if: "false", set: {never: 1}}
  - last: {set: {got: "${ . }"}}
"""


def test_exit_before_a_step_passes_over_it() -> None:
    assert run(MOCK.replace("ENDPOINT", "mocked")) == {"got": {"mocked": True}}


def test_extension_whose_condition_is_false_does_nothing() -> None:
    world = World(MOCK.replace("ENDPOINT", "real"))
    world.start()
    world.done("get", 5)
    assert world.output == {"got": 5}


def test_exit_after_a_step_ends_only_the_list() -> None:
    text = """
    use: {extensions: [{e: {extend: wait, after: [{a: {if: 'true', set: {x: 1}, then: exit}}, {b: {raise: {error: {type: about:blank, status: 500}}}}]}}]}
    do: [{w: {wait: PT1S}}]
    """
    world = World(text, {"kept": 1})
    world.start()
    world.later(1)
    assert world.output == {"kept": 1}


def test_several_extensions_nest() -> None:
    part = '{{export: {{as: "{{log: ((($context.log) // []) + [\\"{0}\\"])}}"}}, set: {{x: 1}}}}'
    text = (
        "use:\n  extensions:\n"
        + "".join(
            f"    - {name}: {{extend: wait, before: [{{b: {part.format('+' + name)}}}], after: [{{a: {part.format('-' + name)}}}]}}\n"
            for name in ("one", "two")
        )
        + "do:\n  - w: {wait: PT1S}\n  - s: {set: {log: '${ $context.log }'}}\n"
    )
    world = World(text)
    world.start()
    world.later(1)
    assert world.output == {"log": ["+one", "+two", "-two", "-one"]}


def test_only_before_or_only_after() -> None:
    text = "use: {extensions: [{e: {extend: wait, after: [{a: {set: {x: 1}, export: {as: '{done: 1}'}}}]}}]}\ndo: [{w: {wait: PT0S}}]\noutput: {as: $context}\n"
    world = World(text)
    world.start()
    world.later(0)
    assert world.output == {"done": 1}


def test_where_the_step_leads_is_kept() -> None:
    text = log("switch") + (
        "do:\n  - s: {switch: [{c: {when: .n > 1, then: end}}, {e: {when: .n == 99, then: no}}, {d: {then: far}}]}\n  - no: {if: 'false', set: {no: 1}, then: end}\n"
        "  - far: {set: {far: '${ $context.log }'}}\n"
    )
    assert run(text, {"n": 0}) == {"far": ["+s", "-s"]}
    assert run(text, {"n": 2}) == {"n": 2}


def test_jump_back_to_an_extended_step_counts_as_a_lap() -> None:
    text = "use: {extensions: [{e: {extend: call, before: [{b: {set: {x: 1}}}]}}]}\n" + (
        "do:\n  - a: {call: http, with: {method: get, endpoint: 'http://x'}}\n"
        "  - s: {switch: [{again: {when: . < 2, then: a}}]}\n"
    )
    world = World(text, 0)
    world.start()
    first = world.requests["a"].idempotency_key
    world.done("a", 1)
    assert world.requests["a"].idempotency_key != first
    world.done("a", 2)
    assert world.output == 2


def test_step_keeps_its_path_and_idempotency_key() -> None:
    plain = World("do:\n  - a: {call: http, with: {method: get, endpoint: 'http://x'}}\n")
    extended = World(log() + "do:\n  - a: {call: http, with: {method: get, endpoint: 'http://x'}}\n")
    plain.start()
    extended.start()
    assert plain.requests["a"].idempotency_key == extended.requests["a"].idempotency_key
    extended.failed("a")
    assert extended.fault.instance == "/do/0/a"


def test_step_that_is_skipped_has_no_lists() -> None:
    assert run(log() + "do:\n  - a: {if: 'false', set: {x: 1}}\noutput: {as: $context.log}\n", {"y": 1}) is None


def test_tolerated_error_of_an_extended_step_still_runs_what_comes_after() -> None:
    text = log("raise") + (
        "do:\n  - a: {raise: {error: {type: about:blank, status: 500}}, metadata: {interlock: {on_error: continue}}}\n"
        "  - b: {set: {log: '${ $context.log }', got: '${ . }'}}\n"
    )
    world = World(text)
    world.start()
    assert world.output == {"log": ["+a", "-a"], "got": None}
    assert world.state.head.partial


def test_tolerating_step_around_extended_ones() -> None:
    text = log("raise") + (
        "do:\n  - d:\n      do: [{a: {raise: {error: {type: about:blank, status: 500}}}}]\n"
        "      metadata: {interlock: {on_error: continue}}\n"
    )
    world = World(text)
    world.start()
    assert world.output is None


def test_error_in_an_extension_is_caught_around_the_step() -> None:
    text = """
    use: {extensions: [{e: {extend: wait, before: [{bad: {raise: {error: {type: about:blank, status: 500}}}}]}}]}
    do: [{t: {try: [{w: {wait: PT1S}}], catch: {as: err, do: [{c: {set: {at: "${ $err.instance }"}}}]}}}]
    """
    assert run(text) == {"at": "/do/0/t/try/0/w/before/e/0/bad"}


def test_broken_condition_of_an_extension_is_the_step_s_error() -> None:
    world = World(
        "use: {extensions: [{e: {extend: wait, when: .a.b, before: []}}]}\ndo: [{w: {wait: PT1S}}]\n", {"a": 1}
    )
    world.start()
    assert world.fault.instance == "/do/0/w"


def test_branches_of_a_fork_are_extended() -> None:
    text = (
        log("set")
        + "do:\n  - f: {fork: {branches: [{a: {set: {x: 1}}}, {b: {set: {y: 2}}}]}}\noutput: {as: '[., ($context.log | length)]'}\n"
    )
    assert run(text) == [[{"x": 1}, {"y": 2}], 2]


def test_functions_of_use_are_extended() -> None:
    text = (
        log("set").rstrip()
        + "\n  functions: {f: {set: {x: '${ .x }'}}}\ndo:\n  - a: {call: f, with: {x: 3}}\noutput: {as: '[., $context.log]'}\n"
    )
    assert run(text) == [{"x": 3}, ["+f", "-f"]]


def test_people_see_the_step_and_its_lists_but_not_the_machinery() -> None:
    world = World(log() + "do:\n  - a: {set: {x: 1}}\n")
    world.start()
    told = story.Story()
    told.tell(world.history)
    assert list(told.steps) == ["/do/0/a/before/log/0/pre", "/do/0/a", "/do/0/a/after/log/0/post"]
    names = [(name, getattr(event, "path", "")) for name, event in lifecycle.lifecycle(world.history)]
    assert not [path for _, path in names if path.endswith(EXTENDED)]
