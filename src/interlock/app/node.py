"""One node: every service of a process that executes runs, started and stopped in order."""

from __future__ import annotations

import asyncio
import sys
from contextlib import AsyncExitStack
from typing import Final

from interlock import errors
from interlock.app.graphs import Graphs
from interlock.app.performer import Performer
from interlock.config import Settings
from interlock.dispatch.dispatcher import Dispatcher
from interlock.dispatch.logbook import Logbook
from interlock.effects.openapi.documents import Documents
from interlock.engine import identity
from interlock.engine.advance import POOL, Engine
from interlock.engine.membership import Membership
from interlock.engine.recovery import Recovery
from interlock.engine.rows import Rows
from interlock.expr.evaluators import Evaluators
from interlock.net.authentication import Authenticator
from interlock.net.client import Client
from interlock.pool.in_process import InProcessPool
from interlock.pool.local import LocalPool
from interlock.secrets.keeper import Keeper
from interlock.service import Clock, Service
from interlock.store.ports import NodeRow, Store

_DRAIN_SECONDS: Final = 5.0
_SWITCH_SECONDS: Final = 0.001
"""How long a thread waits for the interpreter while another computes. With Python's 5 ms a commit, which gives it up at
every statement, would take ten times as long beside a busy step."""


class Node(Service):
    """Executes runs. `pinned`: only those it is given, and it leaves with them; it brings patience with no store."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        clock: Clock,
        graphs: Graphs,
        secrets: Keeper,
        *,
        pinned: bool,
        allow_all_python: bool,
    ) -> None:
        self.row: NodeRow = identity.here(clock, "engine,dispatcher", pinned=pinned)
        node = self.row.node
        self._pinned = pinned
        self._failure: errors.Environment | None = None
        self._failed = asyncio.Event()
        self._client = Client(settings.http, settings.payload.max_bytes)
        self._evaluators = Evaluators(
            processes=settings.expressions.evaluators,
            deadline_seconds=settings.expressions.deadline_seconds,
            memory_bytes=settings.expressions.memory_bytes,
        )
        self._logbook = Logbook(store, clock, settings.logs.max_bytes)
        self._local = LocalPool(slots=settings.node.slots)
        self._in_process = InProcessPool(threads=settings.node.sync_threads)
        self._membership = Membership(self.row, store, clock, self._lose)
        self.engine = Engine(
            node,
            store,
            clock,
            graphs,
            Performer(
                Authenticator(self._client, clock),
                Documents(clock),
                secrets,
                self._in_process,
                self._local,
                self._logbook,
                allow=None if allow_all_python else settings.python.allow,
                functions=settings.python.functions,
            ),
            self._evaluators,
            secrets,
            rows=Rows(settings.payload.inline_bytes),
            patient=not pinned,
            max_payload_bytes=settings.payload.max_bytes,
        )
        self._dispatcher = Dispatcher(
            node,
            store,
            clock,
            POOL,
            self._local,
            self._logbook,
            secrets,
            slots=settings.node.slots,
            own=pinned,
            orphan_grace_seconds=0.0 if pinned else settings.node.orphan_grace_seconds,
            away=self._store_is_away,
        )
        self._recovery = Recovery(node, store, clock)
        self._stack = AsyncExitStack()
        self._started = False

    async def start(self) -> None:
        """Start every service; those that others need come first and stop last."""
        sys.setswitchinterval(min(sys.getswitchinterval(), _SWITCH_SECONDS))
        self._stack.push_async_callback(self._client.close)
        services: list[Service] = [
            self._membership,
            self._evaluators,
            self._local,
            self._in_process,
            self._logbook,
            self.engine,
            self._dispatcher,
            self._recovery,
        ]
        try:
            for service in services:
                await service.start()
                self._stack.push_async_callback(service.stop)
        except BaseException:
            await self._stack.aclose()
            raise
        self._started = True

    async def stop(self) -> None:
        """Give the runs back, then stop everything."""
        if self._started:
            self._started = False
            if self._failure is None:
                await self.engine.drain(_DRAIN_SECONDS)
            await self._stack.aclose()

    def _lose(self) -> None:
        """The lease is lost: nothing may be written any more, and what still runs must end before others repeat it."""
        error = errors.LeaseLost("this node lost its lease; `interlock resume --all` goes on with its runs")
        self._fail(error)
        self.engine.abandon(error)
        self._dispatcher.abandon()

    def _store_is_away(self, error: errors.Environment) -> None:
        if self._pinned:  # a node with runs of others waits until the store is back
            self._fail(error)

    def _fail(self, error: errors.Environment) -> None:
        self._failure = self._failure or error
        self._failed.set()

    async def watch(self, run: str) -> None:
        """Wait until a run has ended here. Raises what made this node give the run, or everything, up."""
        waiting = asyncio.create_task(self.engine.wait(run))
        failing = asyncio.create_task(self._failed.wait())
        try:
            await asyncio.wait({waiting, failing}, return_when=asyncio.FIRST_COMPLETED)
            if waiting.done():
                waiting.result()
            elif self._failure is not None:
                raise self._failure
        finally:
            waiting.cancel()
            failing.cancel()
