"""A store with secrets, and a server that repeats what it was asked: where tests of secrets take place."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

import loopback
from acceptance import ledger
from interlock import config
from interlock.app.session import Session, Started
from interlock.model.fault import Fault
from interlock.service import Clock, SystemClock

HEADER = "document: {dsl: 1.0.3, namespace: default, name: tested, version: 1.0.0}\nuse: {secrets: [db, token, gone]}\n"
HIDDEN = ("hunter2", "t0p-s3cret")


class LaterClock(SystemClock):
    def now(self) -> float:
        return super().now() + 3600


class House:
    """A store, a folder of secrets, and a server that repeats what it was asked."""

    def __init__(self, folder: Path, server: loopback.Server) -> None:
        self.folder = folder
        self.server = server
        self.secrets = folder / "secrets"
        self.secrets.mkdir()
        self.keep("db", json.dumps({"user": "admin", "password": "hunter2", "port": 5432}))
        self.keep("token", "t0p-s3cret")
        (folder / "shop.py").write_text(
            "def sell(key, n):\n    print('key', key)\n    return {'key': key, 'n': n + 1}\n"
        )
        server.otherwise = lambda asked: loopback.Reply(
            200,
            json.dumps({"target": asked.target, "headers": asked.headers, "body": asked.body.decode()}).encode(),
            {"Content-Type": "application/json"},
        )

    def keep(self, name: str, value: str) -> None:
        (self.secrets / name).write_text(value)

    @asynccontextmanager
    async def open(self, clock: Clock | None = None) -> AsyncIterator[Session]:
        settings = config.Settings(
            store=config.Store(url=f"sqlite:///{self.folder}/runs.db"),
            secrets=config.Secrets(folder=str(self.secrets)),
            http=config.Http(allow_private=("127.0.0.1",)),
        )
        async with Session.open(settings, clock=clock) as app:
            await app.bring_node()
            yield app
            await ledger.check_store(app.store)

    async def run(self, app: Session, text: str, input: Any = None) -> Any:
        started = await app.start(HEADER + text, input=input or {}, folder=self.folder)
        await app.finish(started.run)
        return await self.ended(app, started)

    @staticmethod
    async def ended(app: Session, started: Started) -> Any:
        """Give the output of a run, or its fault."""
        row = await app.find(started.namespace, started.id)
        if row.fault is not None:
            return msgspec.json.decode(row.fault, type=Fault)
        assert row.output is not None
        return (await app.rows.value(row.run, row.output, app.store.journal)).value

    def stored(self) -> bytes:
        return b"".join(file.read_bytes() for file in self.folder.glob("runs.db*") if not file.name.endswith(".key"))
