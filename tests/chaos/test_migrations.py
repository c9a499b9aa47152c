"""A store is upgraded while processes of the version before go on with it. OP-12"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from chaos import audit, full, load
from chaos.client import Client
from chaos.cluster import Cluster, is_full, until
from chaos.conftest import ClusterMaker
from interlock.store.open import open_store
from interlock.store.sql import sqlite_schema, statements
from interlock.store.sql.postgresql import schema

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(900)]

FILLED = 1_000_000 if is_full() else 20_000
UP = (
    "CREATE TABLE notes (run text NOT NULL, note text NOT NULL);\n"
    "ALTER TABLE runs ADD COLUMN note text;\n"
    "ALTER TABLE tasks ADD COLUMN cost integer NOT NULL DEFAULT 0;\n"
)
DOWN = "DROP TABLE notes;\nALTER TABLE runs DROP COLUMN note;\nALTER TABLE tasks DROP COLUMN cost;\n"
STALL_SECONDS = 2.0
RUNS_PER_SECOND = 10.0
BACKENDS = ("sqlite", "postgresql")


@pytest.fixture
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/store.db"
    server = request.getfixturevalue("server")
    return str(server.url("postgres"))


@pytest.mark.parametrize("store_url", BACKENDS, indirect=True)
async def test_old_process_goes_on_while_the_schema_goes_up_and_down(clusters: ClusterMaker, store_url: str) -> None:
    await (await open_store(store_url)).close()
    await _fill(store_url, FILLED)
    cluster = clusters.make(store_url)
    client = Client(store_url, cluster.shell.folder)
    await client.publish()
    old = await cluster.start()
    enough = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(client.start_until(enough, RUNS_PER_SECOND))
        await until(lambda: len(load.lines(cluster.shell.folder)) > 20, 60)
        before = len(client.waits)
        up = await _newer(cluster, "up")
        listed = await asyncio.to_thread(cluster.shell.run, "--store", store_url, "list", "--limit", "1")
        assert listed.code == 0, "a process that does not know the newest migration lives with it"
        async with _newer_node(cluster) as told:
            await until(lambda: "run.claimed" in told.read_text(), 60)
        down = await _newer(cluster, "down")
        enough.set()
    await client.all_have_ended(120)
    found = await audit.check(store_url, cluster.shell.folder, client.seeds, [])
    stall = max(client.waits[before:])
    print(
        f"\n{store_url.partition(':')[0]}, {FILLED} ended runs: {found}; up in {up:.2f} s, down in {down:.2f} s, the longest"
        f" stall of the old process {stall:.2f} s (before: {max(client.waits[:before]):.2f} s)"
    )
    assert old.process.poll() is None
    assert cluster.troubles() == []
    assert stall < STALL_SECONDS


@pytest.mark.parametrize("store_url", BACKENDS, indirect=True)
async def test_store_that_was_filled_at_the_first_schema_comes_up_to_date(store_url: str) -> None:
    await _first_schema(store_url)
    await _fill(store_url, FILLED)
    begin = time.monotonic()
    store = await open_store(store_url)
    print(
        f"\n{store_url.partition(':')[0]}: {FILLED} runs of the first schema brought up to date in {time.monotonic() - begin:.2f} s"
    )
    assert (await store.views.counts())["runs"] == FILLED
    assert len(await store.views.runs(full.NAMESPACE, [], None, None, 10)) == 10
    await store.close()


@pytest.mark.parametrize("store_url", BACKENDS, indirect=True)
async def test_process_that_cannot_live_with_a_migration_is_refused_and_told(
    clusters: ClusterMaker, store_url: str
) -> None:
    cluster = clusters.make(store_url)
    await _newer(cluster, "up", up=f"-- incompatible\n{UP}")
    for command in ("list", "doctor", "node"):
        refused = await asyncio.to_thread(cluster.shell.run, "--store", store_url, command)
        assert refused.code == 4, refused
        assert "written by a newer Interlock (migration 9000_of_a_version_to_come); install that version" in refused.err


# -- the version to come ---------------------------------------------------------------------------------------------


def _command(up: str, *arguments: str) -> list[str]:
    return [sys.executable, str(Path(__file__).with_name("newer.py")), up, DOWN, *arguments]


def _environment(cluster: Cluster) -> dict[str, str]:
    return cluster.shell._environment({"INTERLOCK_STORE_URL": cluster.url, "INTERLOCK_PYTHON_ALLOW": load.MODULE})


async def _newer(cluster: Cluster, command: str, up: str = UP) -> float:
    """Bring the store up, or back; gives the seconds."""
    process = await asyncio.create_subprocess_exec(
        *_command(up, command), cwd=cluster.shell.folder, env=_environment(cluster),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return float(out)


@contextlib.asynccontextmanager
async def _newer_node(cluster: Cluster) -> AsyncIterator[Path]:
    """Run a node of the version to come; gives its log. It drains at the end."""
    told = cluster.shell.folder / "newer.log"
    with told.open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *_command(UP, "node"), cwd=cluster.shell.folder, env=_environment(cluster), stderr=log
        )
    try:
        yield told
        process.terminate()
        async with asyncio.timeout(60):
            assert await process.wait() == 0, told.read_text()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


# -- stores ----------------------------------------------------------------------------------------------------------


async def _fill(url: str, count: int) -> None:
    if url.startswith("sqlite:///"):
        await asyncio.to_thread(full.sqlite, url.removeprefix("sqlite:///"), count)
    else:
        await full.postgresql(url, count)


async def _first_schema(url: str) -> None:
    """Make a store as the first version did."""
    dialect = url.partition(":")[0]
    known = statements.migrations(dialect)
    first = min(known)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(statements, "migrations", lambda dialect: {first: known[first]})
        if dialect == "sqlite":
            connection = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
            connection.execute("PRAGMA journal_mode=WAL")
            sqlite_schema.migrate(connection)
            connection.close()
        else:
            server = await asyncpg.connect(url)
            await schema.migrate(server)
            await server.close()
