from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from acceptance.kit.executed import Place
from loopback import serving


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    """A store file and a server on 127.0.0.1 that stands for every host that documents call."""
    async with serving() as server:
        yield Place(tmp_path, server)
