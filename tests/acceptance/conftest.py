from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

import loopback
from acceptance import house as houses
from acceptance import ledger
from acceptance.shell import Shell
from interlock import config
from interlock.app.session import Session
from interlock.store.sql import statements


@pytest.fixture(autouse=True)
def _processes_are_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """These tests start thousands of processes, each a third slower with its coverage, of lines that others cover."""
    monkeypatch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)


@pytest.fixture(autouse=True)
def _histories_fold_to_what_is_stored(tmp_path: Path) -> Iterator[None]:
    """After every test: the history of every run of every store that it left is folded and compared."""
    yield
    for file in tmp_path.rglob("*.db"):
        if file.is_file() and _is_store(file):
            asyncio.run(ledger.check_file(file))


def _is_store(file: Path) -> bool:
    """Whether a file is a sound store of this version: some tests leave damaged, foreign and newer ones."""
    with contextlib.suppress(sqlite3.Error):
        connection = sqlite3.connect(file)
        try:
            names = {row[0] for row in connection.execute("SELECT name FROM migrations")}
            return names == statements.migrations("sqlite").keys()
        finally:
            connection.close()
    return False


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """The command line in a folder of its own."""
    return Shell(tmp_path)


@pytest.fixture
async def interlock(tmp_path: Path) -> AsyncIterator[Session]:
    """An application with a node on a file of its own."""
    settings = config.Settings(store=config.Store(url=f"sqlite:///{tmp_path}/interlock.db"))
    async with Session.open(settings) as app:
        await app.bring_node()
        yield app


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[houses.House]:
    async with loopback.serving() as server:
        house = houses.House(tmp_path, server)
        yield house
        for value in houses.HIDDEN:
            assert value.encode() not in house.stored()
