"""Says whether a history of concurrent calls could have been that of a thing that does one call after the other.

A call is done at one moment between its beginning and its answer; one whose answer never came was done at some moment after
its beginning, or never. The search is that of Wing and Gong with the memory of Lowe: calls are put into an order one by one,
and what was tried once (which calls are done, and what the thing is then) is not tried again.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

State = TypeVar("State", bound=Hashable)
What = TypeVar("What")
Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Call(Generic[What, Answer]):
    """`end` and `answer` None: the answer never came."""

    process: str
    what: What
    begin: float
    end: float | None
    answer: Answer | None


Step = Callable[[State, What, Answer | None], Sequence[State]]
"""Gives the states that a call may lead to from a state, with the answer that it got (None: whatever that was); none: it
cannot have been done there."""


def explained(calls: Sequence[Call[What, Answer]], initial: State, step: Step[State, What, Answer]) -> bool:
    """Say whether there is an order of the calls, each within its time, in which every answer is right."""
    calls = sorted(calls, key=lambda call: call.begin)
    ends = [float("inf") if call.end is None else call.end for call in calls]
    answered = sum(1 << number for number, call in enumerate(calls) if call.end is not None)
    tried: set[tuple[int, State]] = set()
    open_: list[tuple[int, State]] = [(0, initial)]
    while open_:
        done, state = open_.pop()
        if done & answered == answered:
            return True
        if (done, state) in tried:
            continue
        tried.add((done, state))
        first_end = min(end for number, end in enumerate(ends) if not done >> number & 1)
        for number, call in enumerate(calls):
            if call.begin > first_end:
                break  # whoever was answered before this one began comes first
            if not done >> number & 1:
                open_ += [(done | 1 << number, after) for after in step(state, call.what, call.answer)]
    return False
