"""Whether the kernel killed for want of memory, as its files tell."""

from __future__ import annotations

from pathlib import Path

import pytest

from interlock.runner import memory


@pytest.mark.parametrize(
    ("groups", "events", "kills"),
    [
        ("0::/\n", "low 0\noom 2\noom_kill 3\n", 3),
        ("12:cpu:/x\n0::/\n", "oom_kill 1\n", 1),
        ("0::/\n", "low 0\n", 0),
        ("0::/\n", "not what we know", 0),
        ("12:memory:/x\n", None, 0),
        (None, None, 0),
    ],
)
def test_kills_are_counted_where_the_kernel_tells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, groups: str | None, events: str | None, kills: int
) -> None:
    monkeypatch.setattr(memory, "_GROUPS", str(tmp_path / "cgroup"))
    monkeypatch.setattr(memory, "_EVENTS", str(tmp_path) + "{}/memory.events")
    if groups is not None:
        (tmp_path / "cgroup").write_text(groups)
    if events is not None:
        (tmp_path / "memory.events").write_text(events)
    assert memory.kills() == kills
