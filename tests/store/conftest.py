"""Backends that the conformance suite runs on. A new backend is one more name here."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import pooler
import postgres
import required
from interlock import config
from interlock.secrets.key import VARIABLE
from interlock.store.open import open_store
from interlock.store.ports import Store
from interlock.store.sql.postgresql.store import PostgresStore

BACKENDS = [
    "sqlite-file",
    "sqlite-memory",
    "postgresql-18",
    "sealed-sqlite-file",
    "sealed-postgresql-18",
    *(pytest.param(name, marks=pytest.mark.engines) for name in ("postgresql-15", "pgbouncer-18")),
]
OF_PAYLOADS = {
    "test_cells", "test_exchange", "test_journal", "test_memos", "test_queue", "test_tokens", "test_joined", "test_tasks",
    "test_pools", "test_ordering", "test_waits",
}  # fmt: skip
"""The files that the sealed stores run: those about what is sealed. The others would find nothing that these do not."""
SEALED = config.Secrets(encrypt_payloads=True)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    folder = Path(__file__).parent
    far = [
        each
        for each in items
        if "[sealed-" in each.nodeid and each.path.parent == folder and each.path.stem not in OF_PAYLOADS
    ]
    if far:
        config.hook.pytest_deselected(items=far)
        items[:] = [each for each in items if each not in far]


@pytest.fixture(params=BACKENDS)
async def store(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Store]:
    async with contextlib.AsyncExitStack() as stack:
        backend = request.param.removeprefix("sealed-")
        is_sealed = backend != request.param
        if is_sealed:
            monkeypatch.setenv(VARIABLE, "the-key-of-the-stores-of-this-suite")
        secrets = SEALED if is_sealed else None
        url = await _url(backend, tmp_path, stack)
        opened = await open_store(url, secrets=secrets)
        stack.push_async_callback(opened.close)
        yield opened
        if is_sealed and isinstance(opened, PostgresStore):  # the database is lent to the next test, as it was
            connection = await opened.server.connect()
            await connection.execute("DELETE FROM meta WHERE name IN ('sealed', 'needs')")
            await connection.close()


async def _url(backend: str, folder: Path, stack: contextlib.AsyncExitStack) -> str:
    kind, _, detail = backend.partition("-")
    if kind == "sqlite":
        return f"sqlite:///{folder}/store.db" if detail == "file" else "sqlite:///:memory:"
    present = detail in postgres.binaries()
    if required.may_skip("postgres" if detail == postgres.NEWEST else f"postgres-{detail}", present):
        pytest.skip(f"PostgreSQL {detail} is not installed")
    if kind == "pgbouncer" and required.may_skip("pgbouncer", pooler.is_there()):
        pytest.skip("PgBouncer is not installed")
    server = await asyncio.to_thread(postgres.shared, detail)
    if kind == "pgbouncer":
        url = await stack.enter_async_context(postgres.database(server))
        return url.replace(f":{server.port}/", f":{await asyncio.to_thread(postgres.pooled, detail)}/")
    return await stack.enter_async_context(postgres.lent(server))


@pytest.fixture
async def postgres_url(postgres_server: postgres.Server) -> AsyncIterator[str]:
    """A migrated database of the test's own on the newest server, which others had before."""
    async with postgres.lent(postgres_server) as url:
        yield url


@pytest.fixture
async def two(postgres_url: str) -> AsyncIterator[tuple[PostgresStore, PostgresStore]]:
    """Two processes' worth of connections to one database."""
    async with contextlib.AsyncExitStack() as stack:
        found = []
        for _ in range(2):
            store = await open_store(postgres_url)
            stack.push_async_callback(store.close)
            assert isinstance(store, PostgresStore)
            found.append(store)
        yield found[0], found[1]
