"""A lock of a server that does not answer any more is given up before its time is over."""

from __future__ import annotations

import asyncio
import socket
import time

from interlock.cli.far_lock import FarLock
from interlock.cli.far_server import Server
from interlock.client.connection import Connection
from interlock.wire.coordination import HeldLock


async def test_lock_of_a_server_that_is_gone_is_lost_in_its_time() -> None:
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))  # nobody listens there
        connection = Connection(f"http://127.0.0.1:{place.getsockname()[1]}", None, 1.0, pauses=(0.05,))
        granted = HeldLock(
            name="l", holder="h", fence=3, mode="exclusive", limit=1, acquired_at=0.0, expires_at=0.0, ttl=1.0
        )
        began = time.monotonic()
        lock = FarLock(Server(connection), granted, began)
        async with asyncio.timeout(60):
            await lock.keep()
            await lock.wait_lost()
            await lock.release()
        await connection.close()
    assert 0.3 <= time.monotonic() - began < 50


async def test_lock_is_named_as_it_was_granted() -> None:
    granted = HeldLock(name="l", holder="h", fence=3, mode="read", limit=1, acquired_at=0.0, expires_at=0.0, ttl=9.0)
    lock = FarLock(Server(Connection("http://127.0.0.1:1", None, 1.0)), granted, 0.0)
    lock.executing()
    assert (lock.name, lock.fence) == ("l", 3)
