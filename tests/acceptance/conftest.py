from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from acceptance import ledger
from acceptance.shell import Shell
from interlock import config
from interlock.app.interlock import Interlock


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    """The command line in a folder of its own; at the end the history of every run is folded and compared."""
    yield Shell(tmp_path)
    store = tmp_path / ".interlock" / "interlock.db"
    if store.exists() and store.read_bytes()[:6] == b"SQLite":
        asyncio.run(ledger.check_file(store))


@pytest.fixture
async def interlock(tmp_path: Path) -> AsyncIterator[Interlock]:
    """An application with a node on a file of its own; at the end the history of every run is folded and compared."""
    settings = config.Settings(store=config.Store(url=f"sqlite:///{tmp_path}/interlock.db"))
    async with Interlock.open(settings) as app:
        await app.bring_node()
        yield app
        await ledger.check_store(app.store)
