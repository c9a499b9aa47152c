"""The order of versions: semver 2.0.0, section 11."""

from __future__ import annotations

import random

import pytest

from interlock.model import versions

ORDERED = [
    *("0.9.0", "1.0.0-0", "1.0.0-2", "1.0.0-10", "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta"),
    *("1.0.0-beta.2", "1.0.0-beta.11", "1.0.0-rc.1", "1.0.0", "1.0.1", "1.2.0", "1.10.0", "2.0.0"),
]


def test_versions_sort_as_the_standard_says() -> None:
    shuffled = random.Random(7).sample(ORDERED, len(ORDERED))
    assert sorted(shuffled, key=versions.precedence) == ORDERED


def test_build_metadata_does_not_count() -> None:
    assert versions.precedence("1.0.0+a-b") == versions.precedence("1.0.0+c")


@pytest.mark.parametrize(
    ("given", "newest"),
    [
        ([], None),
        (["1.0.0", "1.10.0", "1.9.0"], "1.10.0"),
        (["1.0.0", "2.0.0-rc.1"], "1.0.0"),
        (["2.0.0-rc.1", "2.0.0-rc.2"], "2.0.0-rc.2"),
        (["1.0.0", "1.1.0+linux-x64"], "1.1.0+linux-x64"),
    ],
)
def test_pre_release_is_newest_only_when_there_is_nothing_else(given: list[str], newest: str | None) -> None:
    assert versions.newest(given) == newest


@pytest.mark.parametrize(
    ("version", "wanted", "fits"),
    [
        ("1.2.0", "1.2.0", True),
        ("1.10.0", "1.9.0", True),
        ("1.1.0", "1.2.0", False),
        ("2.0.0", "1.0.0", False),
        ("1.2.0-rc.1", "1.2.0", False),
    ],
)
def test_compatible_is_what_has_the_same_major_version_and_is_not_older(version: str, wanted: str, fits: bool) -> None:
    assert versions.is_compatible(version, wanted) is fits
