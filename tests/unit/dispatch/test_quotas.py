"""A quota that is used up is told once per crossing (PO-03)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from interlock import telemetry
from interlock.decisions.pools import PoolView
from interlock.dispatch.quotas import Quotas


@pytest.fixture
def told() -> Iterator[list[str]]:
    found: list[str] = []
    detach = telemetry.attach(
        lambda name, fields: (
            found.append(f"{fields['pool']} {fields['warning']}") if name == "pool.quota_reached" else None
        )
    )
    yield found
    detach()


def pool(cpu: float, memory: float = 0.0) -> dict[str, PoolView]:
    view = PoolView(
        name="p", type="docker", capacity=1, running=1, cpu=8.0, cpu_taken=cpu, memory=100.0, memory_taken=memory
    )
    return {"p": view, "free": PoolView(name="free", type="docker", running=1000)}


def test_quota_is_told_when_nothing_of_it_is_left_and_again_only_after_something_was(told: list[str]) -> None:
    """PO-03: places are no quota, and a pool without quotas has none to reach."""
    quotas = Quotas()
    for cpu, memory in ((6.0, 99.0), (0.1 * 80, 99.0), (8.0, 99.0), (8.0, 100.0), (6.0, 100.0), (8.0, 100.0)):
        quotas.look(pool(cpu, memory))
    assert told == [
        "p 8 of 8 cores are taken",
        "p 100 of 100 MB are taken",
        "p 8 of 8 cores are taken",
    ]
