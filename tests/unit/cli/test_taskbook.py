"""What is said of the attempts of a task: all of a failure, and nothing that steers the terminal."""

from __future__ import annotations

import io

import pytest

from interlock.cli import glyphs, taskbook
from interlock.model.json import Json
from interlock.model.states import TaskState
from interlock.wire import graphs as wire
from unit.cli.conftest import Typed

HELP = "put it into the image, or name another one under `container`, which has it: the pool cannot know which"


def attempt(detail: Json, failure: str | None = "launch") -> wire.TryTold:
    return wire.TryTold(
        attempt=1, fence=1, pool="local", node="n", placed_at=0.0, started_at=1.0, ended_at=2.0,
        outcome="failed", failure=failure, detail=detail,
    )  # fmt: skip


def explained(each: wire.TryTold) -> wire.Explained:
    return wire.Explained(
        task="g/a", id="a", graph="g", namespace="default", number=1, state=TaskState.FAILED, pool="local", attempt=1,
        attempts=3, priority=0, retries={}, node=None, created_at=0.0, ready_at=None, ended_at=2.0, held_by=None,
        cancel=False, title="", dependencies=[], skills=[], asked="", warning=None, waits_for=[], now={}, placements=[], tries=[each],
        budgets={"launch": wire.Budget(used=0, of=2)},
    )  # fmt: skip


@pytest.mark.parametrize(("ready_at", "told"), [(12.0, "attempt 1 of 3 in 3"), (8.0, "attempt 1 of 3 is due")])
def test_task_that_waits_for_its_retry_is_due_once_the_time_has_come(ready_at: float, told: str) -> None:
    """It said "in 0 ms" for as long as no node took it."""
    task = explained(attempt(None))
    task.state, task.ready_at = TaskState.DELAYED, ready_at
    assert told in next(iter(taskbook.explanation(task, 9.0)))


def test_explanation_has_all_of_a_failure() -> None:
    """It was clipped after 46 characters, with the help behind them."""
    line = list(taskbook.explanation(explained(attempt({"title": "Not launched", "detail": HELP})), 9.0))[-1]
    assert line.endswith(f"launch, Not launched, {HELP}; 0 of 2 retries for launch used")


def test_lines_of_a_failure_stand_below_each_harmless() -> None:
    told = list(
        taskbook.explanation(explained(attempt({"title": "Failed", "detail": "one\n\n\x1b[2J\ttwo\u202e\n"})), 9.0)
    )
    assert told[-3].endswith("launch, Failed; 0 of 2 retries for launch used")
    assert told[-2:] == ["    one", "    \\x1b[2J    two\\u202e"]


@pytest.mark.parametrize(
    ("detail", "failure", "words"),
    [
        ({"title": "Lost"}, "lost", ["lost, Lost"]),
        ({"detail": {"at": 3}}, "lost", ["lost, at 3"]),
        ({"sum": 3}, None, ["sum 3"]),
        (None, None, []),
    ],
)
def test_other_outcomes_are_told_in_a_few_words(detail: Json, failure: str | None, words: list[str]) -> None:
    assert taskbook.why(attempt(detail, failure)) == words


def test_only_a_terminal_clips_and_at_its_width(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("TERM", "xterm")
    assert glyphs.clipped(HELP, io.StringIO()) == HELP
    assert glyphs.clipped(HELP, Terminal()) == HELP[:59] + "…"


def test_priority_below_zero_is_typed_as_it_is(typed: Typed, monkeypatch: pytest.MonkeyPatch) -> None:
    """`-5` was no such option."""
    given: list[tuple[str, int]] = []

    async def noted(task: str, priority: int) -> int:
        given.append((task, priority))
        return 0

    monkeypatch.setattr(taskbook, "reprioritise", noted)
    assert typed("tasks", "reprioritise", "g/a", "-5").code == 0
    assert given == [("g/a", -5)]
