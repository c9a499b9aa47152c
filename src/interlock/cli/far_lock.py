"""A lock of a server, held by a command of this machine and renewed over HTTP.

    wanted --nobody has it--> held --renewed every third of its time--> held
                               held --the server says so, or does not answer until shortly before its end--> lost

Its time counts from the moment when a request was *sent*, on the monotonic clock, so that this machine believes in it for
shorter than the server does.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Final
from uuid import uuid4

from interlock import errors
from interlock.cli import far
from interlock.cli.output import note
from interlock.coord.lock_request import seconds_of
from interlock.wire import coordination as wire

if TYPE_CHECKING:
    from interlock.cli.far_server import Server

_PAUSES: Final = (0.1, 0.2, 0.5, 1.0)
"""Seconds between two looks whether a lock is free; a server has no queue for those who come over HTTP."""
_PARTS: Final = 3  # renewals in the time of a lock
_MARGIN: Final = 0.2
"""Of its time, before whose end a lock is given up that could not be renewed: what is done under it has to end in it."""
_RELEASE_SECONDS: Final = 5.0


class FarLock:
    """A lock that is held. `name` and `fence`: as the server granted it."""

    def __init__(self, server: Server, held: wire.HeldLock, sent_at: float) -> None:
        self._server = server
        self._holder: Final = held.holder
        self._ttl: Final = held.ttl
        self._believed_until = sent_at + held.ttl * (1 - _MARGIN)
        self._lost = asyncio.Event()
        self.name: Final = held.name
        self.fence: Final = held.fence

    def executing(self) -> None:
        """Something runs under it now; nothing has to be done for that here."""

    async def wait_lost(self) -> None:
        """Wait until the lock is lost."""
        await self._lost.wait()

    async def keep(self) -> None:
        """Renew the lock until it is lost."""
        while not self._lost.is_set():
            await asyncio.sleep(self._ttl / _PARTS)
            await self._renew()

    async def release(self) -> None:
        """Free the lock, if it is there still. A server that does not answer frees it when its time is over."""
        with contextlib.suppress(errors.InterlockError, TimeoutError):
            async with asyncio.timeout(_RELEASE_SECONDS):
                await self._ask(wire.Renewal, "release")

    async def _renew(self) -> None:
        left = self._believed_until - time.monotonic()
        sent_at = time.monotonic()
        try:
            async with asyncio.timeout(max(left, 0.0)):
                while True:
                    try:
                        answer = await self._ask(wire.Renewal, "renew")
                        break
                    except errors.StoreUnavailable:  # it was tried several times; there is time left
                        sent_at = time.monotonic()
        except (errors.InterlockError, TimeoutError) as error:
            note(f"interlock: the lock {self.name!r} could not be renewed: {error or 'the server does not answer'}")
            self._lost.set()
            return
        if not answer.held:
            self._lost.set()
        self._believed_until = sent_at + self._ttl * (1 - _MARGIN)

    async def _ask(self, shape: type[wire.Renewal], action: str) -> wire.Renewal:
        body = wire.GrantNumber(holder=self._holder, fence=self.fence)
        return await self._server.ask(
            shape, "POST", f"/locks/{action}", body=body, query={"name": self.name}, safe=action == "renew"
        )


@contextlib.asynccontextmanager
async def held(name: str, ask: wire.AcquireLock, timeout: str | None) -> AsyncIterator[FarLock]:
    """Hold a lock of the server until the end of the block. Raises Conflict when it is not free in time (None: for ever)."""
    async with far.opened() as server:
        lock = await _acquired(server, name, ask, timeout)
        keeping = asyncio.create_task(lock.keep(), name="keep-lock")
        try:
            yield lock
        finally:
            keeping.cancel()
            await asyncio.wait({keeping})
            await lock.release()


def holder() -> str:
    """Give a name that no other command has."""
    return f"{os.uname().nodename}-{os.getpid()}-{uuid4().hex[:8]}"


async def _acquired(server: Server, name: str, ask: wire.AcquireLock, timeout: str | None) -> FarLock:
    looks = 0
    end = None if timeout is None else time.monotonic() + seconds_of("timeout", timeout, shortest=0.0)
    while True:
        sent_at = time.monotonic()
        try:
            granted = await server.ask(
                wire.HeldLock, "POST", "/locks/acquire", body=ask, query={"name": name}, safe=True
            )
            return FarLock(server, granted, sent_at)
        except errors.LockError as error:
            if error.code != "lock-held":
                raise
            left = None if end is None else end - time.monotonic()
            if left is not None and left <= 0:
                raise errors.Conflict(f"the lock {name!r} was not free within {timeout}: {error}") from None
        pause = _PAUSES[min(looks, len(_PAUSES) - 1)]
        looks += 1
        await asyncio.sleep(pause if left is None else min(pause, left))
