"""The door to a server (--server). What is behind it is loaded when somebody goes through: most commands open a store."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from interlock.cli.far_server import Server


@contextlib.asynccontextmanager
async def opened() -> AsyncIterator[Server]:
    """Talk to the server that was named. Raises Invalid for what is no address."""
    from interlock.cli import far_server  # noqa: PLC0415 (start-up: the client of HTTP, for --server alone)

    async with far_server.opened() as server:
        yield server


def of_run(id: str) -> str:
    """Give the path of a run."""
    return f"/runs/{quote(id, safe='')}"
