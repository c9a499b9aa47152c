"""What unit tests of several layers share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from unit.engine.program_world import ProgramWorld


@pytest.fixture
async def begin() -> AsyncIterator[Callable[..., Any]]:
    """Start a run of a function; what it leaves behind is cleared away."""
    worlds: list[ProgramWorld] = []

    async def begun(function: Any, **input: Any) -> ProgramWorld:
        world = ProgramWorld(function, input)
        worlds.append(world)
        await world.start()
        return world

    yield begun
    for world in worlds:
        await world.stop()
