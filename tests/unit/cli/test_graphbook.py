"""Task graphs as the commands see them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from interlock import config
from interlock.app.session import Session
from interlock.app.tasks import TaskGraphs
from interlock.cli import graphbook
from interlock.cli.graphbook import FarBook, NearBook
from interlock.flow.taskgraph import reading
from interlock.wire import graphs as wire

NAMES = [f"g{number}" for number in range(5)]


def told(name: str) -> wire.GraphTold:
    return wire.GraphTold(
        graph=name, namespace="default", tasks=1, states={"ready": 1}, loads=1, loaded_at=0.0, digest="d", run=None
    )


class Server:
    """Answers with two graphs at once."""

    async def ask(self, shape: type, method: str, path: str, *, query: dict[str, Any]) -> wire.Graphs:
        begin = 0 if query["after"] is None else NAMES.index(query["after"]) + 1
        page = NAMES[begin : begin + 2]
        return wire.Graphs(items=[told(name) for name in page], next=page[-1] if len(page) == 2 else None)


async def test_all_graphs_of_a_store_are_given_however_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of more than 500 graphs the others were left out, without a word."""
    monkeypatch.setattr(graphbook, "_PAGE", 2)
    async with Session.open(config.Settings(store=config.Store(url=f"sqlite:///{tmp_path / 's.db'}"))) as app:
        for name in NAMES:
            text = f"graph: {name}\ntasks: [{{id: a, run: ['true']}}]"
            await TaskGraphs(app.store, app.clock).load(reading.read(text).required(), str(tmp_path))
        found = await NearBook(app).graphs()
    assert [each.graph for each in found] == NAMES


async def test_all_graphs_of_a_server_are_given_however_many() -> None:
    found = await FarBook(Server()).graphs()  # type: ignore[arg-type]  # all that it is asked
    assert [each.graph for each in found] == NAMES
