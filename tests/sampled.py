"""Long lists of cases of which every run of the tests takes some, and `make test-long` all the others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest


def one_of(step: int, cases: Sequence[Any]) -> list[Any]:
    """Give the cases for `parametrize`: one of every `step` is for every run, beginning in the middle of the first ones."""
    first = step // 2
    return [
        case if place % step == first else pytest.param(*_values(case), marks=pytest.mark.chaos)
        for place, case in enumerate(cases)
    ]


def _values(case: Any) -> tuple[Any, ...]:
    return case if isinstance(case, tuple) else (case,)
