"""Everything at once, on both stores: what was accepted ends as it must, once, and nothing is left over."""

from __future__ import annotations

from pathlib import Path

import pytest

import postgres
import required
from chaos import storm
from chaos.storm import POSTGRESQL, SQLITE, Plan

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(900)]

PLANS = (
    Plan(store=POSTGRESQL, seed=1, runs=150, kills=10, database_stops=6, pauses=3, cuts=8, runner_kills=6),
    Plan(store=SQLITE, seed=2, runs=150, kills=14, pauses=5, runner_kills=10),
)


@pytest.mark.parametrize("plan", PLANS, ids=[plan.store for plan in PLANS])
async def test_nothing_is_lost_doubled_or_left_over_in_a_storm(
    tmp_path: Path, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    if plan.store == POSTGRESQL and required.may_skip("postgres", postgres.NEWEST in postgres.binaries()):
        pytest.skip("PostgreSQL is not installed")
    monkeypatch.setenv("INTERLOCK_KEY", storm.KEY)
    async with storm.prepared(plan, tmp_path) as raging:
        report = await raging.rage()
    print(f"\n{report}")
    assert not report.found.wrong, "\n".join(report.found.wrong[:40])
    assert report.told == []
    assert report.found.runs >= plan.runs
