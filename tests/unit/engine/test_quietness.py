"""Whether a function is known to wait, by the tasks that it has."""

from __future__ import annotations

import asyncio
from collections.abc import Generator

from interlock.engine.quietness import Quietness


class Later:
    """An awaitable that is no coroutine, as a call may be."""

    def __await__(self) -> Generator[None, None, str]:
        yield
        return "done"


async def test_call_that_is_no_coroutine_is_made_in_a_task_that_counts_until_it_ends() -> None:
    quietness, ended = Quietness(), asyncio.Event()
    task = quietness.alone(asyncio.get_running_loop(), Later(), ended.set)
    assert not quietness.holds(1)
    assert quietness.holds(2)
    async with asyncio.timeout(60):
        assert await task == "done"
        await ended.wait()
    assert quietness.holds(1)


async def test_nothing_is_known_once_a_task_of_the_function_s_own_makes_a_call() -> None:
    quietness = Quietness()
    assert quietness.holds(1)
    quietness.note(asyncio.current_task())
    assert not quietness.holds(1)


async def test_function_that_gathers_waits_until_all_it_gathers_is_done() -> None:
    quietness, all_done = Quietness(), asyncio.get_running_loop().create_future()
    gathering = asyncio.create_task(quietness.gathered(all_done))
    await asyncio.sleep(0)
    task = quietness.alone(asyncio.get_running_loop(), Later(), lambda: None)
    assert quietness.gathers
    assert quietness.holds(1)
    all_done.set_result("all")
    assert not quietness.holds(1)
    async with asyncio.timeout(60):
        assert await gathering == "all"
        await task
    assert not quietness.gathers
