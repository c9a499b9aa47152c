"""Fixtures of every kind of test: real servers, started when the first test needs them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

import postgres
import required


@pytest.fixture(scope="session", autouse=True)
def servers() -> Iterator[None]:
    yield
    postgres.close()


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
