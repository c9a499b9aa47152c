"""The pytest plugin: the fixture `interlock`, and the option that writes golden histories anew.

The fixture works with whatever runs async tests (pytest-asyncio, anyio on asyncio): it opens Interlock around the test
itself, on the test's own loop. In a test that is no coroutine it gives the same with calls that wait.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Iterator
from typing import Any, Final

import pytest

_UPDATE: Final = "--interlock-update-golden"


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("interlock")
    group.addoption(_UPDATE, action="store_true", help="write the golden histories of `interlock.golden` anew")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "interlock(auto_advance, start, seed, settings): how the fixture `interlock` is made; as interlock.testing.Kit",
    )


@pytest.fixture
def interlock(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Interlock in memory with a virtual clock, open during the test; see interlock.testing.Kit."""
    from interlock.testing.kit import Kit  # noqa: PLC0415 (pytest loads this plugin also where nobody uses it)
    from interlock.testing.waiting import Waiting  # noqa: PLC0415 (as above)

    mark = request.node.get_closest_marker("interlock")
    # Ids are the same whenever a test is run, and others than those of other tests: what outlives one may go by them.
    kit = Kit(**{"seed": request.node.nodeid, **({} if mark is None else mark.kwargs)})
    kit.updates_golden = bool(request.config.getoption(_UPDATE))
    test = request.node.obj
    if not inspect.iscoroutinefunction(test):
        with Waiting.opened(kit) as waiting:
            yield waiting
        return

    @functools.wraps(test)
    async def opened(*args: Any, **kwargs: Any) -> Any:
        async with kit:
            return await test(*args, **kwargs)

    request.node.obj = opened
    yield kit
