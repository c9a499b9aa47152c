"""Locks and cells at full scale: fifty processes over one lock, a thousand histories of calls, clients that ignore their fence.

`python -m chaos.coordination --record` does the same and keeps the figures.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import histories
import postgres
import required
from acceptance.test_histories import TTL_SECONDS, Fleet, Place, judged, placed
from acceptance.test_locks import fight, race
from interlock.coord.coordination import Coordination

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(600)]

HISTORIES = 1_000
RUNS = 8


@pytest.fixture(params=["sqlite", "postgresql"])
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    if request.param == "postgresql" and required.may_skip("postgres", postgres.NEWEST in postgres.binaries()):
        pytest.skip("PostgreSQL is not installed")
    async with placed(request.param, tmp_path) as found:
        async with Coordination(found.url):
            pass  # the schema is there
        yield found


async def test_of_fifty_processes_one_wins_a_hundred_times(place: Place, tmp_path: Path) -> None:
    """LK-02"""
    await asyncio.to_thread(race, place.url, tmp_path, 50, 100)


async def test_fifty_processes_fight_for_one_lock_a_thousand_times(place: Place, tmp_path: Path) -> None:
    """LK-02, LK-09"""
    print(await asyncio.to_thread(fight, place.url, tmp_path, 50, 1_000))


@pytest.mark.parametrize(("what", "seconds"), [("cells", 60.0), ("locks", 90.0)])
async def test_a_thousand_histories_are_linearizable(place: Place, tmp_path: Path, what: str, seconds: float) -> None:
    """MS-12, LK-02, LK-09"""
    assert len(await judged(place, tmp_path, what, seconds, seed=2)) >= HISTORIES


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_broken_fence_is_found(kind: str, tmp_path: Path) -> None:
    """Clients that do not write under their lock write after they have lost it, and the judge says so.

    Whether one is stopped just then is chance: most runs show it, and each run has a store of its own.
    """
    if kind == "postgresql" and required.may_skip("postgres", postgres.NEWEST in postgres.binaries()):
        pytest.skip("PostgreSQL is not installed")
    found: list[str] = []
    for seed in range(RUNS):
        folder = tmp_path / str(seed)
        folder.mkdir()
        async with placed(kind, folder) as place:
            await Fleet(place, folder, "locks", 20.0, seed, BROKEN="1").rage()
        found = histories.wrong_locks(histories.read(folder), TTL_SECONDS)
        if found:
            break
    assert found
