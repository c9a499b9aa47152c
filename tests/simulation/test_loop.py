"""The loop itself: virtual time, actors, pauses and crashes."""

from __future__ import annotations

import asyncio

import pytest

from simulation.loop import ACTOR, Actor, SimulatedLoop, Stuck


async def _counting(found: list[str], times: int) -> None:
    for number in range(times):
        found.append(f"{ACTOR.get()}{number}")
        await asyncio.sleep(0)


def _order(seed: int) -> list[str]:
    loop = SimulatedLoop(seed)
    found: list[str] = []

    async def main() -> None:
        tasks = []
        for name in "abc":
            actor = Actor(name)
            loop.add(actor)
            tasks.append(actor.context.copy().run(loop.create_task, _counting(found, 20)))
        await asyncio.gather(*tasks)

    loop.run(main(), seconds=10, turns=10_000)
    loop.end()
    return found


def test_actors_interleave_by_chance_and_the_same_for_the_same_seed() -> None:
    assert _order(1) == _order(1)
    assert len({tuple(_order(seed)) for seed in range(5)}) == 5


def test_each_actor_keeps_its_order() -> None:
    found = _order(1)
    for name in "abc":
        assert [each for each in found if each.startswith(name)] == [f"{name}{number}" for number in range(20)]


def test_time_passes_only_when_nobody_can_go_on() -> None:
    loop = SimulatedLoop(1)

    async def main() -> float:
        await asyncio.sleep(3600)
        return loop.time()

    assert 3600 <= loop.run(main(), seconds=5000, turns=100) < 3600.1
    loop.end()


def test_paused_actor_goes_on_late_with_what_it_had() -> None:
    loop = SimulatedLoop(1)
    actor = Actor("a")
    loop.add(actor)

    async def late() -> float:
        await asyncio.sleep(1)
        return loop.time()

    async def main() -> float:
        task = actor.context.copy().run(loop.create_task, late())
        await asyncio.sleep(0.5)
        actor.pause(30.0)
        return await task

    assert 30.0 <= loop.run(main(), seconds=100, turns=1000) < 30.1
    loop.end()


def test_crashed_actor_is_never_called_again_and_cleans_nothing_up() -> None:
    loop = SimulatedLoop(1)
    actor = Actor("a")
    loop.add(actor)
    found: list[str] = []

    async def dying() -> None:
        try:
            await asyncio.sleep(1)
            found.append("went on")
        finally:
            found.append("cleaned up")

    async def main() -> list[str]:
        actor.context.copy().run(loop.create_task, dying())
        await asyncio.sleep(0.5)
        actor.crash()
        await asyncio.sleep(5)
        return list(found)

    assert loop.run(main(), seconds=100, turns=1000) == []
    loop.end()


def test_world_in_which_nothing_can_happen_any_more_is_stuck() -> None:
    loop = SimulatedLoop(1)
    with pytest.raises(Stuck, match="nobody has anything"):
        loop.run(asyncio.Event().wait(), seconds=100, turns=1000)
    loop.end()


def test_world_that_never_rests_is_stuck() -> None:
    loop = SimulatedLoop(1)

    async def main() -> None:
        while True:
            await asyncio.sleep(1)

    with pytest.raises(Stuck, match="not come to rest"):
        loop.run(main(), seconds=100, turns=1000)
    loop.end()
