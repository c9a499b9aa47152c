"""The end of a session that has two nodes."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from interlock import config, errors
from interlock.app.node import Node
from interlock.app.roles import DISPATCHER
from interlock.app.session import Session


async def test_node_has_stopped_before_the_store_closes_where_the_other_one_fails_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop, failed = Node.stop, asyncio.Event()
    has_stopped: list[Node] = []

    async def stopped(node: Node) -> None:
        if node is app.engine:
            await stop(node)
            failed.set()
            raise errors.Environment("of the engine")
        await failed.wait()
        await stop(node)
        has_stopped.append(node)

    monkeypatch.setattr(Node, "stop", stopped)
    settings = config.Settings(store=config.Store(url=f"sqlite:///{tmp_path / 's.db'}"))
    opened = Session.open(settings)
    app = await opened.__aenter__()
    await app.bring_node(pinned=False, roles=(DISPATCHER,))
    await app.bring_engine()
    node, close = app.node, app._client.close

    async def closed() -> None:
        assert has_stopped == [node]
        await close()

    monkeypatch.setattr(app._client, "close", closed)
    with pytest.raises(errors.Environment, match="of the engine"):
        await opened.__aexit__(None, None, None)
