from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from server import site as sites
from server.served import served

__all__ = ["served"]


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[sites.Site]:
    """A server that anybody on this machine may use."""
    async with sites.opened(tmp_path) as site:
        yield site
