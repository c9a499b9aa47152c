"""How a run looks: what is told of its steps, in which columns, on which terminals."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.text import Text

from interlock.cli import glyphs, live, tree
from interlock.engine.cause import Cancel
from interlock.model.story import Story
from unit.engine.world import World


def drawn(world: World, columns: int = 69, *, whole: bool = False) -> list[str]:
    story = Story()
    story.tell(world.history)
    lines = tree.lines(story, world.graph, world.now, columns, ended=story.ended is not None, whole=whole)
    assert all(line.cell_len <= columns for line in lines)
    return [line.plain for line in lines]


def calls(*names: str) -> str:
    return "".join(f"\n  - {name}: {{call: 'python:m:f'}}" for name in names)


def test_steps_stand_in_columns_with_durations_at_the_right() -> None:
    world = World("do:" + calls("readLog", "write", "send"))
    world.start()
    world.now += 0.21
    world.done("readLog", {"commits": 812})
    world.now += 63
    assert drawn(world) == [
        " ✓ readLog            commits 812                              0.21 s",
        " ● write                                                     1 m 03 s",
        "   waiting: send",
    ]


def test_instant_steps_have_no_duration_and_choices_name_their_target() -> None:
    world = World(
        """
        do:
          - judge: {switch: [{big: {when: .n > 1, then: last}}, {small: {then: middle}}]}
          - middle: {set: {x: 1}}
          - last: {if: .n > 5, set: {x: 1}}
          - leave: {switch: [{always: {then: end}}]}
        """,
        {"n": 2},
    )
    world.start()
    assert drawn(world) == [
        " ✓ judge              → last",
        " ⊘ last               its `if` was false",
        " ✓ leave              → end",
    ]


def test_branches_stand_side_by_side_and_tell_only_what_is_open() -> None:
    world = World(
        """
        do:
          - measure:
              fork:
                branches:
                  - churn: {call: 'python:m:f'}
                  - size: {call: 'python:m:f'}
                  - deep: {do: [{one: {call: 'python:m:f'}}, {two: {set: {x: 1}}}]}
        """
    )
    world.start()
    world.done("churn", 1)
    world.now += 0.5
    assert drawn(world) == [
        " ● measure            1 of 3 branches                          0.50 s",
        "   ✓ churn   ● size    ● deep",
        "   ● deep                                                      0.50 s",
        "     ● one                                                     0.50 s",
    ]
    assert drawn(world, 20)[1:4] == ["   ✓ churn", "   ● size", "   ● deep"]
    world.done("size", 2)
    world.done("one", 2)
    assert drawn(world) == [
        " ✓ measure            3 branches                               0.50 s",
        "   ✓ churn   ✓ size    ✓ deep",
    ]
    assert [line.split()[1] for line in drawn(world, whole=True)] == ["measure", "churn", "size", "deep", "one", "two"]


def test_loop_shows_its_progress_and_hides_what_goes_well() -> None:
    world = World("do: [{inspect: {for: {in: '[range(12)]'}, do: [{look: {call: 'python:m:f'}}]}}]")
    world.start()
    for number in range(7):
        world.now += 0.4
        world.done("look", number)
    assert drawn(world) == [" ● inspect            7 of 12  ━━━━━━━━━╸━━━━━━━  58 %          2.8 s"]
    world.now += 1.5
    assert drawn(world)[1] == "   ● look ×8                                                    1.5 s"
    for number in range(5):
        world.done("look", number)
    assert drawn(world) == [" ✓ inspect            12 items                                  4.3 s"]
    assert drawn(world, whole=True)[1].startswith("   ✓ look ×12         4")


def test_loop_over_nothing_has_no_progress() -> None:
    world = World("do: [{inspect: {for: {in: '[]'}, do: [{look: {set: {x: 1}}}]}}]")
    world.start()
    assert drawn(world) == [" ✓ inspect"]


def test_waits_and_retries_say_until_when_and_why() -> None:
    world = World(
        """
        do:
          - guarded:
              try: [{flaky: {call: 'python:m:f'}}]
              catch: {retry: {delay: PT5S, limit: {attempt: {count: 2}}}}
          - pause: {wait: PT30S}
        """
    )
    world.start()
    world.failed("flaky")
    assert drawn(world) == [
        " ◔ guarded            again in 5.0 s: Broken: it broke",
        "   ✕ flaky            Broken: it broke",
        "   waiting: pause",
    ]
    world.later(5)
    world.done("flaky")
    assert drawn(world)[2] == " ◔ pause              waits 30.0 s more"


def test_attempts_are_counted_from_the_second() -> None:
    world = World("do: [{a: {call: 'python:m:f', metadata: {interlock: {retry: {application: 3}}}}}]")
    world.start()
    world.failed("a")
    assert drawn(world)[0].startswith(" ◔ a                  again in ")
    world.later(60)
    assert "attempt 2" in drawn(world)[0]


def test_what_was_open_when_a_run_failed_has_failed_or_was_stopped() -> None:
    world = World(
        """
        do:
          - outer:
              do:
                - inner: {raise: {error: {type: 'https://example.com/no', status: 500, title: No}}}
        """
    )
    world.start()
    assert drawn(world) == [" ✕ outer", "   ✕ inner            No"]


def test_what_was_open_when_a_run_was_cancelled_was_stopped() -> None:
    world = World("do:" + calls("a", "b"))
    world.start()
    world.decide(Cancel("no need"))
    assert drawn(world) == [" ⊘ a"]


SAGA = """
do:
  - a: {call: 'python:m:f', metadata: {interlock: {compensate: {call: 'python:m:u', metadata: {interlock: {retry: {application: 0}}}}}}}
  - b: {fork: {branches: [{c: {call: 'python:m:f', metadata: {interlock: {compensate: {call: 'python:m:u'}}}}}, {d: {set: {x: 1}}}]}}
  - e: {for: {in: '[1, 2]'}, do: [{g: {call: 'python:m:f', metadata: {interlock: {compensate: {call: 'python:m:u'}}}}}]}
  - h: {call: 'python:m:f'}
  - i: {set: {x: 1}}
"""


def test_rollback_is_shown_where_it_is_and_how_far_it_came() -> None:
    world = World(SAGA)
    world.start()
    for name in ("a", "c", "g", "g"):
        world.done(name)
    world.failed("h")
    assert drawn(world) == [
        " ✓ a",
        " ✓ b                  2 branches",
        "   ✓ c   ✓ d",
        " ✓ e                  2 items",
        "   ✓ g ×2",
        "     ● undo g",
        " ✕ h                  Broken: it broke",
        "   ↶ rolling back: 0 undone, 3 to come",
    ]
    world.done("undo g")
    world.failed("undo g")
    assert drawn(world)[3:] == [
        " ✓ e                  2 items",
        "   ↶ g ×2             undone",
        "     ◔ undo g ×2      again in 1.0 s: Broken: it broke",
        " ✕ h                  Broken: it broke",
        "   ↶ rolling back: 1 undone, 2 to come",
    ]
    world.later(1)
    world.done("undo g")
    world.done("undo c")
    world.failed("undo a")
    assert drawn(world) == [
        " ✓ a                  its undo failed: Broken: it broke",
        "   ✕ undo a           Broken: it broke",
        " ✓ b                  2 branches",
        "   ↶ c   ✓ d",
        " ✓ e                  2 items",
        " ✕ h                  Broken: it broke",
    ]


@pytest.mark.parametrize("columns", [1, 2, 5, 10, 20, 40])
def test_narrow_terminals_clip_and_never_wrap(columns: int) -> None:
    world = World("do:" + calls("aStepWithALongName", "another"))
    world.start()
    world.done("aStepWithALongName", {"answer": "a long answer, in words " * 5})
    drawn(world, columns)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (None, ""),
        ({}, ""),
        ({"a": {"b": 1}}, "1 field"),
        ({"a": 1.5, "b": True, "c": False, "d": "word", "e": ""}, "a 1.5, b yes, c no, d word"),
        ([1], "1 item"),
        ([1, 2], "2 items"),
        ("  first\nsecond", "first"),
        ("", ""),
        (True, "True"),
        (42, "42"),
        ("x" * 100, "x" * 45 + "…"),
    ],
)
def test_values_are_told_in_a_few_words(value: Any, told: str) -> None:
    assert glyphs.value(value) == told


def test_ids_are_shortened_where_they_stay_telling() -> None:
    assert glyphs.short("0197b2c4-0000-7000-8000-000000000000") == "0197b2c4-0000"
    assert glyphs.short("order-1") == "order-1"


# -- on a terminal ---------------------------------------------------------------------------------------------------


def a_tree(world: World, *, width: int = 60, height: int = 30) -> tuple[live.Tree, io.StringIO]:
    out = io.StringIO()
    screen = live._Screen(file=out, force_terminal=True, width=width, height=height, color_system=None)
    return live.Tree("tested · 0197b2c4", world.graph, lambda: world.now, screen), out


async def test_last_frame_has_all_lines_and_the_cursor_stays_visible() -> None:
    world = World("do:" + "".join(f"\n  - s{n}: {{set: {{x: {n}}}}}" for n in range(12)))
    world.start()
    shown, out = a_tree(world, height=8)
    with shown:
        shown.tell(world.history)
        shown._draw()
        during = Text.from_ansi(out.getvalue()).plain
    after = out.getvalue()[len(during) :]
    assert "… 7 lines above" in during
    assert "s1 " not in during
    assert "s0 " in after
    assert "\x1b[?25l" not in out.getvalue()


async def test_frame_that_fits_is_shown_whole() -> None:
    world = World("do:" + calls("a", "b"))
    world.start()
    shown, out = a_tree(world)
    with shown:
        shown.tell(world.history)
        shown._draw()
    assert "waiting: b" in out.getvalue()


# -- elsewhere -------------------------------------------------------------------------------------------------------


def test_lines_tell_what_ended_waits_or_fails(capsys: pytest.CaptureFixture[str]) -> None:
    world = World(
        """
        do:
          - a: {call: 'python:m:f', metadata: {interlock: {retry: {application: 1}}}}
          - b: {wait: PT1S}
          - c: {raise: {error: {type: 'https://example.com/no', status: 500, title: No}}}
        """
    )
    world.start()
    world.failed("a")
    world.later(60)
    world.done("a", {"n": 1})
    world.later(60)
    with live.Lines("tested", world.graph) as shown:
        shown.tell(world.history)
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "tested"
    assert said[1].startswith(" ◔ a                   again in ")
    assert said[2:] == [
        " ✓ a                   n 1",
        " ◔ b                   waits 1.0 s more",
        " ✓ b                   n 1",
        " ✕ c                   No",
    ]


def test_silent_display_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    world = World("do:" + calls("a"))
    with live.display("tested", world.graph, lambda: 0.0, quiet=True) as shown:
        shown.tell(world.start())
    assert capsys.readouterr() == ("", "")
