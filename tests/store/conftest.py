"""Backends that the conformance suite runs on. A new backend is one more name here."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from interlock.store.open import open_store
from interlock.store.ports import Store


@pytest.fixture(params=["sqlite-file", "sqlite-memory"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    url = f"sqlite:///{tmp_path}/store.db" if request.param == "sqlite-file" else "sqlite:///:memory:"
    opened = await open_store(url)
    yield opened
    await opened.close()
