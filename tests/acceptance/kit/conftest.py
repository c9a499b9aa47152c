from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import postgres
import required
from acceptance.kit.executed import Place
from loopback import serving


@pytest.fixture(params=["sqlite", "postgresql"])
async def place(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Place]:
    """A store of each kind, and a server on 127.0.0.1 that stands for every host that documents call."""
    async with contextlib.AsyncExitStack() as stack:
        server = await stack.enter_async_context(serving())
        url = f"sqlite:///{tmp_path}/interlock.db"
        if request.param == "postgresql":
            if required.may_skip("postgres", postgres.NEWEST in postgres.binaries()):
                pytest.skip("PostgreSQL is not installed")
            shared = await asyncio.to_thread(postgres.shared, postgres.NEWEST)
            url = await stack.enter_async_context(postgres.database(shared))
            monkeypatch.setenv("INTERLOCK_KEY", "the-key-of-the-kit")  # a store on another machine has no place for one
        yield Place(tmp_path, server, url)
