"""Fixtures of every kind of test: real servers, started when the first test needs them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

import engines
import postgres
import required
from interlock.testing import plugin


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    """Have the plugin also in a checkout that was installed before the plugin was there."""
    if not pluginmanager.is_registered(plugin):
        pluginmanager.register(plugin, "interlock")


@pytest.fixture(scope="session", autouse=True)
def servers() -> Iterator[None]:
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
