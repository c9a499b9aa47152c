"""How a soak is judged: memory and counts. OB-02"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from chaos import storm
from chaos.soak import Sample, Soaked
from chaos.vitals import Vitals, most_per_hour, slope_per_hour, vitals


def test_slope_is_that_of_the_line_that_fits_best() -> None:
    assert slope_per_hour([(0.0, 10.0), (1800.0, 11.0), (3600.0, 12.0)]) == pytest.approx(2.0)
    assert slope_per_hour([(0.0, 10.0), (0.0, 11.0)]) == 0.0


def test_slope_of_stretches_does_not_count_what_is_between_them() -> None:
    level = [(0.0, 10.0), (1800.0, 10.0)]
    assert slope_per_hour(level, [(1900.0, 30.0), (3600.0, 30.0)]) == 0.0
    assert slope_per_hour([(0.0, 10.0), (1800.0, 11.0)], [(1900.0, 30.0), (3700.0, 31.0)]) == pytest.approx(2.0)
    assert slope_per_hour() == 0.0


def test_shorter_times_allow_more_an_hour() -> None:
    assert most_per_hour(24.0) == pytest.approx(1.25)
    assert most_per_hour(0.25) == pytest.approx(25.0)


def test_process_is_seen_as_it_is() -> None:
    here = vitals(os.getpid())
    assert here.rss_mb > 10
    assert here.descriptors > 2
    assert here.threads >= 1


_CALM: dict[str, Any] = {
    "at": 0.0,
    "rss_mb": 50.0,
    "descriptors": 20,
    "threads": 6,
    "counts": {"inbox": 5},
    "runs": 100,
    "open": 20,
    "wal_bytes": 0,
}
_LAST = 720


def soaked(**last: Any) -> Soaked:
    """A soak of an hour in which nothing happens, but for what the last sample says."""
    return judged(lambda number: last if number == _LAST else {})


def judged(differs: Callable[[int], dict[str, Any]]) -> Soaked:
    """A soak of an hour in which nothing happens, but for what is said of the sample of a number, one every five seconds."""
    found = Soaked(storm.SQLITE, 60.0)
    for number in range(_LAST + 1):
        said = _CALM | {"at": 5.0 * number} | differs(number)
        node = Vitals(said["rss_mb"], said["descriptors"], said["threads"], 1.0)
        found.samples.append(
            Sample(
                at=said["at"], node=node, counts=said["counts"], runs=said["runs"], open=said["open"], history=0, tasks=0, leases=1,
                bytes=1, wal_bytes=said["wal_bytes"],
            )
        )  # fmt: skip
    found.judge()
    return found


def test_calm_soak_is_right() -> None:
    assert soaked().wrong == []


@pytest.mark.parametrize(
    ("last", "said"),
    [
        ({"counts": {"inbox": 4}}, "the count inbox fell after 3600 s"),
        ({"runs": 100_000}, "100000 runs are kept, where 3200 may be: histories are not bounded"),
        ({"wal_bytes": 100 * 2**20}, "the log grew to 100 MB"),
        ({"rss_mb": 5_000.0}, "memory grows by"),
    ],
)
def test_count_that_falls_and_what_grows_without_bound_are_found(last: dict[str, Any], said: str) -> None:
    """OB-02: counters never fall except at restart; histories are bounded."""
    (wrong,) = soaked(**last).wrong
    assert wrong.startswith(said)


def test_removal_that_hangs_is_found_and_told() -> None:
    hanging = soaked()
    hanging.samples[-1] = replace(hanging.samples[-1], runs=5_117)
    hanging.removals = [1.0, 1.0, 180.0, 2.0]
    hanging.judge()
    (wrong,) = hanging.wrong
    assert wrong.startswith("5117 runs are kept, where 3200 may be")
    assert wrong.endswith("the slowest removal took 180 s")
    assert hanging.figures["removal_seconds_most"] == 180.0


def test_removals_that_do_not_keep_up_are_found() -> None:
    slow = soaked()
    slow.removals = [1.0, 30.0, 31.0]
    slow.judge()
    assert slow.wrong == ["a removal takes 30 s, and one is begun 20 s after the other"]


def test_memory_that_stands_higher_after_a_backlog_or_a_hold_up_does_not_grow() -> None:
    backlog = judged(
        lambda number: {"rss_mb": 50.0 if number < 500 else 75.0, "open": 800 if 495 <= number < 505 else 20}
    )
    assert (backlog.wrong, backlog.figures["held_up"], backlog.slope) == ([], 1, 0.0)
    held_up = judged(lambda number: {"rss_mb": 75.0, "at": 5.0 * number + 40.0} if number > 500 else {})
    assert (held_up.wrong, held_up.figures["held_up"], held_up.slope) == ([], 1, 0.0)


def test_memory_that_grows_between_backlogs_is_found() -> None:
    leaking = judged(lambda number: {"rss_mb": 50.0 + number / 30, "open": 800 if number % 100 < 5 else 20})
    (wrong,) = leaking.wrong
    assert wrong.startswith("memory grows by 24.0 MB/h")
    assert leaking.figures["held_up"] == 5


def test_soak_that_was_held_up_most_of_the_time_says_nothing() -> None:
    (wrong,) = judged(lambda number: {"open": 800}).wrong
    assert wrong.startswith("in half of the time client or node was held up")
