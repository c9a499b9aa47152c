"""Fixtures of every kind of test: real servers, started when the first test needs them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator

import pytest

import engines
import new_stores
import one_authority
import postgres
import required
from interlock.testing import plugin

_authority = one_authority.OneAuthority()


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    """Have the plugin also in a checkout that was installed before the plugin was there."""
    if not pluginmanager.is_registered(plugin):
        pluginmanager.register(plugin, "interlock")


def pytest_configure() -> None:
    _authority.install()


def pytest_unconfigure() -> None:
    _authority.remove()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave all tests out but one of every so many: TESTS_PART=K/N takes the K-th of each N, by their names."""
    part = os.environ.get("TESTS_PART")
    if not part:
        return
    place, count = (int(number) for number in part.split("/"))
    ordered = sorted(items, key=lambda item: item.nodeid)
    kept = {item.nodeid for number, item in enumerate(ordered) if number % count == place % count}
    config.hook.pytest_deselected(items=[item for item in items if item.nodeid not in kept])
    items[:] = [item for item in items if item.nodeid in kept]


@pytest.fixture(scope="session", autouse=True)
def servers() -> Iterator[None]:
    new_stores.install()
    yield
    postgres.close()
    engines.close()


@pytest.fixture
async def postgres_server() -> postgres.Server:
    if required.may_skip("postgres", postgres.NEWEST in postgres.binaries()):
        pytest.skip("PostgreSQL is not installed")
    return await asyncio.to_thread(postgres.shared, postgres.NEWEST)


@pytest.fixture
async def postgres_url(postgres_server: postgres.Server) -> AsyncIterator[str]:
    """A migrated database of the test's own on the newest server."""
    async with postgres.database(postgres_server) as url:
        yield url
