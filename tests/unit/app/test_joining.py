"""Which run an attempt of a task has. Pure."""

from __future__ import annotations

import uuid

import pytest

from interlock.app import joining
from interlock.store.ports import TryRow

TASK = "default/nightly/report"


def attempt(fence: int, told: str | None = None, **more: object) -> TryRow:
    """`told`: an outcome, or the class of a failure; None: it is not over."""
    outcome, _, failure = (told or "").partition(":")
    fields = {
        "task": TASK, "fence": fence, "attempt": fence, "pool": "workflows", "holder": "n1", "placed_at": 1000.0 + fence,
        "started_at": None, "ended_at": None, "outcome": outcome or None, "failure": failure or None, "detail": None,
    }  # fmt: skip
    return TryRow(**fields | more)  # type: ignore[arg-type]  # of the fields' types


def tries(*told: str | None) -> list[TryRow]:
    """Give attempts, the newest first, as the store does; `told`: the oldest first."""
    return [attempt(number + 1, each) for number, each in enumerate(told)][::-1]


@pytest.mark.parametrize(
    ("told", "fence", "fences"),
    [
        ((None,), 1, [1]),
        (("failed:lost", None), 2, [1, 2]),
        (("failed:lost", "snoozed", "failed:launch", None), 4, [1, 2, 3, 4]),
        (("failed:application", None), 2, [2]),
        (("failed:timeout", "snoozed", None), 3, [2, 3]),
        (("cancelled", None), 2, [2]),
        (("done", None), 2, [2]),
        (("snoozed", "failed:application", "snoozed", None), 2, [1, 2]),
        (("failed:lost", "failed:application"), 2, [1, 2]),
        ((None,), 0, []),
    ],
)  # fmt: skip
def test_attempt_has_the_run_of_those_before_it_that_told_nothing_of_theirs(
    told: tuple[str | None, ...], fence: int, fences: list[int]
) -> None:
    found = tries(*told)
    assert joining.keys(found, fence) == [joining.key(found[-each]) for each in fences]


@pytest.mark.parametrize(
    ("told", "number", "is_left"),
    [
        (("failed:lost",), 1, True),
        (("snoozed", "snoozed"), 1, True),
        (("cancelled",), 1, True),
        (("failed:application",), 1, False),
        (("failed:lost", "failed:application"), 1, False),
        (("failed:lost", "failed:application", "failed:lost"), 1, False),
        (("failed:application", "failed:lost"), 2, True),
        (("failed:lost", "cancelled"), 1, True),
        (("done",), 1, False),
    ],
)
def test_run_is_left_alone_only_when_nobody_was_told_how_it_ended(
    told: tuple[str, ...], number: int, is_left: bool
) -> None:
    """One that was told and goes on was tried again by a person, who wants it."""
    found = tries(*told)
    assert joining.is_left(found, joining.key(found[-number])) is is_left


def test_run_of_an_attempt_that_is_not_there_any_more_is_left() -> None:
    assert joining.is_left(tries("failed:application"), "other")


def test_keys_are_uuids_of_the_time_of_the_attempt_and_no_two_are_alike() -> None:
    found = {joining.key(attempt(fence, placed_at=at)) for fence in range(1, 50) for at in (1.0, 1.5)}
    assert len(found) == 98
    assert {uuid.UUID(each).version for each in found} == {7}
    other = attempt(1, task="default/nightly/other")
    assert joining.key(other) != joining.key(attempt(1))


def test_id_says_whose_run_it_is_and_is_never_too_long() -> None:
    run = joining.key(attempt(1))
    assert joining.id_of(TASK, run) == f"nightly.report.{run[-12:]}"
    assert joining.id_of("default/a/b/c", run) == f"a.b/c.{run[-12:]}"
    long = joining.id_of(f"default/{'g' * 100}/{'t' * 100}", run)
    assert len(long) == 128
    assert long.endswith(f".{run[-12:]}")
