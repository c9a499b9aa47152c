"""How a soak is judged: memory and counts. OB-02"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from chaos import storm
from chaos.soak import Removal, Sample, Soaked
from chaos.vitals import Vitals, lost_share, most_per_hour, slope_per_hour, ticks, vitals


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
    "stayed_seconds": 75.0,
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
                bytes=1, wal_bytes=said["wal_bytes"], stayed_seconds=said["stayed_seconds"],
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
        ({"stayed_seconds": 175.0}, "a run was still there 175 s after its end: removal does not keep up"),
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
    hanging.samples[-1] = replace(hanging.samples[-1], runs=5_117, stayed_seconds=250.0)
    hanging.removals = [Removal(seconds, runs) for seconds, runs in [(1.0, 400), (1.0, 400), (180.0, None), (2.0, 800)]]
    hanging.judge()
    stayed, kept = hanging.wrong
    assert stayed == "a run was still there 250 s after its end: removal does not keep up"
    assert kept.startswith("5117 runs are kept, where 3200 may be: histories are not bounded; 20 of them had not ended")
    assert kept.endswith("1600 were removed in 4 rounds, the slowest of which took 180 s, and 1 came to no end")
    figures = hanging.figures
    assert [figures[f"removal{name}"] for name in ("s", "s_unfinished", "_seconds_most")] == [4, 1, 180.0]
    assert figures["runs_removed"] == 1_600


def test_runs_of_a_node_that_was_behind_are_told_from_what_removal_left() -> None:
    """They fill the store before they end and after they have ended all at once; how long they stay is judged as ever."""

    def differs(number: int, last: int = 640 + 32) -> dict[str, Any]:
        if 560 < number <= 640:
            return {"runs": 5_117, "open": 3_000}
        return {"runs": 5_117, "open": 30} if 640 < number <= last else {}

    behind = judged(differs)
    assert behind.wrong == []
    figures = behind.figures
    assert [figures[name] for name in ("held_up", "open_most", "ended_most")] == [1, 3_000, 5_087]
    assert figures["behind_seconds"] == 400
    (wrong,) = judged(lambda number: differs(number, last=640 + 33)).wrong
    assert wrong.startswith(
        "5117 runs are kept, where 3200 may be: histories are not bounded; 30 of them had not ended"
    )
    (wrong,) = judged(lambda number: differs(number) | {"stayed_seconds": 161.0}).wrong
    assert wrong == "a run was still there 161 s after its end: removal does not keep up"


def test_removals_that_do_not_keep_up_are_found() -> None:
    slow = soaked()
    slow.removals = [Removal(seconds, 400) for seconds in (1.0, 30.0, 31.0)]
    slow.judge()
    assert slow.wrong == ["a removal takes 30 s, and one is begun 20 s after the other"]


def test_share_of_the_processors_that_others_took_is_seen() -> None:
    before, now = ticks(), ticks()
    assert now.all >= before.all > before.lost >= 0
    assert lost_share(replace(before, all=100, lost=10), replace(before, all=300, lost=60)) == pytest.approx(0.25)
    assert lost_share(before, before) == 0.0


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


def test_hold_up_that_nothing_steady_comes_before_or_after_is_counted() -> None:
    """What a soak began or ended with was no gap between two stretches, so it said that nothing was held up."""
    assert judged(lambda number: {"open": 800} if number < 300 else {}).figures["held_up"] == 1
    assert judged(lambda number: {"open": 800} if number > 640 else {}).figures["held_up"] == 1
    assert soaked().figures["held_up"] == 0


def test_soak_that_was_held_up_most_of_the_time_says_nothing() -> None:
    (wrong,) = judged(lambda number: {"open": 800}).wrong
    assert wrong.startswith("in half of the time client or node was held up")
