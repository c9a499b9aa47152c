"""Executes documents as `interlock run` does: a node brought along, a store, and no network but a local server."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from acceptance import ledger
from interlock import config
from interlock.app.session import Session, Started
from interlock.model import lifecycle
from interlock.model.event import Event
from interlock.model.fault import Fault
from interlock.model.states import RunStatus
from interlock.service import Clock, SystemClock
from loopback import Server

_HOST = re.compile(r"https?://([^/\s\"'?:]+)")


@dataclass(frozen=True)
class Executed:
    """A run that has ended. `fault` as expressions see it. `started`: the names of the steps in order of their start."""

    status: RunStatus
    output: Any
    fault: dict[str, Any] | None
    started: list[str]
    history: list[Event]


class LaterClock(SystemClock):
    """A clock that is ahead of the machine's."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def now(self) -> float:
        return super().now() + self._seconds


class Place:
    """Where documents are executed: one store, one local server for every host."""

    def __init__(self, folder: Path, server: Server, store: str) -> None:
        self.folder = folder
        self.server = server
        self.store = store

    async def execute(self, text: str, input: Any) -> Executed:
        async with self.opened(text) as app:
            await app.bring_node()
            started = await app.start(text, input=input, folder=self.folder)
            await app.finish(started.run)
            return await self.ended(app, started)

    @asynccontextmanager
    async def opened(self, text: str, clock: Clock | None = None) -> AsyncIterator[Session]:
        """Open the store for a document; at the end every run in it is folded and compared."""
        hosts = dict.fromkeys(_HOST.findall(text), f"127.0.0.1:{self.server.port}")
        flags = {"store.url": self.store, "http.hosts": hosts}
        settings = config.load(flags, {"INTERLOCK_TESTING": "1"}, self.folder, self.folder)
        async with Session.open(settings, clock=clock) as app:
            yield app
            await ledger.check_store(app.store)

    @staticmethod
    async def ended(app: Session, started: Started) -> Executed:
        row = await app.find(started.namespace, started.id)
        output = None
        if row.output is not None:
            output = (await app.rows.value(row.run, row.output, app.store.journal)).value
        fault = None if row.fault is None else msgspec.json.decode(row.fault, type=Fault).described()
        history = await app.history(row.run)
        names = [
            event.path.rsplit("/", 1)[-1] for name, event in lifecycle.lifecycle(history) if name == "step.started"
        ]
        return Executed(row.status, output, fault, names, history)
