"""The checker of histories: what it accepts, and what it finds."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from linearizable import Call, explained


def register(state: int, what: tuple[str, int], answer: int | None) -> Sequence[int]:
    """A number that is read and written."""
    kind, number = what
    if kind == "write":
        return [number]
    return [state] if answer in (None, state) else []


def call(process: str, kind: str, number: int, begin: float, end: float | None, answer: int | None = None) -> Call:  # type: ignore[type-arg]  # of this register
    return Call(process, (kind, number), begin, end, answer)


@pytest.mark.parametrize(
    ("calls", "is_right"),
    [
        ([], True),
        ([call("a", "write", 1, 0, 1), call("b", "read", 0, 2, 3, 1)], True),
        ([call("a", "write", 1, 0, 1), call("b", "read", 0, 2, 3, 0)], False),  # what was written before is not seen
        ([call("a", "write", 1, 0, 3), call("b", "read", 0, 1, 2, 0)], True),  # at the same time: either
        ([call("a", "write", 1, 0, 3), call("b", "read", 0, 1, 2, 1)], True),
        (
            [call("a", "write", 1, 0, 9), call("b", "read", 0, 1, 2, 1), call("b", "read", 0, 3, 4, 0)],
            False,
        ),  # and back
        ([call("a", "write", 1, 0, None), call("b", "read", 0, 5, 6, 1)], True),  # unanswered, and done
        ([call("a", "write", 1, 0, None), call("b", "read", 0, 5, 6, 0)], True),  # unanswered, and not done, or later
        ([call("a", "write", 1, 4, None), call("b", "read", 0, 1, 2, 1)], False),  # not before it began
        (
            [
                call("a", "write", 1, 0, None),
                call("b", "read", 0, 5, 6, 1),
                call("b", "read", 0, 7, 8, 0),
            ],
            False,
        ),
    ],
)
def test_history_is_right_when_an_order_explains_it(calls: list[Call], is_right: bool) -> None:  # type: ignore[type-arg]  # as above
    assert explained(calls, 0, register) is is_right


def test_many_calls_at_once_are_judged_in_no_time() -> None:
    writes = [call(f"w{number}", "write", number, 0, 100 + number) for number in range(12)]
    reads = [call("r", "read", 0, 200 + number, 200.5 + number, 7) for number in range(20)]
    assert explained([*writes, *reads], 0, register)
    assert not explained([*writes, *reads, call("r", "read", 0, 300, 301, 8)], 0, register)
