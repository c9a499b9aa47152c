"""How a soak is judged: memory and counts. OB-02"""

from __future__ import annotations

import os
from typing import Any

import pytest

from chaos import storm
from chaos.soak import Sample, Soaked
from chaos.vitals import Vitals, most_per_hour, slope_per_hour, vitals


def test_slope_is_that_of_the_line_that_fits_best() -> None:
    assert slope_per_hour([(0.0, 10.0), (1800.0, 11.0), (3600.0, 12.0)]) == pytest.approx(2.0)
    assert slope_per_hour([(0.0, 10.0), (0.0, 11.0)]) == 0.0


def test_shorter_times_allow_more_an_hour() -> None:
    assert most_per_hour(24.0) == pytest.approx(1.25)
    assert most_per_hour(0.25) == pytest.approx(25.0)


def test_process_is_seen_as_it_is() -> None:
    here = vitals(os.getpid())
    assert here.rss_mb > 10
    assert here.descriptors > 2
    assert here.threads >= 1


def soaked(**last: Any) -> Soaked:
    """A soak of an hour in which nothing happens, but for what the last sample says."""
    calm = {"rss_mb": 50.0, "descriptors": 20, "threads": 6, "counts": {"inbox": 5}, "runs": 100, "wal_bytes": 0}
    found = Soaked(storm.SQLITE, 60.0)
    for number in range(61):
        said = calm | (last if number == 60 else {})
        node = Vitals(said["rss_mb"], said["descriptors"], said["threads"], 1.0)
        found.samples.append(
            Sample(
                at=60.0 * number, node=node, counts=said["counts"], runs=said["runs"], history=0, tasks=0, leases=1,
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
