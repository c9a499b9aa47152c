"""What unit tests of several layers share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

# Imported here, where nothing runs: Hypothesis does it in the middle of a test, under another recursion limit, and then
# pytest's rewriting of assertions meets a defect of CPython 3.11 (gh-106905: "AST constructor recursion depth mismatch").
import hypothesis.internal.conjecture.optimiser  # noqa: F401 (as above)
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
