"""The bell across processes: LISTEN on a connection of its own, NOTIFY at most every 10 ms.

    changed() --at once--> listeners of this process
              --within 10 ms--> NOTIFY --> every other process --> its listeners

A notification is never part of a commit: NOTIFY makes committing transactions wait for each other. Losing one costs latency
and never work: whoever listens also looks by itself, seldom when nothing happens. Behind a pooler there is no LISTEN; a poll
replaces it.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any, Final

from interlock import errors, telemetry
from interlock.service import Service
from interlock.store.ports import InboxRow
from interlock.store.ports.news import ANYTHING, INBOX
from interlock.store.sql.bell import LocalBell
from interlock.store.sql.postgresql.failures import FAILURES
from interlock.store.sql.postgresql.server import Connection, Server

_CHANNEL: Final = "interlock"
_NOTIFY_SECONDS: Final = 0.01  # changes within this time are one notification
_BLIND_SECONDS: Final = 0.25  # a poll replaces notifications while there are none
_RECONNECT_SECONDS: Final = (0.25, 0.5, 1.0, 2.0, 5.0)
_CLOSE_SECONDS: Final = 2.0


class PostgresBell(LocalBell, Service):
    """Wakes the listeners of this process, and of all others that share the database."""

    def __init__(self) -> None:
        super().__init__()
        self._server: Server | None = None
        self._changed = asyncio.Event()
        self._ending = False
        self._news = 0
        """What others have to be told."""
        self.is_listening = False
        self._tasks: list[asyncio.Task[None]] = []

    def connect(self, server: Server | None) -> None:
        """Say where to listen; None where nothing can be heard."""
        self._server = server

    async def start(self) -> None:
        self._ending = False
        self._tasks.append(asyncio.create_task(self._poll(), name="bell-poll"))
        if self._server is not None:
            self._tasks.append(asyncio.create_task(self._connected(self._server), name="bell"))

    async def stop(self) -> None:
        """End; what others are still to be told is told first, for a short while: a command writes, and is gone."""
        tasks, self._tasks = self._tasks, []
        self._ending = True
        if self._news and len(tasks) > 1:
            self._changed.set()
            await asyncio.wait(tasks[1:], timeout=_CLOSE_SECONDS)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def changed(self, news: int) -> None:
        """Wake who listens here now, and the others soon."""
        self._news |= news
        self._changed.set()
        self.ring(news)

    def post(self, row: InboxRow) -> bool:
        """As LocalBell. The others are told all the same: a node that was given up for dead may not know it yet, and take
        what is another's by now."""
        self._news |= INBOX
        self._changed.set()
        return super().post(row)

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(_BLIND_SECONDS)
            if not self.is_listening:
                self.ring()

    async def _connected(self, server: Server) -> None:
        """Listen and notify, over one connection after the other, until all is told at the end."""
        attempt = 0
        while self._news or not self._ending:
            try:
                connection = await server.connect()
            except errors.StoreUnavailable as error:
                telemetry.emit("bell.away", error=error)
                await asyncio.sleep(_RECONNECT_SECONDS[min(attempt, len(_RECONNECT_SECONDS) - 1)])
                attempt += 1
                continue
            try:
                await self._ring_over(connection)
            except FAILURES as error:
                self.is_listening = False
                telemetry.emit("bell.lost", error=error)
                await asyncio.sleep(_RECONNECT_SECONDS[0])
            finally:
                self.is_listening = False
                await _end(connection)
            attempt = 0

    async def _ring_over(self, connection: Connection) -> None:
        """Listen, and tell others of our changes, until all is told at the end. Raises when the connection breaks."""
        own = connection.get_server_pid()

        def heard(_connection: Any, pid: int, _channel: str, payload: object) -> None:
            if pid != own:
                self.ring(_news(payload))

        lost = asyncio.Event()
        connection.add_termination_listener(lambda _connection: lost.set())
        await connection.add_listener(_CHANNEL, heard)
        self.is_listening = True
        self.ring()  # whatever happened while nobody listened
        while not lost.is_set():
            await _either(self._changed, lost)
            if self._changed.is_set() and not lost.is_set():
                self._changed.clear()
                told, self._news = self._news, 0
                try:
                    await connection.execute(f"NOTIFY {_CHANNEL}, '{told}'")
                except FAILURES:
                    self._news |= told  # for the next connection
                    self._changed.set()
                    raise
                if self._ending:
                    return
                await asyncio.sleep(_NOTIFY_SECONDS)
        raise ConnectionResetError("the connection of the bell was closed")


def _news(payload: object) -> int:
    """Give what a notification says; one of an older version says nothing, which concerns everybody."""
    return int(payload) if isinstance(payload, str) and payload.isdecimal() else ANYTHING


async def _either(one: asyncio.Event, other: asyncio.Event) -> None:
    waiting = [asyncio.create_task(one.wait()), asyncio.create_task(other.wait())]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()


async def _end(connection: Connection) -> None:
    with contextlib.suppress(*FAILURES):
        await connection.close(timeout=_CLOSE_SECONDS)
