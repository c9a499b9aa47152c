"""Keeps a node of this process going for as long as it is wanted, whatever becomes of the store.

    starting --the store is there--> ready --drain asked for--> draining --all is given back--> ended
        ^                              |
        +------the lease was lost------+        as a new node: what the old one had belongs to others, or is adopted

A store that is away never ends it: it tries again, for ever, and says so once.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Final, Protocol, TypeAlias

from interlock import errors, telemetry
from interlock.app.readiness import DEAF, DRAINING, STARTING, STORE_AWAY, Readiness
from interlock.app.session import Session
from interlock.app.shortages import Shortages
from interlock.app.supplies import measures
from interlock.config import Settings
from interlock.service import SystemClock
from interlock.store.ports import NodeRow

_RETRY_SECONDS: Final = (0.2, 0.5, 1.0, 2.0, 5.0)


class Served(Protocol):
    """A node that is served: what executes runs, or a worker. `asked_by`: who asks it to drain."""

    row: NodeRow
    failed: asyncio.Event
    failure: errors.Environment | None
    asked_to_drain: asyncio.Event
    asked_by: str

    async def quiesce(self, seconds: float, hurry: asyncio.Event) -> None:
        """Take nothing new and let what runs end, at most so long, or until `hurry`."""
        ...


Bring: TypeAlias = Callable[[Session, Readiness, Shortages], AbstractAsyncContextManager[Served]]
"""Starts a node in an open store, and stops it at the end of the block."""


def executing(roles: Sequence[str]) -> Bring:
    """Give what brings a node that executes runs, with some of its roles."""

    @contextlib.asynccontextmanager
    async def bring(app: Session, readiness: Readiness, shortages: Shortages) -> AsyncIterator[Served]:
        yield await app.bring_node(
            pinned=False, allow_all_python=False, roles=tuple(roles), readiness=readiness, shortages=shortages
        )  # the session stops it

    return bring


class Serving:
    """One `interlock node`, or worker. `readiness` tells how it stands; `drain` and `hurry` end it."""

    def __init__(self, settings: Settings, bring: Bring, *, public_url: str | None = None, socket: str = "") -> None:
        """`public_url`: where those who are given tokens find this server; None: as the settings say. `socket`: where
        programs that run here find it."""
        self.readiness = Readiness(lambda reasons: telemetry.emit("node.readiness", reasons=reasons))
        self._shortages = Shortages(measures(settings.store.url), SystemClock(), self.readiness)
        self._settings = settings
        self._public_url = public_url
        self._socket = socket
        self._bring = bring
        self._leaving = asyncio.Event()
        self._hurry = asyncio.Event()

    def drain(self, why: str) -> None:
        """End in good order: claim nothing, let effects end within the grace, give the runs back."""
        if not self._leaving.is_set():
            telemetry.emit("node.draining", why=why)
            self._leaving.set()

    def hurry(self) -> None:
        """End without waiting for effects."""
        self._leaving.set()
        self._hurry.set()

    async def run(self, seconds: float | None = None) -> None:
        """Serve until `drain`, at most so long (None: for ever). Raises what only a person can mend, such as StoreCorrupt."""
        loop = asyncio.get_running_loop()
        timer = None if seconds is None else loop.call_later(seconds, self.drain, "its time is over")
        detach = telemetry.attach(self._observe)
        self.readiness.add(STARTING)
        await self._shortages.start()
        attempt = 0
        try:
            while not self._leaving.is_set():
                try:
                    await self._once()
                    attempt = 0
                except (errors.StoreUnavailable, errors.StoreFull) as error:
                    if STORE_AWAY not in self.readiness.reasons:
                        telemetry.emit("node.store_away", reason=str(error))
                    self.readiness.add(STORE_AWAY)
                    telemetry.emit("store.away", node="", error=error)
                    await self._pause(_RETRY_SECONDS[min(attempt, len(_RETRY_SECONDS) - 1)])
                    attempt += 1
        finally:
            detach()
            await self._shortages.stop()
            if timer is not None:
                timer.cancel()

    async def _once(self) -> None:
        """Be a node until it is to leave, or has lost its lease."""
        async with (
            Session.open(self._settings, public_url=self._public_url, socket=self._socket) as app,
            self._bring(app, self.readiness, self._shortages) as node,
        ):
            self.readiness.remove(STORE_AWAY)
            self.readiness.remove(STARTING)
            telemetry.emit("node.joined", node=node.row.node, roles=node.row.roles, store=app.store.url)
            await self._until_over(node)
            if node.failure is not None:
                telemetry.emit("node.lost", node=node.row.node, reason=str(node.failure))
                self.readiness.add(STARTING)
                return
            self.readiness.add(DRAINING)
            await self._note_draining(app, node)
            await node.quiesce(self._settings.node.grace_seconds, self._hurry)
        telemetry.emit("node.left", node=node.row.node)

    async def _until_over(self, node: Served) -> None:
        waits = [asyncio.create_task(each.wait()) for each in (self._leaving, node.failed, node.asked_to_drain)]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        if node.asked_to_drain.is_set() and not self._leaving.is_set():
            self.drain(f"asked to by {node.asked_by}")

    async def _note_draining(self, app: Session, node: Served) -> None:
        """Let others see that this node claims nothing any more; one that could not be told sees it by its lease."""
        with contextlib.suppress(errors.Environment):
            await app.store.nodes.drain(node.row.node, app.clock.now())

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._leaving.wait()

    def _observe(self, name: str, _fields: object) -> None:
        if name == "node.deaf":
            self.readiness.add(DEAF)
        elif name == "node.heard":
            self.readiness.remove(DEAF)
