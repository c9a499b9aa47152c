"""Durations in every accepted form, and how people see them."""

from __future__ import annotations

from typing import Any

import pytest

from interlock.model import duration

DAY = 86400.0


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (0, 0.0),
        (90, 90.0),
        (1.5, 1.5),
        ("90", 90.0),
        (" 1.5 ", 1.5),
        ("PT1M30S", 90.0),
        ("PT0.25S", 0.25),
        ("P1DT2H", DAY + 7200),
        ("P1Y2M3W4D", (365 + 60 + 21 + 4) * DAY),
        ("P1M", 30 * DAY),
        ("PT1M", 60.0),
        ("250ms", 0.25),
        ("5m", 300.0),
        ("1h30m", 5400.0),
        ("2d", 2 * DAY),
        ("1w", 7 * DAY),
        ({}, 0.0),
        ({"days": 1, "hours": 2, "minutes": 3, "seconds": 4, "milliseconds": 500}, DAY + 7384.5),
    ],
)
def test_duration_becomes_seconds(value: object, seconds: float) -> None:
    assert duration.parse(value) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "value",
    [
        *(
            True,
            None,
            [],
            -1,
            float("nan"),
            float("inf"),
            "-1",
            "nan",
            "inf",
            "",
            "P",
            "PT",
            "P1H",
            "1h 30",
            "5 minutes",
        ),
        *({"weeks": 1}, {"seconds": True}, {"seconds": "1"}, {"seconds": -1}, {"seconds": float("inf")}),
    ],
)
def test_what_is_no_duration_is_refused_with_the_accepted_forms(value: Any) -> None:
    with pytest.raises(ValueError, match=r"is not a duration; write PT1M30S, 90s"):
        duration.parse(value)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 ms"),
        (0.2504, "250 ms"),
        (1, "1.0 s"),
        (3.14, "3.1 s"),
        (60, "1 m 00 s"),
        (245, "4 m 05 s"),
        (3600, "1 h 00 m"),
        (2 * 3600 + 185, "2 h 03 m"),
        (47 * 3600, "47 h 00 m"),
        (3 * DAY + 4 * 3600, "3 d 04 h"),
    ],
)
def test_seconds_are_shown_short(seconds: float, text: str) -> None:
    assert duration.text(seconds) == text
