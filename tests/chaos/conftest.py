from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

import pooler
import postgres
import required
from chaos import load
from chaos.cluster import Cluster
from interlock.store.open import open_store


@pytest.fixture
def server() -> Iterator[postgres.Server]:
    """A server of the test's own that keeps what it says it wrote."""
    if required.may_skip("postgres", postgres.NEWEST in postgres.binaries()):
        pytest.skip("PostgreSQL is not installed")
    with postgres.running(postgres.NEWEST, durable=True) as server:
        yield server


@pytest.fixture
async def url(server: postgres.Server) -> str:
    """A migrated database of it."""
    url = server.url("postgres")
    store = await open_store(url)
    await store.close()
    return url


@pytest.fixture
def pooled(server: postgres.Server, url: str) -> Iterator[str]:
    """The same database behind a pooler in transaction mode."""
    if required.may_skip("pgbouncer", pooler.is_there()):
        pytest.skip("PgBouncer is not installed")
    with pooler.running(server.port) as port:
        yield url.replace(f":{server.port}/", f":{port}/")


@pytest.fixture
async def clusters(tmp_path: Path) -> AsyncIterator[ClusterMaker]:
    maker = ClusterMaker(tmp_path)
    try:
        yield maker
    finally:
        await asyncio.to_thread(maker.end)


class ClusterMaker:
    """Makes clusters whose nodes end with the test."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stack = contextlib.ExitStack()

    def make(self, url: str) -> Cluster:
        (self._folder / f"{load.MODULE}.py").write_text(load.FUNCTIONS)
        environment = {"INTERLOCK_PYTHON_ALLOW": load.MODULE, "INTERLOCK_NODE_SLOTS": "4", "INTERLOCK_NODE_GRACE": "5s"}
        cluster = Cluster(self._folder, url, environment)
        self._stack.callback(cluster.end)
        return cluster

    def end(self) -> None:
        self._stack.close()
