"""A database that its own tools dumped while runs were in flight, and restored while a node of before was frozen."""

from __future__ import annotations

import asyncio
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import postgres
from acceptance import ledger
from acceptance.shell import Shell, until
from acceptance.test_nodes import Nodes
from interlock.store.open import open_store

FLIGHT = (
    "document: {dsl: 1.0.3, namespace: default, name: flight, version: 1.0.0}\n"
    "do:\n  - one: {run: {shell: {command: 'echo one >> ledger'}}}\n"
    "  - two: {run: {shell: {command: 'echo two >> ledger; while ! test -e go; do sleep 0.05; done'}}}\n"
    "  - three: {run: {shell: {command: 'echo three >> ledger'}}}\n"
)


@pytest.fixture
def nodes(shell: Shell) -> Iterator[Nodes]:
    shell.write("flight.yaml", FLIGHT)
    found = Nodes(shell)
    yield found
    found.end()


@pytest.mark.slow
async def test_restored_database_goes_on_and_hears_nothing_from_before(
    nodes: Nodes, postgres_server: postgres.Server, postgres_url: str, tmp_path: Path
) -> None:
    await asyncio.to_thread(_restored, nodes, postgres_server, postgres_url)
    store = await open_store(postgres_url)
    assert await ledger.check_store(store) == 2
    for id in ("flight-0", "flight-1"):
        row = await store.views.run(None, id)
        assert row is not None
        assert row.epoch > 1_000_000
    await store.close()


def _restored(nodes: Nodes, server: postgres.Server, url: str) -> None:
    shell, env = nodes.shell, {"INTERLOCK_STORE_URL": url}
    command = ("--store", url)
    before = nodes.start(env=env)
    for number in range(2):
        assert shell.run(*command, "run", "flight.yaml", "--detach", "--id", f"flight-{number}").code == 0
    until(lambda: shell.ledger().count("two") == 2, 60)
    dump = str(shell.folder / "interlock.dump")
    _tool("pg_dump", "--format=custom", f"--file={dump}", url)
    before.send_signal(signal.SIGSTOP)
    name, maintenance = url.rpartition("/")[2], f"--maintenance-db={server.url('postgres')}"
    _tool("dropdb", "--force", maintenance, name)
    _tool("createdb", maintenance, name)
    _tool("pg_restore", "--single-transaction", f"--dbname={url}", dump)

    refused = shell.run(*command, "restore", "--raise-fences")
    assert refused.code == 2, refused
    assert f"in use by pid {before.pid}" in refused.err, "its lease is in the dump, and its process is there"
    until(lambda: shell.run(*command, "restore", "--raise-fences").code == 0, 60)

    before.send_signal(signal.SIGCONT)
    after = nodes.start(env=env)
    nodes.says(before, "node.lost", 60)
    (shell.folder / "go").touch()
    until(lambda: {run["status"] for run in shell.run(*command, "list", "--json").json} == {"completed"}, 60)
    lines = shell.ledger()
    assert (lines.count("one"), lines.count("three")) == (2, 2), "what the dump holds as finished is not done again"
    for node in (before, after):
        node.send_signal(signal.SIGTERM)
        assert node.wait(60) == 0


def _tool(program: str, *arguments: str) -> None:
    path = postgres.binaries()[postgres.NEWEST] / program
    done = subprocess.run([str(path), *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, f"{program}: {done.stderr}"
