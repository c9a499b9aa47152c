"""The settings of a pool of local processes: what is read, what is refused, and what an attempt is held to."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from interlock import errors
from interlock.model.task import Resources
from interlock.pool import local_settings
from interlock.pool.local_settings import LocalSettings, Rlimits


def test_settings_are_read_with_their_units() -> None:
    config = {
        "python_path": sys.executable,
        "working_dir": "/srv/work",
        "environment": {"LOG_LEVEL": "INFO", "UNBUFFERED": 1, "DEBUG": True},
        "rlimits": {"address_space": "2 GiB", "cpu_seconds": "5m", "open_files": "256", "core": 0},
        "nice": 5,
        "warm": 4,
        "memory": {"enforce": "rlimit"},
    }
    assert local_settings.read(config) == LocalSettings(
        python_path=sys.executable,
        working_dir="/srv/work",
        environment={"LOG_LEVEL": "INFO", "UNBUFFERED": "1", "DEBUG": "true"},
        rlimits=Rlimits(address_space=2 * 2**30, cpu_seconds=300, open_files=256, core=0),
        nice=5,
        warm=4,
        enforce="rlimit",
    )
    assert local_settings.read({}) == LocalSettings()


@pytest.mark.parametrize(
    ("config", "complaint"),
    [
        ({"enviroment": {}}, "no key 'enviroment': did you mean 'environment'?"),
        ({"rlimits": {"open_file": 1}}, "config.rlimits .* did you mean 'open_files'?"),
        ({"image": "x"}, "no key 'image': known are python_path, working_dir"),
        ({"memory": {"limit": "1 GB"}}, "config.memory .* no key 'limit'"),
        ({"memory": {"enforce": "cgroup"}}, "it is not built; use rlimit"),
        ({"memory": {"enforce": "kindly"}}, "give rlimit or none"),
        ({"memory": "1 GB"}, "give keys and values"),
        ({"rlimits": []}, "give keys and values"),
        ({"rlimits": {"cpu_seconds": 0}}, "give a time, from 1"),
        ({"rlimits": {"address_space": "much"}}, "a size such as 64 KiB"),
        ({"nice": -1}, "a number, from 0 to 19"),
        ({"nice": True}, "a whole number"),
        ({"python_path": "python3"}, "the absolute path of a Python interpreter"),
        ({"python_path": "/tmp"}, "the absolute path of a Python interpreter"),
        ({"working_dir": "here"}, "the absolute path of a folder"),
        ({"environment": {"A=B": "1"}}, "names with texts"),
        ({"environment": {"A": ["1"]}}, "names with texts"),
        ({"environment": ["A"]}, "names with texts"),
    ],
)
def test_what_is_wrong_is_refused_by_name(config: dict[str, Any], complaint: str) -> None:
    with pytest.raises(errors.InvalidSettings, match=complaint):
        local_settings.read(config)


@pytest.mark.parametrize(
    ("enforce", "address_space", "memory", "expected"),
    [
        ("none", None, 100, None),
        ("rlimit", None, 0, None),
        ("rlimit", None, 1.5, 1_572_864),
        ("rlimit", 1000, 1.5, 1000),
        ("rlimit", 2**40, 1.5, 1_572_864),
        ("none", 1000, 1.5, 1000),
    ],
)
def test_memory_that_was_asked_for_is_a_limit_where_it_is_enforced(
    enforce: str, address_space: int | None, memory: float, expected: int | None
) -> None:
    settings = LocalSettings(enforce=enforce, rlimits=Rlimits(address_space=address_space))
    assert settings.limits(Resources(memory=memory)).get("address_space") == expected
